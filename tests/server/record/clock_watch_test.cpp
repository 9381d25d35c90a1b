// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/clock_watch.hpp"

#include <gtest/gtest.h>

namespace latticed::test {
namespace {

using namespace std::chrono_literals;

TEST(ClockWatch, SaysOnceByHowMuchAClockWasSetAndNothingOfOneThatRuns) {
  record::ClockWatch sut;
  constexpr std::int64_t kBegin_ns = 1'700'000'000'000'000'000, kSecond_ns = 1'000'000'000;
  EXPECT_FALSE(sut.look(kBegin_ns, 100s));
  EXPECT_FALSE(sut.look(kBegin_ns + kSecond_ns, 101s));
  // NTP may slew by 500 ppm.
  EXPECT_FALSE(sut.look(kBegin_ns + 11 * kSecond_ns + 5'000'000, 111s));
  const auto back = sut.look(kBegin_ns - 3600 * kSecond_ns, 112s);
  ASSERT_TRUE(back);
  EXPECT_NEAR(*back, -3612.005, 1e-6);
  EXPECT_FALSE(sut.look(kBegin_ns - 3599 * kSecond_ns, 113s));
  const auto forth = sut.look(kBegin_ns + 2 * kSecond_ns, 114s);
  ASSERT_TRUE(forth);
  EXPECT_NEAR(*forth, 3600.0, 1e-6);
}

}  // namespace
}  // namespace latticed::test
