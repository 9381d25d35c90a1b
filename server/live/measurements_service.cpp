// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/measurements_service.hpp"

#include "server/live/requests.hpp"
#include "server/rpc/refusal.hpp"

namespace latticed {

grpc::Status MeasurementsService::check(const v1::WatchMeasurementsRequest& wanted) const {
  std::string detector = wanted.detector();
  // A frame's number is of one detector; without one, all is meant.
  if (wanted.has_from_seq()) return find_detector(detector, parts_.detectors);
  if (detector.empty()) return {};
  return check_detector(detector, parts_.detectors);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* MeasurementsService::Watch(
    grpc::CallbackServerContext* call, const grpc::ByteBuffer* request) {
  if (auto denied = parts_.gate->reading(*call); !denied.ok()) return refuse_stream(denied);
  v1::WatchMeasurementsRequest wanted;
  if (auto status = read_request(*request, wanted); !status.ok()) return refuse_stream(status);
  if (auto status = check(wanted); !status.ok()) return refuse_stream(status);
  EventStream::Options options;
  options.name = "measurements";
  options.detector = wanted.detector();
  options.skipped_field = v1::MeasurementEvent::kSkippedFieldNumber;
  options.limits = parts_.limits;
  const auto stream = EventStream::open(*call, std::move(options), *parts_.streams);
  if (!parts_.publisher->subscribe(stream, wanted)) stream->cut(too_busy("watch measurements"));
  return stream.get();  // its list keeps it until gRPC is done with it
}

}  // namespace latticed
