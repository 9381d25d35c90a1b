// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/holder/guard_link.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "server/base/named_thread.hpp"
#include "server/guard/line_socket.hpp"
#include "server/guard/wire.hpp"

namespace latticed {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;
using Kind = HolderEvent::Kind;

constexpr auto kFirstBackoff = 20ms;
constexpr std::size_t kMostWaiting = 256;  // requests

GuardError problem_of(ErrorCode code, std::string message) {
  GuardError error;
  error.code = code;
  error.message = std::move(message);
  return error;
}

ErrorCode code_from(const std::string& word) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::internal); ++i) {
    if (to_string(static_cast<ErrorCode>(i)) == word) return static_cast<ErrorCode>(i);
  }
  return ErrorCode::internal;
}

std::optional<double> value_of(const Json& line, const char* key) {
  if (!line.contains(key) || line[key].is_null()) return std::nullopt;
  return line[key].get<double>();
}

GuardError error_of(const Json& line) {
  GuardError error;
  error.code = code_from(line.value("code", ""));
  error.reason = from_word<Refusal>(kRefusals, line.value("reason", "")).value_or(Refusal::none);
  error.message = line.value("message", "the guard gave no reason");
  error.value = value_of(line, "value");
  error.limit = value_of(line, "limit");
  error.unit = line.value("unit", "");
  return error;
}

HolderStatus status_of(const Json& line) {
  HolderStatus status;
  status.name = line.at("holder").get<std::string>();
  status.state = from_word<ArmingState>(kArmingStates, line.at("state").get<std::string>())
                     .value_or(ArmingState::unreachable);
  status.cause = from_word<TripCause>(kTripCauses, line.at("cause").get<std::string>())
                     .value_or(TripCause::none);
  status.armed_by = line.at("armed_by").get<std::string>();
  status.present = wire::setpoints(line.at("present"));
  status.target = wire::setpoints(line.at("target"));
  status.is_ramping = line.at("ramping").get<bool>();
  status.is_holding = line.at("holding").get<bool>();
  return status;
}

HolderDescription description_of(const Json& line) {
  return {line.at("name").get<std::string>(),         line.at("driver").get<std::string>(),
          line.at("model").get<std::string>(),        line.at("serial").get<std::string>(),
          wire::capabilities(line.at("can")),         wire::limits(line.at("limits")),
          line.at("safe_temperature_k").get<double>()};
}

}  // namespace

class GuardLink::Loop {
 public:
  explicit Loop(GuardLinkOptions options) : options_(std::move(options)) {
    for (const std::string& name : options_.holders) (void)log_of(name);
  }
  ~Loop() { stop(); }
  void stop() {
    const Error closed{ErrorCode::cancelled, "the link to the guard is closed"};
    stopping_.store(true);
    wake_.ring();
    thread_.join();
    socket_.reset();
    {
      const std::lock_guard lock(mutex_);
      is_connected_ = false;  // whoever asks now is refused
      problem_ = closed.message;
    }
    answer_all(closed);
  }
  void begin() {
    thread_ = NamedThread({"latd-hold"}, [this] {
      while (!stopping_.load()) turn();
    });
  }

  [[nodiscard]] bool is_connected() const {
    const std::lock_guard lock(mutex_);
    return is_connected_;
  }
  [[nodiscard]] std::string problem() const {
    const std::lock_guard lock(mutex_);
    return problem_;
  }
  [[nodiscard]] HolderLogs logs() const {
    const std::lock_guard lock(mutex_);
    return logs_;
  }
  [[nodiscard]] std::vector<HolderDescription> descriptions() const {
    const std::lock_guard lock(mutex_);
    return descriptions_;
  }
  [[nodiscard]] std::vector<HolderStatus> status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

  void request(const HolderCommand& command, std::function<void(GuardResult)> done) {
    std::optional<GuardError> why;
    {
      const std::lock_guard lock(mutex_);
      if (!is_connected_) {
        why = problem_of(ErrorCode::unavailable, fmt::format("{}: no link to the guard: {}",
                                                             to_string(command.verb), problem_));
      } else if (waiting_.size() >= kMostWaiting) {
        why = problem_of(ErrorCode::resource_exhausted,
                         fmt::format("{}: {} requests wait for the guard", to_string(command.verb),
                                     waiting_.size()));
      } else {
        const std::uint64_t id = next_id_++;
        waiting_[id] = {line_of(command, id), std::move(done),
                        Clock::now() + options_.request_timeout, false};
      }
    }
    if (why)
      done(std::move(why));
    else
      wake_.ring();
  }

 private:
  struct Waiting {
    std::string line;
    std::function<void(GuardResult)> done;
    Clock::time_point deadline;
    bool is_sent = false;
  };

  static std::string line_of(const HolderCommand& command, std::uint64_t id) {
    Json line = wire::command(command);
    line["id"] = id;
    return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }

  void turn() {
    const auto now = Clock::now();
    if (!socket_ && now >= next_attempt_) connect(now);
    if (socket_ && now >= next_heartbeat_) {
      next_heartbeat_ = now + options_.heartbeat;
      if (!socket_->send("{\"do\":\"heartbeat\"}\n")) disconnect("the guard does not read");
    }
    send_requests();
    expire(now);
    wait(socket_ ? next_heartbeat_ : next_attempt_);
    wake_.clear();
    if (!socket_) return;
    const bool is_there = socket_->receive([this](std::string_view line) { hear(line); });
    if (is_refused_)
      disconnect("another daemon has the guard");
    else if (!nonsense_.empty())
      disconnect(nonsense_);
    else if (!is_there || !socket_->flush())
      disconnect("the guard closed the link");
  }

  void wait(Clock::time_point until) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count() + 1;
    const short wanted = socket_ && socket_->waiting() > 0 ? POLLIN | POLLOUT : POLLIN;
    pollfd ready[] = {{wake_.fd(), POLLIN, 0}, {socket_ ? socket_->fd() : -1, wanted, 0}};
    poll(ready, 2, static_cast<int>(std::clamp<std::int64_t>(left, 0, 1000)));
  }

  void connect(Clock::time_point now) {
    auto fd = connect_to(options_.socket);
    if (!fd) {
      const std::lock_guard lock(mutex_);
      problem_ = fd.error().message;
      back_off(now);
      return;
    }
    socket_.emplace(std::move(*fd));
    is_refused_ = false;
    nonsense_.clear();
    next_heartbeat_ = now;
    clocks_.clear();
    socket_->send("{\"do\":\"list\",\"id\":0}\n");
  }

  void back_off(Clock::time_point now) {
    next_attempt_ = now + backoff_;
    backoff_ = std::min<std::chrono::milliseconds>(2 * backoff_, options_.longest_backoff);
  }

  void disconnect(const std::string& why) {
    socket_.reset();
    bool was_connected = false;
    {
      const std::lock_guard lock(mutex_);
      was_connected = std::exchange(is_connected_, false);
      problem_ = why;
      for (HolderStatus& status : status_) {
        status.state = ArmingState::unreachable;
        status.armed_by.clear();
      }
      back_off(Clock::now());
    }
    answer_all({ErrorCode::unavailable, why});
    if (was_connected) tell({Kind::disconnected, {}});
  }

  void answer_all(const Error& why) {
    std::map<std::uint64_t, Waiting> all;
    {
      const std::lock_guard lock(mutex_);
      all.swap(waiting_);
    }
    for (auto& [id, waiting] : all) waiting.done(problem_of(why.code, why.message));
  }

  void send_requests() {
    if (!socket_) return;
    std::string lines;
    {
      const std::lock_guard lock(mutex_);
      for (auto& [id, waiting] : waiting_) {
        if (std::exchange(waiting.is_sent, true)) continue;
        lines += waiting.line;
      }
    }
    if (!lines.empty() && !socket_->send(lines)) disconnect("the guard does not read");
  }

  void expire(Clock::time_point now) {
    std::vector<Waiting> late;
    {
      const std::lock_guard lock(mutex_);
      for (auto at = waiting_.begin(); at != waiting_.end();) {
        if (at->second.deadline > now) {
          ++at;
          continue;
        }
        late.push_back(std::move(at->second));
        at = waiting_.erase(at);
      }
    }
    for (Waiting& waiting : late)
      waiting.done(problem_of(
          ErrorCode::timeout,
          fmt::format("the guard did not answer within {} ms", options_.request_timeout.count())));
  }

  void hear(std::string_view line) {
    if (is_refused_ || !nonsense_.empty()) return;
    try {
      const Json json = Json::parse(line);
      if (!json.contains("event"))
        take_answer(json);
      else
        take_event(json.at("event").get<std::string>(), json);
    } catch (const Json::exception& error) {
      nonsense_ = fmt::format("the guard said what is not understood: {}", error.what());
    }
  }

  void take_answer(const Json& json) {
    if (json.at("id") == 0) return take_list(json);
    if (!json.at("id").is_number_unsigned()) return;  // of a line the guard could not read
    std::function<void(GuardResult)> done;
    {
      const std::lock_guard lock(mutex_);
      const auto found = waiting_.find(json["id"].get<std::uint64_t>());
      if (found == waiting_.end()) return;  // it was late
      done = std::move(found->second.done);
      waiting_.erase(found);
    }
    done(json.at("ok") == true ? GuardResult{} : GuardResult{error_of(json)});
  }

  void take_list(const Json& json) {
    std::vector<HolderDescription> descriptions;
    std::vector<HolderStatus> statuses;
    for (const Json& holder : json.at("holders")) {
      descriptions.push_back(description_of(holder));
      statuses.push_back(status_of(holder.at("status")));
    }
    bool is_new = false;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& description : descriptions) (void)log_of(description.name);
      descriptions_ = std::move(descriptions);
      for (HolderStatus& status : statuses) {
        if (const auto log = log_of(status.name)) status.last = log->latest();
        for (const HolderStatus& known : status_)
          if (known.name == status.name) status.last_came_at = known.last_came_at;
      }
      status_ = std::move(statuses);
      is_new = !std::exchange(is_connected_, true);
      problem_.clear();
    }
    backoff_ = kFirstBackoff;
    if (is_new) tell({Kind::connected, {}});
  }

  void take_event(const std::string& event, const Json& json) {
    if (event == "refused") {
      is_refused_ = true;
    } else if (event == "state") {
      take_state(status_of(json));
    } else if (event == "trip") {
      tell({Kind::trip, json.at("holder").get<std::string>()});
    } else if (event == "samples") {
      take_samples(json);
    }
  }

  void take_state(HolderStatus status) {
    bool came_back = false;
    {
      const std::lock_guard lock(mutex_);
      const auto known = std::find_if(status_.begin(), status_.end(),
                                      [&](const auto& one) { return one.name == status.name; });
      if (known == status_.end()) return;  // the list is on its way
      came_back =
          known->state == ArmingState::unreachable && status.state != ArmingState::unreachable;
      status.last = known->last;
      status.last_came_at = known->last_came_at;
      *known = status;
    }
    // A device that came may be another one than the list told of.
    if (came_back) socket_->send("{\"do\":\"list\",\"id\":0}\n");
    tell({Kind::state, status.name});
  }

  void take_samples(const Json& json) {
    const auto name = json.at("holder").get<std::string>();
    const auto clock = json.at("clock").get<std::uint32_t>();
    std::vector<HolderSample> samples;
    for (const Json& line : json.at("samples")) samples.push_back(wire::sample(line));
    if (samples.empty()) return;
    std::shared_ptr<HolderLog> log;
    {
      const std::lock_guard lock(mutex_);
      log = log_of(name);
      for (HolderStatus& status : status_) {
        if (status.name != name) continue;
        status.last = samples.back();
        status.last_came_at = Clock::now();
      }
    }
    const auto known = clocks_.find(name);
    const auto latest = log->latest();
    // Of a guard that was started anew we do not know the clock: time tells.
    const bool is_anew = known != clocks_.end()
                             ? known->second != clock
                             : latest && latest->time_ns >= samples.front().time_ns;
    if (is_anew) log->restart_clock();
    clocks_[name] = clock;
    for (const HolderSample& sample : samples) log->add(sample);
    tell({Kind::samples, name});
  }

  /// Under the mutex, or before the thread is there. Makes it when it is new.
  std::shared_ptr<HolderLog> log_of(const std::string& name) {
    for (const auto& log : logs_) {
      if (log->name() == name) return log;
    }
    logs_.push_back(
        std::make_shared<HolderLog>(name, options_.longest_gap_s, options_.log_capacity));
    return logs_.back();
  }

  void tell(const HolderEvent& event) {
    if (options_.on_event) options_.on_event(event);
  }

  const GuardLinkOptions options_;
  WakeUp wake_;
  std::atomic<bool> stopping_{false};

  // latd-hold alone.
  std::optional<LineSocket> socket_;
  Clock::time_point next_attempt_{}, next_heartbeat_{};
  std::chrono::milliseconds backoff_{kFirstBackoff};
  std::map<std::string, std::uint32_t> clocks_;  // of this connection
  bool is_refused_ = false;
  std::string nonsense_;

  mutable std::mutex mutex_;  // guards all below
  bool is_connected_ = false;
  std::string problem_ = "not connected yet";
  HolderLogs logs_;
  std::vector<HolderDescription> descriptions_;
  std::vector<HolderStatus> status_;
  std::map<std::uint64_t, Waiting> waiting_;
  std::uint64_t next_id_ = 1;

  NamedThread thread_;
};

Result<std::unique_ptr<GuardLink>> GuardLink::start(GuardLinkOptions options) {
  auto probe = connect_to(options.socket);
  if (!probe && probe.error().code == ErrorCode::invalid_argument) return probe.error();
  auto loop = std::make_unique<Loop>(std::move(options));
  loop->begin();
  return std::unique_ptr<GuardLink>(new GuardLink(std::move(loop)));
}

GuardLink::GuardLink(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
GuardLink::~GuardLink() = default;

bool GuardLink::is_connected() const { return loop_->is_connected(); }
void GuardLink::stop() { loop_->stop(); }
std::string GuardLink::problem() const { return loop_->problem(); }
HolderLogs GuardLink::logs() const { return loop_->logs(); }
std::vector<HolderDescription> GuardLink::descriptions() const { return loop_->descriptions(); }
std::vector<HolderStatus> GuardLink::status() const { return loop_->status(); }

void GuardLink::request(const HolderCommand& command, std::function<void(GuardResult)> done) {
  loop_->request(command, std::move(done));
}

GuardResult GuardLink::request(const HolderCommand& command) {
  // latd-hold answers each one, by its deadline at the latest.
  auto promise = std::make_shared<std::promise<GuardResult>>();
  auto answer = promise->get_future();
  loop_->request(command, [promise](GuardResult result) { promise->set_value(std::move(result)); });
  return answer.get();
}

}  // namespace latticed
