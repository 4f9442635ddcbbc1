#include "codec_runs.h"

#include <cairn/codecs/blosc.h>
#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/tree.h>

#include <algorithm>
#include <ctime>
#include <stdexcept>
#include <utility>

#include "codec_peers.h"
#include "report/measure.h"

namespace cairn::bench {
namespace {

/// What a chunk of an array usually has.
constexpr std::size_t kChunkBytes = std::size_t{16} << 20;
/// No further pass once this much time went into one codec.
constexpr double kSecondsMax = 4;

double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

CodecRun raw() {
  const auto copy = [](auto from, auto to) { return copy_crc32c(from, to.data()); };
  return {"raw", [copy](auto from, auto, auto to) { return copy(from, to), from.size(); },
          [copy](auto from, auto to) { copy(from, to); }};
}

CodecRun planes(const char* name, blosc::PlaneCoder coder) {
  return {name,
          [coder](auto from, auto typesize, auto to) {
            return blosc::encode_planes(from, typesize, to, coder);
          },
          [](auto from, auto to) { blosc::decode(from, to); }};
}

/// What a save with the codec auto makes of an array with this content.
CodecRun automatic(const DataSet& data, const internal::AutoSettings& settings) {
  const auto elements = static_cast<Index>(data.content.size() / size_of(data.dtype));
  const ArrayView view(data.dtype, {elements}, data.content.data());
  const auto choice = internal::choose_codec(cairn::Codec::automatic(), Tree(view), data.dtype,
                                             data.content.size(), settings);
  CodecRun codec = internal::is_gated(choice.encoding)
                       ? planes("auto", internal::coder_of(choice.encoding))
                       : raw();
  codec.name = "auto";
  codec.choice = choice;
  return codec;
}

// One pass over the chunks of some content: encoded side by side in one buffer, and back.
class Pass {
 public:
  explicit Pass(const DataSet& data)
      : data_(data),
        chunk_bytes_(kChunkBytes / size_of(data.dtype) * size_of(data.dtype)),
        sizes_((data.content.size() + chunk_bytes_ - 1) / chunk_bytes_),
        encoded_(sizes_.size() * bound(chunk_bytes_)),
        decoded_(data.content.size()) {}

  double encode(const CodecRun& codec) {
    const double begin = thread_seconds();
    for (std::size_t i = 0; i < sizes_.size(); ++i) {
      sizes_[i] = codec.encode(part(std::span(data_.content), i), size_of(data_.dtype), slot(i));
    }
    return thread_seconds() - begin;
  }
  double decode(const CodecRun& codec) {
    const double begin = thread_seconds();
    for (std::size_t i = 0; i < sizes_.size(); ++i) {
      codec.decode(slot(i).first(sizes_[i]), part(std::span(decoded_), i));
    }
    return thread_seconds() - begin;
  }
  [[nodiscard]] bool same() const { return decoded_ == data_.content; }
  [[nodiscard]] double stored_bytes() const {
    double sum = 0;
    for (const auto size : sizes_) sum += static_cast<double>(size);
    return sum;
  }

 private:
  template <class Span>
  Span part(Span all, std::size_t i) const {
    const auto rest = all.subspan(i * chunk_bytes_);
    return rest.first(std::min(chunk_bytes_, rest.size()));
  }
  std::span<std::byte> slot(std::size_t i) {
    return std::span(encoded_).subspan(i * bound(chunk_bytes_), bound(chunk_bytes_));
  }

  const DataSet& data_;
  std::size_t chunk_bytes_;
  std::vector<std::size_t> sizes_;
  std::vector<std::byte> encoded_, decoded_;
};

}  // namespace

std::size_t bound(std::size_t bytes) {
  return std::max(peer_bound(bytes), blosc::frame_bound(bytes));
}

std::vector<CodecRun> codecs(const DataSet& data, const internal::AutoSettings& settings) {
  std::vector<CodecRun> all{raw(), automatic(data, settings)};
  if (internal::is_gated(all.back().choice->encoding)) {
    // The same frames, as a program without this library reads them.
    all.push_back(all.back());
    all.back().name = "auto, libblosc decodes";
    all.back().decode = decode_by_libblosc;
  }
  all.push_back(planes("planes", blosc::PlaneCoder::automatic));
  all.push_back(planes("planes-libzstd", blosc::PlaneCoder::libzstd));
  all.push_back(planes("planes-portable", blosc::PlaneCoder::portable));
  if (blosc::has_avx512_coder()) all.push_back(planes("planes-avx512", blosc::PlaneCoder::avx512));
  all.push_back(planes("planes-matches", blosc::PlaneCoder::matches));
  for (auto& peer : peers()) all.push_back(std::move(peer));
  return all;
}

Measurement measure(const CodecRun& codec, const DataSet& data, int passes) {
  Pass pass(data);
  // Not counted: memory is touched for the first time.
  double seconds = pass.encode(codec) + pass.decode(codec);
  if (!pass.same()) throw std::runtime_error(codec.name + " gave back other bytes: " + data.name);
  const auto bytes = static_cast<double>(data.content.size());
  std::vector<double> encode, decode;
  do {
    const double encode_s = pass.encode(codec);
    const double decode_s = pass.decode(codec);
    encode.push_back(bytes / encode_s / 1e9);
    decode.push_back(bytes / decode_s / 1e9);
    seconds += encode_s + decode_s;
  } while (static_cast<int>(encode.size()) < passes && seconds < kSecondsMax);
  Measurement result;
  result.ratio = bytes / pass.stored_bytes();
  result.encode_gbps = spread_of(encode).median;
  result.decode_gbps = spread_of(decode).median;
  result.encode_gbps_max = *std::max_element(encode.begin(), encode.end());
  result.decode_gbps_max = *std::max_element(decode.begin(), decode.end());
  result.passes = static_cast<int>(encode.size());
  return result;
}

}  // namespace cairn::bench
