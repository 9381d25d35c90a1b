// SPDX-License-Identifier: GPL-3.0-or-later
// Counts what chosen threads take from the heap while counting is on: operator new of any kind, and
// outside the sanitizers (which have their own) malloc and its family too, FFTW's included. A
// program that links latticed_allocation_count has it; the first few call stacks are kept.
#pragma once

#include <cstdint>
#include <string>

namespace latticed::test {

/// Counting begins at zero, for threads whose name begins with `prefix` (at most 15 characters).
void count_allocations_of(const char* prefix) noexcept;
/// Counting ends; how many there were.
std::uint64_t stop_counting_allocations() noexcept;
/// Thread names and call stacks of the first few, for the message of a failed test.
std::string where_allocations_were();

}  // namespace latticed::test
