// The codecs of zarr.json.

#include <cairn/codecs/internal/zarr_chain.h>
#include <cairn/codecs/internal/zarr_text.h>
#include <cairn/codecs/internal/zstd_frame.h>
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <numeric>

namespace cairn::zarr::internal {
namespace {

namespace json = boost::json;
using cairn::internal::describe;
using cairn::internal::max_zstd_level;
using cairn::internal::min_zstd_level;

constexpr std::string_view kConfiguration = "configuration";

// One element of the array of codecs. Members that are not known are errors, because a setting that
// is passed over may change what the bytes mean.
class CodecReader {
 public:
  CodecReader(const JsonMembers& codec, DType dtype, std::size_t rank)
      : codec_(codec), dtype_(dtype), rank_(rank) {}

  Codec read() const {
    refuse_unknown(codec_, {"name", kConfiguration});
    const std::string_view name = codec_.string("name");
    if (name == "bytes") return bytes();
    if (name == "crc32c") return crc32c();
    if (name == "transpose") return transpose();
    if (name == "zstd") return zstd();
    if (name == "gzip") return gzip();
    if (name == "blosc") return blosc();
    if (name == "sharding_indexed") return sharding();
    codec_.unsupported(
        "name", fmt::format("\"{}\"", name),
        "\"bytes\", \"transpose\", \"sharding_indexed\", \"zstd\", \"gzip\", \"blosc\" or "
        "\"crc32c\"");
  }

 private:
  Codec bytes() const {
    constexpr std::string_view kAllowed = "\"little\" or \"big\"";
    if (codec_.find(kConfiguration)) {
      const JsonMembers configuration = codec_.members(kConfiguration);
      refuse_unknown(configuration, {"endian"});
      if (configuration.find("endian")) {
        const std::string_view endian = configuration.string("endian");
        if (endian == "little" || endian == "big") {
          return Bytes{endian == "big" && has_endian(dtype_)};
        }
        configuration.fail("endian", fmt::format("\"{}\"", endian), std::string(kAllowed));
      }
    }
    if (has_endian(dtype_)) {
      codec_.fail("configuration/endian", "nothing", std::string(kAllowed));
    }
    return Bytes{};
  }

  Codec crc32c() const {
    if (codec_.find(kConfiguration)) refuse_unknown(codec_.members(kConfiguration), {});
    return Crc32c{};
  }

  Codec transpose() const {
    const JsonMembers configuration = codec_.members(kConfiguration);
    refuse_unknown(configuration, {"order"});
    const json::value& order = configuration.require("order", "an array of axes");
    Transpose transpose;
    transpose.order.resize(rank_);
    std::iota(transpose.order.begin(), transpose.order.end(), std::size_t{0});
    if (order == "C") return transpose;
    if (order == "F") {
      std::reverse(transpose.order.begin(), transpose.order.end());
      return transpose;
    }
    const auto* axes = order.if_array();
    const std::string allowed = fmt::format("each of the {} axes once", rank_);
    if (axes == nullptr || axes->size() != rank_) {
      configuration.fail("order", describe(order), allowed);
    }
    for (std::size_t i = 0; i < rank_; ++i) {
      const auto* axis = (*axes)[i].if_int64();
      if (axis == nullptr || *axis < 0) {
        configuration.fail(fmt::format("order[{}]", i), describe((*axes)[i]), allowed);
      }
      transpose.order[i] = static_cast<std::size_t>(*axis);
    }
    return transpose;
  }

  Codec zstd() const {
    const JsonMembers configuration = codec_.members(kConfiguration);
    refuse_unknown(configuration, {"level", "checksum"});
    return Zstd{
        static_cast<int>(integer(configuration, "level", min_zstd_level(), max_zstd_level())),
        configuration.boolean_or("checksum", false)};
  }

  Codec gzip() const {
    const JsonMembers configuration = codec_.members(kConfiguration);
    refuse_unknown(configuration, {"level"});
    return Gzip{static_cast<int>(integer(configuration, "level", 0, 9)), false};
  }

  Codec blosc() const {
    const JsonMembers configuration = codec_.members(kConfiguration);
    refuse_unknown(configuration, {"cname", "clevel", "shuffle", "typesize", "blocksize"});
    Blosc blosc;
    blosc.compressor = decode_compressor(configuration, "cname");
    blosc.level = static_cast<int>(integer(configuration, "clevel", 0, 9));
    blosc.shuffle = shuffle(configuration);
    // Nothing is shuffled by it then.
    const auto missing =
        blosc.shuffle == blosc::Shuffle::none ? std::optional<std::int64_t>(1) : std::nullopt;
    blosc.typesize =
        static_cast<std::size_t>(integer(configuration, "typesize", 1, kMaxBloscTypesize, missing));
    blosc.blocksize = static_cast<std::size_t>(
        integer(configuration, "blocksize", 0, static_cast<std::int64_t>(blosc::kContentBytesMax)));
    return blosc;
  }

  static blosc::Shuffle shuffle(const JsonMembers& configuration) {
    const std::string_view name = configuration.string("shuffle");
    if (name == "noshuffle") return blosc::Shuffle::none;
    if (name == "shuffle") return blosc::Shuffle::byte;
    if (name == "bitshuffle") return blosc::Shuffle::bit;
    configuration.fail("shuffle", fmt::format("\"{}\"", name),
                       "\"noshuffle\", \"shuffle\" or \"bitshuffle\"");
  }

  Codec sharding() const {
    const JsonMembers configuration = codec_.members(kConfiguration);
    refuse_unknown(configuration, {"chunk_shape", "codecs", "index_codecs", "index_location"});
    Sharding sharding;
    sharding.chunk_shape = decode_extents(configuration, "chunk_shape", 1);
    sharding.codecs = decode_codecs(configuration, "codecs", dtype_, rank_);
    // The index has one axis more: offset and length.
    sharding.index_codecs = decode_codecs(configuration, "index_codecs", DType::uint64, rank_ + 1);
    if (configuration.find("index_location")) {
      const std::string_view location = configuration.string("index_location");
      if (location != "start" && location != "end") {
        configuration.fail("index_location", fmt::format("\"{}\"", location),
                           "\"start\" or \"end\"");
      }
      sharding.index_at_start = location == "start";
    }
    return sharding;
  }

  const JsonMembers& codec_;
  DType dtype_;
  std::size_t rank_;
};

}  // namespace

CodecChain decode_codecs(const JsonMembers& members, std::string_view name, DType dtype,
                         std::size_t rank) {
  const json::value& value = members.require(name, "an array of codecs");
  const auto* codecs = value.if_array();
  if (codecs == nullptr || codecs->size() > kMaxCodecs || codecs->empty()) {
    members.fail(name, describe(value), fmt::format("an array of 1 to {} codecs", kMaxCodecs));
  }
  CodecChain chain;
  for (std::size_t i = 0; i < codecs->size(); ++i) {
    const auto codec = members.members(fmt::format("{}[{}]", name, i), (*codecs)[i]);
    chain.push_back(CodecReader(codec, dtype, rank).read());
  }
  return chain;
}

}  // namespace cairn::zarr::internal
