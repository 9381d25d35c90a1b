// SPDX-License-Identifier: GPL-3.0-or-later
// Renders whole frames with a small team of threads. Which thread draws which row changes nothing.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "sim/render/sensor.hpp"
#include "sim/render/view.hpp"

namespace latticed::sim {

class Renderer {
 public:
  /// The scenario must outlive the renderer. `threads` 1 or more, the caller's own included.
  Renderer(const Scenario& scenario, const DetectorModel& detector, int threads);
  ~Renderer();
  Renderer(const Renderer&) = delete;
  Renderer& operator=(const Renderer&) = delete;

  /// One raw frame. Thread: one at a time.
  void render(const SpecimenState& state, std::span<std::uint16_t> out);
  /// The same without noise and detector, in units of the dose.
  void expect(const SpecimenState& state, std::span<float> out);
  /// How much of the lattice of state.domains[domain] is in each pixel, 0..1.
  void envelope(const SpecimenState& state, std::size_t domain, std::span<float> out);

  [[nodiscard]] const Sensor& sensor() const noexcept { return sensor_; }

 private:
  using RowJob = std::function<void(int y, View::Rows& rows)>;
  void for_each_row(RowJob job);
  void work(std::size_t who);
  void help(std::size_t who, std::stop_token stop);

  const int height_;
  const std::size_t width_;
  View view_;
  Sensor sensor_;
  std::vector<View::Rows> rows_;  // one for each thread
  RowJob job_;
  std::atomic<int> next_row_{0};
  std::mutex mutex_;  // guards round_ and busy_
  std::condition_variable_any changed_;
  std::uint64_t round_ = 0;
  std::size_t busy_ = 0;
  std::vector<std::jthread> helpers_;
};

}  // namespace latticed::sim
