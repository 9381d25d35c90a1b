// SPDX-License-Identifier: GPL-3.0-or-later
// The driver's end of the link: one JSON line out, one back, within a timeout; a reply may bring a
// file descriptor. One thread at a time, except is_alive().
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "drivers/kit/result.hpp"
#include "sim/link/unique_fd.hpp"

namespace latticed::sim {

class LineClient {
 public:
  static Result<LineClient> open(const std::string& path, std::chrono::milliseconds timeout);

  /// The reply without its "ok", or the error the world gave. After a timeout or a broken link
  /// every further request fails with unavailable.
  Result<nlohmann::json> request(const nlohmann::json& command, std::chrono::milliseconds timeout);

  /// For a stop: sends a short line as it is and waits for whatever comes back. Allocates nothing.
  /// False when nothing came. Never on a client that also requests.
  bool urge(std::string_view line, std::chrono::milliseconds timeout) noexcept;

  /// The descriptor the last reply brought, if any.
  [[nodiscard]] UniqueFd take_fd() noexcept { return std::move(received_); }

  /// False once the world has closed its end. Any thread; does not wait, allocate or read.
  [[nodiscard]] bool is_alive() const noexcept;

 private:
  LineClient(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Result<std::string> read_line(std::chrono::steady_clock::time_point deadline);
  Error broken(const char* what);

  UniqueFd fd_;
  UniqueFd received_;
  std::string path_;
  std::string rest_;
  bool is_broken_ = false;
};

}  // namespace latticed::sim
