// Codes, kinds and remedies of engine/error.h.

#include <cairn/engine/error.h>
#include <gtest/gtest.h>

#include <boost/asio/error.hpp>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace cairn::test {
namespace {

using engine::classify;
using engine::Errc;
using engine::ErrorKind;
using engine::from_errno;

TEST(Error, ErrnosHaveTheKindThatACallerActsOn) {
  const std::vector<std::pair<int, ErrorKind>> expected = {
      {0, ErrorKind::ok},
      {ENOENT, ErrorKind::not_found},
      {EEXIST, ErrorKind::already_exists},
      {ENOTEMPTY, ErrorKind::already_exists},
      {EACCES, ErrorKind::permission_denied},
      {EROFS, ErrorKind::permission_denied},
      {ENOSPC, ErrorKind::no_space},
      {EDQUOT, ErrorKind::no_space},
      {EFBIG, ErrorKind::no_space},
      {EMFILE, ErrorKind::resource_exhausted},
      {ENOMEM, ErrorKind::resource_exhausted},
      {EINVAL, ErrorKind::invalid_argument},
      {EXDEV, ErrorKind::invalid_argument},
      {EOPNOTSUPP, ErrorKind::not_supported},
      {ENOSYS, ErrorKind::not_supported},
      {EWOULDBLOCK, ErrorKind::busy},
      {EIO, ErrorKind::io_error},
      {ESHUTDOWN, ErrorKind::io_error},
      {ESTALE, ErrorKind::io_error},
      {EUCLEAN, ErrorKind::io_error},
      {EBADMSG, ErrorKind::data_loss},
      {ECANCELED, ErrorKind::cancelled},
      {ETIMEDOUT, ErrorKind::timed_out},
      {EOWNERDEAD, ErrorKind::closed},
      {EHWPOISON, ErrorKind::unknown},  // comes from none of our calls
  };
  for (const auto& [value, kind] : expected) {
    EXPECT_EQ(classify(from_errno(value)), kind) << std::strerror(value);
  }
}

TEST(Error, CodesOfTheEngineHaveItsCategoryAndAText) {
  EXPECT_STREQ(engine::engine_category().name(), "cairn.engine");
  for (const Errc code :
       {Errc::forked_child, Errc::engine_closed, Errc::request_too_large, Errc::timed_out,
        Errc::direct_io_unavailable, Errc::exchange_unavailable, Errc::not_a_regular_file}) {
    const engine::error_code made = code;
    EXPECT_EQ(made.category(), engine::engine_category());
    EXPECT_NE(made.message(), "");
    EXPECT_NE(made.message(), engine::engine_category().message(0)) << "one of its own";
  }
}

TEST(Error, NoRemedyNamesAnOptionThatDoesNotExist) {
  EXPECT_EQ(engine::remedy(from_errno(ENOLCK)).find("off"), std::string_view::npos);
}

TEST(Error, AsiosOwnAbortIsACancellation) {
  EXPECT_EQ(classify(boost::asio::error::operation_aborted), ErrorKind::cancelled);
}

TEST(Error, GenericAndSystemCategoriesMeanTheSame) {
  EXPECT_EQ(classify(make_error_code(boost::system::errc::no_space_on_device)),
            ErrorKind::no_space);
}

TEST(Error, EveryEngineCodeHasAMessageAndAKind) {
  for (int value = 1; value <= static_cast<int>(Errc::not_a_regular_file); ++value) {
    const engine::error_code code = static_cast<Errc>(value);
    EXPECT_STREQ(code.category().name(), "cairn.engine");
    EXPECT_NE(code.message(), "unknown engine error") << value;
    EXPECT_NE(classify(code), ErrorKind::unknown) << value;
  }
}

TEST(Error, RemediesAreSentencesOrNothing) {
  EXPECT_FALSE(engine::remedy(from_errno(ENOSPC)).empty());
  EXPECT_FALSE(engine::remedy(Errc::forked_child).empty());
  EXPECT_TRUE(engine::remedy(from_errno(0)).empty());
  for (int value = 1; value < 134; ++value) {
    const std::string_view text = engine::remedy(from_errno(value));
    EXPECT_TRUE(text.empty() || text.ends_with('.')) << text;
  }
}

TEST(Error, KindsHaveNames) {
  EXPECT_EQ(engine::to_string(ErrorKind::no_space), "no_space");
  EXPECT_EQ(engine::to_string(ErrorKind::unknown), "unknown");
}

}  // namespace
}  // namespace cairn::test
