// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <latticed/v1/holder.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "clients/latticectl/commands.hpp"
#include "server/guard/safe_off_client.hpp"

namespace latticed::latticectl {

namespace {

constexpr std::chrono::seconds kPatience{5};
constexpr const char* kUsualSocket = "/run/latticed/safe-off.sock";  // as in the guard's file

struct Options {
  std::string holder;
  std::string who;
  bool is_immediate = false;
  std::string socket_path;
};

CallProblem problem_of(const Error& error, const std::string& verb) {
  CallProblem problem;
  problem.message = error.message;
  if (error.code == ErrorCode::internal) {  // it answered, and not ok
    problem.reason = "GUARD_REFUSED";
  } else {
    problem.code = grpc::StatusCode::UNAVAILABLE;
    problem.tried = "the guard did not take " + verb;
  }
  return problem;
}

int safe_off_local(const Options& o, const Output& out) {
  if (!o.holder.empty()) {
    out.hint("the guard's socket knows no single holder: all are switched off");
  }
  const auto answer =
      safe_off(o.socket_path, o.is_immediate ? SafeOff::at_once : SafeOff::ramp, kPatience);
  const std::string verb = o.is_immediate ? "off" : "safe-off";
  if (!answer) return out.show(problem_of(answer.error(), verb));
  const nlohmann::json document = {{"socket", o.socket_path}, {"verb", verb}, {"answer", *answer}};
  const auto replace = nlohmann::json::error_handler_t::replace;
  out.write(out.is_json() ? document.dump(-1, ' ', false, replace) + "\n"
                          : fmt::format("guard: {}\n", *answer));
  return kDone;
}

int safe_off_by_server(const Options& o, Client& client, const Output& out) {
  v1::SafeOffRequest request;
  request.set_holder(o.holder);
  request.set_who(o.who);
  request.set_immediately(o.is_immediate);
  const auto reply = client.call(&v1::Holder::Stub::SafeOff, request);
  const int status = out.show(reply);
  if (status == kUnreachable) {
    out.hint("on the microscope's machine `latticectl safe-off --local` asks the guard itself");
  }
  return status;
}

}  // namespace

void add_safe_off_command(CLI::App& app, Desk& desk) {
  auto* command = add_command(app, "safe-off", "outputs ramp to zero, then off, disarmed",
                              "any state; never refused", "safe-off --immediately");
  const auto o = std::make_shared<Options>();
  o->who = desk.user;
  command->add_option("--holder", o->holder, "only this one; else all");
  command->add_option("--who", o->who, "who asks (default: the user name)");
  command->add_flag("--immediately", o->is_immediate, "off at once instead of by ramp");
  auto* local = command->add_option("--local", o->socket_path,
                                    "ask the guard's own socket: works with the server hung; "
                                    "without PATH: LATTICED_GUARD_SAFE_OFF, else " +
                                        std::string(kUsualSocket));
  local->expected(0, 1)->type_name("[PATH]");
  command->callback([o, &desk, local] {
    if (local->count() == 0) {
      desk.run = [o](Client& client, const Output& out) {
        return safe_off_by_server(*o, client, out);
      };
      return;
    }
    const char* usual = std::getenv("LATTICED_GUARD_SAFE_OFF");
    if (o->socket_path.empty()) o->socket_path = usual != nullptr ? usual : kUsualSocket;
    desk.run_unconnected = [o](const Output& out) { return safe_off_local(*o, out); };
  });
}

}  // namespace latticed::latticectl
