// SPDX-License-Identifier: GPL-3.0-or-later
// Every key of the configuration file: where its value lives, its range, what it means. A Visitor
// reads (read_config.cpp) or prints (write_config.cpp); a key written here is in both and in the
// shipped file. Order here = order in the file.
#pragma once

#include "drivers/toml/table_reader.hpp"
#include "server/config/config.hpp"

namespace latticed {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class Visitor>
void describe(Visitor& v, PipelineConfig& c) {
  v.integer("workers", c.workers, {1, 64}, "threads that correct and transform frames");
  v.integer("nice", c.nice, {0, 19}, "niceness of the pipeline's threads");
  v.flag("pin_workers", c.pin_workers, "each worker stays on a CPU of its own");
}

template <class Visitor>
void describe(Visitor& v, ServeConfig& c) {
  v.text("grpc", c.grpc, "HOST:PORT on this machine; port 0 = any");
  v.text("zmq", c.zmq, "tcp://HOST:PORT on this machine; port 0 = any");
  v.text("listen", c.listen, "HOST[:PORT] on the lab network; \"\" = not there");
  v.flag("open_reading", c.open_reading, "whoever reaches `listen` may read, also by ZeroMQ");
  v.text("tls_certificate", c.tls_certificate, "PEM file; \"\" = no TLS: no control by `listen`");
  v.text("tls_key", c.tls_key, "PEM file of its key");
  v.text("token_file", c.token_file, "its first line is the token that allows control over TLS");
  v.text("state_directory", c.state_directory, "references and session; made if missing");
  v.integer("history_frames", c.history_frames, {16, 1000000},
            "events a client can go back to, for each detector: a frame is one, two with holders");
  v.integer("zmq_high_water_mark", c.zmq_high_water_mark, {1, 100000},
            "messages a slow ZeroMQ subscriber may lag behind");
  v.integer("frame_lease_quota", c.frame_lease_quota, {1, 1024},
            "raw frames ZeroMQ may hold at a time");
}

template <class Visitor>
void describe(Visitor& v, HolderConfig& c) {
  v.text("guard_socket", c.guard_socket, "of latticed-guard; \"\" = no holder");
  v.number("longest_gap_s", c.longest_gap_s, {0.001, 3600},
           "s; samples further apart are not interpolated between");
}

template <class Visitor>
void describe(Visitor& v, RecordConfig& c) {
  v.flag("enabled", c.enabled, "serve records every run");
  v.text("directory", c.directory, "made if missing");
  v.text("second_directory", c.second_directory,
         "where a recording goes on when the first disk is full or fails; \"\" = nowhere");
  v.choice("profile", c.profile, {"portable", "compact"},
           "images as they are, or packed (Blosc, LZ4): a half to a fifth, read with its plug-in");
  v.integer("packers", c.packers, {1, 64}, "threads that pack");
  v.integer("quota_frames", c.quota_frames, {1, 65536}, "frames that may wait for the disk");
  v.choice("when_behind", c.when_behind, {"drop", "stop_run"},
           "when all of them wait and the detector does not: frames are measured, listed, not "
           "recorded; or the run ends");
  v.choice("on_failure", c.on_failure, {"go_on", "stop_run"},
           "when no disk is left: the run goes on unrecorded, or ends");
  v.number("least_free_gb", c.least_free_gb, {0, 100000},
           "GB; with less free space a run is refused");
  v.number("warn_minutes", c.warn_minutes, {0, 10000}, "an alert when the disk will do for less");
}

template <class Visitor>
void describe(Visitor& v, OutputConfig& c) {
  v.text("directory", c.directory, "where acquire writes; --out replaces it");
  v.flag("json", c.json, "<detector>.jsonl: a JSON line for every frame");
  v.flag("csv", c.csv, "<detector>.csv: a row for every spot");
  v.flag("figures", c.figures, "<detector>-figures/: drawn when the run ends");
  v.flag("view", c.view, "live table on a terminal, else a line every 5 s");
}

template <class Visitor>
void describe(Visitor& v, LogConfig& c) {
  v.choice("level", c.level, {"trace", "debug", "info", "warning", "error", "off"},
           "least level that is logged");
  v.flag("json", c.json, "a JSON object a line: ts, level, event, thread");
  v.text("file", c.file, "instead of stderr, appended to; \"\" = stderr");
  v.integer("queue_lines", c.queue_lines, {64, 1000000},
            "lines that may wait; the oldest goes first");
}

template <class Visitor>
void describe(Visitor& v, SimDetectorOptions& c) {
  v.text("socket", c.socket, "of sim-world; needed for driver \"simulator\"");
  v.text("detector", c.detector, "its name in the world; \"\" = the first one");
  v.seconds("timeout_s", c.timeout, {0.01, 600}, "s, of connecting and of every command");
  v.number("rate_hz", c.rate_hz, {0, 100000}, "frames/s of prefetched frames; 0 = as fast as read");
}

template <class Visitor>
void describe(Visitor& v, ReplayOptions& c) {
  v.texts("files", c.files, "recordings, frames run on over them; needed for driver \"replay\"");
  v.frames("frames", c.first_frame, c.end_frame, "a:b, from a up to but without b");
  v.number("pace", c.pace, {0, 10000}, "times real speed; 0 = as fast as they are measured");
}

template <class Visitor>
void describe(Visitor& v, PrepareConfig& c) {
  v.integer("bin", c.bin, {0, 16},
            "pixels to a cell's side; 0 = so that the frame has <= 1024 cells");
  v.region("roi", c.region, "x, y, width, height in raw pixels; width 0 = whole frame");
  v.number("taper", c.taper, {0, 1}, "part of each side under the Tukey window");
  v.number("band", c.band, {0.2, 1}, "analysed part of the spectrum, fraction of Nyquist");
  v.number("saturation", c.saturation, {0, 4294967295.0}, "counts; 0 = the pixel type's largest");
}

template <class Visitor>
void describe(Visitor& v, signal::DetectConfig& c) {
  v.number("false_alarms_per_frame", c.false_alarms_per_frame, {1e-9, 1}, "wrong spots a frame");
  v.number("min_fringes", c.min_fringes, {2, 1000},
           "fewer fringes across the field are no lattice");
}

template <class Visitor>
void describe(Visitor& v, signal::DriftConfig& c) {
  v.integer("template_memory_frames", c.template_memory_frames, {4, 1024},
            "length of the running mean");
  v.integer("anchor_frames", c.anchor_frames, {4, 1024}, "frames in the anchor");
  v.integer("max_match_bins", c.max_match_bins, {1024, 262144}, "bins of the match");
}

template <class Visitor>
void describe(Visitor& v, LatticeSettings& c) {
  v.indices("superlattice", c.superlattice, kMaxSuperlattice,
            "fractional indices (h k) looked at in every frame; [] = none");
}

template <class Visitor>
void describe(Visitor& v, SumConfig& c) {
  v.integer("frames", c.frames, {0, 1024},
            "last frames that are aligned, added and measured together, every frames/4; 0 = off");
  v.choice("when", c.when, {"auto", "always", "never"},
           "auto: only while single frames show fewer than two confirmed spots of SNR 8");
}

constexpr double kMaxFrames = 1e12;

template <class Visitor>
void describe(Visitor& v, DetectorConfig& c) {
  v.name("name", c.name, "unique; letters, digits, _ and -; names the output files");
  v.require("driver", "\"simulator\" or \"replay\"");
  v.choice("driver", c.driver, {"simulator", "replay"}, "where frames come from");
  v.number("exposure_s", c.line.detector.exposure_s, {0, 3600}, "s, wanted; 0 = as the device is");
  v.number("frame_period_s", c.line.frame_period_s, {0, 3600},
           "s, instead of what the detector says; 0 = as it says");
  v.integer("frame_count", c.line.detector.frame_count, {0, kMaxFrames},
            "0 = until stopped, or all");
  v.number("pixel_size_nm", c.line.pixel_size_nm, {0, 1000},
           "nm, raw pixel; 0 = as the detector says");
  v.number("pixel_size_sigma_ratio", c.line.pixel_size_sigma_ratio, {0, 0.5},
           "relative uncertainty of it; goes into sigma_d_sys_nm");
  v.integer("frame_slots", c.line.frame_slots, {2, 65536},
            "raw frames in memory; serve adds those its outputs may hold");
  v.choice("source_policy", c.source_policy, {"auto", "block", "drop_newest", "stop_run"},
           "when no slot is free; auto: block if the detector waits for us, else drop_newest");
  v.text("dark", c.references.dark, "dark reference file; \"\" = none");
  v.text("gain", c.references.gain, "gain reference file, multiplied; \"\" = none");
  v.table("simulator", c.simulator);
  v.table("replay", c.replay);
  v.table("prepare", c.line.prepare);
  v.table("detect", c.line.prepare.detect);
  v.table("drift", c.line.drift);
  v.table("lattice", c.line.lattice);
  v.table("sum", c.line.sum);
}

template <class Visitor>
void describe(Visitor& v, AlertRule& c) {
  std::vector<std::string_view> quantities;
  for (std::size_t q = 0; q < kQuantities; ++q)
    quantities.push_back(to_string(static_cast<Quantity>(q)));
  v.name("name", c.name, "unique; letters, digits, _ and -");
  v.require("quantity", "what is watched");
  v.choice("quantity", c.quantity, quantities, "what is watched");
  v.choice("of", c.of, {"frame", "sum"},
           "of each frame, or of the running sum (what is counted in frames is then in sums)");
  v.choice("kind", c.kind, {"limit", "change"},
           "limit: outside [below, above]; change: against its own baseline");
  v.number("above", c.above, kAnyOrInfinite, "limit: raised when the value is above");
  v.number("below", c.below, kAnyOrInfinite, "limit: raised when the value is below");
  v.number("hysteresis", c.hysteresis, kNotNegative, "limit: so far back inside to be cleared");
  v.integer("dwell_frames", c.dwell_frames, {1, 100000}, "limit: so many frames in a row");
  v.number("false_alarms_per_hour", c.false_alarms_per_hour, {1e-6, 3600}, "change: wanted rate");
  v.number("d_min_nm", c.d_min_nm, kNotNegative, "spots only: which spacings are meant");
  v.number("d_max_nm", c.d_max_nm, {0, kInfinity}, "spots only");
}

}  // namespace latticed
