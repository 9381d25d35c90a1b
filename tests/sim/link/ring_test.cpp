// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/link/ring.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <thread>

namespace latticed::sim {
namespace {

TEST(Ring, RefusesMemoryThatCouldShrinkUnderTheReader) {
  UniqueFd fd(memfd_create("unsealed", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(fd.get(), 1 << 20), 0);
  const auto ring = Ring::map(std::move(fd));
  ASSERT_FALSE(ring);
  EXPECT_EQ(ring.error().code, ErrorCode::data_loss);
}

TEST(Ring, RefusesAHeaderWhoseSlotsDoNotFit) {
  auto made = Ring::create(4, 1000);
  ASSERT_TRUE(made);
  made->header().slots = 400;
  const auto ring = Ring::map(UniqueFd(dup(made->fd())));
  ASSERT_FALSE(ring);
  EXPECT_EQ(ring.error().code, ErrorCode::data_loss);
}

TEST(Ring, IsFullWithAsManyFramesAsSlots) {
  auto sut = Ring::create(2, 64);
  ASSERT_TRUE(sut);
  sut->reset();
  EXPECT_FALSE(sut->has_frame());
  sut->publish();
  EXPECT_TRUE(sut->has_space());
  sut->publish();
  EXPECT_FALSE(sut->has_space());
  sut->pop();
  EXPECT_TRUE(sut->has_space());
  EXPECT_TRUE(sut->has_frame());
}

// Two mappings, two threads: every frame arrives once, in order and whole.
TEST(Ring, CarriesEveryFrameFromWriterToReader) {
  constexpr std::uint64_t kFrames = 20000;
  constexpr std::chrono::seconds kPatience{20};
  auto writer = Ring::create(3, 256);
  ASSERT_TRUE(writer);
  auto reader = Ring::map(UniqueFd(dup(writer->fd())));
  ASSERT_TRUE(reader);
  writer->reset();
  std::thread thread([&writer, kPatience] {
    for (std::uint64_t i = 0; i < kFrames; ++i) {
      for (;;) {
        const std::uint32_t seen = writer->header().space.load(std::memory_order_acquire);
        if (writer->has_space()) break;
        wait_for_bell(writer->header().space, seen, kPatience);
      }
      writer->slot(writer->next()).sequence = i;
      const auto pixels = writer->pixels(writer->next());
      std::memset(pixels.data(), static_cast<int>(i & 0xff), pixels.size());
      writer->publish();
    }
    writer->end(kFrames, LossReason::none);
  });
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < kFrames; ++i) {
    for (;;) {
      const std::uint32_t seen = reader->header().frames.load(std::memory_order_acquire);
      if (reader->has_frame()) break;
      wait_for_bell(reader->header().frames, seen, kPatience);
    }
    const auto pixels = reader->pixels(reader->front());
    wrong += reader->slot(reader->front()).sequence != i;
    wrong += pixels.front() != std::byte(i & 0xff) || pixels.back() != std::byte(i & 0xff);
    reader->pop();
  }
  thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_FALSE(reader->has_frame());
  EXPECT_EQ(reader->header().end_sequence.load(), kFrames);
}

}  // namespace
}  // namespace latticed::sim
