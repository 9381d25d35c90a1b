// SPDX-License-Identifier: GPL-3.0-or-later
// What a daemon in the middle of an experiment would say.
#pragma once

#include <latticed/v1/acquisition.pb.h>
#include <latticed/v1/holder.pb.h>
#include <latticed/v1/measurements.pb.h>

#include <string>

namespace latticed::test {

inline v1::MeasurementEvent measurement(std::uint64_t seq) {
  v1::MeasurementEvent event;
  event.mutable_stamp()->set_epoch(2);
  event.set_detector("haadf");
  auto* m = event.mutable_measurement();
  m->set_seq(seq);
  m->set_quality("good");
  m->mutable_drift_px()->set_x(3.01);
  m->mutable_drift_px()->set_y(-0.67);
  m->mutable_sigma_drift_px()->set_x(0.29);
  m->mutable_sigma_drift_px()->set_y(0.29);
  m->set_drift_state(v1::DRIFT_STATE_LOCKED);
  m->set_crystallinity(0.63);
  for (const auto& [id, d_nm, snr] : {std::tuple(2U, 0.1929, 40.0), std::tuple(1U, 0.2719, 80.0)}) {
    auto* spot = m->add_spots();
    spot->set_id(id);
    spot->set_d_nm(d_nm);
    spot->set_sigma_d_nm(2.6e-5);
    spot->set_snr(snr);
    spot->set_confirmed(true);
  }
  auto* holder = m->add_holders();
  holder->set_holder("chip");
  holder->set_bias_v(3.412);
  holder->set_current_a(1.2e-9);
  holder->set_output_on(true);
  holder->set_provisional(true);
  holder->set_age_s(0.05);
  return event;
}

inline v1::StatusReply status(v1::RunState state, std::uint32_t epoch = 3) {
  v1::StatusReply reply;
  reply.mutable_stamp()->set_epoch(epoch);
  reply.set_state(state);
  reply.set_version("0.1.0");
  return reply;
}

inline v1::ListDetectorsReply detectors(std::initializer_list<const char*> names) {
  v1::ListDetectorsReply reply;
  for (const char* name : names) {
    auto* detector = reply.add_detectors();
    detector->set_name(name);
    detector->set_driver("simulator");
    detector->set_state("closed");
  }
  return reply;
}

inline v1::HolderReply holder(v1::ArmingState arming) {
  v1::HolderReply reply;
  auto* h = reply.mutable_holder();
  h->set_name("chip");
  h->set_driver("simulator");
  h->set_arming(arming);
  h->set_mode(v1::SOURCE_MODE_CURRENT);
  h->set_source_target(1e-9);
  h->set_compliance(4.5);
  h->mutable_limits()->set_voltage_min_v(-5.0);
  h->mutable_limits()->set_voltage_max_v(5.0);
  h->mutable_sample()->set_time_ns(1'763'820'395'000'000'000);
  h->mutable_sample()->set_bias_v(0.5);
  h->set_sample_age_s(0.02);
  return reply;
}

}  // namespace latticed::test
