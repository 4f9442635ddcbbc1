#include <cairn/manager/internal/codec_text.h>

namespace cairn::internal {
namespace {

std::string numbers(const auto& values) {
  std::string text = "[";
  for (const auto value : values) text += (text.size() > 1 ? ", " : "") + std::to_string(value);
  return text + "]";
}

std::string joined(const zarr::CodecChain& chain) {
  std::string text;
  for (const std::string& one : codec_texts(chain)) text += (text.empty() ? "" : ", ") + one;
  return text;
}

struct CodecText {
  std::string operator()(const zarr::Bytes& codec) const {
    return codec.big_endian ? "bytes(big)" : "bytes";
  }
  std::string operator()(const zarr::Transpose& codec) const {
    return "transpose(" + numbers(codec.order) + ")";
  }
  std::string operator()(const zarr::Zstd& codec) const {
    return "zstd(" + std::to_string(codec.level) + (codec.checksum ? ",checksum)" : ")");
  }
  std::string operator()(const zarr::Gzip& codec) const {
    return (codec.zlib ? "zlib(" : "gzip(") + std::to_string(codec.level) + ")";
  }
  std::string operator()(const zarr::Bz2& codec) const {
    return "bz2(" + std::to_string(codec.level) + ")";
  }
  std::string operator()(const zarr::Blosc& codec) const {
    return "blosc(" + std::string(blosc::name_of(codec.compressor)) + "," +
           std::to_string(codec.level) + "," + std::string(blosc::name_of(codec.shuffle)) + ")";
  }
  std::string operator()(const zarr::Crc32c&) const { return "crc32c"; }
  std::string operator()(const zarr::Sharding& codec) const {
    return "sharding(" + numbers(codec.chunk_shape) + ": " + joined(codec.codecs) + ")";
  }
};

}  // namespace

std::vector<std::string> codec_texts(const zarr::CodecChain& chain) {
  std::vector<std::string> texts;
  for (const zarr::Codec& codec : chain) texts.push_back(std::visit(CodecText(), codec.value));
  return texts;
}

}  // namespace cairn::internal
