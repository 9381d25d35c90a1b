// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/simulator/sim_detector.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "drivers/kit/copy_pixels.hpp"

namespace latticed {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr nanoseconds kBetweenSignsOfLife = std::chrono::milliseconds(50);
constexpr std::uint64_t kPrefetchedBacklog = 16;  // frames a detector of this rate would buffer

Error wrong_state(const char* call, DeviceState is, const char* wanted) {
  return {ErrorCode::failed_precondition,
          fmt::format("{}: the detector is {}, it must be {}", call, to_string(is), wanted)};
}

/// 0 .. count-1 .. 0 .. : neighbours in time stay neighbours in memory, so drift has no jumps.
std::uint32_t to_and_fro(std::uint64_t sequence, std::uint32_t count) noexcept {
  if (count < 2) return 0;
  const std::uint64_t lap = 2 * (static_cast<std::uint64_t>(count) - 1);
  const std::uint64_t place = sequence % lap;
  return static_cast<std::uint32_t>(place < count ? place : lap - place);
}

}  // namespace

Result<std::unique_ptr<SimDetector>> SimDetector::open(SimDetectorOptions options) {
  std::unique_ptr<SimDetector> detector(new SimDetector(std::move(options)));
  if (auto connected = detector->connect(); !connected) return connected.error();
  return detector;
}

SimDetector::~SimDetector() { stop(); }

Result<void> SimDetector::connect() {
  const std::lock_guard lock(mutex_);
  link_.reset();
  auto link = sim::LineClient::open(options_.socket, options_.timeout);
  if (!link) return link.error();
  auto described = link->request({{"cmd", "describe"}}, options_.timeout);
  if (!described) return described.error();
  auto opened = link->request({{"cmd", "open"}, {"detector", options_.detector}}, options_.timeout);
  if (!opened) return opened.error();
  sim::UniqueFd fd = link->take_fd();
  if (!fd.is_open()) {
    return Error{ErrorCode::data_loss,
                 fmt::format("open detector at {}: the world sent no frame ring", options_.socket)};
  }
  auto ring = sim::Ring::map(std::move(fd));
  if (!ring) return ring.error();
  ring_.emplace(std::move(*ring));
  link_.emplace(std::move(*link));
  info_ = {opened->value("detector", ""), "simulator",
           "sim-world " + described->value("scenario", ""),
           fmt::format("seed {}", described->value("seed", 0))};
  return {};
}

Result<Json> SimDetector::request(const Json& command) {
  const std::lock_guard lock(mutex_);
  if (!link_) {
    return Error{ErrorCode::unavailable,
                 fmt::format("simulated world at {}: not connected", options_.socket)};
  }
  return link_->request(command, options_.timeout);
}

Error SimDetector::fault(Error error) noexcept {
  state_.store(DeviceState::fault);
  return error;
}

Result<DetectorConfiguration> SimDetector::configure(const DetectorSettings& wanted) {
  const DeviceState before = state_.load();
  if (before == DeviceState::armed || before == DeviceState::running) {
    return wrong_state("configure", before, "closed, configured or fault");
  }
  if (before == DeviceState::fault) {
    if (auto connected = connect(); !connected) return connected.error();
  }
  auto reply = request({{"cmd", "configure"}, {"frame_count", wanted.frame_count}});
  if (!reply) return fault(reply.error());
  configuration_.geometry = {reply->value("width", 0), reply->value("height", 0), PixelType::u16};
  configuration_.exposure_s = reply->value("exposure_s", 0.0);
  configuration_.scan_line_time_s = reply->value("scan_line_time_s", 0.0);
  configuration_.frame_period_s = reply->value("frame_period_s", 0.0);
  configuration_.frame_count = reply->value("frame_count", std::uint64_t{0});
  configuration_.pixel_size_nm = reply->value("pixel_size_nm", 0.0);
  configuration_.is_paced = reply->value("is_paced", false);
  if (reply->value("prefetched", 0) > 0) {
    configuration_.frame_count = wanted.frame_count;
    configuration_.is_paced = options_.rate_hz > 0.0;
    if (configuration_.is_paced) {
      configuration_.frame_period_s = 1.0 / options_.rate_hz;
      configuration_.exposure_s =
          std::min(configuration_.exposure_s, configuration_.frame_period_s);
    }
  }
  if (configuration_.geometry.bytes() != ring_->header().frame_bytes) {
    return fault(
        {ErrorCode::data_loss,
         fmt::format("configure detector {}: frames of {} bytes in a ring for {}", info_.name,
                     configuration_.geometry.bytes(), ring_->header().frame_bytes)});
  }
  ended_.store(false);
  state_.store(DeviceState::configured);
  return configuration_;
}

Result<void> SimDetector::step(const char* command, DeviceState from, DeviceState to) {
  const DeviceState before = state_.load();
  if (before != from) return wrong_state(command, before, to_string(from).data());
  if (auto reply = request({{"cmd", command}}); !reply) return fault(reply.error());
  state_.store(to);
  return {};
}

Result<void> SimDetector::arm() {
  auto armed = step("arm", DeviceState::configured, DeviceState::armed);
  if (armed) ended_.store(false);
  return armed;
}

Result<void> SimDetector::start() {
  if (state_.load() == DeviceState::armed) {
    next_ = 0;
    stopping_.store(false);
    started_at_ = Clock::now();
    start_ns_ =
        std::chrono::duration_cast<nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
  }
  return step("start", DeviceState::armed, DeviceState::running);
}

Result<FrameHeader> SimDetector::read_frame(std::span<std::byte> pixels,
                                            std::chrono::milliseconds timeout) {
  if (ended_.load()) return end();
  const DeviceState now = state_.load();
  if (now != DeviceState::running) return wrong_state("read_frame", now, "running");
  if (pixels.size() < configuration_.geometry.bytes()) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("read_frame of detector {}: a buffer of {} bytes, a frame has {}",
                             info_.name, pixels.size(), configuration_.geometry.bytes())};
  }
  const bool is_live = ring_->header().prefetched == 0;
  const Clock::time_point deadline = Clock::now() + timeout;
  sim::Bell& bell = ring_->header().frames;
  for (;;) {
    const std::uint32_t seen = bell.load(std::memory_order_acquire);
    const bool is_alive =
        link_->is_alive();  // asked first: what a dying world finished is delivered
    if (stopping_.load()) return end();
    if (auto header = is_live ? take_live(pixels) : take_prefetched(pixels)) return *header;
    if (!is_alive) {
      return fault({ErrorCode::unavailable,
                    fmt::format("read_frame {} of detector {}: the simulated world at {} is gone",
                                next_, info_.name, options_.socket)});
    }
    const nanoseconds left = deadline - Clock::now();
    if (left.count() <= 0) return Error{ErrorCode::timeout, {}};
    const nanoseconds wait =
        is_live ? kBetweenSignsOfLife : std::min(kBetweenSignsOfLife, until_due());
    sim::wait_for_bell(bell, seen, std::min(left, wait));
  }
}

std::optional<FrameHeader> SimDetector::take_live(std::span<std::byte> pixels) {
  // The end is looked at before the frames: what was published before it is then surely seen.
  const bool is_over =
      ring_->header().run_state.load(std::memory_order_acquire) == sim::RunState::ended;
  if (ring_->has_frame()) {
    const std::uint32_t index = ring_->front();
    const sim::SlotHeader& slot = ring_->slot(index);
    if (slot.sequence > next_) return lost(slot.sequence, slot.gap);
    const bool is_complete = slot.is_complete;
    FrameHeader header = is_complete ? copy_frame(index, pixels) : FrameHeader{};
    ring_->pop();
    if (!is_complete) return lost(next_ + 1, LossReason::incomplete);
    ++next_;
    return header;
  }
  if (!is_over) return std::nullopt;
  const sim::RingHeader& ring = ring_->header();
  const std::uint64_t total =
      ring.end_sequence.load(std::memory_order_relaxed);  // before run_state
  if (total > next_) return lost(total, ring.end_gap.load(std::memory_order_relaxed));
  return end();
}

std::optional<FrameHeader> SimDetector::take_prefetched(std::span<std::byte> pixels) {
  if (configuration_.frame_count > 0 && next_ >= configuration_.frame_count) return end();
  if (options_.rate_hz > 0.0) {
    const double passed_s = std::chrono::duration<double>(Clock::now() - started_at_).count();
    auto made = static_cast<std::uint64_t>(passed_s * options_.rate_hz);
    if (configuration_.frame_count > 0) made = std::min(made, configuration_.frame_count);
    if (made <= next_) return std::nullopt;
    if (made - next_ > kPrefetchedBacklog) {
      return lost(made - kPrefetchedBacklog, LossReason::detector_overrun);
    }
  }
  FrameHeader header = copy_frame(to_and_fro(next_, ring_->header().prefetched), pixels);
  header.hardware_sequence = next_;
  header.exposure_s = configuration_.exposure_s;
  const double middle_s =
      static_cast<double>(next_) * configuration_.frame_period_s + 0.5 * configuration_.exposure_s;
  header.time_ns = start_ns_ + static_cast<std::int64_t>(middle_s * 1e9);
  ++next_;
  return header;
}

nanoseconds SimDetector::until_due() const noexcept {
  const auto due = std::chrono::duration<double>(static_cast<double>(next_ + 1) / options_.rate_hz);
  return std::chrono::duration_cast<nanoseconds>(due - (Clock::now() - started_at_)) +
         nanoseconds(1000);
}

FrameHeader SimDetector::copy_frame(std::uint32_t index, std::span<std::byte> pixels) {
  const sim::SlotHeader& slot = ring_->slot(index);
  const auto from = ring_->pixels(index);
  copy_pixels(from, pixels);
  FrameHeader header;
  header.flags = slot.flags;
  header.hardware_sequence = slot.sequence;
  header.time_ns = slot.time_ns;
  header.exposure_s = slot.exposure_s;
  return header;
}

/// Frames from next_ to before `until` are missing.
FrameHeader SimDetector::lost(std::uint64_t until, LossReason reason) {
  FrameHeader header;
  header.kind = FrameKind::lost;
  header.loss = reason == LossReason::none ? LossReason::sequence_gap : reason;
  header.flags = kFrameSimulated;
  header.hardware_sequence = next_;
  header.lost_count = until - next_;
  next_ = until;
  return header;
}

FrameHeader SimDetector::end() noexcept {
  DeviceState running = DeviceState::running;
  state_.compare_exchange_strong(running, DeviceState::configured);
  ended_.store(true);
  FrameHeader header;
  header.kind = FrameKind::end;
  header.flags = kFrameSimulated;
  header.hardware_sequence = next_;
  return header;
}

void SimDetector::stop() noexcept {
  const DeviceState before = state_.load();
  if (before != DeviceState::running && before != DeviceState::armed) return;
  if (before == DeviceState::running) {
    stopping_.store(true);
    sim::ring_bell(ring_->header().frames);
    ended_.store(true);
  }
  try {
    // A world that is gone needs no stopping, and one that does not answer is found at the next
    // call.
    (void)request({{"cmd", "stop"}});
  } catch (const std::exception&) {
    state_.store(DeviceState::fault);  // out of memory
    return;
  }
  DeviceState expected = before;
  state_.compare_exchange_strong(expected, DeviceState::configured);
}

}  // namespace latticed
