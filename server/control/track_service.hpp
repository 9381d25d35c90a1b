// SPDX-License-Identifier: GPL-3.0-or-later
// gRPC Track: changes of what is measured, made between two frames of the running run. On a thread
// of their own: a change waits for a frame, and a stop must not wait for it.
#pragma once

#include <latticed/v1/track.grpc.pb.h>

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server/control/acquisition.hpp"
#include "server/control/call.hpp"
#include "server/process/track_change.hpp"

namespace latticed {

class TrackService final : public v1::Track::CallbackService {
 public:
  /// `context`'s control thread is the one changes wait on; `runs` is that of the acquisition.
  TrackService(CallContext& context, Acquisition& acquisition, ControlThread& runs);

  using Call = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;
  Unary* Get(Call*, const v1::GetTrackRequest*, v1::TrackReply*) override;
  Unary* SetRegion(Call*, const v1::SetRegionRequest*, v1::TrackReply*) override;
  Unary* SetReference(Call*, const v1::SetReferenceRequest*, v1::TrackReply*) override;
  Unary* WatchSpot(Call*, const v1::WatchSpotRequest*, v1::TrackReply*) override;
  Unary* ForgetSpot(Call*, const v1::ForgetSpotRequest*, v1::TrackReply*) override;
  Unary* Reset(Call*, const v1::ResetTrackRequest*, v1::TrackReply*) override;

 private:
  struct Watched {
    std::uint32_t spot_id = 0;
    Vector2 g_per_nm;
  };
  struct Followed {           // of one detector
    std::uint32_t epoch = 0;  // of the run the spots are watched in
    signal::Region region;    // width 0 = the whole frame
    std::vector<Watched> watched;
  };
  struct Made {  // a change, from this frame on; not set: no run is on, it holds for those to come
    std::optional<std::uint64_t> from_seq;
  };
  Result<std::string> resolve(const std::string& detector) const;
  Result<Made> change(const std::string& detector, TrackChange change,
                      std::chrono::milliseconds timeout) const;
  /// `make(detector, timeout)` on the thread of changes, then the reply.
  using Make = std::function<Result<Made>(const std::string&, std::chrono::milliseconds)>;
  Unary* changed(Call* call, const char* method, const std::string& request_id,
                 const std::string& detector, v1::TrackReply* reply, Make make);
  void fill(const std::string& detector, v1::TrackReply& out) const;

  CallContext& context_;
  Acquisition& acquisition_;
  ControlThread& runs_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, Followed> followed_;
};

}  // namespace latticed
