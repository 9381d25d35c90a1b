// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/hdf5_filters.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "drivers/files/hdf5_handle.hpp"
#include "tests/support/folder.hpp"

namespace latticed::test {
namespace {

using files::Handle;

constexpr hsize_t kValues = 4096;

/// One packed chunk of 16-bit numbers below 8, in a file of its own.
class Hdf5FiltersTest : public testing::Test {
 protected:
  Hdf5FiltersTest() {
    files::use_filters();
    std::mt19937 random(1);
    for (std::uint16_t& value : written_) value = static_cast<std::uint16_t>(random() % 8);
    const Handle file(H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    const Handle space(H5Screate_simple(1, &kValues, nullptr)), plan(H5Pcreate(H5P_DATASET_CREATE));
    const unsigned values[] = {2, 2, 2, 2 * kValues, 5, 2, 1};
    H5Pset_chunk(plan, 1, &kValues);
    H5Pset_filter(plan, files::kBloscFilter, H5Z_FLAG_OPTIONAL, std::size(values), values);
    const Handle dataset(
        H5Dcreate2(file, "x", H5T_STD_U16LE, space, H5P_DEFAULT, plan, H5P_DEFAULT));
    EXPECT_GE(H5Dwrite(dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, written_.data()),
              0);
    H5Fflush(file, H5F_SCOPE_LOCAL);
    const hsize_t at = 0;
    hsize_t bytes = 0;
    H5Dget_chunk_storage_size(dataset, &at, &bytes);
    chunk_.resize(bytes);
    std::uint32_t mask = 1;
    H5Dread_chunk(dataset, H5P_DEFAULT, &at, &mask, chunk_.data());
    EXPECT_EQ(mask, 0u);
  }

  Folder folder_;
  std::string path_ = folder_ / "packed.h5";
  std::vector<std::uint16_t> written_ = std::vector<std::uint16_t>(kValues);
  std::vector<std::byte> chunk_;
};

TEST_F(Hdf5FiltersTest, WhatItPacksIsSmallerAndReadsBack) {
  EXPECT_LT(chunk_.size(), kValues);
  const Handle file(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT)),
      dataset(H5Dopen2(file, "x", H5P_DEFAULT));
  std::vector<std::uint16_t> read(kValues);
  ASSERT_GE(H5Dread(dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, read.data()), 0);
  EXPECT_EQ(read, written_);
}

TEST_F(Hdf5FiltersTest, ADamagedChunkIsRefused) {
  std::vector<std::byte> out(2 * kValues);
  const std::span<const std::byte> chunk(chunk_);
  EXPECT_TRUE(files::unpack_blosc(chunk, out));
  EXPECT_FALSE(files::unpack_blosc(chunk.first(10), out));
  EXPECT_FALSE(files::unpack_blosc(chunk.first(chunk.size() - 1), out));
  EXPECT_FALSE(files::unpack_blosc(chunk, std::span(out).first(100)));
  const files::QuietHdf5 quiet;
  const Handle file(H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT)),
      dataset(H5Dopen2(file, "x", H5P_DEFAULT));
  const hsize_t at = 0;
  std::vector<std::byte> bad(chunk_.begin(), chunk_.end() - 5);
  ASSERT_GE(H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, &at, bad.size(), bad.data()), 0);
  std::vector<std::uint16_t> read(kValues);
  EXPECT_LT(H5Dread(dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, read.data()), 0);
}

}  // namespace
}  // namespace latticed::test
