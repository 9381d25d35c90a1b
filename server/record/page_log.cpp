// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/page_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "server/record/crc32c.hpp"
#include "server/record/file_names.hpp"

namespace latticed::record {
namespace {

constexpr char kLogName[8] = {'l', 'a', 't', 'd', 'p', 'a', 'g', '1'};
constexpr char kRecordName[8] = {'l', 'a', 't', 'd', 'r', 'e', 'c', '1'};
constexpr std::size_t kHeader = 64, kBootAt = 8, kBootBytes = 36, kRecordHeader = 16;
constexpr std::size_t kMostPages = 1u << 24;  // 64 GB: a larger count is damage

template <class T>
void put(std::vector<std::byte>& to, std::size_t at, const T& value) {
  std::memcpy(&to[at], &value, sizeof value);
}
template <class T>
T get(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

std::vector<std::byte> record_of(const Pages& pages) {
  const std::size_t numbers = kRecordHeader, contents = numbers + 8 * pages.size();
  std::vector<std::byte> out(contents + kPageBytes * pages.size());
  std::size_t i = 0;
  for (const auto& [number, page] : pages) {
    put(out, numbers + 8 * i, number);
    std::memcpy(&out[contents + kPageBytes * i], page.data(), kPageBytes);
    ++i;
  }
  std::memcpy(out.data(), kRecordName, sizeof kRecordName);
  put(out, 8, static_cast<std::uint32_t>(pages.size()));
  put(out, 12, crc32c(std::span(out).subspan(kRecordHeader)));
  return out;
}

std::vector<std::byte> header() {
  std::vector<std::byte> out(kHeader);
  std::memcpy(out.data(), kLogName, sizeof kLogName);
  const std::string boot = boot_id();
  std::memcpy(&out[kBootAt], boot.data(), std::min(boot.size(), kBootBytes));
  return out;
}

Error failed(const std::string& what, const std::string& path) {
  return {errno == ENOSPC || errno == EFBIG || errno == EDQUOT ? ErrorCode::resource_exhausted
                                                               : ErrorCode::unavailable,
          fmt::format("{} {}: {}", what, path, std::strerror(errno))};
}

bool write_all(int descriptor, std::span<const std::byte> bytes, std::uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    at += static_cast<std::uint64_t>(written);
  }
  return true;
}

}  // namespace

std::string page_log_of(const std::string& part_path) { return part_path + ".log"; }

void remove_page_log(const std::string& part_path) noexcept {
  const std::string path = page_log_of(part_path);
  ::unlink(path.c_str());
  ::unlink((path + ".new").c_str());
}

void remove_log_of_missing(const std::string& part_path) noexcept {
  if (!is_taken(part_path)) remove_page_log(part_path);
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id.size() == kBootBytes ? id : std::string();
}

Result<PageLog> PageLog::create(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
  if (descriptor < 0) return failed("creating", path);
  PageLog out(path, descriptor);
  const std::vector<std::byte> first = header();
  if (!write_all(descriptor, first, 0)) return failed("writing", path);
  out.bytes_ = first.size();
  return out;
}

PageLog::~PageLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

PageLog::PageLog(PageLog&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_) {}

PageLog& PageLog::operator=(PageLog&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Result<void> PageLog::append(const Pages& pages) {
  const std::vector<std::byte> record = record_of(pages);
  if (!write_all(descriptor_, record, bytes_)) return failed("writing", path_);
  if (::fdatasync(descriptor_) != 0) return failed("syncing", path_);
  bytes_ += record.size();
  return {};
}

Result<void> PageLog::begin_anew(const Pages& pages) {
  const std::string next_path = path_ + ".new";
  Result<PageLog> next = create(next_path);
  if (!next) return next.error();
  if (auto ok = next->append(pages); !ok) return ok;
  // Whichever of the two is there after a crash is whole.
  if (::rename(next_path.c_str(), path_.c_str()) != 0) return failed("renaming", next_path);
  next->path_ = path_;
  *this = std::move(*next);
  return {};
}

std::string boot_of_log(const std::string& log_path) {
  std::ifstream file(log_path, std::ios::binary);
  char first[kHeader] = {};
  if (!file.read(first, sizeof first) || std::memcmp(first, kLogName, sizeof kLogName) != 0)
    return {};
  return {first + kBootAt, kBootBytes};
}

Result<PutBack> put_back(const std::string& log_path, const std::string& file) {
  if (boot_of_log(log_path).empty())
    return Error{ErrorCode::data_loss, log_path + ": no log of a recording's pages"};
  std::ifstream log(log_path, std::ios::binary);
  log.seekg(kHeader);
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return failed("opening", file);
  PutBack out;
  std::vector<std::byte> head(kRecordHeader), body;
  bool is_written = true;
  while (is_written && log.read(reinterpret_cast<char*>(head.data()), kRecordHeader)) {
    const std::size_t count = get<std::uint32_t>(&head[8]);
    if (std::memcmp(head.data(), kRecordName, sizeof kRecordName) != 0 || count > kMostPages) break;
    body.resize(count * (8 + kPageBytes));
    // The last one may be cut off: it was not there yet.
    if (!log.read(reinterpret_cast<char*>(body.data()), static_cast<std::streamsize>(body.size())))
      break;
    if (crc32c(body) != get<std::uint32_t>(&head[12])) break;
    for (std::size_t i = 0; i < count && is_written; ++i)
      is_written =
          write_all(descriptor, std::span(body).subspan(8 * count + kPageBytes * i, kPageBytes),
                    get<std::uint64_t>(&body[8 * i]) * kPageBytes);
    ++out.records;
    out.pages += count;
  }
  if (is_written) is_written = ::fsync(descriptor) == 0;
  const Error problem = failed("writing", file);
  ::close(descriptor);
  if (!is_written) return problem;
  return out;
}

}  // namespace latticed::record
