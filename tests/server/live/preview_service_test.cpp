// SPDX-License-Identifier: GPL-3.0-or-later
// Preview.Watch as clients see it.
#include "server/live/preview_service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/support/live_server.hpp"

namespace latticed::test {
namespace {

using testing::HasSubstr;

class PreviewServiceTest : public testing::Test {
 protected:
  static LiveOptions options() {
    LiveOptions options;
    options.detectors = {"camera"};
    options.zmq.endpoints = {};
    return options;
  }
  static v1::WatchPreviewRequest request(v1::ImageKind kind, std::uint32_t count = 0) {
    v1::WatchPreviewRequest out;
    out.set_kind(kind);
    out.set_rate_hz(30.0);
    out.set_count(count);
    return out;
  }
  Watcher<v1::Image> watch(const v1::WatchPreviewRequest& wanted) {
    return Watcher<v1::Image>(
        [&](grpc::ClientContext* call) { return stub_->Watch(call, wanted); });
  }
  grpc::Status status_of(const v1::WatchPreviewRequest& wanted) { return watch(wanted).finish(); }
  std::size_t streams() {
    std::size_t out = 0;
    for (const auto& edge : server_.live().counters()) out += edge.name().rfind("preview ", 0) == 0;
    return out;
  }
  LiveServer server_{options()};
  std::unique_ptr<v1::Preview::Stub> stub_ = v1::Preview::NewStub(server_.channel());
};

/// A run that goes on until it is told to end.
class EndlessRun {
 public:
  explicit EndlessRun(LiveServer& server, std::uint32_t epoch = 1)
      : run_(server, Script().frames(1'000'000), {.epoch = epoch, .follows_publisher = false}) {
    run_.start();
  }
  void end() {
    run_.detector().stop();
    run_.finish("stopped");
  }
  LiveRun& operator*() { return run_; }

 private:
  LiveRun run_;
};

TEST_F(PreviewServiceTest, ImagesComeNewerAndNewerAndEndAfterTheirCount) {
  auto watcher = watch(request(v1::IMAGE_KIND_RAW, 5));
  EndlessRun run(server_);
  std::uint64_t last = 0;
  for (int i = 0; i < 5; ++i) {
    const auto image = watcher.read();
    ASSERT_TRUE(image);
    if (i > 0) {
      EXPECT_GT(image->seq(), last);
    }
    last = image->seq();
    EXPECT_EQ(image->detector(), "camera");
    EXPECT_EQ(image->stamp().epoch(), 1u);
    EXPECT_EQ(image->width(), 64u);
    EXPECT_EQ(image->pixels().size(), 64u * 64u);
  }
  EXPECT_TRUE(watcher.finish().ok());
  run.end();
}

TEST_F(PreviewServiceTest, EveryKindIsDrawn) {
  EndlessRun run(server_);
  for (const auto kind : {v1::IMAGE_KIND_RAW, v1::IMAGE_KIND_ALIGNED, v1::IMAGE_KIND_DIFFERENCE,
                          v1::IMAGE_KIND_RUNNING_MEAN, v1::IMAGE_KIND_FFT})
    for (const auto encoding : {v1::ENCODING_GRAY8, v1::ENCODING_GRAY16, v1::ENCODING_JPEG}) {
      auto wanted = request(kind, 2);
      wanted.set_encoding(encoding);
      auto watcher = watch(wanted);
      const auto image = watcher.read();
      ASSERT_TRUE(image) << kind;
      EXPECT_EQ(image->kind(), kind);
      EXPECT_EQ(image->encoding(), encoding);
      EXPECT_FALSE(image->pixels().empty());
      const auto second = watcher.read();
      ASSERT_TRUE(second);
      if (kind == v1::IMAGE_KIND_RUNNING_MEAN) {
        EXPECT_GT(second->effective_frames(), 1.0);
      }
      EXPECT_TRUE(watcher.finish().ok());
    }
  run.end();
}

TEST_F(PreviewServiceTest, ASingleImageAfterTheRunIsItsLastFrame) {
  LiveRun run(server_, Script().frames(50), {});
  run.play();
  auto watcher = watch(request(v1::IMAGE_KIND_RAW, 1));
  const auto image = watcher.read();
  ASSERT_TRUE(image);
  EXPECT_EQ(image->seq(), 49u);
  EXPECT_TRUE(watcher.finish().ok());
  auto aligned = watch(request(v1::IMAGE_KIND_ALIGNED, 1));
  EXPECT_EQ(aligned.read()->seq(), 49u);
}

TEST_F(PreviewServiceTest, WithoutARunClientsWaitForOne) {
  auto watcher = watch(request(v1::IMAGE_KIND_RAW, 1));
  EXPECT_EQ(streams(), 1u);
  EndlessRun run(server_);
  EXPECT_TRUE(watcher.read());
  run.end();
}

TEST_F(PreviewServiceTest, AStreamGoesOnOverRuns) {
  auto watcher = watch(request(v1::IMAGE_KIND_RAW));
  for (std::uint32_t epoch = 1; epoch <= 2; ++epoch) {
    EndlessRun run(server_, epoch);
    const auto images =
        watcher.read_until([&](const auto& image) { return image.stamp().epoch() == epoch; });
    EXPECT_FALSE(images.empty());
    run.end();
  }
}

TEST_F(PreviewServiceTest, AClientThatDoesNotReadGetsFewerAndIsTold) {
  const auto channel = server_.new_channel();
  const auto stub = v1::Preview::NewStub(channel);
  auto wanted = request(v1::IMAGE_KIND_RAW);
  wanted.set_encoding(v1::ENCODING_GRAY16);
  Watcher<v1::Image> slow([&](grpc::ClientContext* call) { return stub->Watch(call, wanted); });
  EndlessRun run(server_);
  const auto missed = [&] {
    for (const auto& edge : server_.live().counters())
      if (!edge.lost().empty()) return edge.lost().begin()->second;
    return std::uint64_t{0};
  };
  ASSERT_TRUE(happens([&] { return missed() >= 3; }));
  // On a slow machine an image or two may still go out between the skipped ones.
  std::uint64_t told = 0;
  (void)slow.read_until([&](const auto& image) { return (told += image.skipped()) >= 3; });
  EXPECT_GE(told, 3u);
  run.end();
}

TEST_F(PreviewServiceTest, AClientThatVanishesIsFreed) {
  EndlessRun run(server_);
  {
    auto watcher = watch(request(v1::IMAGE_KIND_RAW));
    EXPECT_TRUE(watcher.read());
    EXPECT_EQ(streams(), 1u);
  }
  EXPECT_TRUE(happens([&] { return streams() == 0; }));
  run.end();
}

TEST_F(PreviewServiceTest, StrainIsSaidNotToBeThere) {
  const auto status = status_of(request(v1::IMAGE_KIND_STRAIN));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), HasSubstr("strain"));
}

TEST_F(PreviewServiceTest, WishesOutOfRangeAreRefusedWithTheRange) {
  const auto refused = [&](auto change, const char* what) {
    auto wanted = request(v1::IMAGE_KIND_RAW);
    change(wanted);
    const auto status = status_of(wanted);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << what;
    EXPECT_THAT(status.error_message(), HasSubstr(what));
  };
  refused([](auto& w) { w.set_kind(v1::IMAGE_KIND_UNSPECIFIED); }, "kind");
  refused([](auto& w) { w.set_size(15); }, "size 15");
  refused([](auto& w) { w.set_size(4097); }, "size 4097");
  refused([](auto& w) { w.set_rate_hz(31); }, "rate_hz");
  refused([](auto& w) { w.set_rate_hz(-1); }, "rate_hz");
  refused([](auto& w) { w.set_rate_hz(NAN); }, "rate_hz");
  refused([](auto& w) { w.set_encoding(static_cast<v1::Encoding>(9)); }, "encoding");
  refused([](auto& w) { w.set_black(3), w.set_white(3); }, "black");
  auto wanted = request(v1::IMAGE_KIND_RAW);
  wanted.set_detector("sphinx");
  EXPECT_EQ(status_of(wanted).error_code(), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace latticed::test
