// SPDX-License-Identifier: GPL-3.0-or-later
// The tables that have any number of rows per frame: `spots`, every reflection of every frame (and
// again of every running sum), `lattices` (likewise) and `superlattice`, `sums`, the running sums,
// and `lost`, the frames that never came. What is in their columns stands in measured_tables.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/process/sink.hpp"
#include "server/record/described_table.hpp"

namespace latticed::record {

/// What a row of each is made of: the measurement, and the frame that has it or brought it.
struct FoundSpot {
  std::uint64_t seq = 0;
  const Spot& spot;
  double pixel_size_nm = 0.0;
};
struct FoundLattice {
  std::uint64_t seq = 0;
  const Lattice& lattice;
  double pixel_size_nm = 0.0;
};
struct FoundSuperlattice {
  std::uint64_t seq = 0;
  const SuperlatticeSpot& spot;
};
struct FinishedSum {
  std::uint64_t seq = 0;
  const SumMeasurement& sum;
};
struct LostFrames {
  const Frame& entry;
  std::uint64_t before_image = 0;  // the image that follows in the movie
};

using SpotTable = DescribedTable<FoundSpot>;
using LatticeTable = DescribedTable<FoundLattice>;
using SuperlatticeTable = DescribedTable<FoundSuperlattice>;
using SumTable = DescribedTable<FinishedSum>;
using LostTable = DescribedTable<LostFrames>;

/// `meaning` of the rows; that of the columns is added.
SpotTable make_spot_table(Hdf5Author& author, hid_t group, const std::string& meaning);
LatticeTable make_lattice_table(Hdf5Author& author, hid_t group, const std::string& meaning);
SuperlatticeTable make_superlattice_table(Hdf5Author& author, hid_t group);
SumTable make_sum_table(Hdf5Author& author, hid_t group);
LostTable make_lost_table(Hdf5Author& author, hid_t group);

}  // namespace latticed::record
