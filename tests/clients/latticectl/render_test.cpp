// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/render.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numbers>

#include "tests/clients/latticectl/replies.hpp"

namespace latticed::latticectl {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Render, SaysRehearsalExactlyWhenTheStampDoes) {
  v1::Stamp stamp;
  EXPECT_EQ(banner(stamp) + mark(stamp), "");
  stamp.set_rehearsal(true);
  EXPECT_THAT(banner(stamp), HasSubstr("REHEARSAL"));
  EXPECT_EQ(mark(stamp), "REHEARSAL ");
}

TEST(Render, ShowsARunWithItsDetectorsAndItsRecording) {
  auto reply = test::status(v1::RUN_STATE_RUNNING);
  reply.set_guard_reachable(true);
  auto* d = reply.add_detectors();
  d->set_detector("haadf");
  d->set_measured(1200);
  d->set_lost(2);
  d->set_frames_per_s(29.94);
  d->set_latency_p99_s(0.0121);
  auto* recording = reply.mutable_recording();
  recording->set_active(true);
  recording->set_frames(1198);
  recording->set_bytes(3'100'000'000);
  recording->set_minutes_left(42.0);
  recording->add_files("/data/run.h5");
  const std::string text = to_text(reply);
  EXPECT_THAT(text, HasSubstr("RUNNING, run 3"));
  EXPECT_THAT(text, HasSubstr("haadf     1200      endless  2     29.9      12.1 ms"));
  EXPECT_THAT(text, HasSubstr("being written, 1198 frames, 3.1 GB, disk full in 42 min"));
  EXPECT_THAT(text, HasSubstr("guard      answers"));
}

TEST(Render, ShoutsWhatIsWrongWithARun) {
  auto reply = test::status(v1::RUN_STATE_FAULT);
  reply.set_fault("haadf: detector_overrun");
  reply.mutable_recording()->set_error("no space left");
  const std::string text = to_text(reply);
  EXPECT_THAT(text, HasSubstr("fault      haadf: detector_overrun"));
  EXPECT_THAT(text, HasSubstr("STOPPED: no space left"));
  EXPECT_THAT(text, HasSubstr("DOES NOT ANSWER"));
}

TEST(Render, ShowsWhatIsLostOnAnEdgeAndWhy) {
  v1::CountersReply reply;
  auto* edge = reply.add_edges();
  edge->set_detector("haadf");
  edge->set_name("source");
  edge->set_policy("drop_newest");
  edge->set_in(10);
  (*edge->mutable_lost())["sequence_gap"] = 2;
  (*edge->mutable_lost())["no_free_slot"] = 1;
  (*edge->mutable_lost())["truncated"] = 0;
  EXPECT_THAT(to_text(reply), HasSubstr("no_free_slot 1, sequence_gap 2"));
  EXPECT_THAT(to_text(reply), Not(HasSubstr("truncated")));
}

TEST(Render, ShowsWhatAHolderIsToldWhatItDoesAndWhatItMay) {
  auto reply = test::holder(v1::ARMING_STATE_TRIPPED);
  reply.mutable_holder()->set_cause("voltage_limit");
  reply.mutable_holder()->mutable_sample()->set_in_compliance(true);
  const std::string text = to_text(reply);
  EXPECT_THAT(text, HasSubstr("chip  TRIPPED: voltage_limit"));
  EXPECT_THAT(text, HasSubstr("500 mV, output off, IN COMPLIANCE (20 ms ago)"));
  EXPECT_THAT(text, HasSubstr("source 1 nA (now 0 A), compliance 4.5 V"));
  EXPECT_THAT(text, HasSubstr("limits  -5 V to 5 V"));
}

TEST(Render, SaysWhenTheGuardIsGone) {
  EXPECT_THAT(to_text(v1::ListHoldersReply()), HasSubstr("THE GUARD DOES NOT ANSWER"));
}

TEST(Render, MarksAProvisionalHolderValueWithItsAge) {
  v1::HolderState state;
  state.set_temperature_k(573.15);
  EXPECT_EQ(to_text(state), "573.1 K, output off");
  state.set_provisional(true);
  state.set_age_s(0.25);
  EXPECT_EQ(to_text(state), "573.1 K, output off, ~0.25 s");
}

TEST(Render, ShowsAHoldersEventsAsLines) {
  v1::HolderEvent event;
  event.mutable_stamp()->set_rehearsal(true);
  event.set_holder("chip");
  *event.mutable_changed() = test::holder(v1::ARMING_STATE_ARMED).holder();
  event.add_samples()->set_bias_v(1.0);
  event.set_skipped(3);
  const std::string lines = to_line(event);
  EXPECT_THAT(lines, HasSubstr("REHEARSAL chip  ARMED; source 1 nA"));
  EXPECT_THAT(lines, HasSubstr("1 V, output off  (3 missed so far)"));
}

TEST(Render, ShowsAnAlertWithItsOnsetAndWhoHasSeenIt) {
  v1::AlertEvent event;
  event.set_what("acknowledged");
  auto* alert = event.mutable_alert();
  alert->set_id(12);
  alert->set_rule("spacing_change");
  alert->set_quantity("spot_d_nm");
  alert->set_value(0.2705);
  alert->set_sigma(0.0001);
  alert->set_unit("nm");
  alert->set_since_seq(118);
  alert->set_spot_id(4);
  alert->set_acknowledged_by("M. Weber");
  alert->set_comment("beam damage");
  const std::string line = to_line(event);
  EXPECT_THAT(line, HasSubstr("alert 12 acknowledged: spacing_change"));
  EXPECT_THAT(line, HasSubstr("0.27050 ± 0.00010 nm"));
  EXPECT_THAT(line, HasSubstr("(since 118), spot #4"));
  EXPECT_THAT(line, Not(HasSubstr("running sum")));
  EXPECT_THAT(line, HasSubstr("seen by M. Weber: beam damage"));
  alert->set_of("sum");
  EXPECT_THAT(to_line(event), HasSubstr("spot #4 of the running sum"));
  alert->set_spot_id(0);
  EXPECT_THAT(to_line(event), HasSubstr("(since 118), of the running sum"));
  v1::ListAlertsReply list;
  *list.add_alerts() = *alert;
  list.set_forgotten(5);
  EXPECT_THAT(to_text(list), HasSubstr("5 older alerts are no longer kept"));
}

TEST(Render, ShowsACalibrationByItsAxesAndWarnsOfASingleReflection) {
  v1::CalibrationReply reply;
  auto* c = reply.mutable_calibration();
  c->set_detector("haadf");
  c->set_pixel_size_nm(0.03);
  c->set_pixel_size_sigma_ratio(1e-4);
  c->set_frame_count(64);
  c->add_spacings()->set_name("111");
  EXPECT_THAT(to_text(reply), HasSubstr("from 1 reflection of 64 frames"));
  EXPECT_THAT(to_text(reply), HasSubstr("ONE REFLECTION ALONE"));
  c->add_spacings()->set_name("200");
  c->set_unmatched(1);
  c->set_ellipticity_ratio(0.01);  // longer along 22.5 degrees
  c->set_sigma_ellipticity_ratio(0.001);
  c->set_ellipticity_direction_rad(std::numbers::pi / 8);
  const std::string text = to_text(reply);
  EXPECT_THAT(text, Not(HasSubstr("ALONE")));
  EXPECT_THAT(text, HasSubstr("1 is none of the standard's"));
  // 0.03 (1 +- 0.01 / sqrt 2), and 90 degrees less 2 x 0.01 / sqrt 2 rad.
  EXPECT_THAT(text, HasSubstr("along x 0.0302121, along y 0.0297879 nm/px, 89.19"));
  v1::ListCalibrationsReply list;
  *list.add_calibrations() = *c;
  EXPECT_THAT(to_text(list), HasSubstr("none is used"));
  list.mutable_calibrations(0)->set_in_use(true);
  EXPECT_THAT(to_text(list), HasSubstr("* is used from the next configure on"));
}

TEST(Render, ShowsSessionTagsAndTracking) {
  v1::SessionReply session;
  EXPECT_THAT(to_text(session), HasSubstr("nothing is said"));
  session.mutable_session()->set_sample("NMO-7");
  EXPECT_THAT(to_text(session), HasSubstr("sample              NMO-7"));
  v1::TagReply tag;
  tag.mutable_tag()->set_id(3);
  tag.mutable_tag()->set_span(true);
  tag.mutable_tag()->set_text("ramp");
  (*tag.mutable_tag()->mutable_begin_seq())["haadf"] = 120;
  EXPECT_THAT(to_text(tag), HasSubstr("haadf 120"));
  EXPECT_THAT(to_text(tag), HasSubstr("goes on"));
  v1::TrackReply track;
  track.set_from_seq(77);
  EXPECT_THAT(to_text(track), HasSubstr("the whole frame"));
  EXPECT_THAT(to_text(track), HasSubstr("from       frame 77"));
}

TEST(Render, MarksTheReferenceInUse) {
  v1::ListReferencesReply reply;
  auto* reference = reply.add_references();
  reference->set_kind(v1::REFERENCE_KIND_DARK);
  reference->set_file("dark.h5");
  reference->set_in_use(true);
  EXPECT_THAT(to_text(reply), HasSubstr("dark"));
  EXPECT_THAT(to_text(reply), HasSubstr("\n*"));
}

}  // namespace
}  // namespace latticed::latticectl
