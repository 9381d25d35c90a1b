// SPDX-License-Identifier: GPL-3.0-or-later
// One thread that looks after several guests in turn, runs what is posted to it, and keeps a timer:
// a publisher's thread, say, with the sinks of all detectors. A guest that hangs keeps the others
// waiting. Who has guests, or posts, holds a share of it; the last one to let go, which must be
// another thread, ends it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "server/base/doorbell.hpp"
#include "server/base/named_thread.hpp"

namespace latticed {

class SharedThread {
 public:
  class Guest {
   public:
    virtual ~Guest() = default;
    enum class Turn {
      nothing,  // there was nothing to do
      worked,   // there may be more
      leaves,   // that was the last: the guest is not called again
    };
    /// The thread: one piece of work, so that the others get their turn.
    virtual Turn serve() noexcept = 0;
  };

  /// When it wants to be called again, steady clock; `now` likewise.
  using Timer = std::function<std::chrono::nanoseconds(std::chrono::nanoseconds now)>;

  /// Starts. `timer` is called on the thread: first at once, then when it said and after whatever
  /// was posted. It must not throw.
  explicit SharedThread(ThreadOptions options, Timer timer = {}, std::size_t post_limit = 256);
  ~SharedThread();
  SharedThread(const SharedThread&) = delete;
  SharedThread& operator=(const SharedThread&) = delete;

  /// Any thread: runs `task` on this one, in the order of posting. It must not throw. False: as
  /// many as may wait do so already, and this one is not run.
  [[nodiscard]] bool post(std::function<void()> task);

  /// Any other thread. From here on it is served, until it leaves.
  void add(Guest& guest);
  /// Any other thread: returns when the guest has left, and is called no more. At once for one that
  /// was never added. It is the guest's to leave soon, as it is for a thread that is joined.
  void wait_until_left(Guest& guest);

  /// Rung by whoever has work for a guest.
  [[nodiscard]] const std::shared_ptr<Doorbell>& bell() const noexcept { return bell_; }

 private:
  void run();
  bool serve_guests();
  bool run_posted();

  const Timer timer_;
  const std::size_t post_limit_;
  std::shared_ptr<Doorbell> bell_ = std::make_shared<Doorbell>();
  std::mutex mutex_;  // guards the four below; never held while a guest, task or timer runs
  std::condition_variable somebody_left_;
  std::vector<Guest*> guests_;
  const Guest* served_ = nullptr;  // whose turn it is
  std::deque<std::function<void()>> posted_;
  std::atomic<bool> is_stopping_{false};
  NamedThread thread_;  // last: starts when everything else is there
};

}  // namespace latticed
