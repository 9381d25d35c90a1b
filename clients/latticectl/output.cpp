// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/output.hpp"

#include <cstdio>

namespace latticed::latticectl {

namespace {

void put(std::FILE* out, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), out);
  std::fflush(out);
}

}  // namespace

int Output::show(const CallProblem& problem) const {
  put(stderr, to_text(problem));
  if (is_json()) write(to_json(problem));
  return problem.exit_status();
}

int Output::show_wrong_usage(const std::string& message) const {
  put(stderr, "latticectl: " + message + "\n");
  if (is_json()) {
    CallProblem problem;
    problem.code = grpc::StatusCode::INVALID_ARGUMENT;
    problem.message = message;
    problem.reason = "WRONG_USAGE";
    write(to_json(problem));
  }
  return kWrongUsage;
}

int Output::document(const google::protobuf::Message& message) const {
  write(to_json(message) + "\n");
  return kDone;
}

void Output::write(const std::string& lines) const { put(stdout, lines); }

void Output::progress(const std::string& line) const {
  put(is_json() ? stderr : stdout, line + "\n");
}

void Output::hint(const std::string& line) const { put(stderr, line + "\n"); }

}  // namespace latticed::latticectl
