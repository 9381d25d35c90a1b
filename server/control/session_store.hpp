// SPDX-License-Identifier: GPL-3.0-or-later
// What the experiment is about, kept over restarts, and the tags people set on moments and spans.
// Any thread; a mutex guards all.
#pragma once

#include <latticed/v1/session.pb.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"

namespace latticed {

class SessionStore {
 public:
  /// Reads `file` if it is there; it is written at every change. A damaged one is an error: nobody
  /// wants a recording with half a description.
  static Result<std::unique_ptr<SessionStore>> open(std::string file);

  [[nodiscard]] v1::SessionInfo get() const;
  /// Fields that are set replace. invalid_argument: a negative or not finite number, an element
  /// that is none, a text that is too long.
  Result<v1::SessionInfo> change(const v1::SessionInfo& wanted);

  /// Where the frames are now.
  struct Moment {
    std::int64_t time_ns = 0;                  // UTC, by the frames' clock
    std::uint32_t epoch = 0;                   // 0 = no run
    std::map<std::string, std::uint64_t> seq;  // by detector
  };
  Result<v1::Tag> add_tag(const std::string& text, const std::string& who, bool is_span,
                          const Moment& now);
  Result<v1::Tag> end_tag(std::uint64_t id, const Moment& now);
  static constexpr std::size_t kMostTags = 10000;  // in the server's life

  /// Spans of this run that still go on end; returns them.
  std::vector<v1::Tag> end_spans(const Moment& now);
  /// 0 = of all runs. Oldest first.
  [[nodiscard]] std::vector<v1::Tag> tags(std::uint32_t epoch) const;

 private:
  explicit SessionStore(std::string file) : file_(std::move(file)) {}
  Result<void> write(const v1::SessionInfo& session) const;

  const std::string file_;
  mutable std::mutex mutex_;
  v1::SessionInfo session_;
  std::vector<v1::Tag> tags_;  // id - 1 = index
};

}  // namespace latticed
