// From the engine's failures to the codes of the public interface.

#include <cairn/engine/error.h>
#include <cairn/manager/engine_error.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <utility>
#include <vector>

namespace cairn {
namespace {

using engine::ErrorKind;

TEST(ErrorCodeOf, EveryKindOfTheEnginesHasACode) {
  const std::vector<std::pair<ErrorKind, ErrorCode>> expected = {
      {ErrorKind::not_found, ErrorCode::not_found},
      {ErrorKind::already_exists, ErrorCode::already_exists},
      {ErrorKind::permission_denied, ErrorCode::permission_denied},
      {ErrorKind::no_space, ErrorCode::no_space},
      {ErrorKind::resource_exhausted, ErrorCode::resource_exhausted},
      {ErrorKind::invalid_argument, ErrorCode::invalid_argument},
      {ErrorKind::not_supported, ErrorCode::not_supported},
      {ErrorKind::busy, ErrorCode::busy},
      {ErrorKind::io_error, ErrorCode::io_error},
      {ErrorKind::data_loss, ErrorCode::data_loss},
      {ErrorKind::cancelled, ErrorCode::cancelled},
      {ErrorKind::timed_out, ErrorCode::timed_out},
      {ErrorKind::closed, ErrorCode::closed},
      {ErrorKind::unknown, ErrorCode::io_error},
      {ErrorKind::ok, ErrorCode::internal},  // of no failure
  };
  for (const auto& [kind, code] : expected) {
    EXPECT_EQ(error_code_of(kind), code) << to_string(kind);
  }
}

TEST(ErrorCodeOf, SystemCallsFailWithTheCodeThatACallerActsOn) {
  const auto code_of = [](int error) {
    return error_code_of(engine::classify(engine::from_errno(error)));
  };
  EXPECT_EQ(code_of(ENOSPC), ErrorCode::no_space);
  EXPECT_EQ(code_of(EDQUOT), ErrorCode::no_space);
  EXPECT_EQ(code_of(EROFS), ErrorCode::permission_denied);
  EXPECT_EQ(code_of(EIO), ErrorCode::io_error);
}

TEST(ErrorText, ANulInANameEndsNoMessage) {
  ErrorContext context;
  context.operation = "save";
  context.key_path = std::string("a\0b", 3);
  const Error error(ErrorCode::invalid_argument, std::string("no\0name", 7), context);
  EXPECT_STREQ(error.what(), "save, key path a\\x00b: no\\x00name");
  EXPECT_EQ(error.context().key_path, context.key_path);
}

}  // namespace
}  // namespace cairn
