// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/render/renderer.hpp"

#include <algorithm>

namespace latticed::sim {

namespace {
constexpr int kRowsAtOnce = 16;
}

Renderer::Renderer(const Scenario& scenario, const DetectorModel& detector, int threads)
    : height_(detector.height),
      width_(static_cast<std::size_t>(detector.width)),
      view_(scenario, detector),
      sensor_(detector, scenario.seed) {
  const auto count = static_cast<std::size_t>(std::max(1, threads));
  for (std::size_t i = 0; i < count; ++i) rows_.emplace_back(detector.width);
  for (std::size_t i = 1; i < count; ++i) {
    helpers_.emplace_back([this, i](std::stop_token stop) { help(i, stop); });
  }
}

Renderer::~Renderer() {
  for (std::jthread& helper : helpers_) helper.request_stop();
  changed_.notify_all();
}

void Renderer::render(const SpecimenState& state, std::span<std::uint16_t> out) {
  view_.prepare(state);
  for_each_row([this, &state, out](int y, View::Rows& rows) {
    view_.expect(y, rows.expected, rows);
    sensor_.read(state.frame, y, rows.expected,
                 out.subspan(static_cast<std::size_t>(y) * width_, width_));
  });
}

void Renderer::expect(const SpecimenState& state, std::span<float> out) {
  view_.prepare(state);
  for_each_row([this, out](int y, View::Rows& rows) {
    view_.expect(y, out.subspan(static_cast<std::size_t>(y) * width_, width_), rows);
  });
}

void Renderer::envelope(const SpecimenState& state, std::size_t domain, std::span<float> out) {
  view_.prepare(state);
  for_each_row([this, domain, out](int y, View::Rows& rows) {
    view_.envelope(domain, y, out.subspan(static_cast<std::size_t>(y) * width_, width_), rows);
  });
}

void Renderer::for_each_row(RowJob job) {
  {
    const std::lock_guard lock(mutex_);
    job_ = std::move(job);
    next_row_.store(0, std::memory_order_relaxed);  // published by the mutex
    busy_ = helpers_.size();
    ++round_;
  }
  changed_.notify_all();
  work(0);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return busy_ == 0; });
}

void Renderer::work(std::size_t who) {
  for (;;) {
    const int first = next_row_.fetch_add(kRowsAtOnce, std::memory_order_relaxed);
    if (first >= height_) return;
    for (int y = first; y < std::min(height_, first + kRowsAtOnce); ++y) job_(y, rows_[who]);
  }
}

void Renderer::help(std::size_t who, std::stop_token stop) {
  std::uint64_t seen = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [&] { return round_ != seen; })) return;
      seen = round_;
    }
    work(who);
    const std::lock_guard lock(mutex_);
    if (--busy_ == 0) changed_.notify_all();
  }
}

}  // namespace latticed::sim
