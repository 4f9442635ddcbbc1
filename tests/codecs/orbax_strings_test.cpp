#include <cairn/codecs/format_error.h>
#include <cairn/codecs/orbax.h>
#include <codecs/test_data.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace cairn::orbax {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

using Leaves = std::vector<std::pair<std::string, std::string>>;

/// Those of tests/data/orbax/make.py, in the order that Orbax gives them.
Leaves leaves_of_orbax() {
  using namespace std::string_literals;
  return {{"z", "last"},
          {"a.s", "grüße \x01\x1f\b\f\n\r\t \"q\" \\ / \x7f \u2028 \U0001f600 \0."s},
          {"a.e", ""},
          {"l.0", "one"},
          {"l.1", "two"},
          {"a/b", "below"},
          {"a/c/d", "further below"},
          {"t~0x", "a tilde"},
          {"t~1x", "a slash"},
          {"", "no name"}};
}

boost::json::object put(const Leaves& leaves) {
  boost::json::object strings;
  for (const auto& [name, text] : leaves) put_string(strings, name, text);
  return strings;
}

TEST(Strings, AreWrittenAsOrbaxWritesThem) {
  EXPECT_EQ(encode_strings(put(leaves_of_orbax())), read_test_data("orbax/strings.json"));
  EXPECT_EQ(encode_strings(put({{"a.b", "x"}})), R"({"a.b":"x"})");
}

TEST(Strings, OfOrbaxAreFound) {
  const auto strings = parse_json(read_test_data("orbax/strings.json"), "strings");
  for (const auto& [name, text] : leaves_of_orbax()) {
    const boost::json::string* found = find_string(strings, name);
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(std::string_view(*found), text) << name;
  }
}

TEST(Strings, ThatAreNotThereAreNotFound) {
  const auto strings = parse_json(R"({"a": {"b": "x"}, "n": 3, "l": ["y"]})", "strings");
  for (const std::string name : {"b", "a/c", "a/b/c", "l/0", "a/b/", "", "~", "a~"})
    EXPECT_EQ(find_string(strings, name), nullptr) << name;
  EXPECT_EQ(find_string(boost::json::value(), "a"), nullptr);
  EXPECT_EQ(find_string(boost::json::value("x"), ""), nullptr);
}

TEST(Strings, ThatAreSomethingElseAreNamedWithIt) {
  const std::string text = R"({"a": {"b": 5}, "n": null, "l": ["y"]})";
  const auto strings = parse_json(text, "strings");
  EXPECT_THAT([&] { static_cast<void>(find_string(strings, "a/b", text)); },
              ThrowsMessage<FormatError>(HasSubstr("a/b at byte 12: found 5; allowed: a string")));
  EXPECT_THAT([&] { static_cast<void>(find_string(strings, "a/b")); },
              ThrowsMessage<FormatError>(HasSubstr("a/b: found 5; allowed: a string")));
  for (const std::string name : {"a", "n", "l"})
    EXPECT_THROW(static_cast<void>(find_string(strings, name)), FormatError) << name;
}

TEST(Strings, ThatRunIntoEachOtherAreRefused) {
  const auto refuses = [](const Leaves& leaves, const char* why) {
    EXPECT_THAT([&] { put(leaves); }, ThrowsMessage<std::invalid_argument>(HasSubstr(why)));
  };
  refuses({{"a", "x"}, {"a", "y"}}, "'a' is that of another");
  refuses({{"a/b", "x"}, {"a~1b", "y"}, {"a", "z"}}, "'a' is the start of that");
  refuses({{"a", "x"}, {"a/b", "y"}}, "'a/b' lies below that of another");
}

TEST(Strings, WithNamesThatOrbaxCannotFindAreRefused) {
  for (const std::string name : {"~", "a~", "~2", "a~b"}) {
    EXPECT_THAT(
        [&] {
          put({{name, "x"}});
        },
        ThrowsMessage<std::invalid_argument>(HasSubstr("'" + name + "' has a '~'")));
  }
  EXPECT_THAT(
      [&] {
        put({{std::string(256, '/'), "x"}});
      },
      ThrowsMessage<std::invalid_argument>(HasSubstr("255 '/'")));
  const auto deepest = put({{std::string(255, '/'), "x"}});
  const auto back = parse_json(encode_strings(deepest), "strings");
  EXPECT_NE(find_string(back, std::string(255, '/')), nullptr);
}

TEST(Strings, ThatAreNotUtf8AreRefused) {
  for (const std::string bytes : {"\xff", "a\xc3", "\xed\xa0\x80"}) {
    EXPECT_THAT(
        [&] {
          put({{"a", bytes}});
        },
        ThrowsMessage<std::invalid_argument>(HasSubstr("UTF-8")));
    EXPECT_THAT(
        [&] {
          put({{bytes, "a"}});
        },
        ThrowsMessage<std::invalid_argument>(HasSubstr("UTF-8")));
  }
}

}  // namespace
}  // namespace cairn::orbax
