// SPDX-License-Identifier: GPL-3.0-or-later
// gRPC Calibration: a pixel's size from the reflections of a standard that the last frames show.
#pragma once

#include <latticed/v1/calibration.grpc.pb.h>

#include <functional>
#include <string>
#include <vector>

#include "server/control/calibration_store.hpp"
#include "server/control/call.hpp"
#include "server/live/publisher.hpp"

namespace latticed {

/// For status and configure replies, too.
[[nodiscard]] v1::PixelCalibration to_proto(const Calibration& calibration);

class CalibrationService final : public v1::Calibration::CallbackService {
 public:
  struct Parts {
    CallContext& context;
    CalibrationStore& store;
    std::vector<std::string> detectors;
    /// The last frames of a detector's present or last run. Control thread.
    std::function<Result<Publisher::LastFrames>(const std::string& detector, std::size_t frames)>
        last_frames;
    /// It was done, in words, for the record. Control thread.
    std::function<void(const std::string& detector, const std::string& what)> note;
  };
  explicit CalibrationService(Parts parts) : parts_(std::move(parts)) {}

  using Call = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;
  Unary* Calibrate(Call*, const v1::CalibrateRequest*, v1::CalibrationReply*) override;
  Unary* List(Call*, const v1::ListCalibrationsRequest*, v1::ListCalibrationsReply*) override;
  Unary* Clear(Call*, const v1::ClearCalibrationRequest*, v1::ListCalibrationsReply*) override;

 private:
  [[nodiscard]] Result<Calibration> measure(const v1::CalibrateRequest& request) const;
  void list(const std::string& detector, v1::ListCalibrationsReply& out) const;

  const Parts parts_;
};

}  // namespace latticed
