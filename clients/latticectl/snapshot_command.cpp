// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <latticed/v1/preview.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "clients/latticectl/commands.hpp"
#include "clients/latticectl/snapshot.hpp"

namespace latticed::latticectl {

namespace {

struct Options {
  v1::ImageKind kind = v1::IMAGE_KIND_RAW;
  std::string path;
  std::uint32_t size_px = 1024;
  std::string detector;
  std::optional<double> black;
  std::optional<double> white;
  double timeout_s = 10.0;
};

const std::map<std::string, v1::ImageKind> kKinds = {
    {"raw", v1::IMAGE_KIND_RAW},           {"aligned", v1::IMAGE_KIND_ALIGNED},
    {"mean", v1::IMAGE_KIND_RUNNING_MEAN}, {"difference", v1::IMAGE_KIND_DIFFERENCE},
    {"fft", v1::IMAGE_KIND_FFT},           {"strain", v1::IMAGE_KIND_STRAIN}};

v1::WatchPreviewRequest request_of(const Options& o) {
  v1::WatchPreviewRequest request;
  request.set_detector(o.detector);
  request.set_kind(o.kind);
  request.set_size(o.size_px);
  request.set_encoding(v1::ENCODING_GRAY16);
  request.set_count(1);
  if (o.black) request.set_black(*o.black);
  if (o.white) request.set_white(*o.white);
  return request;
}

std::string document(const v1::Image& image, const std::string& path) {
  v1::Image described = image;
  described.clear_pixels();  // they are in the file
  nlohmann::json said = nlohmann::json::parse(to_json(described));
  said.erase("pixels");
  said["file"] = path;
  return said.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int snapshot(const Options& o, Client& client, const Output& out) {
  std::optional<v1::Image> image;
  const auto problem = client.listen<v1::Preview::Stub, v1::WatchPreviewRequest, v1::Image>(
      &v1::Preview::Stub::Watch, request_of(o),
      [&](const v1::Image& got) {
        image = got;
        return Next::enough;
      },
      o.timeout_s);
  if (problem) return out.show(*problem);
  if (client.is_stopped()) return kDone;
  if (!image) return out.show(refusal("NO_IMAGE", "snapshot: the server sent no image"));
  const auto picture = draw_snapshot(*image);
  if (!picture) return out.show(refusal("NO_IMAGE", picture.error().message));
  if (const auto ok = write_png(o.path, *picture); !ok) {
    return out.show_wrong_usage(ok.error().message);
  }
  out.write(out.is_json()
                ? document(*image, o.path)
                : banner(image->stamp()) + fmt::format("{}: {}\n", o.path, caption(*image)));
  return kDone;
}

}  // namespace

void add_snapshot_command(CLI::App& app, Desk& desk) {
  auto* command =
      add_command(app, "snapshot", "one image as PNG, with scale bar and caption",
                  "RUNNING, or a run that has ended", "snapshot fft fft.png --detector haadf");
  const auto o = std::make_shared<Options>();
  command->add_option("KIND", o->kind, "raw, aligned, difference, mean, fft or strain")
      ->required()
      ->transform(CLI::CheckedTransformer(kKinds))
      ->type_name("");
  command->add_option("OUT", o->path, "the PNG file")->required();
  command->add_option("--size", o->size_px, "longest side at most (default 1024)")
      ->check(CLI::Range(16U, 4096U))
      ->type_name("PX");
  command->add_option("--detector", o->detector, "needed when there are several");
  command->add_option("--black", o->black, "value shown black (default: 0.5 percentile)");
  command->add_option("--white", o->white, "value shown white (default: 99.5 percentile)");
  set_run(command, desk, [o, &desk](Client& client, const Output& out) {
    o->timeout_s = desk.connection.timeout_s;
    return snapshot(*o, client, out);
  });
}

}  // namespace latticed::latticectl
