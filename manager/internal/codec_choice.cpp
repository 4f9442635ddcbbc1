#include <cairn/codecs/blosc.h>
#include <cairn/manager/internal/codec_choice.h>

#include <optional>

namespace cairn::internal {
namespace {

/// Of a strided array so much is gathered for a sample, bytes.
constexpr std::size_t kGatheredSampleBytes = 64u << 10;

/// The elements of a leaf that are in memory, or its first part.
std::optional<ArrayView> sampled_view(const Tree& node) {
  if (const auto* array = std::get_if<Array>(&node.value())) return ArrayView(*array);
  if (const auto* view = std::get_if<ArrayView>(&node.value())) return *view;
  const auto* leaf = std::get_if<Leaf>(&node.value());
  if (leaf == nullptr || leaf->parts().empty()) return std::nullopt;
  const auto* view = std::get_if<ArrayView>(&leaf->parts().front().source);
  return view == nullptr ? std::nullopt : std::optional(*view);
}

double expected_ratio(const ArrayView& view) {
  const std::size_t typesize = size_of(view.dtype());
  if (view.contiguous()) {
    return blosc::estimate_ratio(std::span(view.data(), byte_count(view.dtype(), view.shape())),
                                 typesize);
  }
  const Shape box = zarr::choose_chunk_shape(view.dtype(), view.shape(), kGatheredSampleBytes);
  Shape origin(box.size());
  for (std::size_t d = 0; d < box.size(); ++d) origin[d] = (view.shape()[d] - box[d]) / 2;
  std::vector<std::byte> sample(byte_count(view.dtype(), box));
  copy_region(view, origin, box, sample.data());
  return blosc::estimate_ratio(sample, typesize);
}

CodecChoice choose_by_sample(CodecChoice choice, const Tree& node, std::size_t bytes) {
  if (bytes < kAutoBytesMin) {
    choice.reason = CodecReason::small;
    return choice;
  }
  const std::optional<ArrayView> view = sampled_view(node);
  if (!view || view->size() == 0) {
    choice.reason = CodecReason::not_sampled;
    choice.encoding = Encoding::planes;
    return choice;
  }
  const double ratio = expected_ratio(*view);
  choice.expected_ratio = static_cast<float>(ratio);
  if (ratio < kAutoGainMin) {
    choice.reason = CodecReason::no_gain;
    return choice;
  }
  choice.reason = CodecReason::gain;
  choice.encoding = Encoding::planes;
  return choice;
}

zarr::Codec blosc_codec(int level, DType dtype) {
  zarr::Blosc codec;
  codec.level = level;
  codec.typesize = size_of(dtype);
  return codec;
}

}  // namespace

std::string_view text_of(CodecReason reason) noexcept {
  switch (reason) {
    case CodecReason::as_asked:
      return "as asked";
    case CodecReason::tiny:
      return "too small for any codec";
    case CodecReason::small:
      return "auto: too small to gain";
    case CodecReason::no_gain:
      return "auto: the sample promised less than 5 %";
    case CodecReason::gain:
      return "auto: by the sample";
    case CodecReason::not_sampled:
      return "auto: not in memory, so not sampled";
  }
  return "unknown";
}

CodecChoice choose_codec(Codec asked, const Tree& node, std::size_t bytes) {
  CodecChoice choice;
  choice.asked = asked;
  switch (asked.kind()) {
    case Codec::Kind::raw:
      return choice;
    case Codec::Kind::automatic:
      return choose_by_sample(choice, node, bytes);
    case Codec::Kind::blosc:
    case Codec::Kind::zstd:
    case Codec::Kind::gzip:
      choice.encoding = Encoding::chain;
      break;
  }
  if (bytes < kSmallestEncoded) {
    choice.encoding = Encoding::raw;
    choice.reason = CodecReason::tiny;
  }
  return choice;
}

zarr::CodecChain chain_of(const CodecChoice& choice, DType dtype, zarr::Format format) {
  // What our own coder's frames come nearest to; a decoder does not look at it.
  constexpr int kPlanesLevel = 1;
  zarr::CodecChain chain{zarr::Bytes()};
  if (choice.encoding == Encoding::planes) {
    chain.push_back(blosc_codec(kPlanesLevel, dtype));
  } else if (choice.encoding == Encoding::chain) {
    const int level = choice.asked.level();
    switch (choice.asked.kind()) {
      case Codec::Kind::blosc:
        chain.push_back(blosc_codec(level, dtype));
        break;
      case Codec::Kind::zstd: {
        zarr::Zstd zstd;
        zstd.level = level;
        chain.push_back(zstd);
        break;
      }
      case Codec::Kind::gzip: {
        zarr::Gzip gzip;
        gzip.level = level;
        chain.push_back(gzip);
        break;
      }
      case Codec::Kind::raw:
      case Codec::Kind::automatic:
        break;
    }
  }
  if (format == zarr::Format::v3) chain.push_back(zarr::Crc32c());
  return chain;
}

std::string label_of(const CodecChoice& choice) {
  switch (choice.encoding) {
    case Encoding::raw:
      return "raw";
    case Encoding::planes:
      return "blosc planes";
    case Encoding::chain:
      break;
  }
  return to_string(choice.asked);
}

}  // namespace cairn::internal
