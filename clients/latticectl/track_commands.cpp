// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <latticed/v1/track.grpc.pb.h>

#include <CLI/CLI.hpp>

#include "clients/latticectl/commands.hpp"

namespace latticed::latticectl {

namespace {

using Track = v1::Track::Stub;

struct Options {
  std::string detector;
  std::vector<std::string> region;
  double g_x_per_nm = 0.0;
  double g_y_per_nm = 0.0;
  double tolerance_per_nm = 0.0;
  std::string spot;
};
using SharedOptions = std::shared_ptr<Options>;

/// A command that needs no more than the detector.
template <class Request>
void add_plain(CLI::App* command, Desk& desk, const SharedOptions& o,
               Client::Method<Track, Request, v1::TrackReply> method) {
  set_run(command, desk, [o, method](Client& client, const Output& out) {
    Request request;
    request.set_detector(o->detector);
    return out.show(client.call(method, request));
  });
}

bool read_whole(const std::string& text, std::int32_t& value) {
  return CLI::detail::lexical_cast(text, value) && value >= 0;
}

/// Four numbers, or "full".
Result<v1::Region> parse_region(const std::vector<std::string>& words) {
  v1::Region region;
  if (words.size() == 1 && words.front() == "full") return region;
  std::int32_t numbers[4] = {};
  bool is_good = words.size() == 4;
  for (std::size_t i = 0; is_good && i < 4; ++i) is_good = read_whole(words[i], numbers[i]);
  if (!is_good || numbers[2] == 0 || numbers[3] == 0) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("track region '{}': expected X Y W H in raw px, or full",
                             fmt::join(words, " "))};
  }
  region.set_x(numbers[0]);
  region.set_y(numbers[1]);
  region.set_width(numbers[2]);
  region.set_height(numbers[3]);
  return region;
}

void add_region(CLI::App& track, Desk& desk, const SharedOptions& o) {
  auto* command =
      add_command(track, "region", "the part of the frame that is analysed",
                  "nothing; in a run from the next frame on", "track region 512 256 1024 1024");
  command->add_option("WHERE", o->region, "X Y W H in raw px, or full")->required()->expected(1, 4);
  set_run(command, desk, [o](Client& client, const Output& out) {
    const auto region = parse_region(o->region);
    if (!region) return out.show_wrong_usage(region.error().message);
    v1::SetRegionRequest request;
    request.set_detector(o->detector);
    *request.mutable_region() = *region;
    return out.show(client.call(&Track::SetRegion, request));
  });
}

void add_spot(CLI::App& track, Desk& desk, const SharedOptions& o) {
  auto* command =
      add_command(track, "spot", "follows a reflection even where it is too weak to see", "RUNNING",
                  "track spot 3.661 -0.25 --tolerance 0.05");
  command->add_option("GX", o->g_x_per_nm, "g-vector along x, 1/nm")->required();
  command->add_option("GY", o->g_y_per_nm, "g-vector along y, 1/nm")->required();
  command
      ->add_option("--tolerance", o->tolerance_per_nm,
                   "how far it may be from there, 1/nm; 0: three resolution cells")
      ->check(CLI::NonNegativeNumber);
  set_run(command, desk, [o](Client& client, const Output& out) {
    v1::WatchSpotRequest request;
    request.set_detector(o->detector);
    request.mutable_g_per_nm()->set_x(o->g_x_per_nm);
    request.mutable_g_per_nm()->set_y(o->g_y_per_nm);
    request.set_tolerance_per_nm(o->tolerance_per_nm);
    return out.show(client.call(&Track::WatchSpot, request));
  });
}

void add_forget(CLI::App& track, Desk& desk, const SharedOptions& o) {
  auto* command = add_command(track, "forget", "no longer follows a spot that was asked for",
                              "RUNNING", "track forget 4");
  command->add_option("ID", o->spot, "the spot's number, or all")->required();
  set_run(command, desk, [o](Client& client, const Output& out) {
    std::int32_t id = 0;
    if (o->spot != "all" && (!read_whole(o->spot, id) || id == 0)) {
      return out.show_wrong_usage("track forget '" + o->spot +
                                  "': expected a spot's number, or all");
    }
    v1::ForgetSpotRequest request;
    request.set_detector(o->detector);
    request.set_spot_id(static_cast<std::uint32_t>(id));
    return out.show(client.call(&Track::ForgetSpot, request));
  });
}

}  // namespace

void add_track_commands(CLI::App& app, Desk& desk) {
  auto* track = add_command(app, "track", "what is followed, and against what; without a verb: get",
                            "nothing to look; see each verb's --help", "track");
  const auto o = std::make_shared<Options>();
  track->require_subcommand(0, 1);
  track->add_option("--detector", o->detector, "needed when there are several");
  add_plain<v1::GetTrackRequest>(track, desk, o, &Track::Get);
  add_plain<v1::GetTrackRequest>(add_command(*track, "get", "as it is", "nothing", "track get"),
                                 desk, o, &Track::Get);
  add_region(*track, desk, o);
  add_plain<v1::SetReferenceRequest>(
      add_command(*track, "reference", "drift is held against the present mean from now on",
                  "RUNNING", "track reference"),
      desk, o, &Track::SetReference);
  add_spot(*track, desk, o);
  add_forget(*track, desk, o);
  add_plain<v1::ResetTrackRequest>(
      add_command(*track, "reset", "forgets template, spots and baselines; the drift goes on",
                  "RUNNING", "track reset"),
      desk, o, &Track::Reset);
}

}  // namespace latticed::latticectl
