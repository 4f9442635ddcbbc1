// The float-aware encoder. Block by block: shuffle into planes; for each plane a sample says
// whether coding could pay (not where matches are looked for: a sample does not show them); what
// does not pay is raw. Frames that save nothing are stored as they
// are. Format: codecs/blosc_format.md.

#include <cairn/codecs/blosc.h>
#include <cairn/codecs/internal/blosc_layout.h>
#include <cairn/codecs/internal/byte_shuffle.h>
#include <cairn/codecs/internal/literals_frame.h>
#include <cairn/codecs/internal/plane_coder.h>
#include <cairn/codecs/internal/plane_statistics.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

namespace cairn::blosc {
namespace {

using namespace internal;

/// Half of a second-level cache of 1 MiB; blocks of this size are read while they are in it.
constexpr std::size_t kBlockBytes = std::size_t{512} << 10;
constexpr unsigned kZstdFormat = 4;

/// A block's planes, and one stream that found no room in the frame.
struct Scratch {
  std::array<std::byte, kBlockBytes> planes;
  std::array<std::byte, kBlockBytes + kFrameSlack> stream;
};
Scratch& scratch() {
  // Neither zeroed nor given back: pages that are touched for the first time cost more than coding.
  thread_local const std::unique_ptr<Scratch> mine(new Scratch);
  return *mine;
}

class PlanesEncoder {
 public:
  /// `sampling`: whether the distribution of its bytes tells what a plane will gain.
  PlanesEncoder(std::span<const std::byte> content, std::size_t typesize, std::span<std::byte> to,
                EncodePlane encode_plane, bool sampling)
      : content_(content),
        typesize_(typesize),
        to_(to),
        encode_plane_(encode_plane),
        sampling_(sampling) {
    const auto most = std::min(kBlockBytes, content.size());
    block_bytes_ = most - most % typesize;
    split_ = block_bytes_ != 0 && splits(false, typesize, block_bytes_);
  }

  // The frame's size; 0 when storing is as good.
  std::size_t encode();

 private:
  bool encode_split(std::span<const std::byte> block);
  bool encode_whole(std::span<const std::byte> block);
  bool place_planes(std::size_t elements);
  bool add_stream(std::span<const std::byte> plane, std::size_t plane_bytes, PlaneCode& before,
                  bool try_coding);
  void write_header();
  [[nodiscard]] std::size_t room() const { return to_.size() - at_; }
  [[nodiscard]] bool worth_coding(std::span<const std::byte> plane) const {
    return !sampling_ || seems_compressible(plane);
  }

  std::span<const std::byte> content_;
  std::size_t typesize_;
  std::span<std::byte> to_;
  EncodePlane encode_plane_;
  bool sampling_;
  std::size_t block_bytes_;
  bool split_;
  std::size_t at_ = 0;
  bool coded_any_ = false;
  /// How many planes of the block before, from the first on, were raw: they are shuffled right to
  /// where they will be if that goes on. It mostly does, and floats have these planes first.
  std::size_t raw_planes_ = 0;
  std::array<std::byte*, kTypesizeMax> planes_;
  std::array<PlaneCode, kSplitTypesizeMax> before_;
};

void PlanesEncoder::write_header() {
  unsigned flags = kZstdFormat << kCompressorShift;
  if (typesize_ > 1) flags |= kByteShuffle;
  if (!split_) flags |= kNoSplit;
  to_[kVersionAt] = std::byte{kVersion};
  to_[kCompressorVersionAt] = std::byte{kCompressorVersion};
  to_[kFlagsAt] = static_cast<std::byte>(flags);
  to_[kTypesizeAt] = static_cast<std::byte>(typesize_);
  store_u32(&to_[kContentBytesAt], content_.size());
  store_u32(&to_[kBlockBytesAt], block_bytes_);
  store_u32(&to_[kFrameBytesAt], at_);
}

// Writes a stream: its length, and the plane coded or as it is. False when the frame is full.
bool PlanesEncoder::add_stream(std::span<const std::byte> plane, std::size_t plane_bytes,
                               PlaneCode& before, bool try_coding) {
  if (room() < kIntBytes) return false;
  std::byte* const length_at = &to_[at_];
  at_ += kIntBytes;
  if (try_coding) {
    const auto limit = plane.size() - plane.size() / kPlaneGain - 1;
    const bool direct = room() >= limit + kFrameSlack;
    std::byte* const stream = direct ? to_.data() + at_ : scratch().stream.data();
    const auto size = encode_plane_(plane, plane_bytes, before, stream, limit);
    if (size > room()) return false;
    if (size != 0) {
      if (!direct) std::memcpy(&to_[at_], stream, size);
      store_u32(length_at, size);
      at_ += size;
      coded_any_ = true;
      return true;
    }
  }
  if (plane.size() > room()) return false;
  std::byte* const place = to_.data() + at_;
  if (plane.data() != place) std::memcpy(place, plane.data(), plane.size());
  store_u32(length_at, plane.size());
  at_ += plane.size();
  return true;
}

// Decides where each plane of a block goes; true when the first ones go right into the frame.
bool PlanesEncoder::place_planes(std::size_t elements) {
  const bool predict = raw_planes_ > 0 && room() > raw_planes_ * (kIntBytes + elements);
  for (std::size_t j = 0; j < typesize_; ++j) {
    planes_[j] = predict && j < raw_planes_ ? &to_[at_ + j * (kIntBytes + elements) + kIntBytes]
                                            : &scratch().planes[j * elements];
  }
  return predict;
}

bool PlanesEncoder::encode_split(std::span<const std::byte> block) {
  const auto elements = block.size() / typesize_;
  if (typesize_ == 1) return add_stream(block, 0, before_[0], worth_coding(block));
  const bool predicted = place_planes(elements);
  shuffle(block.data(), elements, typesize_, planes_.data());
  std::array<bool, kSplitTypesizeMax> compressible{};
  std::size_t raw_planes = 0;
  for (std::size_t j = 0; j < typesize_; ++j) {
    compressible[j] = worth_coding({planes_[j], elements});
    if (!compressible[j] && raw_planes == j) ++raw_planes;
  }
  if (predicted && raw_planes < raw_planes_) {
    // What was taken for raw would be overwritten by the streams before it.
    for (std::size_t j = 0; j < raw_planes_; ++j) {
      planes_[j] = std::copy_n(planes_[j], elements, &scratch().planes[j * elements]) - elements;
    }
  }
  raw_planes_ = raw_planes;
  for (std::size_t j = 0; j < typesize_; ++j) {
    if (!add_stream({planes_[j], elements}, 0, before_[j], compressible[j])) return false;
  }
  return true;
}

// A block of one stream, whose planes have Huffman tables of their own within it.
bool PlanesEncoder::encode_whole(std::span<const std::byte> block) {
  PlaneCode before;
  if (typesize_ == 1) return add_stream(block, 0, before, true);
  const auto elements = block.size() / typesize_;
  auto& shuffled = scratch().planes;
  for (std::size_t j = 0; j < typesize_; ++j) planes_[j] = shuffled.data() + j * elements;
  shuffle(block.data(), elements, typesize_, planes_.data());
  // Bytes after the last whole element stay behind.
  const auto tail = block.subspan(elements * typesize_);
  std::copy(tail.begin(), tail.end(), shuffled.data() + elements * typesize_);
  return add_stream({shuffled.data(), block.size()}, elements, before, true);
}

std::size_t PlanesEncoder::encode() {
  if (block_bytes_ == 0) return 0;
  const auto blocks = block_count(content_.size(), block_bytes_);
  at_ = kHeaderBytes + blocks * kIntBytes;
  if (at_ > to_.size()) return 0;
  for (std::size_t index = 0; index < blocks; ++index) {
    const auto rest = content_.subspan(index * block_bytes_);
    const auto block = rest.first(std::min(block_bytes_, rest.size()));
    store_u32(&to_[kHeaderBytes + index * kIntBytes], at_);
    const bool whole = !split_ || block.size() < block_bytes_;
    if (!(whole ? encode_whole(block) : encode_split(block))) return 0;
  }
  if (!coded_any_) return 0;
  write_header();
  return at_;
}

}  // namespace

std::size_t encode_planes(std::span<const std::byte> content, std::size_t typesize,
                          std::span<std::byte> to, PlaneCoder coder) {
  check_arguments(content, typesize, to);
  const EncodePlane encode_plane = plane_encoder(coder);
  // As large as storing, and no larger.
  PlanesEncoder encoder(content, typesize, to.first(frame_bound(content.size())), encode_plane,
                        coder != PlaneCoder::matches);
  const auto size = encoder.encode();
  return size != 0 ? size : store(content, typesize, to);
}

}  // namespace cairn::blosc
