// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/figure/page.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace latticed {
namespace {

Picture filled(int width, int height, Colour colour) {
  Picture picture{width, height, {}};
  for (int i = 0; i < width * height; ++i) {
    picture.rgb.insert(picture.rgb.end(), {colour.r, colour.g, colour.b});
  }
  return picture;
}

int count(const Picture& picture, Colour colour) {
  int found = 0;
  for (int y = 0; y < picture.height; ++y) {
    for (int x = 0; x < picture.width; ++x) found += picture.at(x, y) == colour ? 1 : 0;
  }
  return found;
}

TEST(Page, ShowsEveryPictureUnchanged) {
  const Colour red{200, 10, 10};
  const Colour blue{10, 10, 200};
  Page page;
  page.title = "title";
  page.footer = "footer";
  page.rows = {{filled(300, 100, red), filled(50, 20, blue)}, {filled(70, 60, blue)}};
  const Picture sut = page.draw();
  EXPECT_EQ(count(sut, red), 300 * 100);
  EXPECT_EQ(count(sut, blue), 50 * 20 + 70 * 60);
}

TEST(Page, OfNothingIsStillAPage) {
  EXPECT_GT(Page{}.draw().width, 0);
  Page page;
  page.rows = {{}, {Picture{}}};
  EXPECT_GT(page.draw().height, 0);
}

TEST(WritePng, WritesAPngAndLeavesNothingElse) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("latticed-png-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  const auto path = (folder / "page.png").string();
  const auto written = write_png(path, filled(40, 30, {1, 2, 3}));
  ASSERT_TRUE(written) << written.error().message;
  std::ifstream in(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(in), {});
  EXPECT_EQ(bytes.substr(1, 3), "PNG");
  EXPECT_EQ(static_cast<unsigned char>(bytes[19]), 40);  // width and height in the IHDR chunk
  EXPECT_EQ(static_cast<unsigned char>(bytes[23]), 30);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  std::filesystem::remove_all(folder);
}

TEST(WritePng, SaysWhatIsWrong) {
  const auto missing = write_png("/nonexistent/folder/page.png", filled(4, 4, {}));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message,
            "write png '/nonexistent/folder/page.png': No such file or directory");
  EXPECT_EQ(write_png("/tmp/x.png", Picture{3, 3, {}}).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace latticed
