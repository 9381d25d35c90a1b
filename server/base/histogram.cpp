// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/histogram.hpp"

#include <algorithm>

namespace latticed {

double DurationHistogram::middle_ns(std::size_t bucket) noexcept {
  if (bucket < 2 * kSub) return static_cast<double>(bucket);
  const auto power = bucket / kSub - 1;
  const auto low = static_cast<double>((bucket - power * kSub) << power);
  return low + 0.5 * static_cast<double>(1ULL << power);
}

DurationSummary DurationHistogram::summary() const noexcept {
  DurationSummary out;
  out.count = count_.load(std::memory_order_relaxed);
  if (out.count == 0) return out;
  const double max_ns = static_cast<double>(max_ns_.load(std::memory_order_relaxed));
  out.max_ms = max_ns * 1e-6;
  out.mean_ms = static_cast<double>(sum_ns_.load(std::memory_order_relaxed)) /
                static_cast<double>(out.count) * 1e-6;
  const auto quantile_ms = [&](double q) {
    const auto wanted = static_cast<std::uint64_t>(q * static_cast<double>(out.count - 1)) + 1;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += buckets_[i].load(std::memory_order_relaxed);
      if (seen >= wanted) return std::min(middle_ns(i), max_ns) * 1e-6;
    }
    return out.max_ms;
  };
  out.p50_ms = quantile_ms(0.50);
  out.p99_ms = quantile_ms(0.99);
  return out;
}

}  // namespace latticed
