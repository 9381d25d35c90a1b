// SPDX-License-Identifier: GPL-3.0-or-later
// The tables by themselves: rows wait, are written, and come back. Whole recordings are read back
// in recording_test.cpp and recording_readers_test.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/record/event_table.hpp"
#include "server/record/frame_table.hpp"
#include "server/record/layout.hpp"
#include "server/record/measured_tables.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/hdf5_reading.hpp"

namespace latticed::record {
namespace {

using testing::ElementsAre;

class TablesTest : public testing::Test {
 protected:
  void SetUp() override {
    auto file = Hdf5File::create(folder_ / "a.h5");
    ASSERT_TRUE(file);
    file_ = std::move(*file);
  }
  test::ReadRecording read() {
    EXPECT_TRUE(author_.result());
    EXPECT_TRUE(file_.close());
    return test::ReadRecording(folder_ / "a.h5");
  }
  test::Folder folder_;
  Hdf5File file_;
  Hdf5Author author_;
};

TEST_F(TablesTest, AnEventOfAnyLengthComesBackWhole) {
  std::vector<std::string> texts;
  for (const std::size_t length : {0u, 1u, 511u, 512u, 513u, 1024u, 5000u})
    texts.push_back(std::string(length, static_cast<char>('a' + texts.size())));
  {
    EventTable events = EventTable::create(author_, file_.id());
    for (const std::string& text : texts) {
      RecordedEvent event;
      event.text = text;
      events.add(event);
    }
    EXPECT_TRUE(events.has_news());
    ASSERT_TRUE(events.write());
    EXPECT_FALSE(events.has_news());
    EXPECT_EQ(events.count(), texts.size());
  }
  const auto file = read();
  const auto ids = file.member<std::uint64_t>("/events", "id");
  const auto parts = file.member_texts("/events", "text");
  std::vector<std::string> back(texts.size());
  for (std::size_t i = 0; i < ids.size(); ++i) back.at(ids[i]) += parts[i];
  EXPECT_EQ(back, texts);
}

TEST_F(TablesTest, CorrectedFrameRowsAreWrittenInRunsAndAlone) {
  {
    const Handle info = author_.group(file_.id(), "info", {});
    FrameTable frames = FrameTable::create(author_, info, file_.id(), "start");
    for (std::uint64_t i = 0; i < 10; ++i) {
      FrameRow row;
      row.frame_id = 100 + i;
      ASSERT_TRUE(frames.add(row));
    }
    ASSERT_TRUE(frames.write());
    for (const std::uint64_t row : {1u, 2u, 3u, 5u, 9u, 8u})
      frames.correct(row, {static_cast<double>(row), 0.0, 0.0, 0.0f}, 32);
    EXPECT_TRUE(frames.has_news());
    ASSERT_TRUE(frames.write());
    EXPECT_FALSE(frames.has_news());
  }
  const auto file = read();
  EXPECT_THAT(file.column<std::uint32_t>("/info/flags"),
              ElementsAre(0, 32, 32, 32, 0, 32, 0, 0, 32, 32));
  const auto bias_v = file.column<double>("/info/bias_v");
  for (const std::size_t row : {1u, 2u, 3u, 5u, 8u, 9u})
    EXPECT_EQ(bias_v.at(row), static_cast<double>(row));
  EXPECT_TRUE(std::isnan(bias_v.at(0)));
  EXPECT_EQ(file.column<std::int64_t>("/indices_image").back(), 9);
}

TEST_F(TablesTest, AFullFrameTableRefusesUntilItIsWritten) {
  {
    const Handle info = author_.group(file_.id(), "info", {});
    FrameTable frames = FrameTable::create(author_, info, file_.id(), "start");
    for (std::size_t i = 0; i < FrameTable::kBuffered; ++i) ASSERT_TRUE(frames.add({}));
    EXPECT_FALSE(frames.add({}));
    EXPECT_EQ(frames.count(), FrameTable::kBuffered);
    ASSERT_TRUE(frames.write());
    EXPECT_TRUE(frames.add({}));
    ASSERT_TRUE(frames.write());
  }
  EXPECT_EQ(read().column<std::uint64_t>("/info/frame_id").size(), FrameTable::kBuffered + 1);
}

TEST_F(TablesTest, EveryPixelTypeHasItsOwnType) {
  for (const PixelType type : {PixelType::u8, PixelType::i8, PixelType::u16, PixelType::i16,
                               PixelType::u32, PixelType::i32, PixelType::f32})
    EXPECT_EQ(H5Tget_size(image_type(type)), bytes_per_pixel(type)) << to_string(type);
}

}  // namespace
}  // namespace latticed::record
