// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/recording_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "server/record/crc32c.hpp"
#include "server/record/recorded_event.hpp"
#include "server/record/recorded_table.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/recorded_run.hpp"

namespace latticed::test {
namespace {

using record::Recording;
using record::RecordingReader;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RecordingReaderTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kImages = 17;  // of 20 frames, 5 to 7 are lost

  std::unique_ptr<Recording> record() {
    run_.facts().holders = {holder_};
    run_.facts().run.frame_period_s = 0.3;  // as configured; the frames come every 0.1 s
    auto made = Recording::create(folder_.path(), run_.facts());
    EXPECT_TRUE(made) << made.error().message;
    Recording& recording = **made;
    recording.add(RecordedEvent{recorded_time_ns(1), 1, kNoFrame, EventKind::tag,
                                EventSeverity::info, "operator", "here it cracks: µ"});
    recording.add(RecordedEvent{recorded_time_ns(4), 4, kNoFrame, EventKind::parameter,
                                EventSeverity::warning, "a person",
                                std::string(1300, 'x') + "end"});
    std::int64_t sample = 0;
    for (std::uint64_t seq = 0; seq < 20; ++seq) {
      if (seq == 5) {
        EXPECT_TRUE(recording.add(*run_.lost(5, 3)));
        seq = 8;
      }
      EXPECT_TRUE(recording.add(*run_.frame(seq)));
      play_holder(*holder_, sample, recorded_time_ns(seq));
    }
    EXPECT_TRUE(recording.flush());
    return std::move(*made);
  }
  std::string recorded() {
    const auto recording = record();
    const auto path = recording->finish({});
    EXPECT_TRUE(path) << path.error().message;
    return path ? *path : "";
  }
  static std::uint64_t seq_of(std::uint64_t row) { return row < 5 ? row : row + 3; }

  void expect_images(const RecordingReader& reader) const {
    ASSERT_EQ(reader.facts().images, kImages);
    const std::size_t bytes = reader.facts().geometry.bytes();
    std::vector<std::byte> wanted(bytes), read(bytes);
    for (std::uint64_t row = 0; row < kImages; ++row) {
      run_.paint(seq_of(row), wanted);
      const auto ok = reader.read_image(row, read);
      ASSERT_TRUE(ok) << ok.error().message;
      ASSERT_EQ(read, wanted) << row;
    }
  }

  Folder folder_;
  RecordedRun run_;
  std::shared_ptr<HolderLog> holder_ = std::make_shared<HolderLog>("bias1", 0.02);
};

RecordingReader opened(const std::string& path) {
  auto reader = RecordingReader::open(path);
  if (!reader) throw std::runtime_error(reader.error().message);
  return std::move(*reader);
}

TEST_F(RecordingReaderTest, FactsAreThoseOfTheRun) {
  const RecordingReader reader = opened(recorded());
  const record::ReadFacts& facts = reader.facts();
  EXPECT_EQ(facts.name, "run");
  EXPECT_EQ(facts.sample, "NaMnO2 #7");
  EXPECT_EQ(facts.operator_name, "M. Muster");
  EXPECT_EQ(facts.comment, "second charge");
  EXPECT_EQ(facts.detector, "haadf");
  EXPECT_EQ(facts.started, "2023-11-14T22:13:20.000000000Z");
  EXPECT_EQ(facts.started_ns, kRunStart_ns);
  EXPECT_EQ(facts.geometry, (FrameGeometry{24, 16, PixelType::u16}));
  EXPECT_DOUBLE_EQ(facts.pixel_size_nm, kPixelSize_nm);
  EXPECT_DOUBLE_EQ(facts.frame_period_s, 0.1) << "as the frames came, not as configured";
  ASSERT_TRUE(facts.high_tension_v);
  EXPECT_DOUBLE_EQ(*facts.high_tension_v, 300e3);
  EXPECT_TRUE(facts.is_complete);
  EXPECT_TRUE(facts.is_simulation);
  EXPECT_EQ(reader.configuration(), "[run]\nname = \"µ\"\n");
}

TEST_F(RecordingReaderTest, EveryImageComesBackBitByBit) { expect_images(opened(recorded())); }

TEST_F(RecordingReaderTest, APartIsReadWhileItIsWritten) {
  const auto recording = record();
  const RecordingReader reader = opened(recording->path());
  EXPECT_FALSE(reader.facts().is_complete);
  expect_images(reader);
  EXPECT_EQ(reader.frame_info()->rows(), kImages);
  EXPECT_EQ(reader.lost()->size(), 1u);
}

TEST_F(RecordingReaderTest, ColumnsKeepTheirTypesAndUnits) {
  const RecordingReader reader = opened(recorded());
  const auto info = reader.frame_info();
  ASSERT_TRUE(info) << info.error().message;
  ASSERT_EQ(info->rows(), kImages);
  const auto ids = info->exact<std::uint64_t>("frame_id");
  const auto times = info->exact<std::int64_t>("time_ns");
  const auto exposures = info->exact<float>("exposure");
  const auto drift = info->exact<double>("drift_x_px");
  const auto crcs = info->exact<std::uint64_t>("crc32c");
  ASSERT_EQ(exposures.size(), kImages);
  std::vector<std::byte> image(reader.facts().geometry.bytes());
  for (std::uint64_t row = 0; row < kImages; ++row) {
    EXPECT_EQ(ids[row], seq_of(row));
    EXPECT_EQ(times[row], recorded_time_ns(seq_of(row)));
    EXPECT_EQ(exposures[row], 0.08f);
    EXPECT_EQ(drift[row], 0.1 * static_cast<double>(seq_of(row)));
    ASSERT_TRUE(reader.read_image(row, image));
    EXPECT_EQ(crcs[row], record::crc32c(image));
  }
  EXPECT_EQ(info->find("drift_x_px")->units, "px");
  EXPECT_THAT(info->find("flags")->meaning, HasSubstr("saturated"));
  EXPECT_EQ(info->numbers("frame_id").at(16), 19.0);
  EXPECT_EQ(info->find("no_such"), nullptr);
  EXPECT_THAT(info->numbers("no_such"), IsEmpty());
  EXPECT_THAT(info->exact<float>("time_ns"), IsEmpty()) << "of another type";
}

TEST_F(RecordingReaderTest, TablesHaveNamedColumns) {
  const RecordingReader reader = opened(recorded());
  const auto spots = reader.table("/entry/processing/lattice/found/spots");
  ASSERT_TRUE(spots) << spots.error().message;
  EXPECT_EQ(spots->name, "spots");
  EXPECT_THAT(spots->meaning, HasSubstr("one row per reflection"));
  std::vector<double> seq, spacing;
  for (std::uint64_t row = 0; row < kImages; ++row)
    for (std::uint64_t i = 1; i <= 1 + seq_of(row) % 3; ++i) {
      seq.push_back(static_cast<double>(seq_of(row)));
      spacing.push_back(0.5 / static_cast<double>(i));
    }
  EXPECT_EQ(spots->numbers("seq"), seq);
  EXPECT_EQ(spots->numbers("d_nm"), spacing);
  EXPECT_EQ(reader.table("/entry/processing/running_sum/found/sums")->rows(), 0u);
  const auto none = reader.table("/entry/processing/no_such");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("/entry/processing/no_such: the file has none"));
}

TEST_F(RecordingReaderTest, LossesAndEventsAreWhole) {
  const RecordingReader reader = opened(recorded());
  const auto lost = reader.lost();
  ASSERT_TRUE(lost) << lost.error().message;
  ASSERT_EQ(lost->size(), 1u);
  EXPECT_EQ(lost->at(0).seq, 5u);
  EXPECT_EQ(lost->at(0).count, 3u);
  EXPECT_EQ(lost->at(0).before_image, 5u);
  EXPECT_EQ(lost->at(0).reason, "no_free_slot");
  const auto events = reader.events();
  ASSERT_TRUE(events) << events.error().message;
  const auto by_source = [&](const char* source) {
    return *std::find_if(events->begin(), events->end(),
                         [&](const record::ReadEvent& e) { return e.source == source; });
  };
  const record::ReadEvent tag = by_source("operator"), change = by_source("a person");
  EXPECT_EQ(tag.text, "here it cracks: µ");
  EXPECT_EQ(tag.kind, "tag");
  EXPECT_EQ(tag.frame_first, 1u);
  EXPECT_EQ(tag.frame_last, kNoFrame);
  EXPECT_EQ(tag.time_ns, recorded_time_ns(1));
  EXPECT_EQ(change.severity, "warning");
  EXPECT_EQ(change.text, std::string(1300, 'x') + "end") << "in one piece";
}

TEST_F(RecordingReaderTest, SensorsSayEverySample) {
  const RecordingReader reader = opened(recorded());
  const auto sensors = reader.sensors();
  ASSERT_TRUE(sensors) << sensors.error().message;
  ASSERT_EQ(sensors->size(), 3u);
  const record::SensorLog& current = sensors->at(0);
  const record::SensorLog& bias = sensors->at(1);
  EXPECT_EQ(current.sensor, "sensor_bias_current");
  EXPECT_EQ(bias.holder, "bias1");
  EXPECT_EQ(bias.measurement, "voltage");
  EXPECT_EQ(bias.units, "V");
  ASSERT_GT(bias.value.size(), 200u);
  ASSERT_EQ(bias.time_ns.size(), bias.value.size());
  for (std::size_t i = 0; i < bias.value.size(); ++i) {
    const HolderSample sample = true_sample(static_cast<std::int64_t>(i));
    EXPECT_EQ(bias.time_ns[i], sample.time_ns);
    EXPECT_EQ(bias.value[i], sample.bias_v);
    EXPECT_EQ(current.value[i], sample.current_a);
    EXPECT_EQ(bias.state[i], i % 3 == 0 ? 5u : 1u);
    EXPECT_DOUBLE_EQ(bias.time_s[i], 0.007 * static_cast<double>(i));
  }
}

TEST_F(RecordingReaderTest, AWrongRequestIsRefusedWithItsReason) {
  const RecordingReader reader = opened(recorded());
  std::vector<std::byte> image(reader.facts().geometry.bytes());
  const auto behind = reader.read_image(kImages, image);
  ASSERT_FALSE(behind);
  EXPECT_EQ(behind.error().code, ErrorCode::out_of_range);
  EXPECT_THAT(behind.error().message, HasSubstr("image 17 was asked for, it has 17"));
  image.pop_back();
  EXPECT_EQ(reader.read_image(0, image).error().code, ErrorCode::invalid_argument);
}

/// The images once more, through a filter; false: this machine cannot pack with it.
bool repack_images(const std::string& path, H5Z_filter_t filter) {
  const files::QuietHdf5 quiet;
  constexpr const char* kImages = "/entry/measurement/event1/image1/stack_2d/real";
  const files::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
  std::vector<std::uint16_t> pixels;
  files::Handle space;
  {
    const files::Handle images(H5Dopen2(file, kImages, H5P_DEFAULT));
    space = files::Handle(H5Dget_space(images));
    pixels.resize(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
    H5Dread(images, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, pixels.data());
  }
  H5Ldelete(file, kImages, H5P_DEFAULT);
  const files::Handle creation(H5Pcreate(H5P_DATASET_CREATE));
  const hsize_t chunk[] = {1, 16, 24};
  H5Pset_chunk(creation, 3, chunk);
  if (H5Pset_filter(creation, filter, H5Z_FLAG_OPTIONAL, 0, nullptr) < 0) return false;
  const files::Handle images(
      H5Dcreate2(file, kImages, H5T_STD_U16LE, space, H5P_DEFAULT, creation, H5P_DEFAULT));
  return H5Dwrite(images, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, pixels.data()) >= 0;
}

TEST_F(RecordingReaderTest, CompressedImagesAreUnpacked) {
  const std::string path = recorded();
  ASSERT_TRUE(repack_images(path, H5Z_FILTER_DEFLATE));
  expect_images(opened(path));
}

TEST_F(RecordingReaderTest, AMissingFilterIsNamedAndTheTablesStayReadable) {
  const std::string path = recorded();
  repack_images(path, 32999);
  const RecordingReader reader = opened(path);
  std::vector<std::byte> image(reader.facts().geometry.bytes());
  const auto ok = reader.read_image(0, image);
  ASSERT_FALSE(ok);
  EXPECT_EQ(ok.error().code, ErrorCode::failed_precondition);
  EXPECT_THAT(ok.error().message, HasSubstr("HDF5 filter 32999"));
  EXPECT_EQ(reader.frame_info()->rows(), kImages);
}

TEST_F(RecordingReaderTest, WhatIsNoRecordingIsSaidToBeNone) {
  const auto absent = RecordingReader::open(folder_ / "absent.nxs");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ErrorCode::unavailable);
  EXPECT_THAT(absent.error().message, HasSubstr("No such file"));

  std::ofstream(folder_ / "text.nxs") << "not HDF5";
  EXPECT_EQ(RecordingReader::open(folder_ / "text.nxs").error().code, ErrorCode::data_loss);

  { const files::Handle other(H5Fcreate((folder_ / "other.h5").c_str(), H5F_ACC_EXCL, 0, 0)); }
  const auto other = RecordingReader::open(folder_ / "other.h5");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(other.error().message, HasSubstr("not written by latticed"));
}

TEST_F(RecordingReaderTest, ARecordingThatWasCutOffIsRefusedNotInvented) {
  const std::string path = recorded();
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  const auto reader = RecordingReader::open(path);
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code, ErrorCode::data_loss);
}

}  // namespace
}  // namespace latticed::test
