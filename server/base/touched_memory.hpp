// SPDX-License-Identifier: GPL-3.0-or-later
// Memory for frames and what is made of them: zeroed, so that no page is missing when the first
// frame comes, and on large pages where the kernel has any.
#pragma once

#include <cstddef>

namespace latticed {

/// At least `bytes` zeros on a boundary of `alignment` (a power of two); std::free() gives it back.
/// From 2 MiB on it begins at a large page. Throws std::bad_alloc.
void* allocate_touched(std::size_t bytes, std::size_t alignment);

}  // namespace latticed
