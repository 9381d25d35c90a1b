// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/request_log.hpp"

#include <utility>

namespace latticed {

namespace {
constexpr std::size_t kKept = 256;
}

bool RequestLog::begin(const std::string& key, Again again) {
  const auto [found, is_new] = entries_.try_emplace(key);
  if (is_new) return true;
  if (found->second.is_done)
    again(found->second.outcome);
  else
    found->second.waiting.push_back(std::move(again));
  return false;
}

void RequestLog::finish(const std::string& key, Outcome outcome) {
  Entry& entry = entries_[key];
  entry.is_done = true;
  entry.outcome = std::move(outcome);
  for (const Again& again : std::exchange(entry.waiting, {})) again(entry.outcome);
  order_.push_back(key);
  while (order_.size() > kKept) {
    entries_.erase(order_.front());
    order_.pop_front();
  }
}

}  // namespace latticed
