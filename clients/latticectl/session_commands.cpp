// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <latticed/v1/session.grpc.pb.h>

#include <CLI/CLI.hpp>

#include "clients/latticectl/commands.hpp"
#include "clients/latticectl/session_words.hpp"

namespace latticed::latticectl {

namespace {

using Session = v1::Session::Stub;

void add_session(CLI::App& app, Desk& desk) {
  const auto get = [](Client& client, const Output& out) {
    return out.show(client.call(&Session::Get, v1::GetSessionRequest()));
  };
  auto* session = add_command(app, "session", "what the experiment is about; goes into recordings",
                              "nothing", "session");
  session->require_subcommand(0, 1);
  set_run(session, desk, get);
  set_run(add_command(*session, "get", "as it is", "nothing", "session get"), desk, get);
  auto* set = add_command(
      *session, "set", "replaces the named fields: " + session_keys(), "nothing",
      "session set sample=NMO-7 elements=Na,Mn,O zone_axis=\"[0 0 1]\" high_tension_v=200e3");
  const auto words = std::make_shared<std::vector<std::string>>();
  set->add_option("KEY=VALUE", *words, "fields")->required();
  set_run(set, desk, [words](Client& client, const Output& out) {
    const auto info = parse_session(*words);
    if (!info) return out.show_wrong_usage(info.error().message);
    v1::SetSessionRequest request;
    *request.mutable_session() = *info;
    return out.show(client.call(&Session::Set, request));
  });
}

struct TagOptions {
  std::string text;
  std::string who;
  bool is_span = false;
  std::uint64_t id = 0;
  std::uint32_t epoch = 0;
};

void add_tag(CLI::App& app, Desk& desk) {
  const auto o = std::make_shared<TagOptions>();
  o->who = desk.user;
  auto* tag = add_command(app, "tag", "marks a moment, or with --span begins a stretch", "nothing",
                          "tag \"beam moved to the rim\" --span");
  tag->require_subcommand(0, 1);
  tag->add_option("TEXT", o->text, "what is said");
  tag->add_option("--who", o->who, "who says it (default: the user name)");
  tag->add_flag("--span", o->is_span, "it begins a span: `tag end ID` ends it");
  set_run(tag, desk, [o](Client& client, const Output& out) {
    if (o->text.empty()) return out.show_wrong_usage("tag: TEXT, end or list is missing");
    v1::AddTagRequest request;
    request.set_text(o->text);
    request.set_who(o->who);
    request.set_span(o->is_span);
    return out.show(client.call(&Session::AddTag, request));
  });
  auto* end = add_command(*tag, "end", "ends a span", "a span that goes on", "tag end 3");
  end->add_option("ID", o->id, "the span's number")->required();
  set_run(end, desk, [o](Client& client, const Output& out) {
    v1::EndTagRequest request;
    request.set_id(o->id);
    return out.show(client.call(&Session::EndTag, request));
  });
  auto* list = add_command(*tag, "list", "tags of this server's life, oldest first", "nothing",
                           "tag list --run 3");
  list->add_option("--run", o->epoch, "only of this run; 0: all");
  set_run(list, desk, [o](Client& client, const Output& out) {
    v1::ListTagsRequest request;
    request.set_epoch(o->epoch);
    return out.show(client.call(&Session::ListTags, request));
  });
}

}  // namespace

void add_session_commands(CLI::App& app, Desk& desk) {
  add_session(app, desk);
  add_tag(app, desk);
}

}  // namespace latticed::latticectl
