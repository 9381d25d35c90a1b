// SPDX-License-Identifier: GPL-3.0-or-later
// LATTICED_HOT before an inner loop's function: the compiler makes one version for AVX-512, one for
// AVX2 and one for any x86-64, and the loader picks. So one binary is fast everywhere. Off under
// sanitizers, whose runtime is not up yet when the loader picks, and on other machines and
// compilers. Floating-point results do not depend on the version only where sums have a fixed
// order; the recording's fingerprint therefore names the version that ran.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(LATTICED_SANITIZED)
#define LATTICED_HOT                                                           \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), \
                 optimize("O3", "associative-math", "no-signed-zeros", "no-trapping-math")))
// The same where the order of operations is part of the result.
#define LATTICED_HOT_IN_ORDER \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3")))
#else
#define LATTICED_HOT
#define LATTICED_HOT_IN_ORDER
#endif
