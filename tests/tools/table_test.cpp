// Text for people.

#include "cairn/table.h"

#include <gtest/gtest.h>

namespace cairn::cli {
namespace {

TEST(Table, AlignsColumnsByWhatTheEyeSees) {
  Table table({{"NAME"}, {"N", Align::right}, {"END"}});
  table.add({"caf\xc3\xa9", "7", ""});
  table.add({"a", "1234", "x"});
  EXPECT_EQ(table.text(1),
            " NAME     N  END\n"
            " caf\xc3\xa9     7\n"
            " a     1234  x\n");
}

TEST(Table, WritesBytesInThreeDigits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.00 KiB");
  EXPECT_EQ(human_bytes(10 * 1024), "10.0 KiB");
  EXPECT_EQ(human_bytes(500 * 1024), "500 KiB");
  EXPECT_EQ(human_bytes(1023 * 1024), "1.00 MiB");
  EXPECT_EQ(human_bytes(~std::uint64_t{0}), "16.0 EiB");
}

TEST(Table, WritesTimesInUtc) {
  EXPECT_EQ(human_time(0), "1970-01-01 00:00:00Z");
  EXPECT_EQ(human_time(1'700'000'000'999'999'999), "2023-11-14 22:13:20Z");
}

TEST(Table, WritesDurationsInTheLargestUnitThatFits) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  EXPECT_EQ(human_duration(-5), "0 s");
  EXPECT_EQ(human_duration(59 * kSecond), "59 s");
  EXPECT_EQ(human_duration(90 * kSecond), "1.5 min");
  EXPECT_EQ(human_duration(3 * 3600 * kSecond), "3.0 h");
  EXPECT_EQ(human_duration(40 * 86400 * kSecond), "40 d");
}

TEST(Table, CountsInTheRightNumber) {
  EXPECT_EQ(counted(0, "array"), "0 arrays");
  EXPECT_EQ(counted(1, "array"), "1 array");
}

TEST(Table, LeavesNoControlCharacterInText) {
  EXPECT_EQ(printable("plain \xc3\xa9"), "plain \xc3\xa9");
  EXPECT_EQ(printable("a\nb\x1b\x7f"), "a\\x0ab\\x1b\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m \xc2\xa3"),
            "\\xc2\\x9b31m \xc2\xa3");
}

}  // namespace
}  // namespace cairn::cli
