// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/reference_store.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <opencv2/imgcodecs.hpp>

#include "drivers/files/movie_reader.hpp"
#include "server/base/utc_clock.hpp"
#include "server/control/references.hpp"
#include "server/signal/hot_pixels.hpp"

namespace latticed {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

constexpr const char* kInUseFile = "in-use.json";

std::string date_of(std::int64_t time_ns) {
  return fmt::format("{:%Y%m%dT%H%M%S}Z",
                     fmt::gmtime(static_cast<std::time_t>(time_ns / 1000000000)));
}

Error cannot_write(const std::string& path, const std::string& why) {
  return {ErrorCode::unavailable, fmt::format("write reference {}: {}", path, why)};
}

/// All of it or nothing: written beside, then renamed.
Result<void> write_json(const std::string& path, const Json& json) {
  const std::string part = path + ".part";
  {
    std::ofstream out(part);
    out << json.dump(1) << '\n';
    if (!out.flush()) return cannot_write(path, "disk error");
  }
  std::error_code problem;
  fs::rename(part, path, problem);
  if (problem) return cannot_write(path, problem.message());
  return {};
}

Result<void> write_image(const std::string& path, std::vector<float>& pixels, int width,
                         int height) {
  const cv::Mat image(height, width, CV_32F, pixels.data());
  try {
    // 1: not compressed.
    if (cv::imwrite(path, image, {cv::IMWRITE_TIFF_COMPRESSION, 1})) return {};
    return cannot_write(path, "disk error");
  } catch (const cv::Exception& problem) {
    return cannot_write(path, problem.what());
  }
}

Json to_json(const ReferenceRecord& r) {
  return {{"detector", r.detector}, {"kind", to_string(r.kind)},
          {"time_ns", r.time_ns},   {"frames", r.frames},
          {"mean", r.mean},         {"width", r.width},
          {"height", r.height},     {"hot_pixels", r.hot_pixels}};
}

std::optional<ReferenceRecord> from_json(const std::string& file) {
  std::ifstream in(file + ".json");
  const Json json = Json::parse(in, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return std::nullopt;
  try {
    ReferenceRecord r;
    r.detector = json.at("detector").get<std::string>();
    r.kind = json.at("kind") == "gain" ? ReferenceKind::gain : ReferenceKind::dark;
    r.file = file;
    r.time_ns = json.at("time_ns").get<std::int64_t>();
    r.frames = json.at("frames").get<std::uint32_t>();
    r.mean = json.at("mean").get<double>();
    r.width = json.at("width").get<int>();
    r.height = json.at("height").get<int>();
    r.hot_pixels = json.at("hot_pixels").get<std::vector<std::uint32_t>>();
    return r;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

/// Empty: there is no such text.
std::string text_of(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

double mean_of(const std::vector<float>& values) {
  double sum = 0.0;
  for (const float value : values) sum += value;
  return values.empty() ? 0.0 : sum / static_cast<double>(values.size());
}

std::string& file_of(DetectorConfig& detector, ReferenceKind kind) {
  return kind == ReferenceKind::dark ? detector.references.dark : detector.references.gain;
}

/// Flat field without its dark to the factor that makes it even. A pixel without light gets 0: it
/// is a defect, and load_references treats it as one.
Result<std::vector<float>> gain_of(const DetectorConfig& detector, const MeanImage& flat) {
  if (detector.references.dark.empty())
    return Error{ErrorCode::failed_precondition,
                 fmt::format("gain reference of {}: there is no dark reference in use (take one "
                             "first, with the beam blanked)",
                             detector.name)};
  auto maps = load_references({.dark = detector.references.dark, .gain = ""}, flat.geometry);
  if (!maps) return maps.error();
  std::vector<float> light(flat.mean.size());
  std::transform(flat.mean.begin(), flat.mean.end(), maps->dark.begin(), light.begin(),
                 [](float bright, float dark) { return bright - dark; });
  std::vector<float> sorted;
  for (std::size_t i = 0; i < light.size(); ++i)
    if (!std::binary_search(maps->hot_pixels.begin(), maps->hot_pixels.end(), i))
      sorted.push_back(light[i]);
  const double level = mean_of(sorted);
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2),
                   sorted.end());
  const float median = sorted.empty() ? 0.0f : sorted[sorted.size() / 2];
  if (!(median > 0.0f) || !(level > 0.0))
    return Error{ErrorCode::failed_precondition,
                 fmt::format("gain reference of {}: the frames are not brighter than the dark "
                             "reference (is the beam blanked?)",
                             detector.name)};
  std::vector<float> gain(light.size());
  std::transform(light.begin(), light.end(), gain.begin(), [&](float value) {
    return value > 0.05f * median ? static_cast<float>(level) / value : 0.0f;
  });
  return gain;
}

}  // namespace

Result<ReferenceStore> ReferenceStore::open(std::string directory,
                                            std::vector<DetectorConfig>& detectors) {
  std::error_code problem;
  fs::create_directories(directory, problem);
  if (problem)
    return Error{ErrorCode::unavailable,
                 fmt::format("make folder {}: {}", directory, problem.message())};
  ReferenceStore store(fs::absolute(directory).string());
  for (const auto& entry : fs::directory_iterator(store.directory_, problem)) {
    if (entry.path().extension() != ".tif") continue;
    if (auto record = from_json(entry.path().string()))
      store.records_.push_back(std::move(*record));
  }
  std::ifstream in(fs::path(store.directory_) / kInUseFile);
  const Json chosen = Json::parse(in, nullptr, false);
  // Not `in`: parsing has cleared what opening it left there.
  if (in.is_open() && !chosen.is_array())
    spdlog::warn("{}: damaged; the configuration's references are used", kInUseFile);
  if (!chosen.is_array()) return store;
  for (const Json& one : chosen) {
    const std::string name = text_of(one, "detector"), file = text_of(one, "file");
    const ReferenceKind kind =
        text_of(one, "kind") == "gain" ? ReferenceKind::gain : ReferenceKind::dark;
    for (DetectorConfig& detector : detectors) {
      if (detector.name != name) continue;
      if (!file.empty() && !fs::exists(file, problem)) {
        spdlog::warn("{} reference of {}: {} is gone; the configuration's is used", to_string(kind),
                     name, file);
        continue;
      }
      file_of(detector, kind) = file;
      store.in_use_.push_back({name, kind, file});
    }
  }
  return store;
}

Result<void> ReferenceStore::set(DetectorConfig& detector, ReferenceKind kind,
                                 const std::string& file) {
  std::erase_if(in_use_,
                [&](const InUse& u) { return u.detector == detector.name && u.kind == kind; });
  in_use_.push_back({detector.name, kind, file});
  Json json = Json::array();
  for (const InUse& u : in_use_)
    json.push_back({{"detector", u.detector}, {"kind", to_string(u.kind)}, {"file", u.file}});
  if (auto ok = write_json((fs::path(directory_) / kInUseFile).string(), json); !ok) return ok;
  file_of(detector, kind) = file;
  return {};
}

Result<ReferenceRecord> ReferenceStore::add(DetectorConfig& detector, ReferenceKind kind,
                                            const MeanImage& image) {
  const std::string what = fmt::format("{} reference of {}", to_string(kind), detector.name);
  if (image.frames == 0) return Error{ErrorCode::failed_precondition, what + ": no frame came"};
  if (image.blanked != 0 && image.blanked != image.frames)
    return Error{ErrorCode::failed_precondition,
                 fmt::format("{}: the beam was blanked in {} of {} frames", what, image.blanked,
                             image.frames)};
  if (kind == ReferenceKind::gain && image.blanked != 0)
    return Error{ErrorCode::failed_precondition, what + ": the beam is blanked"};
  ReferenceRecord record;
  record.detector = detector.name;
  record.kind = kind;
  record.time_ns = utc_now_ns();
  record.frames = image.frames;
  record.width = image.geometry.width;
  record.height = image.geometry.height;
  std::vector<float> pixels = image.mean;
  if (kind == ReferenceKind::gain) {
    auto gain = gain_of(detector, image);
    if (!gain) return gain.error();
    pixels = std::move(*gain);
  } else {
    record.hot_pixels = signal::hot_pixels_of_dark(pixels);
  }
  record.mean = mean_of(pixels);
  const std::string base =
      fmt::format("{}-{}-{}", detector.name, to_string(kind), date_of(record.time_ns));
  record.file = (fs::path(directory_) / (base + ".tif")).string();
  for (int n = 2; fs::exists(record.file); ++n)
    record.file = (fs::path(directory_) / fmt::format("{}-{}.tif", base, n)).string();
  if (auto ok = write_image(record.file, pixels, record.width, record.height); !ok)
    return ok.error();
  if (kind == ReferenceKind::gain) {
    // What a run will make of it: dead pixels are hot pixels too.
    auto maps = load_references({.dark = "", .gain = record.file}, image.geometry);
    if (!maps) return maps.error();
    record.hot_pixels = std::move(maps->hot_pixels);
  }
  if (auto ok = write_json(record.file + ".json", to_json(record)); !ok) return ok.error();
  if (auto ok = set(detector, kind, record.file); !ok) return ok.error();
  records_.push_back(record);
  record.is_in_use = true;
  return record;
}

Result<void> ReferenceStore::use(DetectorConfig& detector, ReferenceKind kind,
                                 const std::string& file) {
  if (file.empty()) return set(detector, kind, file);
  const auto found = std::find_if(records_.begin(), records_.end(), [&](const auto& r) {
    return r.file == file && r.detector == detector.name && r.kind == kind;
  });
  if (found == records_.end() && file != file_of(detector, kind))
    return Error{ErrorCode::not_found,
                 fmt::format("use {} as {} reference of {}: no such reference", file,
                             to_string(kind), detector.name)};
  return set(detector, kind, file);
}

std::vector<ReferenceRecord> ReferenceStore::list(
    const std::vector<DetectorConfig>& detectors) const {
  std::vector<ReferenceRecord> out = records_;
  for (const DetectorConfig& detector : detectors)
    for (const auto& [kind, file] : {std::pair{ReferenceKind::dark, detector.references.dark},
                                     std::pair{ReferenceKind::gain, detector.references.gain}}) {
      if (file.empty()) continue;
      const auto found = std::find_if(out.begin(), out.end(),
                                      [&, &f = file](const auto& r) { return r.file == f; });
      if (found != out.end()) {
        found->is_in_use = true;
        continue;
      }
      ReferenceRecord& configured = out.emplace_back();
      configured.detector = detector.name;
      configured.kind = kind;
      configured.file = file;
      configured.is_in_use = true;
    }
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return a.time_ns > b.time_ns; });
  return out;
}

}  // namespace latticed
