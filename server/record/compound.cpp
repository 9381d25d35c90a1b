// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/compound.hpp"

#include <algorithm>
#include <cstring>

namespace latticed::record {

Rows make_compound_rows(Hdf5Author& author, hid_t group, const CompoundLayout& layout,
                        std::span<const Member> members) {
  Handle memory(H5Tcreate(H5T_COMPOUND, layout.row_bytes));
  for (const Member& member : members)
    author.note(H5Tinsert(memory, member.name, member.offset, member.type) >= 0, "the column",
                member.name);
  const Handle file(H5Tcopy(memory));
  H5Tpack(file);
  Handle dataset = author.rows(group, layout.name, file, layout.chunk_rows, nullptr);
  author.text(dataset, "meaning", layout.meaning);
  return {std::move(dataset), std::move(memory), layout.row_bytes};
}

Handle text_type(std::size_t bytes) {
  Handle type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type, bytes);
  H5Tset_strpad(type, H5T_STR_NULLPAD);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

std::string_view fill_text(std::span<char> to, std::string_view from) {
  std::size_t bytes = std::min(to.size(), from.size());
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; };
  if (bytes < from.size()) {
    std::size_t cut = bytes;
    while (cut > 0 && bytes - cut < 3 && continues(from[cut])) --cut;
    if (cut > 0 && !continues(from[cut])) bytes = cut;
  }
  std::fill(std::copy_n(from.begin(), bytes, to.begin()), to.end(), '\0');
  return from.substr(bytes);
}

}  // namespace latticed::record
