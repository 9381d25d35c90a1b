// SPDX-License-Identifier: GPL-3.0-or-later
// Replies as text for people: pure functions, values in, lines with their newlines out. What is
// simulated says REHEARSAL: banner() above a reply, mark() in front of each line of a stream.
#pragma once

#include <latticed/v1/acquisition.pb.h>
#include <latticed/v1/alerts.pb.h>
#include <latticed/v1/calibration.pb.h>
#include <latticed/v1/holder.pb.h>
#include <latticed/v1/measurements.pb.h>
#include <latticed/v1/recording.pb.h>
#include <latticed/v1/session.pb.h>
#include <latticed/v1/track.pb.h>
#include <latticed/v1/types.pb.h>

#include <string>

namespace latticed::latticectl {

/// A line of its own when the stamp says so, else nothing.
[[nodiscard]] std::string banner(const v1::Stamp& stamp);
/// "REHEARSAL " or nothing.
[[nodiscard]] std::string mark(const v1::Stamp& stamp);

/// "RUNNING"
[[nodiscard]] std::string word(v1::RunState state);
[[nodiscard]] std::string word(v1::ArmingState state);
[[nodiscard]] std::string word(v1::ReferenceKind kind);
[[nodiscard]] std::string word(v1::DriftState state);

// render_run.cpp
[[nodiscard]] std::string to_text(const v1::StatusReply& reply);
[[nodiscard]] std::string to_text(const v1::ListDetectorsReply& reply);
[[nodiscard]] std::string to_text(const v1::ConfigureReply& reply);
[[nodiscard]] std::string to_text(const v1::CountersReply& reply);
[[nodiscard]] std::string to_text(const v1::ReferenceReply& reply);
[[nodiscard]] std::string to_text(const v1::ListReferencesReply& reply);
[[nodiscard]] std::string to_text(const v1::RecordingReply& reply);

// render_holder.cpp
[[nodiscard]] std::string to_text(const v1::ListHoldersReply& reply);
[[nodiscard]] std::string to_text(const v1::HolderReply& reply);
[[nodiscard]] std::string to_text(const v1::SafeOffReply& reply);
[[nodiscard]] std::string to_line(const v1::HolderEvent& event);
/// "3.412 V, 1.2 nA, ~0.05 s": the `~` says that the value is provisional, with its age.
[[nodiscard]] std::string to_text(const v1::HolderState& state);

// render_alert.cpp
[[nodiscard]] std::string to_text(const v1::ListAlertsReply& reply);
[[nodiscard]] std::string to_text(const v1::AlertReply& reply);
[[nodiscard]] std::string to_line(const v1::AlertEvent& event);
[[nodiscard]] std::string to_line(const v1::AlertChange& change);

// render_session.cpp
[[nodiscard]] std::string to_text(const v1::SessionReply& reply);
[[nodiscard]] std::string to_text(const v1::TagReply& reply);
[[nodiscard]] std::string to_text(const v1::ListTagsReply& reply);
[[nodiscard]] std::string to_text(const v1::TrackReply& reply);
/// In one line.
[[nodiscard]] std::string to_text(const v1::PixelCalibration& calibration);
[[nodiscard]] std::string to_text(const v1::CalibrationReply& reply);
[[nodiscard]] std::string to_text(const v1::ListCalibrationsReply& reply);

}  // namespace latticed::latticectl
