// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/line_socket.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <vector>

#include "tests/sim/support/temporary_directory.hpp"
#include "tests/support/deadline.hpp"

namespace latticed {
namespace {

using test::happens;

class LineSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    auto listener = listen_at(path());
    ASSERT_TRUE(listener) << listener.error().message;
    listener_ = std::move(*listener);
    auto one = connect_to(path());
    ASSERT_TRUE(one) << one.error().message;
    near_.emplace(std::move(*one));
    far_.emplace(accept_one(listener_.get()));
  }
  std::string path() { return directory_.file("s.sock"); }
  std::vector<std::string> heard(std::size_t count) {
    std::vector<std::string> lines;
    EXPECT_TRUE(happens([&] {
      const bool is_there = far_->receive([&](std::string_view line) { lines.emplace_back(line); });
      return lines.size() >= count || !is_there;
    }));
    return lines;
  }

  sim::test::TemporaryDirectory directory_;
  OwnedFd listener_;
  std::optional<LineSocket> near_, far_;
};

TEST_F(LineSocketTest, PutsLinesTogetherHoweverTheyCome) {
  EXPECT_TRUE(near_->send("a\nb"));
  EXPECT_EQ(heard(1), std::vector<std::string>{"a"});
  EXPECT_TRUE(near_->send("c\n\nd\n"));
  EXPECT_EQ(heard(3), (std::vector<std::string>{"bc", "", "d"}));
}

TEST_F(LineSocketTest, NoticesTheOtherEndsEnd) {
  EXPECT_TRUE(near_->send("last\n"));
  near_.reset();
  std::vector<std::string> lines;
  bool is_there = true;
  ASSERT_TRUE(happens([&] {
    is_there = far_->receive([&](std::string_view line) { lines.emplace_back(line); });
    return !is_there;
  }));
  EXPECT_EQ(lines, std::vector<std::string>{"last"});
}

TEST_F(LineSocketTest, LetsGoOfWhoNeverEndsALine) {
  const std::string endless(1 << 16, 'x');
  bool is_there = true;
  for (int i = 0; i < 64 && is_there; ++i) {
    EXPECT_TRUE(near_->send(endless));
    is_there = far_->receive([](std::string_view) { FAIL(); });
  }
  EXPECT_FALSE(is_there);
}

TEST_F(LineSocketTest, KeepsWhatDoesNotGoOutWithinABound) {
  const std::string line = std::string(1 << 16, 'x') + "\n";
  std::size_t sent = 0;
  while (near_->send(line) && sent < 1000) ++sent;
  EXPECT_GT(sent, 100u);
  EXPECT_LT(sent, 1000u);
  EXPECT_GT(near_->waiting(), LineSocket::kMostWaiting);
}

TEST_F(LineSocketTest, IsForItsOwnerAlone) {
  struct stat there {};
  ASSERT_EQ(stat(path().c_str(), &there), 0);
  EXPECT_EQ(there.st_mode & 0777u, 0600u);
}

TEST_F(LineSocketTest, TakesOverFromTheDeadAndRefusesTheLivingAndFiles) {
  EXPECT_FALSE(listen_at(path()));
  listener_ = OwnedFd();
  EXPECT_TRUE(listen_at(path()));
  const std::string file = directory_.file("precious");
  std::ofstream(file) << "data";
  EXPECT_FALSE(listen_at(file));
  EXPECT_TRUE(std::ifstream(file).good());
  EXPECT_FALSE(listen_at(""));
  EXPECT_FALSE(listen_at(std::string(200, 'x')));
  EXPECT_FALSE(listen_at("/nowhere/s.sock"));
}

}  // namespace
}  // namespace latticed
