// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/session_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/movie_writers.hpp"

namespace latticed::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<SessionStore> open(const std::string& file) {
  auto store = SessionStore::open(file);
  EXPECT_TRUE(store) << store.error().message;
  return std::move(*store);
}

TEST(SessionStore, KeepsWhatWasSaidOverARestart) {
  TemporaryFolder folder;
  {
    auto sut = open(folder / "session.json");
    v1::SessionInfo said;
    said.set_sample("NaMnO2 #3");
    said.add_elements("Na");
    said.add_elements("Mn");
    said.set_high_tension_v(200e3);
    ASSERT_TRUE(sut->change(said));
    v1::SessionInfo more;
    more.set_operator_("Ada");
    ASSERT_TRUE(sut->change(more));
  }
  const v1::SessionInfo now = open(folder / "session.json")->get();
  EXPECT_EQ(now.sample(), "NaMnO2 #3");
  EXPECT_THAT(now.elements(), ElementsAre("Na", "Mn"));
  EXPECT_EQ(now.high_tension_v(), 200e3);
  EXPECT_EQ(now.operator_(), "Ada");
  EXPECT_FALSE(now.has_electrode_mass_kg());
}

TEST(SessionStore, ReplacesAListAsAWhole) {
  TemporaryFolder folder;
  auto sut = open(folder / "session.json");
  v1::SessionInfo first, second;
  first.add_elements("Na");
  first.add_elements("O");
  second.add_elements("Li");
  ASSERT_TRUE(sut->change(first));
  ASSERT_TRUE(sut->change(second));
  EXPECT_THAT(sut->get().elements(), ElementsAre("Li"));
}

TEST(SessionStore, RefusesWhatCannotBeAndChangesNothing) {
  TemporaryFolder folder;
  auto sut = open(folder / "session.json");
  v1::SessionInfo element, mass, tension;
  element.set_sample("x");
  element.add_elements("Nq");
  mass.set_electrode_mass_kg(-1e-6);
  tension.set_high_tension_v(80);
  v1::SessionInfo name, remark;
  name.set_operator_(std::string(257, 'a'));
  remark.set_comment(std::string(4097, 'a'));
  for (const v1::SessionInfo* wrong : {&element, &mass, &tension, &name, &remark}) {
    const auto done = sut->change(*wrong);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(done.error().message, HasSubstr("expected"));
  }
  EXPECT_EQ(sut->get().sample(), "");
}

TEST(SessionStore, SaysWhenItsFileIsDamaged) {
  TemporaryFolder folder;
  write_bytes(folder / "session.json", {'{', '"'});
  const auto sut = SessionStore::open(folder / "session.json");
  ASSERT_FALSE(sut);
  EXPECT_THAT(sut.error().message, HasSubstr("session.json"));
}

TEST(SessionStore, MarksMomentsAndSpans) {
  TemporaryFolder folder;
  auto sut = open(folder / "session.json");
  const SessionStore::Moment early{1000, 2, {{"haadf", 7}}}, late{2000, 2, {{"haadf", 9}}};
  const auto moment = sut->add_tag("crack", "Ada", false, early);
  const auto span = sut->add_tag("hold at 4.2 V", "Ada", true, early);
  ASSERT_TRUE(moment && span);
  EXPECT_EQ(span->begin_seq().at("haadf"), 7u);
  const auto ended = sut->end_tag(span->id(), late);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->end_ns(), 2000);
  EXPECT_EQ(ended->end_seq().at("haadf"), 9u);

  EXPECT_EQ(sut->end_tag(span->id(), late).error().code, ErrorCode::failed_precondition);
  EXPECT_EQ(sut->end_tag(moment->id(), late).error().code, ErrorCode::failed_precondition);
  EXPECT_EQ(sut->end_tag(99, late).error().code, ErrorCode::not_found);
  EXPECT_EQ(sut->add_tag("", "Ada", false, early).error().code, ErrorCode::invalid_argument);
}

TEST(SessionStore, KeepsSoManyTagsAndNoMore) {
  TemporaryFolder folder;
  auto sut = open(folder / "session.json");
  for (std::size_t i = 0; i < SessionStore::kMostTags; ++i)
    ASSERT_TRUE(sut->add_tag("again", "Ada", false, {}));
  EXPECT_EQ(sut->add_tag("again", "Ada", false, {}).error().code, ErrorCode::resource_exhausted);
  EXPECT_EQ(sut->tags(0).size(), SessionStore::kMostTags);
  EXPECT_EQ(sut->add_tag("x", std::string(257, 'a'), false, {}).error().code,
            ErrorCode::invalid_argument);
}

TEST(SessionStore, EndsTheSpansOfARunWithIt) {
  TemporaryFolder folder;
  auto sut = open(folder / "session.json");
  ASSERT_TRUE(sut->add_tag("of run 1", "", true, {1, 1, {}}));
  ASSERT_TRUE(sut->add_tag("of run 2", "", true, {2, 2, {}}));
  const auto ended = sut->end_spans({5, 2, {{"a", 3}}});
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended.front().text(), "of run 2");
  EXPECT_EQ(sut->tags(2).front().end_ns(), 5);
  EXPECT_FALSE(sut->tags(1).front().has_end_ns());
  EXPECT_EQ(sut->tags(0).size(), 2u);
}

}  // namespace
}  // namespace latticed::test
