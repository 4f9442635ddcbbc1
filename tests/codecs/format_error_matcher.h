#pragma once
// A FormatError must tell three things: the tests of every decoder ask for them through this.

#include <cairn/codecs/format_error.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace cairn {

/// Runs `decode` and checks the error that it throws; each text must occur in the error's part.
template <class Decode>
void expect_format_error(const Decode& decode, const std::string& field, const std::string& found,
                         const std::string& allowed) {
  using ::testing::HasSubstr;
  try {
    decode();
    ADD_FAILURE() << "accepted; expected an error about " << field;
  } catch (const FormatError& error) {
    EXPECT_THAT(error.field(), HasSubstr(field));
    EXPECT_THAT(error.found(), HasSubstr(found));
    EXPECT_THAT(error.allowed(), HasSubstr(allowed));
    for (const std::string& part :
         {error.structure(), error.field(), error.found(), error.allowed()}) {
      EXPECT_FALSE(part.empty());
      EXPECT_THAT(error.what(), HasSubstr(part));
    }
  }
}

/// The same of a decoder of one document, `decode(text)`, whose errors have a place in it, too.
template <class Decode>
void expect_document_error(const std::string& text, const Decode& decode, const std::string& field,
                           const std::string& found, const std::string& allowed) {
  const auto placed = [&] {
    try {
      decode(text);
    } catch (const FormatError& error) {
      EXPECT_TRUE(error.offset()) << error.what();
      EXPECT_LE(error.offset().value_or(0), text.size()) << error.what();
      throw;
    }
  };
  expect_format_error(placed, field, found, allowed);
}

/// Whether a decoder takes what it refuses for damage, or for something newer than itself.
template <class Decode>
void expect_kind(const Decode& decode, FormatError::Kind kind) {
  try {
    decode();
    ADD_FAILURE() << "accepted";
  } catch (const FormatError& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
  }
}

}  // namespace cairn
