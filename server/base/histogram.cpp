// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/histogram.hpp"

#include <algorithm>

namespace latticed {

DurationHistogram::Edges DurationHistogram::edges_of(std::size_t bucket) noexcept {
  if (bucket < 2 * kSub) return {static_cast<double>(bucket), static_cast<double>(bucket)};
  const auto power = bucket / kSub - 1;
  const auto low = static_cast<double>((bucket - power * kSub) << power);
  return {low, low + static_cast<double>(1ULL << power)};
}

DurationHistogram::Counts DurationHistogram::counts() const noexcept {
  Counts out;
  for (std::size_t i = 0; i < kBuckets; ++i)
    out.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
  out.count = count_.load(std::memory_order_relaxed);
  out.sum_ns = sum_ns_.load(std::memory_order_relaxed);
  out.max_ns = max_ns_.load(std::memory_order_relaxed);
  return out;
}

DurationSummary DurationHistogram::summary_since(const Counts& before) const noexcept {
  Counts since = counts();
  std::size_t highest = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    since.buckets[i] -= before.buckets[i];
    if (since.buckets[i] > 0) highest = i;
  }
  DurationSummary out;
  out.count = since.count - before.count;
  if (out.count == 0) return out;
  const double max_ns = since.max_ns > before.max_ns ? static_cast<double>(since.max_ns)
                                                     : std::min(edges_of(highest).high_ns,
                                                                static_cast<double>(since.max_ns));
  out.max_ms = max_ns * 1e-6;
  out.mean_ms =
      static_cast<double>(since.sum_ns - before.sum_ns) / static_cast<double>(out.count) * 1e-6;
  const auto quantile_ms = [&](double q) {
    const auto wanted = static_cast<std::uint64_t>(q * static_cast<double>(out.count - 1)) + 1;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += since.buckets[i];
      if (seen < wanted) continue;
      const Edges edges = edges_of(i);
      return std::min(0.5 * (edges.low_ns + edges.high_ns), max_ns) * 1e-6;
    }
    return out.max_ms;
  };
  out.p50_ms = quantile_ms(0.50);
  out.p99_ms = quantile_ms(0.99);
  return out;
}

}  // namespace latticed
