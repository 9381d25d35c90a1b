// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/track_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace latticed {

using namespace std::chrono_literals;

namespace {

constexpr auto kLongestChange = 60s;

Line* line_of(const Run& run, const std::string& detector) {
  for (const auto& line : run.pipeline().lines())
    if (line->run().detector.name == detector) return line.get();
  return nullptr;
}

}  // namespace

Result<std::string> TrackService::resolve(const std::string& detector) const {
  const auto all = acquisition_.known_detectors();
  if (detector.empty() && all.size() == 1) return all.front().name;
  std::string names;
  for (const KnownDetector& one : all) {
    if (one.name == detector) return detector;
    names += (names.empty() ? "" : ", ") + one.name;
  }
  if (detector.empty())
    return Error{ErrorCode::invalid_argument,
                 fmt::format("detector: missing (expected one of {})", names)};
  return Error{ErrorCode::not_found,
               fmt::format("there is no detector \"{}\" (expected one of {})", detector, names)};
}

TrackService::TrackService(CallContext& context, Acquisition& acquisition, ControlThread& runs)
    : context_(context), acquisition_(acquisition), runs_(runs) {
  for (const DetectorConfig& detector : acquisition.detectors())
    followed_[detector.name].region = detector.line.prepare.region;
}

Result<TrackService::Made> TrackService::change(const std::string& detector, TrackChange change,
                                                std::chrono::milliseconds timeout) const {
  const auto made = acquisition_.change(detector, std::move(change), timeout);
  if (!made) return made.error();
  return Made{made->from_seq};
}

void TrackService::fill(const std::string& detector, v1::TrackReply& out) const {
  out.set_detector(detector);
  const auto run = acquisition_.run();
  const Line* line = run ? line_of(*run, detector) : nullptr;
  const std::lock_guard lock(mutex_);
  const auto found = followed_.find(detector);
  signal::Region region = found != followed_.end() ? found->second.region : signal::Region{};
  if (region.width == 0) {
    for (const KnownDetector& known : acquisition_.known_detectors())
      if (known.name == detector && known.configuration)
        region = {0, 0, known.configuration->geometry.width, known.configuration->geometry.height};
  }
  out.mutable_region()->set_x(region.x);
  out.mutable_region()->set_y(region.y);
  out.mutable_region()->set_width(region.width);
  out.mutable_region()->set_height(region.height);
  if (!line || found == followed_.end() || found->second.epoch != line->run().epoch) return;
  for (const Watched& watched : found->second.watched) {
    v1::Vector2& g = *out.add_watched();
    g.set_x(watched.g_per_nm.x);
    g.set_y(watched.g_per_nm.y);
  }
}

grpc::ServerUnaryReactor* TrackService::Get(Call* call, const v1::GetTrackRequest* request,
                                            v1::TrackReply* reply) {
  return read_call(context_, call, reply, [&] {
    const auto detector = resolve(request->detector());
    if (!detector) return rpc::to_status(detector.error());
    fill(*detector, *reply);
    return grpc::Status();
  });
}

grpc::ServerUnaryReactor* TrackService::changed(Call* call, const char* method,
                                                const std::string& request_id,
                                                const std::string& wanted, v1::TrackReply* reply,
                                                Make make) {
  return control_call(context_, call, method, request_id, reply,
                      [this, call, wanted, reply, make = std::move(make)](const Answer& answer) {
                        const auto detector = resolve(wanted);
                        if (!detector) return answer(rpc::to_status(detector.error()));
                        const auto timeout = std::min<std::chrono::milliseconds>(
                            rpc::time_left(*call), kLongestChange);
                        const auto made = make(*detector, timeout);
                        if (!made) return answer(rpc::to_status(made.error()));
                        if (made->from_seq) reply->set_from_seq(*made->from_seq);
                        fill(*detector, *reply);
                        answer({});
                      });
}

grpc::ServerUnaryReactor* TrackService::SetRegion(Call* call, const v1::SetRegionRequest* request,
                                                  v1::TrackReply* reply) {
  const signal::Region region{request->region().x(), request->region().y(),
                              request->region().width(), request->region().height()};
  return changed(
      call, "SetRegion", request->request_id(), request->detector(), reply,
      [this, region](const std::string& detector,
                     std::chrono::milliseconds timeout) -> Result<Made> {
        if (region.x < 0 || region.y < 0 || region.width < 0 || region.height < 0 ||
            (region.width > 0 && region.height == 0))
          return Error{ErrorCode::invalid_argument,
                       fmt::format("set region {}x{} at ({}, {}): expected a corner in the frame "
                                   "and a size, or width 0",
                                   region.width, region.height, region.x, region.y)};
        for (const KnownDetector& known : acquisition_.known_detectors()) {
          if (known.name != detector || !known.configuration || region.width == 0) continue;
          const FrameGeometry& frame = known.configuration->geometry;
          if (region.x > frame.width - region.width || region.y > frame.height - region.height)
            return Error{ErrorCode::out_of_range,
                         fmt::format("set region {}x{} at ({}, {}): not inside the frame of {}x{}",
                                     region.width, region.height, region.x, region.y, frame.width,
                                     frame.height)};
        }
        Made made;
        if (const auto state = acquisition_.status();
            state.epoch != 0 &&
            (state.state == RunState::armed || state.state == RunState::running)) {
          auto done = change(detector, latticed::SetRegion{region}, timeout);
          if (!done) return done.error();
          made = *done;
        }
        runs_.post([this, detector, region] {
          for (DetectorConfig& config : acquisition_.detectors())
            if (config.name == detector) config.line.prepare.region = region;
        });
        const std::lock_guard lock(mutex_);
        followed_[detector].region = region;
        return made;
      });
}

grpc::ServerUnaryReactor* TrackService::SetReference(Call* call,
                                                     const v1::SetReferenceRequest* request,
                                                     v1::TrackReply* reply) {
  return changed(call, "SetReference", request->request_id(), request->detector(), reply,
                 [this](const std::string& detector, std::chrono::milliseconds timeout) {
                   return change(detector, latticed::SetReference{}, timeout);
                 });
}

grpc::ServerUnaryReactor* TrackService::Reset(Call* call, const v1::ResetTrackRequest* request,
                                              v1::TrackReply* reply) {
  return changed(call, "Reset", request->request_id(), request->detector(), reply,
                 [this](const std::string& detector, std::chrono::milliseconds timeout) {
                   return change(detector, ResetTracking{}, timeout);
                 });
}

grpc::ServerUnaryReactor* TrackService::WatchSpot(Call* call, const v1::WatchSpotRequest* request,
                                                  v1::TrackReply* reply) {
  const latticed::WatchSpot watch{{request->g_per_nm().x(), request->g_per_nm().y()},
                                  request->tolerance_per_nm()};
  return changed(call, "WatchSpot", request->request_id(), request->detector(), reply,
                 [this, watch](const std::string& detector,
                               std::chrono::milliseconds timeout) -> Result<Made> {
                   const auto made = acquisition_.change(detector, watch, timeout);
                   if (!made) return made.error();
                   const auto run = acquisition_.run();
                   const std::lock_guard lock(mutex_);
                   Followed& followed = followed_[detector];
                   const std::uint32_t epoch =
                       run ? run->pipeline().lines().front()->run().epoch : 0;
                   if (followed.epoch != epoch) followed.watched.clear();
                   followed.epoch = epoch;
                   followed.watched.push_back({made->spot_id, watch.g_per_nm});
                   return Made{made->from_seq};
                 });
}

grpc::ServerUnaryReactor* TrackService::ForgetSpot(Call* call, const v1::ForgetSpotRequest* request,
                                                   v1::TrackReply* reply) {
  return changed(
      call, "ForgetSpot", request->request_id(), request->detector(), reply,
      [this, wanted = request->spot_id()](const std::string& detector,
                                          std::chrono::milliseconds timeout) -> Result<Made> {
        std::vector<std::uint32_t> ids;
        if (wanted != 0) {
          ids.push_back(wanted);
        } else {
          const std::lock_guard lock(mutex_);
          for (const Watched& watched : followed_[detector].watched) ids.push_back(watched.spot_id);
        }
        Made last;
        for (const std::uint32_t id : ids) {
          auto made = change(detector, latticed::ForgetSpot{id}, timeout);
          if (!made) return made.error();
          last = *made;
          const std::lock_guard lock(mutex_);
          std::erase_if(followed_[detector].watched,
                        [&](const Watched& watched) { return watched.spot_id == id; });
        }
        return last;
      });
}

}  // namespace latticed
