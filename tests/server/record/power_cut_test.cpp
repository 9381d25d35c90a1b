// SPDX-License-Identifier: GPL-3.0-or-later
// A pulled plug, simulated: the recorder's writes are written down, and a disk is made of them that
// has everything up to the last fdatasync, and of what came later any page in any of its versions,
// or none. Linked with --wrap, so that the recorder's own system calls come here.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <vector>

#include "server/record/completion.hpp"
#include "server/record/image_packer.hpp"
#include "server/record/page_log.hpp"
#include "server/record/recording.hpp"
#include "server/record/verify.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/recorded_run.hpp"

namespace latticed::test {
namespace {

constexpr std::size_t kPage = record::kPageBytes;
using Page = std::array<char, kPage>;

/// What was written to one file since it was watched.
struct Trace {
  struct Write {
    std::uint64_t at = 0;
    std::vector<char> bytes;
  };
  ino_t inode = 0;  // images have a descriptor of their own
  std::vector<Write> writes;
};
Trace* watched = nullptr;

}  // namespace
}  // namespace latticed::test

extern "C" {
ssize_t __real_pwrite(int file, const void* bytes, size_t size, off_t at);
ssize_t __wrap_pwrite(int file, const void* bytes, size_t size, off_t at) {
  const ssize_t put = __real_pwrite(file, bytes, size, at);
  using latticed::test::watched;
  struct stat status {};
  if (watched && put > 0 && ::fstat(file, &status) == 0 && status.st_ino == watched->inode) {
    const char* from = static_cast<const char*>(bytes);
    watched->writes.push_back({static_cast<std::uint64_t>(at), {from, from + put}});
  }
  return put;
}
}

namespace latticed::test {
namespace {

std::vector<char> contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A disk after the plug was pulled: `base`, and some of the pages of writes [first, end).
std::vector<char> after_cut(const std::vector<char>& base, const Trace& trace, std::size_t first,
                            std::size_t end, double share, std::mt19937_64& random) {
  std::map<std::uint64_t, std::vector<Page>> versions;
  const auto page_before = [&](std::uint64_t number) {
    Page page{};
    const std::uint64_t at = number * kPage;
    if (at < base.size())
      std::copy_n(base.begin() + static_cast<std::ptrdiff_t>(at),
                  std::min<std::uint64_t>(kPage, base.size() - at), page.begin());
    return page;
  };
  for (std::size_t i = first; i < end; ++i) {
    const Trace::Write& write = trace.writes[i];
    std::size_t done = 0;
    while (done < write.bytes.size()) {
      const std::uint64_t at = write.at + done, number = at / kPage;
      const std::size_t offset = at % kPage,
                        size = std::min(kPage - offset, write.bytes.size() - done);
      auto& list = versions[number];
      Page page = list.empty() ? page_before(number) : list.back();
      std::copy_n(write.bytes.begin() + static_cast<std::ptrdiff_t>(done), size,
                  page.begin() + static_cast<std::ptrdiff_t>(offset));
      list.push_back(page);
      done += size;
    }
  }
  std::vector<char> disk = base;
  for (const auto& [number, list] : versions) {
    if (std::uniform_real_distribution<>(0, 1)(random) > share) continue;
    const Page& page = list[std::uniform_int_distribution<std::size_t>(0, list.size() - 1)(random)];
    if (disk.size() < (number + 1) * kPage) disk.resize((number + 1) * kPage);
    std::copy(page.begin(), page.end(), disk.begin() + static_cast<std::ptrdiff_t>(number * kPage));
  }
  return disk;
}

struct Case {
  RecordingProfile profile;
  FrameGeometry geometry;
  std::uint64_t frames_a_flush, flushes_a_sync, syncs;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << to_string(one.profile) << " " << one.geometry.width << "x" << one.geometry.height;
}

class PowerCut : public testing::TestWithParam<Case> {
 protected:
  ~PowerCut() override { watched = nullptr; }
  Folder folder_;
};

// What was synced is there, whatever the disk kept of what came after.
TEST_P(PowerCut, CostsNothingThatWasSynced) {
  const Case& one = GetParam();
  RecordedRun run(one.geometry);
  run.facts().profile = one.profile;
  auto holder = std::make_shared<HolderLog>("bias1", 0.02);
  run.facts().holders = {holder};
  auto recording = std::move(*record::Recording::create(folder_.path(), run.facts()));
  record::ImagePacker packer(
      {one.profile == RecordingProfile::compact ? 1 : 0, one.geometry.bytes(), 2});
  Trace trace;
  struct stat status {};
  ASSERT_EQ(::fstat(recording->descriptor(), &status), 0);
  trace.inode = status.st_ino;
  watched = &trace;
  std::mt19937_64 random(20261124);
  std::uint64_t seq = 0, lost_frames = 0, unreadable = 0, cuts = 0;
  std::int64_t sample = 0;
  auto log = std::move(*record::PageLog::create(folder_ / "kept.log"));
  for (std::uint64_t sync = 0; sync < one.syncs; ++sync) {
    const std::vector<char> base = contents(recording->path());
    const bool are_all = sync % 5 == 0;
    const record::Pages pages = recording->structure_pages(are_all);
    ASSERT_TRUE(are_all ? log.begin_anew(pages) : log.append(pages));
    const std::vector<char> logged = contents(folder_ / "kept.log");
    const std::uint64_t synced = seq;
    const std::size_t first = trace.writes.size();
    for (std::uint64_t flush = 0; flush < one.flushes_a_sync; ++flush) {
      for (std::uint64_t i = 0; i < one.frames_a_flush; ++i, ++seq) {
        packer.add(run.frame(seq));
        const record::PackedFrame& packed = packer.oldest();
        ASSERT_TRUE(recording->add(*packed.frame, packed.image));
        packer.release();
        play_holder(*holder, sample, recorded_time_ns(seq));
      }
      ASSERT_TRUE(recording->flush());
    }
    for (int cut = 0; cut < 8; ++cut, ++cuts) {
      const std::size_t end =
          std::uniform_int_distribution<std::size_t>(first, trace.writes.size())(random);
      const double share = cut % 4 == 0 ? 1.0 : std::uniform_real_distribution<>(0, 1)(random);
      const std::vector<char> disk = after_cut(base, trace, first, end, share, random);
      const std::string path = folder_ / "cut.nxs.part";
      std::ofstream(path, std::ios::binary)
          .write(disk.data(), static_cast<std::streamsize>(disk.size()));
      // Of the next record the log may have a piece.
      std::vector<char> kept = logged;
      kept.resize(kept.size() + random() % 5000, static_cast<char>(random()));
      std::ofstream(record::page_log_of(path), std::ios::binary)
          .write(kept.data(), static_cast<std::streamsize>(kept.size()));
      record::RecoverOptions options;
      options.was_switched_off = true;
      const auto done = record::recover(path, options);
      if (!done) {
        ++unreadable;
        std::cout << "sync " << sync << " cut " << cut << ": " << done.error().message << "\n";
        ::unlink(path.c_str());
        continue;
      }
      if (done->images < synced || done->damaged > 0) {
        ++lost_frames;
        std::cout << "sync " << sync << " cut " << cut << ": " << done->images << " of " << synced
                  << ", damaged " << done->damaged << "\n";
      }
      const auto found = record::verify(done->path);
      EXPECT_TRUE(found && found->is_whole());
      EXPECT_EQ(contents(record::page_log_of(path)).size(), 0u) << "gone with the .part";
      ::unlink(done->path.c_str());
    }
  }
  watched = nullptr;
  EXPECT_EQ(unreadable, 0u) << "of " << cuts;
  EXPECT_EQ(lost_frames, 0u) << "of " << cuts;
}

// Small images share pages; large ones go past the page cache.
constexpr FrameGeometry kSmall{24, 16, PixelType::u16}, kLarge{256, 144, PixelType::u16};
INSTANTIATE_TEST_SUITE_P(Profiles, PowerCut,
                         testing::Values(Case{RecordingProfile::portable, kSmall, 10, 8, 12},
                                         Case{RecordingProfile::compact, kSmall, 10, 8, 12},
                                         Case{RecordingProfile::portable, kLarge, 5, 4, 6},
                                         Case{RecordingProfile::compact, kLarge, 5, 4, 6}));

}  // namespace
}  // namespace latticed::test
