// Blosc frames: what we decode, libblosc decodes to the same bytes; every byte of the content is
// written; and the content can be encoded again.

#include <cairn/codecs/blosc.h>
#include <fuzz/blosc_inputs.h>

namespace cairn::fuzz {
namespace {

/// The decoder keeps room for blocks of a mebibyte, and makes some for larger ones.
constexpr std::size_t kScratch = std::size_t{2} << 20;

std::optional<std::string> content_of(std::string_view frame, std::size_t bytes, char before) {
  std::string content(bytes, before);
  const auto done = decoded(kFreeMemory + kScratch, [&] {
    blosc::decode(bytes_of(frame), writable_bytes_of(content));
    return true;
  });
  if (!done) return std::nullopt;
  return content;
}

void check(std::string_view input) {
  const auto header = decoded(kFreeMemory, [&] { return blosc::decode_header(bytes_of(input)); });
  if (!header || header->content_bytes > kContentBytesMax) return;
  const auto content = content_of(input, header->content_bytes, '\x55');
  if (!content) return;
  require(content == content_of(input, header->content_bytes, '\xAA'), "all of it is written");
  require(content == decoded_by_libblosc(input, header->content_bytes), "libblosc says the same");
  require(!content_of(input, header->content_bytes + 1, '\0'), "another size is refused");
  std::string again(blosc::frame_bound(content->size()), '\0');
  again.resize(
      blosc::encode_planes(bytes_of(*content), header->typesize, writable_bytes_of(again)));
  require(content_of(again, content->size(), '\0') == content, "the content comes back");
}

Seeds seeds(const TestData&) {
  return blosc_frames();
}

const Registration registration({"blosc_frame", check, mutate_frame, seeds});

}  // namespace
}  // namespace cairn::fuzz
