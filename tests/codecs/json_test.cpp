// Reading JSON strictly, and writing it as Python does.

#include <cairn/codecs/orbax.h>
#include <codecs/format_error_matcher.h>
#include <codecs/test_data.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <limits>

namespace cairn::orbax {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

boost::json::value parse(std::string_view text) {
  return parse_json(text, "metrics");
}

double bits_to_double(const std::string& hex) {
  return std::bit_cast<double>(std::uint64_t{std::stoull(hex, nullptr, 16)});
}

TEST(ParseJson, KeepsTheOrderOfMembersAndTheKindOfNumbers) {
  const auto value = parse(R"( {"z": 1, "a": -1, "m": 18446744073709551615, "d": 1.0, "e": 1e2} )");
  EXPECT_EQ(boost::json::serialize(value),
            R"({"z":1,"a":-1,"m":18446744073709551615,"d":1E0,"e":1E2})");
  EXPECT_TRUE(value.at("z").is_int64());
  EXPECT_TRUE(value.at("m").is_uint64());
  EXPECT_TRUE(value.at("d").is_double());
}

TEST(ParseJson, ReadsIntegersBeyondSixtyFourBitsAsDoubles) {
  EXPECT_EQ(parse("123456789012345678901234567890").as_double(), 123456789012345678901234567890.0);
}

TEST(ParseJson, ReadsTheWordsThatPythonWritesForNonFiniteNumbers) {
  const auto value =
      parse(R"({"NaN": [NaN, "NaN", Infinity], "\"NaN": {"a": -Infinity}, "n": "N"})");
  EXPECT_TRUE(std::isnan(value.at("NaN").at(0).as_double()));
  EXPECT_EQ(value.at("NaN").at(1).as_string(), "NaN");
  EXPECT_EQ(value.at("NaN").at(2).as_double(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(value.at("\"NaN").at("a").as_double(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(value.at("n").as_string(), "N");
}

TEST(ParseJson, RefusesWordsThatPythonDoesNotWrite) {
  for (const char* text : {"NaNs", "-NaN", "InfinityNaN", "+Infinity", "nan", "[NaN 1]", "1NaN"}) {
    EXPECT_THROW((void)parse(text), FormatError) << text;
  }
  expect_document_error(R"({"a": {NaN: 1}})", parse, "a/N", "number where", "a string");
}

TEST(ParseJson, NamesLineAndOffsetOfBadText) {
  try {
    (void)parse("{\n  \"a\": 1,\n  \"b\": }\n");
    FAIL() << "accepted";
  } catch (const FormatError& error) {
    EXPECT_EQ(error.structure(), "metrics");
    EXPECT_EQ(error.field(), "line 3");
    EXPECT_EQ(error.offset(), 19u);
    EXPECT_THAT(error.what(), HasSubstr("metrics: line 3 at byte 19: found syntax error"));
  }
}

TEST(ParseJson, RefusesWhatIsNotOneJsonText) {
  for (const char* text : {"", " ", "{", "[1", "\"a", "1 2", "{\"a\" 1}", "[1,]", "// x\n1", "nul",
                           "\"\x01\"", "\"\\x\"", "01", "1.", "{'a': 1}"}) {
    EXPECT_THROW((void)parse(text), FormatError) << text;
  }
  EXPECT_THROW((void)parse("\"\xC3\x28\""), FormatError) << "invalid UTF-8";
}

TEST(ParseJson, RefusesAMemberGivenTwiceAtAnyDepth) {
  expect_document_error(R"({"a": 1, "b": 2, "a": 1})", parse, "a", "twice", "once");
  expect_document_error(R"({"x": [0, {"k": {"d": 1, "\u0064": 2}}]})", parse, "x[1]/k/d", "twice",
                        "once");
}

TEST(ParseJson, BoundsTheNesting) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_NO_THROW((void)parse(nested(256)));
  expect_document_error(nested(257), parse, "line 1", "deep", "256");
  EXPECT_THROW((void)parse(std::string(1'000'000, '[')), FormatError);
}

TEST(ParseJson, JoinsLongStringsAndEscapes) {
  const std::string longer(100'000, 'x');
  const auto value = parse("{\"" + longer + "\\n\": \"\\ud83d\\ude00" + longer + "\"}");
  EXPECT_EQ(value.as_object().begin()->key(), longer + "\n");
  EXPECT_EQ(value.as_object().begin()->value().as_string(), "\xF0\x9F\x98\x80" + longer);
}

TEST(ToJson, WritesDoublesAsPythonDoesAndReadsThemBackExactly) {
  for (const auto& row : read_test_table("python/json.txt")) {
    const double value = bits_to_double(row.at(0));
    EXPECT_EQ(to_json(value), row.at(1));
    const double back = parse(row.at(1)).as_double();
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(back));
    } else {
      EXPECT_EQ(std::bit_cast<std::uint64_t>(back), std::bit_cast<std::uint64_t>(value)) << row[1];
    }
  }
}

TEST(ToJson, WritesAsciiAsPythonDoes) {
  const boost::json::value value = {
      {"\xC3\xA9\x7F\n\r\t\b\f\x01\"\\/", {1, -2, nullptr, true, false, "\xF0\x9F\x98\x80"}},
      {"o", boost::json::object()},
      {"a", boost::json::array()},
      {"u", 18446744073709551615u}};
  EXPECT_EQ(to_json(value),
            "{\"\\u00e9\\u007f\\n\\r\\t\\b\\f\\u0001\\\"\\\\/\": [1, -2, null, true, false, "
            "\"\\ud83d\\ude00\"], \"o\": {}, \"a\": [], \"u\": 18446744073709551615}");
  EXPECT_EQ(parse(to_json(value)), value);
}

TEST(ToJson, RefusesWhatItCannotWrite) {
  for (const char* text :
       {"\xFF", "\xC3", "\xED\xA0\x80", "\xC0\x80", "\xF4\x90\x80\x80", "a\x80"}) {
    EXPECT_THAT([&] { (void)to_json(text); },
                ThrowsMessage<std::invalid_argument>(HasSubstr("not UTF-8")))
        << text;
  }
  boost::json::value deep;
  for (int i = 0; i < 300; ++i) deep = boost::json::array({std::move(deep)});
  EXPECT_THAT([&] { (void)to_json(deep); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("more than 256 deep")));
}

}  // namespace
}  // namespace cairn::orbax
