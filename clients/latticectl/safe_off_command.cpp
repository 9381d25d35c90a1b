// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <latticed/v1/holder.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "clients/latticectl/commands.hpp"
#include "clients/latticectl/guard_socket.hpp"

namespace latticed::latticectl {

namespace {

constexpr std::chrono::seconds kPatience{5};

struct Options {
  std::string holder;
  std::string who;
  bool is_immediate = false;
  std::string socket_path;
};

bool is_taken(const std::string& answer) { return answer.rfind("ok", 0) == 0; }

int safe_off_local(const Options& o, const Output& out) {
  if (o.socket_path.empty()) {
    return out.show_wrong_usage(
        "safe-off --local: which socket? --local PATH or LATTICED_GUARD_SAFE_OFF says so");
  }
  if (!o.holder.empty()) {
    out.hint("the guard's socket knows no single holder: all are switched off");
  }
  const std::string verb = o.is_immediate ? "off" : "safe-off";
  const auto answer = ask_guard(o.socket_path, verb, kPatience);
  if (!answer) {
    CallProblem problem;
    problem.code = grpc::StatusCode::UNAVAILABLE;
    problem.message = answer.error().message;
    problem.tried = "the guard did not take " + verb;
    return out.show(problem);
  }
  const nlohmann::json document = {
      {"socket", o.socket_path}, {"verb", verb}, {"answer", *answer}, {"taken", is_taken(*answer)}};
  const auto replace = nlohmann::json::error_handler_t::replace;
  out.write(out.is_json() ? document.dump(-1, ' ', false, replace) + "\n"
                          : fmt::format("guard: {}\n", *answer));
  return is_taken(*answer) ? kDone : kRefused;
}

int safe_off(const Options& o, Client& client, const Output& out) {
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
                                    "without PATH: LATTICED_GUARD_SAFE_OFF");
  local->expected(0, 1)->type_name("[PATH]");
  command->callback([o, &desk, local] {
    if (local->count() == 0) {
      desk.run = [o](Client& client, const Output& out) { return safe_off(*o, client, out); };
      return;
    }
    const char* usual = std::getenv("LATTICED_GUARD_SAFE_OFF");
    if (o->socket_path.empty() && usual != nullptr) o->socket_path = usual;
    desk.run_unconnected = [o](const Output& out) { return safe_off_local(*o, out); };
  });
}

}  // namespace latticed::latticectl
