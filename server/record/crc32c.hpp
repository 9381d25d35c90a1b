// SPDX-License-Identifier: GPL-3.0-or-later
// CRC-32C (Castagnoli), the checksum every frame carries in its recording: what was written can be
// told from what a disk made of it. As in iSCSI and RFC 3720; "123456789" has 0xe3069283.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace latticed::record {

/// With the processor's own instruction where there is one.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept;

/// The same by table, on any machine.
[[nodiscard]] std::uint32_t crc32c_by_table(std::span<const std::byte> bytes) noexcept;

}  // namespace latticed::record
