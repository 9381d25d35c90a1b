// SPDX-License-Identifier: GPL-3.0-or-later
// Where things are in a recording.
#pragma once

namespace latticed::record {

inline constexpr const char* kEvent = "/entry/measurement/event1";
inline constexpr const char* kStack = "/entry/measurement/event1/image1/stack_2d";
inline constexpr const char* kImages = "/entry/measurement/event1/image1/stack_2d/real";
inline constexpr const char* kFrameInfo = "/entry/measurement/event1/frame_info";
inline constexpr const char* kLost = "/entry/measurement/event1/lost/frames";
inline constexpr const char* kEvents = "/entry/events";
inline constexpr const char* kOwn = "/entry/latticed";

}  // namespace latticed::record
