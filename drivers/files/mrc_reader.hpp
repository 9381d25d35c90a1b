// SPDX-License-Identifier: GPL-3.0-or-later
// MRC movies (MRC2014 and IMOD's variants): modes 0, 1, 2, 6 and 12 in both byte orders, rows in
// stored order. Extended headers are skipped; the file's length is believed before nz.
#pragma once

#include <memory>
#include <span>

#include "drivers/files/file.hpp"
#include "drivers/files/movie_reader.hpp"

namespace latticed::files {

/// Whether the first bytes of a file carry MRC's own mark ("MAP " at 208).
[[nodiscard]] bool has_mrc_mark(std::span<const std::byte> head) noexcept;

Result<std::unique_ptr<MovieReader>> open_mrc(File file);

}  // namespace latticed::files
