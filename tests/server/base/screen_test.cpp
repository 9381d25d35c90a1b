// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/screen.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace latticed {
namespace {

/// A terminal of 20 columns that remembers what was written to it.
class Terminal {
 public:
  Terminal() : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
    grantpt(master_);
    unlockpt(master_);
    const int slave = open(ptsname(master_), O_RDWR | O_NOCTTY);
    winsize size{};
    size.ws_col = 20;
    size.ws_row = 10;
    ioctl(slave, TIOCSWINSZ, &size);
    out_ = fdopen(slave, "w");
    setvbuf(out_, nullptr, _IOFBF, 1 << 12);
  }
  ~Terminal() {
    fclose(out_);
    close(master_);
  }
  [[nodiscard]] std::FILE* out() { return out_; }
  /// All that was written; the line discipline may hand it over in pieces, so until it is quiet.
  std::string written() {
    std::fflush(out_);
    std::string all;
    for (pollfd ready{master_, POLLIN, 0}; poll(&ready, 1, all.empty() ? 2000 : 50) > 0;) {
      char buffer[4096];
      const auto size = read(master_, buffer, sizeof(buffer));
      if (size <= 0) break;
      all.append(buffer, static_cast<std::size_t>(size));
    }
    return all;
  }

 private:
  int master_;
  std::FILE* out_ = nullptr;
};

TEST(Screen, RedrawsTheLiveTextInItsPlace) {
  Terminal terminal;
  Screen sut(terminal.out());
  ASSERT_TRUE(sut.is_terminal());
  sut.show("a", "one\ntwo");
  EXPECT_EQ(terminal.written(), "one\r\ntwo\r\n");
  sut.show("a", "three\nfour");
  EXPECT_EQ(terminal.written(), "\x1b[2A\r\x1b[Jthree\r\nfour\r\n");
}

TEST(Screen, PrintsLinesAboveTheLiveText) {
  Terminal terminal;
  Screen sut(terminal.out());
  sut.show("b", "below");
  sut.show("a", "above");
  (void)terminal.written();
  sut.print("a log line\n");
  EXPECT_EQ(terminal.written(), "\x1b[2A\r\x1b[Ja log line\r\nabove\r\nbelow\r\n");
  sut.show("a", "");
  EXPECT_EQ(terminal.written(), "\x1b[2A\r\x1b[Jbelow\r\n");
}

TEST(Screen, CutsLinesThatWouldWrapAndCountsCharactersNotBytes) {
  Terminal terminal;
  Screen sut(terminal.out());
  sut.show("a", "± ± ± ± ± ± ± ± ± ± ± ±");
  EXPECT_EQ(terminal.written(), "± ± ± ± ± ± ± ± ± ± \r\n");
}

TEST(Screen, ShowsOnlyLinesWhereThereIsNoTerminal) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::FILE* out = fdopen(ends[1], "w");
  Screen sut(out);
  EXPECT_FALSE(sut.is_terminal());
  sut.show("a", "live");
  sut.print("line\n");
  std::fclose(out);
  char buffer[64];
  const auto count = read(ends[0], buffer, sizeof(buffer));
  EXPECT_EQ(std::string(buffer, static_cast<std::size_t>(count)), "line\n");
  close(ends[0]);
}

}  // namespace
}  // namespace latticed
