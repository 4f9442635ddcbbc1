// The stored form of a chunk.
//
// Decoding goes through the chain from its end. A checksum is cut off where it stands. A compressor
// needs room for what it gives: that is the chunk's elements when nothing but the bytes codec comes
// before it, a known number of bytes when only checksums do, and what a chunk may reasonably become
// when another compressor does. Elements that are transposed are scattered at the end.

#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/internal/zarr_chunk.h>
#include <cairn/codecs/internal/zarr_codecs.h>
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>

namespace cairn::zarr {
namespace internal {
namespace {

// What a chunk may become by a compressor that is not the last, or by one that somebody else wrote:
// twice its size and 64 KiB. Every format here expands incompressible data by a few per cent at
// most.
constexpr std::size_t kExpansion = 2;
constexpr std::size_t kExpansionBytes = std::size_t{64} << 10;

class Scratch {
 public:
  Scratch() = default;
  /// Undefined bytes, until the next call.
  std::span<std::byte> take(std::size_t size) {
    data_ = std::make_unique_for_overwrite<std::byte[]>(size);
    return {data_.get(), size};
  }

 private:
  std::unique_ptr<std::byte[]> data_;
};

std::string field_of(const ChainParts& parts, std::size_t i) {
  return fmt::format("codecs[{}] {}", parts.index_of(i), name_of(parts.byte_codecs[i]));
}

// Bytes that go into byte_codecs[i], where the codecs before it fix them.
std::optional<std::size_t> known_content(const ChainParts& parts, std::size_t i,
                                         std::size_t element_bytes) {
  for (std::size_t k = 0; k < i; ++k) {
    if (!is_checksum(parts.byte_codecs[k])) return std::nullopt;
  }
  return element_bytes + i * kChecksumBytes;
}

// Decompresses byte_codecs[i] into `to` and says where in the chain an error was.
std::size_t decompress_at(const ChainParts& parts, std::size_t i, std::span<const std::byte> stream,
                          std::span<std::byte> to, const Place* place) {
  try {
    return decompress(parts.byte_codecs[i], stream, to);
  } catch (const FormatError& error) {
    // Offsets count from the start of the stream, which is that of the chunk only here.
    const bool outermost = place == nullptr && i + 1 == parts.byte_codecs.size();
    throw FormatError("chunk",
                      fmt::format("{}{}: {}", to_string(place), field_of(parts, i), error.field()),
                      error.found(), error.allowed(), outermost ? error.offset() : std::nullopt);
  }
}

// The elements' bytes: within `stored`, or decoded to `elements` if `in_place`, or to a scratch.
std::span<const std::byte> decode_bytes(const ChainParts& parts, std::span<const std::byte> stored,
                                        std::span<std::byte> elements, bool in_place,
                                        Scratch (&scratch)[2], const Place* place) {
  std::span<const std::byte> data = stored;
  std::size_t next_scratch = 0;
  for (std::size_t i = parts.byte_codecs.size(); i-- > 0;) {
    if (is_checksum(parts.byte_codecs[i])) {
      data = checked_content(data, field_of(parts, i), place);
      continue;
    }
    const auto known = known_content(parts, i, elements.size());
    const bool direct = i == 0 && in_place;
    const std::size_t room = known.value_or(elements.size() * kExpansion + kExpansionBytes);
    const std::span<std::byte> to =
        direct ? elements : scratch[std::exchange(next_scratch, 1 - next_scratch)].take(room);
    const std::size_t size = decompress_at(parts, i, data, to, place);
    if (known && size != *known) {
      fail_chunk(place, field_of(parts, i) + ": content", fmt::format("{} bytes", size),
                 fmt::format("{} bytes", *known));
    }
    data = to.first(size);
  }
  if (data.size() != elements.size()) {
    fail_chunk(place, fmt::format("codecs[{}] bytes: size", parts.transposes.size()),
               fmt::format("{} bytes", data.size()), fmt::format("{} bytes", elements.size()));
  }
  return data;
}

// Writers disagree about the bits of a byte above an int2 or int4: TensorStore stores what it is
// given, which is zeros from ml_dtypes and JAX, and signs from others.
void extend_signs(std::span<std::byte> elements, DType dtype) {
  if (dtype != DType::int2 && dtype != DType::int4) return;
  const unsigned sign = dtype == DType::int2 ? 0x2 : 0x8;
  const unsigned mask = 2 * sign - 1;
  for (std::byte& element : elements) {
    element = static_cast<std::byte>(((std::to_integer<unsigned>(element) & mask) ^ sign) - sign);
  }
}

std::span<const std::byte> transposed(const ChunkType& type, std::span<const std::byte> elements,
                                      std::span<const std::size_t> order, Scratch& scratch) {
  const Shape shape = permuted(type.shape, order);
  const auto strides = permuted(c_strides(type.dtype, type.shape), order);
  const auto to = scratch.take(elements.size());
  copy_region(ArrayView(type.dtype, shape, elements.data(), strides), Shape(shape.size(), 0), shape,
              to.data());
  return to;
}

// The compressors and checksums of `parts` over `elements`, as they follow the bytes codec.
std::size_t encode_bytes(const ChainParts& parts, std::span<const std::byte> elements,
                         std::span<std::byte> to) {
  const auto& codecs = parts.byte_codecs;
  const auto last = std::find_if_not(codecs.rbegin(), codecs.rend(), is_checksum);
  const auto compressors_end = static_cast<std::size_t>(codecs.rend() - last);
  Scratch scratch[2];
  std::size_t next_scratch = 0;
  std::span<const std::byte> data = elements;
  std::span<std::byte> buffer;  // holds `data`, unless that is still `elements`
  const auto next_buffer = [&](std::size_t i, std::size_t bound) {
    // Checksums may follow it there.
    return i + 1 >= compressors_end ? to
                                    : scratch[std::exchange(next_scratch, 1 - next_scratch)].take(
                                          bound + kMaxCodecs * kChecksumBytes);
  };
  if (compressors_end == 0) {
    // The first checksum is computed while copying.
    if (codecs.empty()) {
      std::memcpy(to.data(), elements.data(), elements.size());
      return elements.size();
    }
    const std::uint32_t checksum = copy_crc32c(elements, to.data());
    std::memcpy(to.data() + elements.size(), &checksum, kChecksumBytes);
    std::size_t size = elements.size() + kChecksumBytes;
    for (std::size_t i = 1; i < codecs.size(); ++i) size = append_checksum(to, size);
    return size;
  }
  for (std::size_t i = 0; i < codecs.size(); ++i) {
    if (is_checksum(codecs[i])) {
      if (buffer.empty()) {
        buffer = next_buffer(0, data.size());
        std::memcpy(buffer.data(), data.data(), data.size());
      }
      data = buffer.first(append_checksum(buffer, data.size()));
      continue;
    }
    const auto target = next_buffer(i, compressed_bound(codecs[i], data.size()));
    data = target.first(compress(codecs[i], data, target));
    buffer = target;
  }
  return data.size();
}

ChunkType type_of(const ArrayMetadata& metadata) {
  return {metadata.dtype, metadata.chunk_shape, metadata.fill_value};
}

void require_elements(const ArrayMetadata& metadata, std::size_t bytes) {
  const std::size_t expected = byte_count(metadata.dtype, metadata.chunk_shape);
  if (bytes != expected) {
    throw std::invalid_argument(
        fmt::format("zarr: {} bytes of elements for a chunk that has {}", bytes, expected));
  }
}

}  // namespace

std::size_t encode_chain(const CodecChain& codecs, const ChunkType& type,
                         std::span<const std::byte> elements, std::span<std::byte> to) {
  const ChainParts parts(codecs);
  const auto order = permutation_of(parts.transposes, type.shape.size());
  Scratch moved;
  if (!order.empty()) elements = transposed(type, elements, order, moved);
  if (const Sharding* sharding = parts.sharding()) {
    const Shape shape = order.empty() ? Shape() : permuted(type.shape, order);
    ChunkType shard = type;
    if (!order.empty()) shard.shape = shape;
    return encode_shard(*sharding, shard, elements, to);
  }
  Scratch swapped;
  if (parts.big_endian()) {
    const auto copy = swapped.take(elements.size());
    std::memcpy(copy.data(), elements.data(), elements.size());
    swap_bytes(copy, type.dtype);
    elements = copy;
  }
  return encode_bytes(parts, elements, to);
}

void decode_chain(const CodecChain& codecs, const ChunkType& type,
                  std::span<const std::byte> stored, std::span<std::byte> elements,
                  const Place* place) {
  const ChainParts parts(codecs);
  const auto order = permutation_of(parts.transposes, type.shape.size());
  const Shape shape = order.empty() ? Shape() : permuted(type.shape, order);
  Scratch scratch[2];
  std::span<const std::byte> data;
  if (const Sharding* sharding = parts.sharding()) {
    ChunkType shard = type;
    if (!order.empty()) shard.shape = shape;
    const auto to = order.empty() ? elements : scratch[0].take(elements.size());
    decode_shard(*sharding, shard, stored, to, place);
    data = to;
  } else {
    data = decode_bytes(parts, stored, elements, order.empty(), scratch, place);
  }
  if (!order.empty()) {
    const auto strides = permuted(c_strides(type.dtype, type.shape), order);
    scatter_region(data.data(), type.dtype, shape, elements.data(), strides);
  } else if (data.data() != elements.data()) {
    std::memcpy(elements.data(), data.data(), data.size());
  }
  if (parts.big_endian()) swap_bytes(elements, type.dtype);
  extend_signs(elements, type.dtype);
}

void check_chain(const CodecChain& codecs, const ChunkType& type, std::span<const std::byte> stored,
                 const Place* place) {
  const ChainParts parts(codecs);
  if (const Sharding* sharding = parts.sharding()) {
    const auto order = permutation_of(parts.transposes, type.shape.size());
    const Shape shape = order.empty() ? Shape() : permuted(type.shape, order);
    ChunkType shard = type;
    if (!order.empty()) shard.shape = shape;
    return check_shard(*sharding, shard, stored, place);
  }
  const std::size_t element_bytes = byte_count(type.dtype, type.shape);
  std::size_t i = parts.byte_codecs.size();
  if (i == 0 || !is_checksum(parts.byte_codecs[i - 1])) {
    // Nothing but the elements themselves tells of damage.
    if (i == 0 && stored.size() == element_bytes) return;
    Scratch scratch;
    return decode_chain(codecs, type, stored, scratch.take(element_bytes), place);
  }
  for (; i > 0 && is_checksum(parts.byte_codecs[i - 1]); --i) {
    stored = checked_content(stored, field_of(parts, i - 1), place);
  }
  if (i == 0 && stored.size() != element_bytes) {
    fail_chunk(place, fmt::format("codecs[{}] bytes: size", parts.transposes.size()),
               fmt::format("{} bytes", stored.size()), fmt::format("{} bytes", element_bytes));
  }
  if (i == 1 && std::holds_alternative<Blosc>(parts.byte_codecs[0].value)) {
    std::size_t content = 0;
    try {
      content = blosc::decode_header(stored).content_bytes;
    } catch (const FormatError& error) {
      fail_chunk(place, fmt::format("{}: {}", field_of(parts, 0), error.field()), error.found(),
                 error.allowed());
    }
    if (content != element_bytes) {
      fail_chunk(place, field_of(parts, 0) + ": content", fmt::format("{} bytes", content),
                 fmt::format("{} bytes", element_bytes));
    }
  }
}

}  // namespace internal

std::size_t encode_chunk(const ArrayMetadata& metadata, std::span<const std::byte> elements,
                         std::span<std::byte> to) {
  internal::require_elements(metadata, elements.size());
  if (const std::size_t bound = chunk_size_bound(metadata); to.size() < bound) {
    throw std::invalid_argument(
        fmt::format("zarr: room for {} bytes, a chunk may take {}", to.size(), bound));
  }
  return internal::encode_chain(metadata.codecs, internal::type_of(metadata), elements, to);
}

void decode_chunk(const ArrayMetadata& metadata, std::span<const std::byte> stored,
                  std::span<std::byte> elements) {
  internal::require_sound(metadata);
  internal::require_elements(metadata, elements.size());
  internal::decode_chain(metadata.codecs, internal::type_of(metadata), stored, elements, nullptr);
}

void check_chunk(const ArrayMetadata& metadata, std::span<const std::byte> stored) {
  internal::require_sound(metadata);
  internal::check_chain(metadata.codecs, internal::type_of(metadata), stored, nullptr);
}

}  // namespace cairn::zarr
