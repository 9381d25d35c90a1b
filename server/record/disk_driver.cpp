// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/disk_driver.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

namespace latticed::record {
namespace {

constexpr haddr_t kMaxAddress = static_cast<haddr_t>(std::numeric_limits<off_t>::max());

// What get_handle points at. HDF5's users expect a descriptor first.
struct Handed {
  int descriptor = -1;
  int direct = -1;  // of the same file, past the page cache; -1: the file system cannot
  bool is_let_go = false;
  bool remembers = false;  // failures of rows too, instead of telling
  int failure = 0;         // errno
  // Numbers of pages with structures: all, and those written since they were last asked for.
  std::set<std::uint64_t> structures, fresh;
};

struct DiskFile {
  H5FD_t base{};  // first: HDF5 hands us pointers to it
  Handed handed;
  haddr_t end_allocated = 0, end = 0;
  dev_t device{};
  ino_t inode{};
};

DiskFile& of(H5FD_t* file) { return *reinterpret_cast<DiskFile*>(file); }
const DiskFile& of(const H5FD_t* file) { return *reinterpret_cast<const DiskFile*>(file); }

// The reason goes onto HDF5's error stack, where hdf5_failure() finds it.
template <class Failed>
Failed failed(Failed value, const char* what) {
  H5Epush2(H5E_DEFAULT, __FILE__, what, __LINE__, H5E_ERR_CLS, H5E_FILE, H5E_WRITEERROR, "%s: %s",
           what, std::strerror(errno));
  return value;
}

// Images go past the page cache: copying them there and writing them back took two thirds of a
// recorder's CPU and half of its rate. Smaller things, and what is not aligned, do not.
bool may_go_direct(const Handed& handed, haddr_t at, size_t size, const void* from) {
  const auto is_aligned = [](std::uint64_t value) { return value % kPageBytes == 0; };
  return handed.direct >= 0 && size >= kLeastPaged && is_aligned(at) && is_aligned(size) &&
         is_aligned(reinterpret_cast<std::uintptr_t>(from));
}

int open_flags(unsigned flags) {
  int out = O_CLOEXEC | ((flags & H5F_ACC_RDWR) ? O_RDWR : O_RDONLY);
  if (flags & H5F_ACC_TRUNC) out |= O_TRUNC;
  if (flags & H5F_ACC_CREAT) out |= O_CREAT;
  if (flags & H5F_ACC_EXCL) out |= O_EXCL;
  return out;
}

H5FD_t* open_file(const char* name, unsigned flags, hid_t, haddr_t) {
  auto file = std::make_unique<DiskFile>();
  file->handed.descriptor = ::open(name, open_flags(flags), 0666);
  if (file->handed.descriptor < 0) return failed<H5FD_t*>(nullptr, "opening");
  struct stat status {};
  if (::fstat(file->handed.descriptor, &status) != 0) {
    failed(0, "looking at");
    ::close(file->handed.descriptor);
    return nullptr;
  }
  if (flags & H5F_ACC_RDWR) file->handed.direct = ::open(name, O_WRONLY | O_CLOEXEC | O_DIRECT);
  file->end = static_cast<haddr_t>(status.st_size);
  file->device = status.st_dev;
  file->inode = status.st_ino;
  return &file.release()->base;
}

herr_t close_file(H5FD_t* file) {
  const std::unique_ptr<DiskFile> owned(&of(file));
  if (owned->handed.direct >= 0) ::close(owned->handed.direct);
  const bool is_closed = ::close(owned->handed.descriptor) == 0 || owned->handed.is_let_go;
  return is_closed ? 0 : failed(-1, "closing");
}

int compare(const H5FD_t* a, const H5FD_t* b) {
  const auto key = [](const DiskFile& file) { return std::tie(file.device, file.inode); };
  if (key(of(a)) < key(of(b))) return -1;
  return key(of(b)) < key(of(a)) ? 1 : 0;
}

herr_t query(const H5FD_t*, unsigned long* flags) {
  if (flags)
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_POSIX_COMPAT_HANDLE |
             H5FD_FEAT_SUPPORTS_SWMR_IO | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

haddr_t end_allocated(const H5FD_t* file, H5FD_mem_t) { return of(file).end_allocated; }
herr_t set_end_allocated(H5FD_t* file, H5FD_mem_t, haddr_t end) {
  of(file).end_allocated = end;
  return 0;
}
haddr_t end_of_file(const H5FD_t* file, H5FD_mem_t) { return of(file).end; }

herr_t handle_of(H5FD_t* file, hid_t, void** handle) {
  *handle = &of(file).handed;
  return 0;
}

herr_t read_bytes(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t at, size_t size, void* to) {
  auto* out = static_cast<unsigned char*>(to);
  while (size > 0) {
    const ssize_t got = ::pread(of(file).handed.descriptor, out, size, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(-1, "reading");
    if (got == 0) break;
    at += static_cast<haddr_t>(got);
    out += got;
    size -= static_cast<std::size_t>(got);
  }
  std::fill_n(out, size, static_cast<unsigned char>(0));  // behind the end, as HDF5 expects
  return 0;
}

void note_structure(Handed& handed, haddr_t at, size_t size) {
  for (std::uint64_t page = at / kPageBytes; page * kPageBytes < at + size; ++page) {
    handed.structures.insert(page);
    handed.fresh.insert(page);
  }
}

void remember(Handed& handed, int failure) {
  handed.failure = failure;
  handed.is_let_go = true;
}

herr_t write_bytes(H5FD_t* file, H5FD_mem_t type, hid_t, haddr_t at, size_t size,
                   const void* from) {
  DiskFile& disk = of(file);
  if (type != H5FD_MEM_DRAW) note_structure(disk.handed, at, size);
  const auto* in = static_cast<const unsigned char*>(from);
  while (size > 0 && !disk.handed.is_let_go) {
    const bool is_direct = may_go_direct(disk.handed, at, size, in);
    const ssize_t put = ::pwrite(is_direct ? disk.handed.direct : disk.handed.descriptor, in, size,
                                 static_cast<off_t>(at));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno == EINVAL && is_direct) {  // it wants more than the usual alignment
      ::close(std::exchange(disk.handed.direct, -1));
      continue;
    }
    // A structure that could not be written leaves HDF5 with freed objects it goes on using.
    if (put < 0 && (disk.handed.remembers || type != H5FD_MEM_DRAW)) {
      remember(disk.handed, errno);
      break;
    }
    if (put < 0) return failed(-1, "writing");
    at += static_cast<haddr_t>(put);
    in += put;
    size -= static_cast<std::size_t>(put);
  }
  disk.end = std::max(disk.end, at + size);
  return 0;
}

herr_t truncate_file(H5FD_t* file, hid_t, hbool_t) {
  DiskFile& disk = of(file);
  if (disk.end == disk.end_allocated) return 0;
  if (!disk.handed.is_let_go &&
      ::ftruncate(disk.handed.descriptor, static_cast<off_t>(disk.end_allocated)) != 0)
    remember(disk.handed, errno);
  disk.end = disk.end_allocated;
  return 0;
}

herr_t lock_file(H5FD_t* file, hbool_t is_writer) {
  const int how = (is_writer ? LOCK_EX : LOCK_SH) | LOCK_NB;
  if (::flock(of(file).handed.descriptor, how) == 0 || errno == ENOSYS) return 0;
  return failed(-1, "locking");
}

herr_t unlock_file(H5FD_t* file) {
  if (::flock(of(file).handed.descriptor, LOCK_UN) == 0 || errno == ENOSYS) return 0;
  return failed(-1, "unlocking");
}

hid_t registered() {
  static const hid_t driver = [] {
    H5FD_class_t cls{};
    cls.name = "latticed disk";
    cls.maxaddr = kMaxAddress;
    cls.fc_degree = H5F_CLOSE_WEAK;
    cls.open = open_file;
    cls.close = close_file;
    cls.cmp = compare;
    cls.query = query;
    cls.get_eoa = end_allocated;
    cls.set_eoa = set_end_allocated;
    cls.get_eof = end_of_file;
    cls.get_handle = handle_of;
    cls.read = read_bytes;
    cls.write = write_bytes;
    cls.truncate = truncate_file;
    cls.lock = lock_file;
    cls.unlock = unlock_file;
    constexpr H5FD_mem_t kMap[] = H5FD_FLMAP_DICHOTOMY;
    std::copy(std::begin(kMap), std::end(kMap), cls.fl_map);
    return H5FDregister(&cls);
  }();
  return driver;
}

Handed* handed_of(hid_t file) noexcept {
  void* handle = nullptr;
  if (file < 0 || H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) < 0) return nullptr;
  return static_cast<Handed*>(handle);
}

}  // namespace

herr_t use_disk_driver(hid_t access_list) {
  return H5Pset_driver(access_list, registered(), nullptr);
}

int disk_descriptor(hid_t file) noexcept {
  const Handed* handed = handed_of(file);
  return handed ? handed->descriptor : -1;
}

Pages structure_pages(hid_t file, bool all) {
  Pages out;
  Handed* handed = handed_of(file);
  if (!handed) return out;
  for (const std::uint64_t number : all ? handed->structures : handed->fresh) {
    Page page{};
    const auto at = static_cast<off_t>(number * kPageBytes);
    // The last one may be shorter than a page.
    if (::pread(handed->descriptor, page.data(), page.size(), at) >= 0) out.emplace(number, page);
  }
  handed->fresh.clear();
  return out;
}

void remember_failures(hid_t file) noexcept {
  if (Handed* handed = handed_of(file)) handed->remembers = true;
}

int remembered_failure(hid_t file) noexcept {
  const Handed* handed = handed_of(file);
  return handed ? handed->failure : 0;
}

void let_go(hid_t file) noexcept {
  if (Handed* handed = handed_of(file)) handed->is_let_go = true;
}

}  // namespace latticed::record
