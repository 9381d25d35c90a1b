// SPDX-License-Identifier: GPL-3.0-or-later
// Counts operator new, for tests of paths that must not allocate. A program that links
// latticed_conformance and calls this uses counting operators everywhere.
#pragma once

#include <cstdint>

namespace latticed::test {

[[nodiscard]] std::uint64_t allocations_of_this_thread() noexcept;

}  // namespace latticed::test
