#include <cairn/codecs/blosc.h>
#include <cairn/codecs/cast.h>
#include <cairn/manager/internal/codec_choice.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <vector>

namespace cairn::internal {
namespace {

/// Of a strided array so much is gathered for a sample, bytes.
constexpr std::size_t kGatheredSampleBytes = 64u << 10;

/// The elements of a leaf that are in memory, or its first part.
std::optional<ArrayView> sampled_view(const Tree& node) {
  if (auto view = view_of(node)) return view;
  const auto* leaf = std::get_if<Leaf>(&node.value());
  if (leaf == nullptr || leaf->parts().empty()) return std::nullopt;
  const auto* view = std::get_if<ArrayView>(&leaf->parts().front().source);
  return view == nullptr ? std::nullopt : std::optional(*view);
}

/// Floats repeat so seldom that looking for it costs more than it finds.
bool may_repeat(DType dtype) {
  static_assert(DType::boolean < DType::uint64 && DType::uint64 < DType::float4_e2m1fn);
  return dtype <= DType::uint64;
}

/// The elements to sample, as `dtype`: all, or some of an array that is strided or cast, which
/// `gathered` then holds.
std::span<const std::byte> sample_of(const ArrayView& view, DType dtype,
                                     std::vector<std::byte>* gathered) {
  if (view.contiguous() && view.dtype() == dtype)
    return {view.data(), byte_count(dtype, view.shape())};
  const Shape box = zarr::choose_chunk_shape(view.dtype(), view.shape(), kGatheredSampleBytes);
  Shape origin(box.size());
  for (std::size_t d = 0; d < box.size(); ++d) origin[d] = (view.shape()[d] - box[d]) / 2;
  gathered->resize(byte_count(dtype, box));
  std::ptrdiff_t offset = 0;
  for (std::size_t d = 0; d < box.size(); ++d) offset += origin[d] * view.strides()[d];
  cast_region(view.data() + offset, view.dtype(), view.strides(), box, gathered->data(), dtype,
              c_strides(dtype, box));
  return *gathered;
}

struct Offer {
  Encoding encoding = Encoding::planes;
  double ratio = 1;
  double rate = 0;  ///< bytes/s of one worker; 0: not known
};

Offer try_on(const std::vector<std::span<const std::byte>>& pieces, std::size_t typesize,
             Encoding encoding, const engine::Clock* clock) {
  Offer offer;
  offer.encoding = encoding;
  std::vector<std::byte> frame(blosc::frame_bound(pieces.front().size()));
  std::size_t bytes = 0;
  std::size_t stored = 0;
  for (const std::span<const std::byte> piece : pieces) {
    const auto begin = clock != nullptr ? clock->steady() : engine::Clock::Duration();
    stored += blosc::encode_planes(piece, typesize, frame, coder_of(encoding));
    const auto end = clock != nullptr ? clock->steady() : begin;
    bytes += piece.size();
    // The best: the first finds its tables cold, and others may have to wait for a core.
    if (end <= begin) continue;
    const double seconds = std::chrono::duration<double>(end - begin).count();
    offer.rate = std::max(offer.rate, static_cast<double>(piece.size()) / seconds);
  }
  offer.ratio = static_cast<double>(bytes) / static_cast<double>(stored);
  return offer;
}

/// What gets more through.
Offer best_offer(const ArrayView& view, DType dtype, const AutoSettings& settings) {
  std::vector<std::byte> gathered;
  const std::span<const std::byte> sample = sample_of(view, dtype, &gathered);
  const std::size_t typesize = size_of(dtype);
  Offer planes;
  const auto pieces = blosc::trial_pieces(sample, typesize);
  if (!may_repeat(dtype) || pieces.empty()) {
    planes.ratio = blosc::estimate_ratio(sample, typesize);
    return planes;
  }
  planes = try_on(pieces, typesize, Encoding::planes, settings.clock);
  const Offer matches = try_on(pieces, typesize, Encoding::matches, settings.clock);
  const auto known = [](double rate, double assumed) { return rate > 0 ? rate : assumed; };
  const double disk = known(settings.disk_rate, kAssumedDiskRate);
  const auto workers = static_cast<double>(settings.workers);
  const double by_planes =
      rate_through(planes.ratio, disk, workers * known(planes.rate, kAssumedPlanesRate));
  const double by_matches =
      rate_through(matches.ratio, disk, workers * known(matches.rate, kAssumedMatchesRate));
  return by_matches > by_planes ? matches : planes;
}

CodecChoice choose_by_sample(CodecChoice choice, const Tree& node, DType dtype, std::size_t bytes,
                             const AutoSettings& settings) {
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
  const Offer offer = best_offer(*view, dtype, settings);
  choice.expected_ratio = static_cast<float>(offer.ratio);
  if (offer.ratio < kAutoGainMin) {
    choice.reason = CodecReason::no_gain;
    return choice;
  }
  choice.reason = CodecReason::gain;
  choice.encoding = offer.encoding;
  return choice;
}

zarr::Codec blosc_codec(int level, DType dtype) {
  zarr::Blosc codec;
  codec.level = level;
  codec.typesize = size_of(dtype);
  return codec;
}

}  // namespace

blosc::PlaneCoder coder_of(Encoding encoding) noexcept {
  return encoding == Encoding::matches ? blosc::PlaneCoder::matches : blosc::PlaneCoder::automatic;
}

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

// Of a second's disk time, what is encoded saves some, in which the disk takes more. Where the
// cores can encode all that the disk takes, it is the disk that counts.
double rate_through(double ratio, double disk_rate, double encode_rate) noexcept {
  const double saved_share = 1 - 1 / std::max(ratio, 1.0);
  return std::min(disk_rate * std::max(ratio, 1.0), disk_rate + encode_rate * saved_share);
}

CodecChoice choose_codec(Codec asked, const Tree& node, DType dtype, std::size_t bytes,
                         const AutoSettings& settings) {
  CodecChoice choice;
  choice.asked = asked;
  switch (asked.kind()) {
    case Codec::Kind::raw:
      return choice;
    case Codec::Kind::automatic:
      return choose_by_sample(choice, node, dtype, bytes, settings);
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
  // What our own coder's frames come nearest to; a decoder does not look at it. The same for both,
  // so that an array's metadata does not change with the pace.
  constexpr int kPlanesLevel = 1;
  zarr::CodecChain chain{zarr::Bytes()};
  if (is_gated(choice.encoding)) {
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
    case Encoding::matches:
      return "blosc matches";
    case Encoding::chain:
      break;
  }
  return to_string(choice.asked);
}

}  // namespace cairn::internal
