// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/reference_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "server/control/references.hpp"
#include "tests/support/movie_writers.hpp"

namespace latticed::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kSide = 32;
constexpr std::size_t kPixels = kSide * kSide;
constexpr std::size_t kHot = 5 * kSide + 9, kDead = 20 * kSide + 3;

/// Dark 100 with a little pattern and one hot pixel.
float dark_at(std::size_t i) {
  return i == kHot ? 4000.0f : 100.0f + static_cast<float>(i % 7) * 0.5f;
}
/// Light that falls evenly on pixels of uneven gain; one sees nothing.
float light_at(std::size_t i) {
  return i == kDead ? 0.0f : 1000.0f * (1.0f + 0.05f * std::sin(static_cast<float>(i)));
}

template <class F>
MeanImage image_of(F value, std::uint32_t blanked = 0) {
  MeanImage image{{kSide, kSide, PixelType::u16}, 64, blanked, std::vector<float>(kPixels)};
  for (std::size_t i = 0; i < kPixels; ++i) image.mean[i] = value(i);
  return image;
}
MeanImage dark_image() { return image_of(dark_at, 64); }
MeanImage flat_image() {
  return image_of([](std::size_t i) { return dark_at(i) + light_at(i); });
}

class ReferenceStoreTest : public testing::Test {
 protected:
  ReferenceStoreTest() {
    detectors_.resize(2);
    detectors_[0].name = "haadf";
    detectors_[1].name = "abf";
  }
  ReferenceStore open() {
    auto store = ReferenceStore::open(folder_ / "references", detectors_);
    EXPECT_TRUE(store) << store.error().message;
    return std::move(*store);
  }
  TemporaryFolder folder_;
  std::vector<DetectorConfig> detectors_;
};

TEST_F(ReferenceStoreTest, WritesADarkReferenceThatARunCanUse) {
  ReferenceStore sut = open();
  const auto record = sut.add(detectors_[0], ReferenceKind::dark, dark_image());
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_THAT(record->hot_pixels, ElementsAre(kHot));
  EXPECT_GT(record->time_ns, 0);
  EXPECT_EQ(detectors_[0].references.dark, record->file);
  EXPECT_EQ(detectors_[1].references.dark, "");
  const auto maps = load_references(detectors_[0].references, {kSide, kSide, PixelType::u16});
  ASSERT_TRUE(maps) << maps.error().message;
  for (std::size_t i = 0; i < kPixels; ++i) EXPECT_EQ(maps->dark[i], dark_at(i));
}

TEST_F(ReferenceStoreTest, MakesTheGainFromTheLightAlone) {
  ReferenceStore sut = open();
  ASSERT_TRUE(sut.add(detectors_[0], ReferenceKind::dark, dark_image()));
  const auto record = sut.add(detectors_[0], ReferenceKind::gain, flat_image());
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_THAT(record->hot_pixels, testing::Contains(kDead));
  const auto maps = load_references(detectors_[0].references, {kSide, kSide, PixelType::u16});
  ASSERT_TRUE(maps);
  // Corrected, the flat field is flat: every good pixel has the same value within float's rounding.
  const double level = (flat_image().mean[0] - maps->dark[0]) * maps->gain[0];
  for (std::size_t i = 0; i < kPixels; ++i) {
    if (i == kDead || i == kHot) continue;
    EXPECT_NEAR((flat_image().mean[i] - maps->dark[i]) * maps->gain[i], level, 1e-3 * level);
  }
}

TEST_F(ReferenceStoreTest, RefusesWhatWouldMakeAWrongReference) {
  ReferenceStore sut = open();
  const auto without_dark = sut.add(detectors_[0], ReferenceKind::gain, flat_image());
  ASSERT_FALSE(without_dark);
  EXPECT_THAT(without_dark.error().message, HasSubstr("no dark reference"));

  ASSERT_TRUE(sut.add(detectors_[0], ReferenceKind::dark, dark_image()));
  EXPECT_THAT(sut.add(detectors_[0], ReferenceKind::gain, dark_image()).error().message,
              HasSubstr("blanked"));
  EXPECT_THAT(sut.add(detectors_[0], ReferenceKind::gain, image_of(dark_at)).error().message,
              HasSubstr("not brighter"));
  EXPECT_THAT(sut.add(detectors_[0], ReferenceKind::dark, image_of(dark_at, 3)).error().message,
              HasSubstr("in 3 of 64"));
  MeanImage none = dark_image();
  none.frames = 0;
  EXPECT_THAT(sut.add(detectors_[0], ReferenceKind::dark, none).error().message,
              HasSubstr("no frame"));
  EXPECT_EQ(sut.list(detectors_).size(), 1u);
}

TEST_F(ReferenceStoreTest, RemembersOverARestartWhichIsInUse) {
  std::string first, second;
  {
    ReferenceStore sut = open();
    first = sut.add(detectors_[0], ReferenceKind::dark, dark_image())->file;
    second = sut.add(detectors_[0], ReferenceKind::dark, dark_image())->file;
    EXPECT_NE(first, second) << "nothing is overwritten within a second";
    ASSERT_TRUE(sut.use(detectors_[0], ReferenceKind::dark, first));
  }
  detectors_[0].references = {};
  const ReferenceStore sut = open();
  EXPECT_EQ(detectors_[0].references.dark, first);
  const auto list = sut.list(detectors_);
  ASSERT_EQ(list.size(), 2u);
  for (const ReferenceRecord& record : list) EXPECT_EQ(record.is_in_use, record.file == first);
}

TEST_F(ReferenceStoreTest, ListsThoseOfTheConfigurationAndCanUseNone) {
  detectors_[1].references.gain = "/elsewhere/gain.mrc";
  ReferenceStore sut = open();
  ASSERT_EQ(sut.list(detectors_).size(), 1u);
  EXPECT_EQ(sut.list(detectors_)[0].kind, ReferenceKind::gain);
  EXPECT_TRUE(sut.list(detectors_)[0].is_in_use);
  ASSERT_TRUE(sut.use(detectors_[1], ReferenceKind::gain, ""));
  EXPECT_EQ(detectors_[1].references.gain, "");
  EXPECT_EQ(sut.use(detectors_[1], ReferenceKind::gain, "no.tif").error().code,
            ErrorCode::not_found);
}

TEST_F(ReferenceStoreTest, LeavesOutWhatIsDamaged) {
  { ReferenceStore sut = open(); }
  const std::string file = folder_ / "references/in-use.json";
  for (const std::string text : {R"([1, {"detector": 2, "file": []}, null])", "{", "[[]]"}) {
    write_bytes(file, Bytes(text.begin(), text.end()));
    const ReferenceStore sut = open();
    EXPECT_EQ(detectors_[0].references.dark, "") << text;
  }
  const std::string gone = R"([{"detector": "haadf", "kind": "dark", "file": "/no/such.tif"}])";
  write_bytes(file, Bytes(gone.begin(), gone.end()));
  const ReferenceStore sut = open();
  EXPECT_EQ(detectors_[0].references.dark, "");
}

}  // namespace
}  // namespace latticed::test
