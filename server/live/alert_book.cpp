// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/alert_book.hpp"

#include <algorithm>
#include <utility>

namespace latticed {

namespace {

constexpr std::size_t kNotedFrames = 256;
constexpr std::size_t kNewsWaiting = 4096;
constexpr std::uint32_t kListedByDefault = 1000;
constexpr std::size_t kLongestName = 256, kLongestComment = 4096;  // bytes

}  // namespace

AlertBook::AlertBook(std::size_t kept, std::function<std::int64_t()> now_ns)
    : kept_(std::max<std::size_t>(kept, 1)), now_ns_(std::move(now_ns)) {}

void AlertBook::tell(const v1::Alert& alert, const char* what) {
  news_.push_back({++last_news_, alert, what});
  if (news_.size() > kNewsWaiting) news_.pop_front();
}

void AlertBook::forget() {
  while (alerts_.size() > kept_) {
    auto oldest = std::find_if(alerts_.begin(), alerts_.end(),
                               [](const auto& entry) { return !entry.second.active(); });
    if (oldest == alerts_.end()) oldest = alerts_.begin();
    alerts_.erase(oldest);
    ++forgotten_;
  }
}

std::uint64_t AlertBook::raise(v1::Alert alert) {
  alert.set_id(++last_id_);
  alert.set_active(true);
  tell(alert, "raised");
  alerts_.emplace(alert.id(), std::move(alert));
  forget();
  return last_id_;
}

std::uint64_t AlertBook::clear(const v1::Alert& which, std::uint64_t seq) {
  // The newest that fits: a rule holds one alarm a spot at a time.
  for (auto at = alerts_.rbegin(); at != alerts_.rend(); ++at) {
    v1::Alert& alert = at->second;
    if (!alert.active() || alert.detector() != which.detector() || alert.epoch() != which.epoch() ||
        alert.rule() != which.rule() || alert.spot_id() != which.spot_id() ||
        (!which.quantity().empty() && alert.quantity() != which.quantity()))
      continue;
    alert.set_active(false);
    alert.set_cleared_seq(seq);
    tell(alert, "cleared");
    return alert.id();
  }
  return 0;
}

void AlertBook::note(const std::string& detector, std::uint32_t epoch, std::uint64_t seq,
                     std::vector<Change> changes) {
  const bool has_news = !changes.empty();
  {
    const std::lock_guard lock(mutex_);
    Progress& progress = progress_[detector];
    if (progress.epoch != epoch) progress = {epoch, false, 0, {}};
    progress.seq = seq;
    progress.has_seq = true;
    if (has_news) {
      Noted& noted = progress.noted.emplace_back();
      noted.seq = seq;
      for (Change& change : changes) {
        change.alert.set_detector(detector);
        change.alert.set_epoch(epoch);
        noted.ids.push_back(change.is_raised ? raise(std::move(change.alert))
                                             : clear(change.alert, seq));
      }
      if (progress.noted.size() > kNotedFrames) progress.noted.pop_front();
    }
    noted_.notify_all();
  }
  if (has_news) listen();
}

void AlertBook::note_own(const std::string& detector, std::uint32_t epoch, Change change) {
  {
    const std::lock_guard lock(mutex_);
    change.alert.set_detector(detector);
    change.alert.set_epoch(epoch);
    const std::uint64_t seq = change.alert.raised_seq();
    if (change.is_raised)
      raise(std::move(change.alert));
    else
      clear(change.alert, seq);
  }
  listen();
}

void AlertBook::end_run(const std::string& detector, std::uint32_t epoch) {
  bool has_news = false;
  {
    const std::lock_guard lock(mutex_);
    const auto progress = progress_.find(detector);
    if (progress == progress_.end() || progress->second.epoch != epoch) return;
    for (auto& [id, alert] : alerts_) {
      if (!alert.active() || alert.detector() != detector || alert.epoch() != epoch) continue;
      alert.set_active(false);
      alert.set_cleared_seq(progress->second.seq);
      tell(alert, "cleared");
      has_news = true;
    }
  }
  if (has_news) listen();
}

std::vector<std::uint64_t> AlertBook::ids_of(const std::string& detector, std::uint32_t epoch,
                                             std::uint64_t seq,
                                             std::chrono::milliseconds timeout) const {
  std::unique_lock lock(mutex_);
  const Progress* progress = nullptr;
  const bool is_there = noted_.wait_for(lock, timeout, [&] {
    const auto found = progress_.find(detector);
    if (found == progress_.end() || found->second.epoch != epoch) return false;
    progress = &found->second;
    return progress->has_seq && progress->seq >= seq;
  });
  if (!is_there) return {};
  for (const Noted& noted : progress->noted)
    if (noted.seq == seq) return noted.ids;
  return {};
}

std::vector<v1::Alert> AlertBook::list(const v1::ListAlertsRequest& wanted) const {
  const std::lock_guard lock(mutex_);
  const std::size_t limit = wanted.limit() > 0 ? wanted.limit() : kListedByDefault;
  std::vector<v1::Alert> out;
  for (auto at = alerts_.rbegin(); at != alerts_.rend() && out.size() < limit; ++at) {
    const v1::Alert& alert = at->second;
    if (alert.id() <= wanted.after_id()) break;
    if (wanted.active_only() && !alert.active()) continue;
    if (wanted.unacknowledged_only() && !alert.acknowledged_by().empty()) continue;
    out.push_back(alert);
  }
  return out;
}

std::uint64_t AlertBook::forgotten() const {
  const std::lock_guard lock(mutex_);
  return forgotten_;
}

std::size_t AlertBook::standing() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      alerts_.begin(), alerts_.end(), [](const auto& entry) { return entry.second.active(); }));
}

Result<std::vector<v1::Alert>> AlertBook::acknowledge(std::uint64_t id, const std::string& who,
                                                      const std::string& comment) {
  if (who.empty())
    return Error{ErrorCode::invalid_argument,
                 "acknowledge alarm " + std::to_string(id) + ": expected the name of a person"};
  if (who.size() > kLongestName || comment.size() > kLongestComment)
    return Error{ErrorCode::invalid_argument,
                 "acknowledge alarm " + std::to_string(id) + ": expected at most " +
                     std::to_string(kLongestName) + " bytes of name and " +
                     std::to_string(kLongestComment) + " of comment"};
  std::vector<v1::Alert> out;
  bool has_news = false;
  {
    const std::lock_guard lock(mutex_);
    if (id != 0 && !alerts_.contains(id))
      return Error{ErrorCode::not_found, "acknowledge alarm " + std::to_string(id) +
                                             ": there is no such alarm; the last is " +
                                             std::to_string(last_id_) + ", " +
                                             std::to_string(forgotten_) + " are forgotten"};
    for (auto& [number, alert] : alerts_) {
      if (id != 0 ? number != id : !alert.active()) continue;
      if (alert.acknowledged_by().empty()) {
        alert.set_acknowledged_by(who);
        alert.set_acknowledged_ns(now_ns_());
        alert.set_comment(comment);
        tell(alert, "acknowledged");
        has_news = true;
      }
      out.push_back(alert);
    }
  }
  if (has_news) listen();
  return out;
}

std::deque<AlertNews> AlertBook::take_news() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

AlertBook::Snapshot AlertBook::snapshot() const {
  const std::lock_guard lock(mutex_);
  Snapshot out;
  out.last_news = last_news_;
  for (const auto& [id, alert] : alerts_) out.alerts.push_back(alert);
  return out;
}

}  // namespace latticed
