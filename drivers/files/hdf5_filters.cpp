// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/hdf5_filters.hpp"

#include <blosc.h>
#include <hdf5.h>

namespace latticed::files {
namespace {

// The places of a dataset's filter values, as the plug-in has them.
enum Value : std::size_t { kTypeBytes = 2, kLevel = 4, kShuffle = 5, kValues = 7 };

// `bytes` of HDF5's own buffer are replaced by `made` of `out`. 0 = it failed.
std::size_t replace(void** buffer, std::size_t* room, void* out, int made, std::size_t out_room) {
  if (made <= 0) {
    H5free_memory(out);
    return 0;
  }
  H5free_memory(*buffer);
  *buffer = out;
  *room = out_room;
  return static_cast<std::size_t>(made);
}

// Bytes of the frame that Blosc packed; 0: there is none. A chunk may have more behind it.
std::size_t unpacked_bytes(const void* chunk, std::size_t bytes) {
  if (bytes < BLOSC_MIN_HEADER_LENGTH) return 0;
  std::size_t unpacked = 0, packed = 0, block = 0;
  blosc_cbuffer_sizes(chunk, &unpacked, &packed, &block);
  if (packed > bytes || blosc_cbuffer_validate(chunk, packed, &unpacked) != 0) return 0;
  return unpacked;
}

std::size_t unpack(std::size_t bytes, std::size_t* room, void** buffer) {
  const std::size_t unpacked = unpacked_bytes(*buffer, bytes);
  if (unpacked == 0) return 0;
  void* out = H5allocate_memory(unpacked, false);
  if (!out) return 0;
  return replace(buffer, room, out, blosc_decompress_ctx(*buffer, out, unpacked, 1), unpacked);
}

std::size_t pack(const unsigned* values, std::size_t bytes, std::size_t* room, void** buffer) {
  void* out = H5allocate_memory(bytes, false);
  if (!out) return 0;
  const int made =
      blosc_compress_ctx(static_cast<int>(values[kLevel]), static_cast<int>(values[kShuffle]),
                         values[kTypeBytes], bytes, *buffer, out, bytes, BLOSC_LZ4_COMPNAME, 0, 1);
  return replace(buffer, room, out, made, bytes);
}

std::size_t filter(unsigned flags, std::size_t count, const unsigned* values, std::size_t bytes,
                   std::size_t* room, void** buffer) {
  if (flags & H5Z_FLAG_REVERSE) return unpack(bytes, room, buffer);
  return count < kValues ? 0 : pack(values, bytes, room, buffer);
}

}  // namespace

void use_filters() {
  static const bool is_registered = [] {
    H5Z_class2_t cls{};
    cls.version = H5Z_CLASS_T_VERS;
    cls.id = kBloscFilter;
    cls.encoder_present = 1;
    cls.decoder_present = 1;
    cls.name = "blosc";
    cls.filter = filter;
    return H5Zregister(&cls) >= 0;
  }();
  (void)is_registered;  // where it failed, reading says so
}

bool unpack_blosc(std::span<const std::byte> chunk, std::span<std::byte> out) {
  return unpacked_bytes(chunk.data(), chunk.size()) == out.size() &&
         blosc_decompress_ctx(chunk.data(), out.data(), out.size(), 1) ==
             static_cast<int>(out.size());
}

}  // namespace latticed::files
