#include <cairn/codecs/crc32c.h>
#include <gtest/gtest.h>

#include <string_view>

namespace cairn {
namespace {

TEST(Crc32c, GivesTheCheckValueOfTheStandard) {
  const std::string_view text = "123456789";
  EXPECT_EQ(crc32c(std::as_bytes(std::span(text))), 0xE3069283u);
}

TEST(Crc32c, GoesOnFromASeed) {
  const std::string_view text = "123456789";
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(crc32c(bytes.subspan(4), crc32c(bytes.first(4))), 0xE3069283u);
}

}  // namespace
}  // namespace cairn
