// SPDX-License-Identifier: GPL-3.0-or-later
// Inner loops compiled twice, for AVX2 and for any x86-64. No fused multiply-add in either
// (-ffp-contract=off), so both give the same bits.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(LATTICED_SANITIZED)
#define LATTICED_SIMD __attribute__((target_clones("avx2", "default")))
#else
#define LATTICED_SIMD
#endif
