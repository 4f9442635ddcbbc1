#include <blosc.h>
#include <cairn/codecs/internal/blosc_layout.h>
#include <fuzz/blosc_inputs.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

namespace cairn::fuzz {
namespace {

using namespace blosc::internal;  // NOLINT(google-build-using-namespace): the frame's layout
using blosc::kHeaderBytes;

std::size_t number_at(std::string_view frame, std::size_t at) {
  return load_u32(bytes_of(frame).data() + at);
}

void set_number(std::string& frame, std::size_t at, std::size_t value) {
  store_u32(writable_bytes_of(frame).data() + at, value);
}

void change_header(std::string& header, Mutation& mutation) {
  switch (mutation.below(5)) {
    case 0:
      header[kFlagsAt] = static_cast<char>(header[kFlagsAt] ^ (1 << mutation.below(8)));
      return;
    case 1:
      header[kTypesizeAt] = static_cast<char>(mutation.below(20));
      return;
    case 2:
      set_number(header, kContentBytesAt,
                 number_at(header, kContentBytesAt) + mutation.below(9) - 4);
      return;
    case 3:
      set_number(header, kBlockBytesAt, number_at(header, kBlockBytesAt) + mutation.below(9) - 4);
      return;
    default:
      set_number(header, kBlockBytesAt, mutation.below(kContentBytesMax));
  }
}

/// Draws bytes; `shape` says from which distribution.
class Source {
 public:
  Source(unsigned shape, unsigned parameter, std::uint32_t seed)
      : shape_(shape), parameter_(parameter), random_(seed) {}

  unsigned char next() {
    switch (shape_) {
      case 0:
        return static_cast<unsigned char>(parameter_);
      case 1:  // a flat alphabet of 1 to 256 symbols
        return static_cast<unsigned char>(random_() % (parameter_ + 1));
      case 2:  // each symbol half as likely as the one before
        return static_cast<unsigned char>(
            std::min(__builtin_ctz(static_cast<unsigned>(random_()) | 0x40000000u),
                     static_cast<int>(parameter_)));
      case 3:
        return fibonacci();
      case 4:  // a ramp
        return static_cast<unsigned char>(count_++ * parameter_ / 16);
      default:  // one symbol but for a rare other
        return static_cast<unsigned char>(random_() % 4096 == 0 ? random_() : parameter_);
    }
  }

 private:
  // Weights 1, 1, 2, 3, 5, ... make Huffman codes of the greatest depth.
  unsigned char fibonacci() {
    constexpr unsigned kSymbols = 24;
    constexpr unsigned kTotal = 121392;  // of the first 24
    auto left = static_cast<unsigned>(random_() % kTotal);
    unsigned weight = 1;
    unsigned next = 1;
    for (unsigned symbol = 0; symbol < kSymbols; ++symbol) {
      if (left < weight) return static_cast<unsigned char>(symbol + parameter_);
      left -= weight;
      weight = std::exchange(next, next + weight);
    }
    return 0;
  }

  unsigned shape_;
  unsigned parameter_;
  unsigned count_ = 0;
  std::minstd_rand random_;
};

void append_floats(std::string& to, std::size_t count, unsigned parameter, std::uint32_t seed) {
  std::minstd_rand random(seed);
  std::normal_distribution<float> normal(0,
                                         std::ldexp(1.0F, static_cast<int>(parameter % 32) - 16));
  for (std::size_t i = 0; i < count; ++i) {
    const float value = normal(random);
    to.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
}

}  // namespace

std::optional<FrameParts> frame_parts(std::string_view frame) {
  if (frame.size() < kHeaderBytes) return std::nullopt;
  FrameParts parts{std::string(frame.substr(0, kHeaderBytes)), {}};
  const auto content = number_at(frame, kContentBytesAt);
  const auto block = number_at(frame, kBlockBytesAt);
  const auto typesize = static_cast<unsigned char>(frame[kTypesizeAt]);
  const auto flags = static_cast<unsigned char>(frame[kFlagsAt]);
  if (content == 0 || content > kContentBytesMax || block == 0 || typesize == 0)
    return std::nullopt;
  if ((flags & kStored) != 0) return std::nullopt;
  const bool split = splits((flags & kNoSplit) != 0, typesize, block);
  const auto blocks = block_count(content, block);
  if (kHeaderBytes + blocks * kIntBytes > frame.size()) return std::nullopt;
  for (std::size_t i = 0; i < blocks; ++i) {
    const bool whole = (i + 1) * block <= content;
    auto at = number_at(frame, kHeaderBytes + i * kIntBytes);
    auto& streams = parts.streams.emplace_back();
    for (std::size_t k = 0; k < (split && whole ? typesize : 1u); ++k) {
      if (at + kIntBytes > frame.size()) return std::nullopt;
      const auto size = number_at(frame, at);
      if (size > frame.size() - at - kIntBytes) return std::nullopt;
      streams.emplace_back(frame.substr(at + kIntBytes, size));
      at += kIntBytes + size;
    }
  }
  return parts;
}

std::string joined(const FrameParts& parts) {
  std::string frame = parts.header;
  frame.resize(kHeaderBytes + parts.streams.size() * kIntBytes);
  for (std::size_t i = 0; i < parts.streams.size(); ++i) {
    set_number(frame, kHeaderBytes + i * kIntBytes, frame.size());
    for (const auto& stream : parts.streams[i]) {
      frame.resize(frame.size() + kIntBytes);
      set_number(frame, frame.size() - kIntBytes, stream.size());
      frame += stream;
    }
  }
  set_number(frame, kFrameBytesAt, frame.size());
  return frame;
}

std::string mutate_frame(std::string_view frame, Mutation& mutation) {
  auto parts = frame_parts(frame);
  if (!parts || mutation.one_in(8)) {
    auto changed = mutation.of_bytes(frame);
    if (changed.size() >= kHeaderBytes && !mutation.one_in(4)) {
      set_number(changed, kFrameBytesAt, changed.size());
    }
    return changed;
  }
  if (mutation.one_in(6)) {
    change_header(parts->header, mutation);
  } else {
    auto& block = parts->streams[mutation.below(parts->streams.size())];
    auto& stream = block[mutation.below(block.size())];
    stream = mutation.of_bytes(stream);
  }
  return joined(*parts);
}

std::string generated(std::string_view program, std::size_t max_bytes) {
  constexpr std::size_t kStepBytes = 5;
  constexpr unsigned kFloats = 6;
  constexpr unsigned kCopy = 7;
  constexpr unsigned kLiteral = 8;
  constexpr unsigned kOps = 9;
  std::string content;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(program[at]); };
  for (std::size_t at = 0; at + kStepBytes <= program.size() && content.size() < max_bytes;) {
    const unsigned op = byte(at) % kOps;
    const unsigned parameter = byte(at + 1);
    // 0 to 15 times a power of 16, and a little more: short steps and whole blocks.
    auto length =
        (std::size_t{byte(at + 2) & 15u} << (4 * (byte(at + 2) >> 6))) * 16 + byte(at + 3);
    length = std::min(length, max_bytes - content.size());
    const std::uint32_t seed = byte(at + 4) + 1u;
    at += kStepBytes;
    if (op == kFloats) {
      append_floats(content, length / sizeof(float), parameter, seed);
    } else if (op == kCopy) {
      const auto from = content.substr(0, length);
      content += from;
    } else if (op == kLiteral) {
      const auto bytes = program.substr(at, length);
      content += bytes;
      at += bytes.size();
    } else {
      Source source(op, parameter, seed);
      for (std::size_t i = 0; i < length; ++i) content += static_cast<char>(source.next());
    }
  }
  content.resize(std::min(content.size(), max_bytes));
  return content;
}

std::optional<std::string> decoded_by_libblosc(std::string_view frame, std::size_t content_bytes) {
  // One byte more than it should write: a content of no bytes has an address, too.
  std::string content(content_bytes + 1, '\xEE');
  const int size = blosc_decompress_ctx(frame.data(), content.data(), content_bytes, 1);
  if (size < 0) return std::nullopt;
  content.resize(static_cast<std::size_t>(size));
  return content;
}

Seeds blosc_frames() {
  // Floats, a few symbols, bytes as they come; short, and more than one block.
  const std::string contents[] = {"", "a", generated(std::string("\x06\x08\x0a\x00\x01", 5), 700),
                                  generated(std::string("\x02\x05\x48\x00\x01", 5), 3000),
                                  generated(std::string("\x01\xff\x02\x40\x01", 5), 400)};
  constexpr std::size_t kTypesizes[] = {1, 2, 4};
  Seeds seeds;
  const auto add = [&](const std::string& content, const auto& encode) {
    std::string frame(blosc::frame_bound(content.size()), '\0');
    frame.resize(encode(bytes_of(content), writable_bytes_of(frame)));
    seeds.push_back(frame);
  };
  for (const auto& content : contents) {
    for (const std::size_t typesize : kTypesizes) {
      add(content, [&](auto from, auto to) { return blosc::encode_planes(from, typesize, to); });
      for (const auto compressor : {blosc::Compressor::blosclz, blosc::Compressor::lz4,
                                    blosc::Compressor::zlib, blosc::Compressor::zstd}) {
        blosc::Options options;
        options.compressor = compressor;
        options.shuffle = static_cast<blosc::Shuffle>(typesize % 3);
        options.typesize = typesize;
        options.blocksize = content.size() > 1000 ? 1024 : 0;
        add(content, [&](auto from, auto to) { return blosc::encode(from, options, to); });
      }
    }
    add(content, [&](auto from, auto to) { return blosc::store(from, 4, to); });
  }
  return seeds;
}

}  // namespace cairn::fuzz
