// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/toml/table_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace latticed {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string mistakes_of(std::string_view text, const std::function<void(TableReader&)>& read) {
  const auto result = read_toml(text, "f.toml", read);
  return result ? "none" : result.error().message;
}

TEST(TableReader, SuggestsTheKeyThatWasMeant) {
  const std::string found = mistakes_of("frame_perod_s = 1\nzzz = 2\n", [](TableReader& in) {
    double value = 0.0;
    in.number("frame_period_s", value);
    in.number("exposure_s", value);
    in.finish();
  });
  EXPECT_THAT(found,
              HasSubstr("f.toml:1:1: frame_perod_s: unknown key (did you mean frame_period_s?)"));
  EXPECT_THAT(
      found,
      HasSubstr("f.toml:2:1: zzz: unknown key (expected one of exposure_s, frame_period_s)"));
}

TEST(TableReader, OrdersMistakesByTheirPlaceNotByTheOrderOfReading) {
  const std::string found = mistakes_of("a = 'x'\nb = 'y'\n", [](TableReader& in) {
    bool flag = false;
    in.flag("b", flag);
    in.flag("a", flag);
  });
  EXPECT_EQ(found,
            "f.toml:1:5: a: \"x\" (expected true or false)\n"
            "f.toml:2:5: b: \"y\" (expected true or false)");
}

TEST(TableReader, RefusesWhatIsNotANumberAndLeavesTheValueAlone) {
  double value = 7.0;
  std::int64_t whole = 7;
  const std::string found =
      mistakes_of("a = nan\nb = inf\nc = true\nd = 1.5\n", [&](TableReader& in) {
        in.number("a", value);
        in.number("b", value);
        in.number("c", value);
        in.integer("d", whole);
      });
  for (const char* place : {"f.toml:1:5: a", "f.toml:2:5: b", "f.toml:3:5: c", "f.toml:4:5: d"})
    EXPECT_THAT(found, HasSubstr(place));
  EXPECT_EQ(value, 7.0);
  EXPECT_EQ(whole, 7);
}

TEST(TableReader, PointsAtTheWrongEntryOfAList) {
  std::vector<std::string> files;
  std::vector<std::int64_t> region;
  const auto read = [&](TableReader& in) {
    in.texts("files", files);
    in.integers("roi", 4, region, {0, 100});
  };
  EXPECT_THAT(mistakes_of("files = [\"a\",\n 3]\nroi = [1, 2,\n 3, 101]\n", read),
              testing::AllOf(HasSubstr("f.toml:2:2: files: 3"), HasSubstr("f.toml:4:5: roi: 101")));
  EXPECT_EQ(mistakes_of("files = [\"a\", \"b\"]\nroi = [1, 2, 3, 4]\n", read), "none");
  EXPECT_THAT(files, ElementsAre("a", "b"));
  EXPECT_THAT(region, ElementsAre(1, 2, 3, 4));
}

TEST(TableReader, SaysWhatOfAFileItCouldNotRead) {
  const auto missing = read_toml_file("/nowhere.toml", "configuration", [](TableReader&) {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "read configuration /nowhere.toml: No such file or directory");
  const auto folder = read_toml_file("/tmp", "configuration", [](TableReader&) {});
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().message, "read configuration /tmp: it is a directory");
}

}  // namespace
}  // namespace latticed
