// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/preview.hpp"

#include <algorithm>
#include <utility>

#include "server/base/stage_clock.hpp"

namespace latticed {

using namespace std::chrono_literals;

namespace {

constexpr auto kBetweenMeans = std::chrono::nanoseconds(1s) / 30;  // as often as anybody may look

bool is_fit_for_a_mean(const Measurements& m) {
  return m.quality == FrameQuality::good && m.drift.state != DriftState::lost;
}

ShownFrame shown(const Frame& frame) {
  return {frame.raw(), frame.seq, frame.header.time_ns, frame.measurements.drift.drift_px};
}

}  // namespace

/// One detector's frames in one run, the latest only.
class PreviewSink final : public Sink {
 public:
  PreviewSink(std::shared_ptr<Preview> preview, Preview::Screen& screen)
      : preview_(std::move(preview)), screen_(screen) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "preview"; }
  [[nodiscard]] SinkOptions options() const noexcept override {
    return {LossPolicy::latest_only, 1};
  }
  [[nodiscard]] std::shared_ptr<SharedThread> thread() const override { return preview_->thread_; }
  Result<void> begin(const RunInfo& run) override {
    // Made here, where what the run says is sure to be there still.
    const auto renderer = std::make_shared<PreviewRenderer>(run);
    const bool is_posted =
        preview_->thread_->post([preview = preview_.get(), &screen = screen_, renderer,
                                 epoch = run.epoch] { preview->begin(screen, renderer, epoch); });
    if (is_posted) return {};
    return Error{ErrorCode::unavailable, "preview: no time for the run's begin"};
  }
  void consume(const FrameLease& frame) override {
    if (!frame->has_pixels()) return;
    last_ = frame;
    preview_->consume(screen_, *frame);
  }
  Result<void> finish() override {
    preview_->finish(screen_, last_ ? &*last_ : nullptr);
    last_.reset();
    return {};
  }

 private:
  const std::shared_ptr<Preview> preview_;
  Preview::Screen& screen_;
  FrameLease last_;  // for who asks after the run
};

Preview::Preview(std::vector<std::string> detectors, const rpc::Stamper& stamper, int nice)
    : stamper_(stamper) {
  for (std::string& detector : detectors) {
    screens_.push_back(std::make_unique<Screen>());
    screens_.back()->detector = std::move(detector);
  }
  thread_ = std::make_shared<SharedThread>(ThreadOptions{"latd-preview", nice});
}

Preview::~Preview() = default;

std::unique_ptr<Sink> Preview::make_sink(const std::shared_ptr<Preview>& preview,
                                         const std::string& detector) {
  for (const auto& screen : preview->screens_)
    if (screen->detector == detector) return std::make_unique<PreviewSink>(preview, *screen);
  return nullptr;
}

bool Preview::subscribe(std::shared_ptr<EventStream> stream, const PreviewWish& wish) {
  for (const auto& screen : screens_)
    if (screen->detector == wish.detector)
      return thread_->post([this, &screen = *screen, stream = std::move(stream), wish]() mutable {
        add(screen, Watch{std::move(stream), wish, steady_now(), 0});
      });
  return false;
}

void Preview::begin(Screen& screen, std::shared_ptr<PreviewRenderer> renderer,
                    std::uint32_t epoch) {
  screen.renderer = std::move(renderer);
  screen.epoch = epoch;
  screen.is_running = true;
  screen.last.reset();
  screen.last_raw.clear();
}

void Preview::finish(Screen& screen, const Frame* last) {
  screen.is_running = false;
  if (!last) return;
  const auto raw = last->raw();
  screen.last_raw.assign(raw.begin(), raw.end());
  screen.last = shown(*last);
  screen.last->raw = screen.last_raw;
  screen.renderer->show(*screen.last);  // the run's own pixels are about to go
}

EventRef Preview::draw(Screen& screen, const View& view) const {
  auto image = screen.renderer->render(view);
  if (!image) return nullptr;
  stamper_.stamp(*image->mutable_stamp(), screen.epoch);
  image->set_detector(screen.detector);
  auto event = std::make_shared<Event>();
  event->epoch = screen.epoch;
  event->seq = image->seq();
  event->body = slice_of(image->SerializeAsString());
  return event;
}

void Preview::hand_out(Screen& screen, Watch& watch, std::vector<Drawn>& drawn) const {
  const View& view = watch.wish.view;
  auto found = std::find_if(drawn.begin(), drawn.end(),
                            [&](const Drawn& other) { return other.view == view; });
  if (found == drawn.end()) found = drawn.insert(found, {view, draw(screen, view)});
  if (!found->event) return;
  watch.stream->push(found->event);
  if (++watch.sent == watch.wish.count) watch.stream->end(grpc::Status::OK);
}

void Preview::add(Screen& screen, Watch watch) {
  watch.stream->accept();
  if (!screen.is_running && screen.last && watch.wish.count == 1) {
    std::vector<Drawn> drawn;
    hand_out(screen, watch, drawn);
  }
  screen.watches.push_back(std::move(watch));
}

std::vector<Preview::Watch*> Preview::due(Screen& screen, std::chrono::nanoseconds now) const {
  std::vector<Watch*> out;
  for (Watch& watch : screen.watches) {
    if (now < watch.next) continue;
    const auto period = watch.wish.period;
    // The mean rate is kept, unless a whole picture's time was missed.
    watch.next = now - watch.next < period ? watch.next + period : now + period;
    if (watch.stream->is_idle())
      out.push_back(&watch);
    else
      watch.stream->add_missed(1);
  }
  return out;
}

void Preview::keep_wanted_means(Screen& screen) const {
  std::vector<int> bins;
  for (const Watch& watch : screen.watches)
    if (watch.wish.view.needs_mean())
      bins.push_back(screen.renderer->bin_for(watch.wish.view.size));
  std::sort(bins.begin(), bins.end());
  bins.erase(std::unique(bins.begin(), bins.end()), bins.end());
  screen.renderer->keep_means(bins);
  for (const int bin : bins) screen.renderer->accumulate(bin);
}

void Preview::consume(Screen& screen, const Frame& frame) {
  std::erase_if(screen.watches, [](const Watch& watch) { return watch.stream->is_over(); });
  const auto now = steady_now();
  const std::vector<Watch*> wanting = due(screen, now);
  const bool needs_mean = std::any_of(screen.watches.begin(), screen.watches.end(),
                                      [](const Watch& w) { return w.wish.view.needs_mean(); });
  const bool adds_to_mean =
      needs_mean && now >= screen.next_mean && is_fit_for_a_mean(frame.measurements);
  if (wanting.empty() && !adds_to_mean) return;
  screen.renderer->show(shown(frame));
  // A difference is against the frames before; a mean is with this one.
  std::vector<Drawn> drawn;
  const auto hand_out_if = [&](bool is_mean) {
    for (Watch* watch : wanting)
      if ((watch->wish.view.kind == v1::IMAGE_KIND_RUNNING_MEAN) == is_mean)
        hand_out(screen, *watch, drawn);
  };
  hand_out_if(false);
  if (adds_to_mean) {
    screen.next_mean = now + kBetweenMeans;
    keep_wanted_means(screen);
  }
  hand_out_if(true);
}

}  // namespace latticed
