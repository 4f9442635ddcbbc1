// The decoder of zstd frames without matches: what it takes, libzstd decodes to the same bytes.

#include <cairn/codecs/internal/literals_frame.h>
#include <fuzz/blosc_inputs.h>
#include <zstd.h>

namespace cairn::fuzz {
namespace {

void check(std::string_view input) {
  const auto bytes = ZSTD_getFrameContentSize(input.data(), input.size());
  if (bytes > kContentBytesMax) return;  // unknown and none are the greatest numbers
  std::string content(static_cast<std::size_t>(bytes), '\x55');
  std::string stock(content.size() + 1, '\xAA');
  if (!blosc::internal::decode_literals_frame(bytes_of(input), writable_bytes_of(content))) return;
  const auto size = ZSTD_decompress(stock.data(), content.size(), input.data(), input.size());
  require(ZSTD_isError(size) == 0 && size == content.size(), "libzstd takes it too");
  require(stock.compare(0, size, content) == 0, "libzstd says the same");
}

// Streams of our encoder, of libzstd without matches, and of libzstd with them.
Seeds seeds(const TestData&) {
  Seeds found;
  for (const auto& frame : blosc_frames()) {
    const auto parts = frame_parts(frame);
    if (!parts) continue;
    for (const auto& streams : parts->streams) {
      for (const auto& stream : streams) {
        if (ZSTD_getFrameContentSize(stream.data(), stream.size()) <= kContentBytesMax) {
          found.push_back(stream);
        }
      }
    }
  }
  return found;
}

const Registration registration({"blosc_literals", check, nullptr, seeds});

}  // namespace
}  // namespace cairn::fuzz
