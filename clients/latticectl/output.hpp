// SPDX-License-Identifier: GPL-3.0-or-later
// What goes to stdout: text for people, or JSON, one document a call. Problems go to stderr in
// words, and with --json to stdout as a document too. The commands return what show() returns.
#pragma once

#include <optional>
#include <string>

#include "clients/latticectl/call_problem.hpp"
#include "clients/latticectl/json.hpp"
#include "clients/latticectl/render.hpp"

namespace latticed::latticectl {

enum class Format { text, json };

class Output {
 public:
  explicit Output(Format format) : format_(format) {}

  [[nodiscard]] bool is_json() const noexcept { return format_ == Format::json; }

  /// A reply or its problem; the exit status.
  template <class Reply>
  int show(const Answer<Reply>& answer) const {
    if (!answer) return show(answer.problem());
    write(is_json() ? to_json(*answer) + "\n" : banner(answer->stamp()) + to_text(*answer));
    return kDone;
  }
  int show(const CallProblem& problem) const;
  /// The end of a stream.
  int show(const std::optional<CallProblem>& problem) const {
    return problem ? show(*problem) : kDone;
  }
  /// Something only latticectl knows: its mistake, said to stderr; the exit status 2.
  int show_wrong_usage(const std::string& message) const;

  /// A reply as JSON, whatever the format; the exit status 0.
  int document(const google::protobuf::Message& message) const;

  /// Whole lines to stdout, at once.
  void write(const std::string& lines) const;
  /// A line of progress: to stdout for people, to stderr beside JSON.
  void progress(const std::string& line) const;
  /// A line to stderr.
  void hint(const std::string& line) const;

 private:
  Format format_;
};

}  // namespace latticed::latticectl
