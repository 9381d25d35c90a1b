// SPDX-License-Identifier: GPL-3.0-or-later
// Units as the formats of this field spell them. What is not a length (1/nm, px, nothing) is 0.
#pragma once

#include <string_view>

namespace latticed::files {

/// How many nm one `unit` is; 0 if it is no length.
[[nodiscard]] double length_in_nm(std::string_view unit) noexcept;

/// How many seconds one `unit` is; 0 if it is no time.
[[nodiscard]] double time_in_s(std::string_view unit) noexcept;

/// The size of a square pixel from what its two axes say; 0 if one is unknown or they differ by
/// more than 1 %.
[[nodiscard]] double square_pixel_nm(double x_nm, double y_nm) noexcept;

}  // namespace latticed::files
