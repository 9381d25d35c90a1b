// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/commands.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "clients/latticectl/completion.hpp"

namespace latticed::latticectl {
namespace {

using testing::HasSubstr;
using testing::Not;

class CommandsTest : public testing::Test {
 protected:
  CommandsTest() { add_everything(app_, desk_); }

  std::vector<const CLI::App*> all(const CLI::App& from) {
    std::vector<const CLI::App*> found;
    for (const CLI::App* below : from.get_subcommands({})) {
      if (below->get_name().empty()) continue;  // a group of options
      found.push_back(below);
      for (const CLI::App* deeper : all(*below)) found.push_back(deeper);
    }
    return found;
  }

  Desk desk_;
  CLI::App app_{"latticectl"};
};

TEST_F(CommandsTest, TeachTheStateTheyNeedWithAnExampleOfTheirOwn) {
  for (const CLI::App* command : all(app_)) {
    const std::string help = command->help();
    EXPECT_THAT(help, HasSubstr("Needs: ")) << command->get_name();
    EXPECT_THAT(help, HasSubstr("Example: latticectl ")) << command->get_name();
    EXPECT_THAT(help, Not(HasSubstr("A first session"))) << command->get_name();
  }
  EXPECT_GT(all(app_).size(), 40u);
}

TEST_F(CommandsTest, ShowAFirstSessionInSixLines) {
  const std::string help = app_.help();
  const std::size_t begin = help.find("A first session:\n") + 17;
  const std::string session = help.substr(begin, help.find("\n\n", begin) - begin);
  EXPECT_EQ(std::count(session.begin(), session.end(), '\n'), 5);
  EXPECT_THAT(session, HasSubstr("latticectl safe-off"));
}

TEST_F(CommandsTest, ChooseTheInnermostCommandOfTheLine) {
  app_.parse("holders --json list", false);
  EXPECT_TRUE(desk_.run);
  EXPECT_EQ(desk_.format, Format::json);
}

TEST_F(CommandsTest, TakeOptionsOfAllCommandsBehindTheCommand) {
  app_.parse("track spot 3.6 -0.25 --timeout 2.5 --server scope:1", false);
  EXPECT_EQ(desk_.connection.timeout_s, 2.5);
  EXPECT_EQ(desk_.connection.server, "scope:1");
}

TEST_F(CommandsTest, RefuseWhatMakesNoSense) {
  for (const char* line : {"",
                           "fly",
                           "status now",
                           "holders source",
                           "holders source --voltage 1 --current 1",
                           "holders output perhaps",
                           "holders temperature -3",
                           "holders arm",
                           "snapshot xray a.png",
                           "snapshot raw",
                           "alerts ack --who me",
                           "alerts ack 3 --all --who me",
                           "alerts ack 0 --who x",
                           "tag end",
                           "tag end x",
                           "watch --every 0",
                           "start --exposure -1",
                           "--timeout 0 status",
                           "rehearse",
                           "completion fish",
                           "snapshot raw a.png --size 8"}) {
    Desk desk;
    CLI::App app{"latticectl"};
    add_everything(app, desk);
    EXPECT_THROW(app.parse(line, false), CLI::ParseError) << line;
  }
}

TEST_F(CommandsTest, AreAllInTheCompletionScript) {
  const std::string script = bash_completion(app_);
  EXPECT_THAT(script, HasSubstr(R"(["latticectl/holders/source"]="--)"));
  EXPECT_THAT(script, HasSubstr("--voltage"));
  EXPECT_THAT(script, HasSubstr("complete -o default -F _latticectl latticectl"));
  for (const CLI::App* command : all(app_)) {
    EXPECT_THAT(script, HasSubstr("/" + command->get_name() + "\"]="));
  }
}

}  // namespace
}  // namespace latticed::latticectl
