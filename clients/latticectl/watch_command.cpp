// SPDX-License-Identifier: GPL-3.0-or-later
#include <latticed/v1/measurements.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

#include "clients/latticectl/commands.hpp"
#include "clients/latticectl/live_view.hpp"
#include "server/base/screen.hpp"

namespace latticed::latticectl {

namespace {

constexpr std::chrono::milliseconds kBetweenPaints{100};

struct Options {
  std::optional<std::uint64_t> from_seq;
  std::uint32_t every = 1;
  std::string detector;
};

/// Repaints at most ten times a second; what is said once scrolls by above.
class Painter {
 public:
  explicit Painter(std::uint64_t every) : view_(every), screen_(stdout) {}
  ~Painter() { paint(); }
  Painter(const Painter&) = delete;
  Painter& operator=(const Painter&) = delete;

  void take(const v1::MeasurementEvent& event) {
    const auto now = LiveView::Clock::now();
    const std::string once = view_.take(event, now);
    if (!once.empty()) screen_.print(once);
    if (!screen_.is_terminal()) {
      screen_.print(view_.frame_line(event));
      screen_.flush();
    } else if (now >= next_at_) {
      next_at_ = now + kBetweenPaints;
      paint();
    }
  }

 private:
  void paint() { screen_.show("live", view_.table()); }

  LiveView view_;
  Screen screen_;
  LiveView::Clock::time_point next_at_{};
};

int watch(const Options& o, Client& client, const Output& out) {
  v1::WatchMeasurementsRequest request;
  request.set_detector(o.detector);
  if (o.from_seq) request.set_from_seq(*o.from_seq);
  // People get every frame, or alerts that were raised in between would be missed.
  if (out.is_json()) {
    request.set_decimation(o.every);
    request.set_holder_updates(true);
  }
  Painter painter(o.every);
  return out.show(
      client.listen<v1::Measurements::Stub, v1::WatchMeasurementsRequest, v1::MeasurementEvent>(
          &v1::Measurements::Stub::Watch, request, [&](const v1::MeasurementEvent& event) {
            if (out.is_json()) {
              out.write(to_json(event) + "\n");
            } else {
              painter.take(event);
            }
            return Next::go_on;
          }));
}

}  // namespace

void add_watch_command(CLI::App& app, Desk& desk) {
  auto* command = add_command(app, "watch", "measurements of every frame, live, until Ctrl-C",
                              "nothing; goes on over runs", "watch --from 0 --every 10");
  const auto o = std::make_shared<Options>();
  command->add_option("--from", o->from_seq, "begin with this frame of the present or last run")
      ->type_name("SEQ");
  command->add_option("--every", o->every, "a line for every n-th frame (--json: an event)")
      ->check(CLI::Range(1U, 1000000U))
      ->type_name("N");
  command->add_option("--detector", o->detector, "only of this one; else of all");
  set_run(command, desk, [o](Client& client, const Output& out) { return watch(*o, client, out); });
}

}  // namespace latticed::latticectl
