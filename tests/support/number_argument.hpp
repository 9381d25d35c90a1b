// SPDX-License-Identifier: GPL-3.0-or-later
// The command line of benches: whole numbers in order, each with what holds where it is left out.
#pragma once

#include <cstdlib>

namespace latticed::test {

/// Word `i` of the command line (0: the program) as a number.
inline int number_argument(int count, char** words, int i, int otherwise) {
  return i < count ? std::atoi(words[i]) : otherwise;
}

}  // namespace latticed::test
