// SPDX-License-Identifier: GPL-3.0-or-later
// The state of runs and detectors as the API says it. Any thread.
#pragma once

#include <latticed/v1/acquisition.pb.h>

#include "server/control/acquisition.hpp"
#include "server/control/reference_store.hpp"

namespace latticed {

v1::RunState to_proto(RunState state);
v1::DetectorConfiguration to_proto(const std::string& detector,
                                   const DetectorConfiguration& configuration);
/// With the pixel size its run will have.
v1::DetectorConfiguration to_proto(const ConfiguredDetector& detector);
v1::Detector to_proto(const KnownDetector& detector);
void to_proto(const AcquisitionStatus& status, v1::StatusReply& out);
v1::Reference to_proto(const ReferenceRecord& record);
/// `detector`: empty for what belongs to all.
v1::Edge to_proto(const std::string& detector, const std::string& name, LossPolicy policy,
                  const EdgeCounters& counters);
/// Every edge of the run, detector by detector in flow order.
void add_edges(const Run& run, v1::CountersReply& out);

}  // namespace latticed
