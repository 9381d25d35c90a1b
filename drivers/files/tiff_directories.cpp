// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/tiff_directories.hpp"

#include <array>
#include <cstring>
#include <unordered_set>

#include "drivers/files/limits.hpp"

namespace latticed::files {
namespace {

constexpr std::uint64_t kMaxEntries = 4096;  // of one directory; real ones have some twenty
constexpr std::uint16_t kSubfileType = 254;  // bit 0 set: a smaller copy of another image

/// Field widths of the two kinds of file.
struct Variant {
  std::size_t count_bytes, entry_bytes, value_at, offset_bytes;
};
constexpr Variant kClassic{2, 12, 8, 4};
constexpr Variant kBig{8, 20, 12, 8};

class Walker {
 public:
  Walker(const File& file, ByteOrder order, const Variant& variant)
      : file_(file), order_(order), variant_(variant) {}

  /// The directory at `offset`: whether it is a full image, and where the next is. False: damaged.
  bool visit(std::uint64_t offset, bool& is_image, std::uint64_t& next) {
    std::array<std::byte, 8> field;
    if (!fill(offset, std::span(field).first(variant_.count_bytes))) return false;
    const std::uint64_t entries = variant_.count_bytes == 2
                                      ? load<std::uint16_t>(field.data(), order_)
                                      : load<std::uint64_t>(field.data(), order_);
    if (entries == 0 || entries > kMaxEntries) return false;
    bytes_.resize(entries * variant_.entry_bytes + variant_.offset_bytes);
    if (!fill(offset + variant_.count_bytes, bytes_)) return false;
    is_image = true;
    for (std::uint64_t i = 0; i < entries; ++i) {
      const std::byte* entry = bytes_.data() + i * variant_.entry_bytes;
      if (load<std::uint16_t>(entry, order_) != kSubfileType) continue;
      is_image = (load<std::uint32_t>(entry + variant_.value_at, order_) & 1u) == 0;
    }
    next = read_offset(bytes_.data() + entries * variant_.entry_bytes);
    return true;
  }

  [[nodiscard]] std::uint64_t read_offset(const std::byte* bytes) const {
    return variant_.offset_bytes == 4 ? load<std::uint32_t>(bytes, order_)
                                      : load<std::uint64_t>(bytes, order_);
  }

 private:
  bool fill(std::uint64_t offset, std::span<std::byte> out) const {
    const auto count = file_.read_at(offset, out);
    return count && *count == out.size();
  }

  const File& file_;
  ByteOrder order_;
  Variant variant_;
  std::vector<std::byte> bytes_;
};

}  // namespace

bool has_tiff_mark(std::span<const std::byte> head) noexcept {
  if (head.size() < 4) return false;
  for (const char* mark : {"II*\0", "MM\0*", "II+\0", "MM\0+"}) {
    if (std::memcmp(head.data(), mark, 4) == 0) return true;
  }
  return false;
}

Result<TiffDirectories> find_directories(const File& file) {
  std::array<std::byte, 16> head;
  auto count = file.read_at(0, head);
  if (!count) return count.error();
  if (*count < 8 || !has_tiff_mark(head)) {
    return open_error(ErrorCode::data_loss, file.path(),
                      "no tiff header, expected II or MM and 42");
  }
  TiffDirectories found;
  found.order = std::to_integer<char>(head[0]) == 'I' ? ByteOrder::little : ByteOrder::big;
  const bool is_big = load<std::uint16_t>(head.data() + 2, found.order) == 43;
  if (is_big && *count < head.size()) {
    return open_error(ErrorCode::data_loss, file.path(), "the file ends inside the bigtiff header");
  }
  Walker walker(file, found.order, is_big ? kBig : kClassic);
  std::uint64_t offset = walker.read_offset(head.data() + (is_big ? 8 : 4));
  std::unordered_set<std::uint64_t> visited;
  while (offset != 0) {
    bool is_image = false;
    std::uint64_t next = 0;
    if (!visited.insert(offset).second) {
      found.damage = "the chain of directories comes back to byte " + std::to_string(offset);
    } else if (!walker.visit(offset, is_image, next)) {
      found.damage = "no whole directory at byte " + std::to_string(offset) + ", the file has " +
                     std::to_string(file.size());
    }
    if (!found.damage.empty()) {
      found.broken_at = offset;
      break;
    }
    if (is_image) found.offsets.push_back(offset);
    offset = next;
  }
  if (found.offsets.empty()) {
    return open_error(ErrorCode::data_loss, file.path(),
                      found.damage.empty() ? "no image in this tiff file" : found.damage);
  }
  return found;
}

}  // namespace latticed::files
