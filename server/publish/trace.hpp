// SPDX-License-Identifier: GPL-3.0-or-later
// A quantity over the frames of a run in bounded memory: one entry a frame at first; whenever there
// are too many, neighbours are merged and from then on an entry stands for twice as many frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace latticed {

/// Entry has merge(const Entry&), which must be exact: sums, counts, extremes.
template <class Entry>
class Trace {
 public:
  struct Slot {
    std::uint64_t number = 0;  // frames number*span .. number*span + span - 1
    Entry entry;
  };

  Trace() = default;
  explicit Trace(std::size_t capacity) : capacity_(capacity) {}

  /// `seq` does not descend.
  void add(std::uint64_t seq, const Entry& entry) {
    put(slots_, seq / span_, entry);
    if (slots_.size() > capacity_) halve();
  }

  /// The same with at most so many slots.
  [[nodiscard]] Trace reduced(std::size_t most) const {
    Trace out = *this;
    while (out.slots_.size() > most && most > 0) out.halve();
    return out;
  }

  [[nodiscard]] const std::vector<Slot>& slots() const noexcept { return slots_; }
  [[nodiscard]] std::uint64_t span() const noexcept { return span_; }  // frames a slot may hold

 private:
  void halve() {
    span_ *= 2;
    std::vector<Slot> merged;
    merged.reserve(slots_.size());
    for (const Slot& slot : slots_) put(merged, slot.number / 2, slot.entry);
    slots_ = std::move(merged);
  }

  static void put(std::vector<Slot>& slots, std::uint64_t number, const Entry& entry) {
    if (!slots.empty() && slots.back().number == number)
      slots.back().entry.merge(entry);
    else
      slots.push_back({number, entry});
  }

  std::size_t capacity_ = 4096;
  std::uint64_t span_ = 1;
  std::vector<Slot> slots_;
};

}  // namespace latticed
