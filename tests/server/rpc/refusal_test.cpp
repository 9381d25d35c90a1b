// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/rpc/refusal.hpp"

#include <gtest/gtest.h>
#include <latticed/v1/errors.pb.h>

namespace latticed::rpc {
namespace {

v1::ErrorInfo info_of(const grpc::Status& status) {
  v1::ErrorStatus details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  v1::ErrorInfo info;
  EXPECT_EQ(details.details_size(), 1);
  EXPECT_EQ(details.details(0).type_url(), "type.googleapis.com/google.rpc.ErrorInfo");
  EXPECT_TRUE(info.ParseFromString(details.details(0).value()));
  EXPECT_EQ(details.code(), status.error_code());
  EXPECT_EQ(details.message(), status.error_message());
  return info;
}

TEST(Refusal, MeansRequestIdsThatAreTooLongToBeKept) {
  EXPECT_TRUE(check_request_id("").ok());
  EXPECT_TRUE(check_request_id(std::string(kLongestRequestId, 'x')).ok());
  const auto sut = check_request_id(std::string(kLongestRequestId + 1, 'x'));
  EXPECT_EQ(sut.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(info_of(sut).reason(), "INVALID_VALUE");
}

TEST(Refusal, CarriesReasonAndNumbersToTheClient) {
  const auto sut = to_status(Refusal{{ErrorCode::out_of_range, "set_bias 12 V: above 10 V"},
                                     "ABOVE_LIMIT",
                                     {{"limit", "10"}, {"value", "12"}, {"unit", "V"}}});
  EXPECT_EQ(sut.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  const v1::ErrorInfo info = info_of(sut);
  EXPECT_EQ(info.reason(), "ABOVE_LIMIT");
  EXPECT_EQ(info.domain(), "latticed");
  EXPECT_EQ(info.metadata().at("limit"), "10");
  EXPECT_EQ(info.metadata().at("unit"), "V");
}

TEST(Refusal, GivesEveryErrorCodeItsOwnStatusAndAReason) {
  std::set<int> codes;
  for (int code = 0; code <= static_cast<int>(ErrorCode::internal); ++code) {
    const auto status = to_status(Error{static_cast<ErrorCode>(code), "why"});
    EXPECT_FALSE(status.ok());
    EXPECT_FALSE(info_of(status).reason().empty());
    codes.insert(status.error_code());
  }
  EXPECT_EQ(codes.size(), static_cast<std::size_t>(ErrorCode::internal) + 1);
}

}  // namespace
}  // namespace latticed::rpc
