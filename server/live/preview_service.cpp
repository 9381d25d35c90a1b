// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/preview_service.hpp"

#include <cmath>

#include "server/live/requests.hpp"
#include "server/rpc/refusal.hpp"

namespace latticed {
namespace {

constexpr double kFastest_hz = 30.0, kDefault_hz = 10.0;

grpc::Status invalid(const std::string& what) {
  return rpc::to_status(Error{ErrorCode::invalid_argument, "watch preview: " + what});
}

grpc::Status check(const v1::WatchPreviewRequest& wanted) {
  if (wanted.kind() == v1::IMAGE_KIND_STRAIN)
    return rpc::to_status(grpc::StatusCode::UNIMPLEMENTED,
                          "watch preview: strain maps are not there yet; IMAGE_KIND_DIFFERENCE "
                          "and the spots' spacings show where something changes",
                          "INVALID_VALUE");
  if (wanted.kind() < v1::IMAGE_KIND_RAW || wanted.kind() > v1::IMAGE_KIND_FFT)
    return invalid("kind " + std::to_string(wanted.kind()) + ": expected one of ImageKind");
  if (wanted.size() != 0 && (wanted.size() < 16 || wanted.size() > 4096))
    return invalid("size " + std::to_string(wanted.size()) + ": expected 16 to 4096, or 0 for 512");
  if (!(wanted.rate_hz() >= 0.0) || wanted.rate_hz() > kFastest_hz)
    return invalid("rate_hz " + std::to_string(wanted.rate_hz()) +
                   ": expected up to 30, or 0 for 10");
  if (wanted.encoding() < v1::ENCODING_UNSPECIFIED || wanted.encoding() > v1::ENCODING_JPEG)
    return invalid("encoding " + std::to_string(wanted.encoding()) + ": expected one of Encoding");
  const bool is_finite = std::isfinite(wanted.black()) && std::isfinite(wanted.white());
  if (!is_finite ||
      (wanted.has_black() && wanted.has_white() && !(wanted.white() > wanted.black())))
    return invalid("black " + std::to_string(wanted.black()) + ", white " +
                   std::to_string(wanted.white()) + ": expected white above black");
  return {};
}

PreviewWish wish_of(const v1::WatchPreviewRequest& wanted, const std::string& detector) {
  PreviewWish wish;
  wish.detector = detector;
  wish.view.kind = wanted.kind();
  if (wanted.size() != 0) wish.view.size = static_cast<int>(wanted.size());
  if (wanted.encoding() != v1::ENCODING_UNSPECIFIED) wish.view.encoding = wanted.encoding();
  if (wanted.has_black()) wish.view.black = wanted.black();
  if (wanted.has_white()) wish.view.white = wanted.white();
  const double rate = wanted.rate_hz() > 0.0 ? wanted.rate_hz() : kDefault_hz;
  // One picture in a year is rare enough for a clock.
  wish.period = std::chrono::nanoseconds(std::llround(std::min(1e9 / rate, 3e16)));
  wish.count = wanted.count();
  return wish;
}

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* PreviewService::Watch(grpc::CallbackServerContext* call,
                                                                  const grpc::ByteBuffer* request) {
  if (auto denied = parts_.gate->reading(*call); !denied.ok()) return refuse_stream(denied);
  v1::WatchPreviewRequest wanted;
  if (auto status = read_request(*request, wanted); !status.ok()) return refuse_stream(status);
  std::string detector = wanted.detector();
  if (auto status = find_detector(detector, parts_.detectors); !status.ok())
    return refuse_stream(status);
  if (auto status = check(wanted); !status.ok()) return refuse_stream(status);
  EventStream::Options options;
  options.name = "preview";
  options.detector = detector;
  options.policy = "latest_only";
  options.skipped_field = v1::Image::kSkippedFieldNumber;
  options.skipped = EventStream::Skipped::since_the_last;
  options.limits = {1, std::size_t{64} << 20};
  const auto stream = EventStream::open(*call, std::move(options), *parts_.streams);
  if (!parts_.preview->subscribe(stream, wish_of(wanted, detector)))
    stream->cut(too_busy("watch preview"));
  return stream.get();  // its list keeps it until gRPC is done with it
}

}  // namespace latticed
