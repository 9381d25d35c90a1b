// SPDX-License-Identifier: GPL-3.0-or-later
// Who wants to look at what, and when a picture is due ("latd-preview"). Nothing is drawn that
// nobody is waiting for; the same wish is drawn once. A client that is still busy with its last
// picture gets none, counted, and then the newest.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/shared_thread.hpp"
#include "server/live/event_stream.hpp"
#include "server/live/preview_renderer.hpp"
#include "server/rpc/stamper.hpp"

namespace latticed {

struct PreviewWish {
  std::string detector;
  View view;
  std::chrono::nanoseconds period{100'000'000};  // from picture to picture at least
  std::uint32_t count = 0;                       // so many, then the stream ends; 0 = endless
};

class Preview {
 public:
  Preview(std::vector<std::string> detectors, const rpc::Stamper& stamper, int nice);
  ~Preview();

  /// For one run of a detector of ours. The sink keeps a share of us.
  static std::unique_ptr<Sink> make_sink(const std::shared_ptr<Preview>& preview,
                                         const std::string& detector);

  /// Any other thread. A single picture is of the last run when no run is on. False: the thread
  /// has too much to do.
  bool subscribe(std::shared_ptr<EventStream> stream, const PreviewWish& wish);

 private:
  friend class PreviewSink;
  struct Watch {
    std::shared_ptr<EventStream> stream;
    PreviewWish wish;
    std::chrono::nanoseconds next{0};  // steady clock
    std::uint32_t sent = 0;
  };
  struct Screen {  // of one detector
    std::string detector;
    bool is_running = false;
    std::shared_ptr<PreviewRenderer> renderer;  // of the present or last run
    std::uint32_t epoch = 0;
    std::chrono::nanoseconds next_mean{0};
    std::vector<Watch> watches;
    std::vector<std::byte> last_raw;  // of the last run's last frame
    std::optional<ShownFrame> last;
  };
  struct Drawn {
    View view;
    EventRef event;  // null: there is none of this frame
  };

  // The preview's thread.
  void begin(Screen& screen, std::shared_ptr<PreviewRenderer> renderer, std::uint32_t epoch);
  void consume(Screen& screen, const Frame& frame);
  void finish(Screen& screen, const Frame* last);
  void add(Screen& screen, Watch watch);
  [[nodiscard]] std::vector<Watch*> due(Screen& screen, std::chrono::nanoseconds now) const;
  void keep_wanted_means(Screen& screen) const;
  void hand_out(Screen& screen, Watch& watch, std::vector<Drawn>& drawn) const;
  [[nodiscard]] EventRef draw(Screen& screen, const View& view) const;

  const rpc::Stamper& stamper_;
  std::vector<std::unique_ptr<Screen>> screens_;  // never changes after the start
  std::shared_ptr<SharedThread> thread_;          // last: ends before the rest goes
};

}  // namespace latticed
