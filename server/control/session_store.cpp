// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/session_store.hpp"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <tuple>

namespace latticed {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kLongestName = 256, kLongestText = 4096;  // bytes
constexpr int kMostElements = 96;

bool is_element(const std::string& symbol) {
  static const std::set<std::string> kElements = {
      "H",  "He", "Li", "Be", "B",  "C",  "N",  "O",  "F",  "Ne", "Na", "Mg", "Al", "Si",
      "P",  "S",  "Cl", "Ar", "K",  "Ca", "Sc", "Ti", "V",  "Cr", "Mn", "Fe", "Co", "Ni",
      "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y",  "Zr", "Nb", "Mo",
      "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I",  "Xe", "Cs", "Ba",
      "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb",
      "Lu", "Hf", "Ta", "W",  "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po",
      "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U",  "Np", "Pu", "Am", "Cm"};
  return kElements.count(symbol) > 0;
}

Result<void> check(const v1::SessionInfo& wanted) {
  const auto refuse = [](const std::string& what) {
    return Error{ErrorCode::invalid_argument, "set session: " + what};
  };
  // Attributes of a recording hold 64 KiB, and a line on the screen less.
  for (const auto& [field, text, most] : {std::tuple{"sample", wanted.sample(), kLongestName},
                                          std::tuple{"zone_axis", wanted.zone_axis(), kLongestName},
                                          std::tuple{"operator", wanted.operator_(), kLongestName},
                                          std::tuple{"comment", wanted.comment(), kLongestText}})
    if (text.size() > most)
      return refuse(fmt::format("{}: {} bytes (expected at most {})", field, text.size(), most));
  if (wanted.elements_size() > kMostElements)
    return refuse(
        fmt::format("elements: {} (expected at most {})", wanted.elements_size(), kMostElements));
  for (const std::string& symbol : wanted.elements())
    if (!is_element(symbol))
      return refuse(
          fmt::format("elements: \"{}\" is no element (expected a symbol such as Na)", symbol));
  if (wanted.has_electrode_mass_kg() &&
      !(wanted.electrode_mass_kg() > 0.0 && wanted.electrode_mass_kg() <= 1.0))
    return refuse(fmt::format("electrode_mass_kg {}: expected above 0, at most 1",
                              wanted.electrode_mass_kg()));
  if (wanted.has_high_tension_v() &&
      !(wanted.high_tension_v() >= 1e3 && wanted.high_tension_v() <= 3e6))
    return refuse(
        fmt::format("high_tension_v {}: expected 1000 to 3000000", wanted.high_tension_v()));
  return {};
}

}  // namespace

Result<std::unique_ptr<SessionStore>> SessionStore::open(std::string file) {
  std::unique_ptr<SessionStore> store(new SessionStore(std::move(file)));
  std::ifstream in(store->file_);
  if (!in) return store;
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  if (auto status = google::protobuf::util::JsonStringToMessage(text, &store->session_);
      !status.ok())
    return Error{ErrorCode::data_loss,
                 fmt::format("session file {}: {}", store->file_, std::string(status.message()))};
  return store;
}

v1::SessionInfo SessionStore::get() const {
  const std::lock_guard lock(mutex_);
  return session_;
}

Result<void> SessionStore::write(const v1::SessionInfo& session) const {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string text;
  if (auto ok = google::protobuf::util::MessageToJsonString(session, &text, options); !ok.ok())
    return Error{ErrorCode::internal, std::string(ok.message())};
  const std::string part = file_ + ".part";
  {
    std::ofstream out(part);
    out << text;
    if (!out.flush())
      return Error{ErrorCode::unavailable, fmt::format("write session {}: disk error", file_)};
  }
  std::error_code problem;
  fs::rename(part, file_, problem);
  if (problem)
    return Error{ErrorCode::unavailable,
                 fmt::format("write session {}: {}", file_, problem.message())};
  return {};
}

Result<v1::SessionInfo> SessionStore::change(const v1::SessionInfo& wanted) {
  if (auto ok = check(wanted); !ok) return ok.error();
  const std::lock_guard lock(mutex_);
  v1::SessionInfo next = session_;
  if (wanted.elements_size() > 0) next.clear_elements();
  next.MergeFrom(wanted);  // set fields replace, the list is added to what is left of it
  if (auto ok = write(next); !ok) return ok.error();
  session_ = next;
  return next;
}

Result<v1::Tag> SessionStore::add_tag(const std::string& text, const std::string& who, bool is_span,
                                      const Moment& now) {
  if (text.empty())
    return Error{ErrorCode::invalid_argument,
                 "add tag: no text (expected what is to be remembered)"};
  if (text.size() > kLongestText || who.size() > kLongestName)
    return Error{ErrorCode::invalid_argument,
                 fmt::format("add tag: {} bytes of text by {} bytes (expected at most {} and {})",
                             text.size(), who.size(), kLongestText, kLongestName)};
  const std::lock_guard lock(mutex_);
  if (tags_.size() >= kMostTags)
    return Error{ErrorCode::resource_exhausted,
                 fmt::format("add tag: there are {} already, the most a server keeps", kMostTags)};
  v1::Tag& tag = tags_.emplace_back();
  tag.set_id(tags_.size());
  tag.set_text(text);
  tag.set_who(who);
  tag.set_span(is_span);
  tag.set_begin_ns(now.time_ns);
  tag.set_epoch(now.epoch);
  for (const auto& [detector, seq] : now.seq) (*tag.mutable_begin_seq())[detector] = seq;
  return tag;
}

namespace {

void end(v1::Tag& tag, const SessionStore::Moment& now) {
  tag.set_end_ns(now.time_ns);
  for (const auto& [detector, seq] : now.seq) (*tag.mutable_end_seq())[detector] = seq;
}

}  // namespace

Result<v1::Tag> SessionStore::end_tag(std::uint64_t id, const Moment& now) {
  const std::lock_guard lock(mutex_);
  if (id == 0 || id > tags_.size())
    return Error{ErrorCode::not_found, fmt::format("end tag {}: there is no such tag", id)};
  v1::Tag& tag = tags_[id - 1];
  if (!tag.span())
    return Error{ErrorCode::failed_precondition, fmt::format("end tag {}: it is a moment", id)};
  if (tag.has_end_ns())
    return Error{ErrorCode::failed_precondition, fmt::format("end tag {}: it has ended", id)};
  end(tag, now);
  return tag;
}

std::vector<v1::Tag> SessionStore::end_spans(const Moment& now) {
  const std::lock_guard lock(mutex_);
  std::vector<v1::Tag> ended;
  for (v1::Tag& tag : tags_)
    if (tag.span() && !tag.has_end_ns() && tag.epoch() == now.epoch) {
      end(tag, now);
      ended.push_back(tag);
    }
  return ended;
}

std::vector<v1::Tag> SessionStore::tags(std::uint32_t epoch) const {
  const std::lock_guard lock(mutex_);
  std::vector<v1::Tag> out;
  for (const v1::Tag& tag : tags_)
    if (epoch == 0 || tag.epoch() == epoch) out.push_back(tag);
  return out;
}

}  // namespace latticed
