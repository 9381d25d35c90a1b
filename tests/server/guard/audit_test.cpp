// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/audit.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/sim/support/temporary_directory.hpp"
#include "tests/support/deadline.hpp"

namespace latticed {
namespace {

std::vector<nlohmann::json> lines_of(const std::string& path) {
  std::vector<nlohmann::json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST(Audit, AppendsEachLineWithItsTimeAndSaysWhenItIsSafe) {
  const sim::test::TemporaryDirectory directory;
  const std::string path = directory.file("audit.jsonl");
  WakeUp wake;
  for (int round = 0; round < 2; ++round) {
    auto sut = Audit::open(path, wake);
    ASSERT_TRUE(sut) << sut.error().message;
    std::vector<std::uint64_t> tickets;
    for (int i = 0; i < 100; ++i)
      tickets.push_back((*sut)->append("{\"n\":" + std::to_string(i) + "}"));
    std::vector<Audit::Done> done;
    ASSERT_TRUE(test::happens([&] {
      for (const Audit::Done& one : (*sut)->completed()) done.push_back(one);
      return done.size() == 100;
    }));
    for (std::size_t i = 0; i < 100; ++i) {
      EXPECT_EQ(done[i].ticket, tickets[i]);
      EXPECT_TRUE(done[i].is_durable);
    }
  }
  const auto lines = lines_of(path);
  ASSERT_EQ(lines.size(), 200u);  // the second one went on where the first ended
  EXPECT_EQ(lines[142]["n"], 42);
  EXPECT_EQ(lines[0]["time"].get<std::string>().size(), 27u);
}

TEST(Audit, WritesAllBeforeItEnds) {
  const sim::test::TemporaryDirectory directory;
  WakeUp wake;
  {
    auto sut = Audit::open(directory.file("a"), wake);
    ASSERT_TRUE(sut);
    for (int i = 0; i < 50; ++i) (*sut)->append("{\"n\":1}");
  }
  EXPECT_EQ(lines_of(directory.file("a")).size(), 50u);
}

TEST(Audit, SaysWhatCouldNotBeWritten) {
  WakeUp wake;
  EXPECT_FALSE(Audit::open("/nowhere/audit.jsonl", wake));
  auto full = Audit::open("/dev/full", wake);
  ASSERT_TRUE(full) << full.error().message;
  const std::uint64_t ticket = (*full)->append("{\"n\":1}");
  std::vector<Audit::Done> done;
  ASSERT_TRUE(test::happens([&] { return !(done = (*full)->completed()).empty(); }));
  EXPECT_EQ(done[0].ticket, ticket);
  EXPECT_FALSE(done[0].is_durable);
}

}  // namespace
}  // namespace latticed
