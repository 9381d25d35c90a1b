// SPDX-License-Identifier: GPL-3.0-or-later
// Every reader against files that were cut anywhere or had bits turned: it may refuse, it may give
// fewer frames, it must come back, and in little memory.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/support/hdf5_writers.hpp"
#include "tests/support/movie_checks.hpp"

#ifdef LATTICED_SANITIZED
/// HDF5 itself leaks what it had opened when it gives up on a damaged file.
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5_serial"; }
#endif

namespace latticed::test {
namespace {

struct DamagedCase {
  std::string name;
  std::function<std::string(const std::string& path)> write;
  std::size_t header_bytes;  // where bits are turned
};

void PrintTo(const DamagedCase& which, std::ostream* out) { *out << which.name; }

class DamagedFiles : public testing::TestWithParam<DamagedCase> {
 protected:
  void SetUp() override {
    path_ = folder_ / GetParam().name;
    whole_ = read_bytes(GetParam().write(path_));
    ASSERT_GT(whole_.size(), 100u);
    ASSERT_EQ(read_all(path_), 3u);
  }
  /// A frame that reads is the frame that was written, in every pixel.
  void expect_only_true_frames() {
    auto movie = open_movie(path_);
    if (!movie) {
      EXPECT_FALSE(movie.error().message.empty());
      return;
    }
    std::vector<std::byte> pixels((*movie)->info().geometry.bytes());
    for (std::uint64_t i = 0; i < (*movie)->info().frame_count; ++i) {
      if ((*movie)->read(i, pixels)) expect_frame(**movie, i, static_cast<int>(i));
    }
  }

  TemporaryFolder folder_;
  std::string path_;
  Bytes whole_;
};

TEST_P(DamagedFiles, CutAnywhereGiveOnlyFramesThatAreTrue) {
  const std::size_t step = std::max<std::size_t>(1, whole_.size() / 400);
  for (std::size_t size = 0; size < whole_.size(); size += step) {
    write_bytes(path_, Bytes(whole_.begin(), whole_.begin() + static_cast<std::ptrdiff_t>(size)));
    SCOPED_TRACE("cut at " + std::to_string(size));
    expect_only_true_frames();
    if (HasFailure()) return;
  }
}

TEST_P(DamagedFiles, WithBitsTurnedInTheHeaderComeBack) {
  const std::size_t end = std::min(GetParam().header_bytes, whole_.size());
  const std::size_t step = std::max<std::size_t>(1, end / 250);
  for (std::size_t at = 0; at < end; at += step) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      Bytes bytes = whole_;
      bytes[at] = static_cast<unsigned char>(bytes[at] ^ mask);
      write_bytes(path_, bytes);
      SCOPED_TRACE("byte " + std::to_string(at) + " xor " + std::to_string(mask));
      read_all(path_);
    }
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
#ifndef LATTICED_SANITIZED
  EXPECT_LT(usage.ru_maxrss, 400 * 1024) << "kilobytes; no header may ask for so much";
#endif
}

std::string hspy(const std::string& path, const StackStorage& storage) {
  return write_hdf5(path, [&](hid_t file) { fill_hspy(file, {9, 6, 3}, storage); });
}

INSTANTIATE_TEST_SUITE_P(
    Each, DamagedFiles,
    testing::Values(DamagedCase{"small.mrc",
                                [](const std::string& path) {
                                  return write_bytes(path, mrc_bytes<std::uint16_t>({9, 6, 3}, 6));
                                },
                                240},
                    DamagedCase{"small.tif",
                                [](const std::string& path) {
                                  return write_bytes(
                                      path, tiff_bytes<std::uint16_t>({9, 6, 3}, 1,
                                                                      "ImageJ=1.53t\nimages=3\n"));
                                },
                                200},
                    DamagedCase{"plain.hspy",
                                [](const std::string& path) { return hspy(path, {}); }, 9000},
                    DamagedCase{"packed.hspy",
                                [](const std::string& path) {
                                  return hspy(path, {H5T_STD_U16LE, 1, 4});
                                },
                                9000}),
    [](const auto& which) {
      std::string name = which.param.name;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

TEST(OpenMovie, RefusesWhatItDoesNotKnowInOneSentence) {
  const TemporaryFolder folder;
  expect_refused(write_bytes(folder / "empty.mrc", {}), ErrorCode::data_loss, "the file is empty");
  expect_refused(write_bytes(folder / "notes.txt", {'h', 'e', 'l', 'l', 'o'}),
                 ErrorCode::invalid_argument, "expected mrc, tiff, hspy, nexus or hdf5");
  expect_refused(folder / "missing.mrc", ErrorCode::not_found, "No such file");
  expect_refused(std::filesystem::temp_directory_path().string(), ErrorCode::invalid_argument,
                 "not a regular file");
}

TEST(OpenMovie, GoesByContentBeforeTheName) {
  const TemporaryFolder folder;
  const auto mrc = opened(write_bytes(folder / "a.tif", mrc_bytes<std::uint16_t>({}, 6)));
  EXPECT_EQ(mrc->info().format, "mrc");
  const auto tiff = opened(write_bytes(folder / "b.mrc", tiff_bytes<std::uint16_t>({}, 1)));
  EXPECT_EQ(tiff->info().format, "tiff");
}

}  // namespace
}  // namespace latticed::test
