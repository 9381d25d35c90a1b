// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/trace.hpp"

#include <gtest/gtest.h>

namespace latticed {
namespace {

struct Sum {
  std::uint64_t value = 0, count = 0;
  void merge(const Sum& other) {
    value += other.value;
    count += other.count;
  }
};

TEST(Trace, StaysWithinItsCapacityAndLosesNothing) {
  Trace<Sum> sut(100);
  Sum all;
  for (std::uint64_t seq = 0; seq < 100'000; ++seq) {
    sut.add(seq, {seq, 1});
    all.merge({seq, 1});
    ASSERT_LE(sut.slots().size(), 100u);
  }
  EXPECT_EQ(sut.span(), 1024u);
  Sum kept;
  for (const auto& slot : sut.slots()) {
    kept.merge(slot.entry);
    EXPECT_EQ(slot.entry.value / slot.entry.count / sut.span(), slot.number);
  }
  EXPECT_EQ(kept.value, all.value);
  EXPECT_EQ(kept.count, all.count);
}

TEST(Trace, KeepsGaps) {
  Trace<Sum> sut(100);
  sut.add(3, {3, 1});
  sut.add(9, {9, 1});
  ASSERT_EQ(sut.slots().size(), 2u);
  EXPECT_EQ(sut.slots()[1].number, 9u);
}

TEST(Trace, ReducesACopyForDrawing) {
  Trace<Sum> sut(100);
  for (std::uint64_t seq = 0; seq < 90; ++seq) sut.add(seq, {seq, 1});
  const auto small = sut.reduced(30);
  EXPECT_EQ(small.span(), 4u);
  EXPECT_EQ(small.slots().size(), 23u);
  EXPECT_EQ(sut.slots().size(), 90u);
}

}  // namespace
}  // namespace latticed
