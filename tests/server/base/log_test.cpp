// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <thread>

namespace latticed {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class LogTest : public testing::Test {
 protected:
  LogTest() : folder_(fs::temp_directory_path() / ("latticed-log-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~LogTest() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string file() const { return (folder_ / "log").string(); }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::ifstream in(file());
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  fs::path folder_;
  Screen screen_{stderr};
};

TEST_F(LogTest, WritesEverythingBeforeItEnds) {
  {
    Log log(screen_);
    ASSERT_TRUE(log.configure({.level = LogLevel::info, .file = file()}));
    for (int i = 0; i < 100; ++i) spdlog::info("line {}", i);
    spdlog::debug("not wanted");
  }
  const auto written = lines();
  ASSERT_EQ(written.size(), 100u);
  EXPECT_THAT(written[99], HasSubstr("info line 99"));
}

TEST_F(LogTest, EveryJsonLineIsAnObjectWhateverIsInIt) {
  const std::string awkward = "quote \" backslash \\ newline \n tab \t bell \x07 µ";
  {
    Log log(screen_);
    ASSERT_TRUE(log.configure({.json = true, .file = file()}));
    spdlog::warn("{}", awkward);
    spdlog::error("plain");
  }
  const auto written = lines();
  ASSERT_EQ(written.size(), 2u);
  const auto entry = nlohmann::json::parse(written[0]);
  EXPECT_EQ(entry.at("event"), awkward);
  EXPECT_EQ(entry.at("level"), "warning");
  EXPECT_TRUE(entry.at("thread").is_number());
  EXPECT_TRUE(std::regex_match(entry.at("ts").get<std::string>(),
                               std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)")));
}

TEST_F(LogTest, SaysHowManyLinesHadNoRoom) {
  constexpr int kLines = 50000;
  {
    Log log(screen_);
    ASSERT_TRUE(log.configure({.file = file(), .queue_lines = 64}));
    for (int i = 0; i < kLines; ++i) spdlog::info("line {}", i);
  }
  auto written = lines();
  ASSERT_FALSE(written.empty());
  std::size_t lost = 0;
  if (std::smatch found;
      std::regex_search(written.back(), found, std::regex("(\\d+) log lines were lost"))) {
    lost = std::stoul(found[1]);
    written.pop_back();
  }
  EXPECT_EQ(written.size() + lost, static_cast<std::size_t>(kLines));
  EXPECT_THAT(written.back(), HasSubstr("line 49999"));  // the oldest went, not the newest
}

TEST_F(LogTest, CanBeReadWhileItIsWritten) {
  Log log(screen_);
  ASSERT_TRUE(log.configure({.file = file()}));
  spdlog::info("one line");
  for (int tries = 0; lines().empty() && tries < 1000; ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ASSERT_EQ(lines().size(), 1u) << "within 10 s";
  EXPECT_THAT(lines()[0], HasSubstr("one line"));
}

TEST_F(LogTest, StaysAsItWasWhenAFileCannotBeOpened) {
  Log log(screen_);
  ASSERT_TRUE(log.configure({.file = file()}));
  const auto refused = log.configure({.file = "/dev/null/log"});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("open log /dev/null/log"));
  spdlog::error("still here");
  spdlog::default_logger()->flush();
  ASSERT_TRUE(log.configure({}));  // closes the file
  EXPECT_THAT(lines().at(0), HasSubstr("still here"));
}

}  // namespace
}  // namespace latticed
