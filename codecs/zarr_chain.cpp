#include <cairn/codecs/internal/zarr_chain.h>
#include <cairn/codecs/internal/zstd_frame.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <numeric>
#include <stdexcept>

namespace cairn::zarr::internal {
namespace {

constexpr int kMaxGzipLevel = 9;
constexpr int kMinBz2Level = 1;
constexpr int kMaxBz2Level = 9;
constexpr int kMaxBloscLevel = 9;

// A set of bits instead of a sort: this runs for every chunk.
bool is_permutation_of_axes(std::span<const std::size_t> order, std::size_t rank) {
  if (order.size() != rank) return false;
  std::uint64_t seen = 0;
  static_assert(kMaxRank <= 64);
  for (const std::size_t axis : order) {
    if (axis >= rank || (seen >> axis & 1) != 0) return false;
    seen |= std::uint64_t{1} << axis;
  }
  return true;
}

// Follows the shape of what reaches each codec, because transposes change what a shard must divide.
class Checker {
 public:
  Checker(Format format, std::span<const Index> chunk_shape, std::string where, std::size_t depth)
      : format_(format),
        shape_(chunk_shape.begin(), chunk_shape.end()),
        where_(std::move(where)),
        depth_(depth) {}

  std::optional<ChainFault> check(const CodecChain& codecs) {
    if (codecs.empty() || codecs.size() > kMaxCodecs) {
      return ChainFault{where_, fmt::format("{} codecs", codecs.size()),
                        fmt::format("an array of 1 to {} codecs, one of them `bytes` or "
                                    "`sharding_indexed`",
                                    kMaxCodecs)};
    }
    for (std::size_t i = 0; i < codecs.size() && !fault_; ++i) {
      place_ = i;
      check_order(codecs[i]);
      if (!fault_) std::visit([this](const auto& codec) { check_codec(codec); }, codecs[i].value);
    }
    if (!fault_ && !serialized_) {
      fail_chain(where_, "no codec that makes bytes of the elements");
    }
    if (!fault_ && format_ == Format::v2 && (compressors_ > 1 || transposes_ > 1)) {
      fail_chain(where_, compressors_ > 1 ? "two compressors" : "two orders");
    }
    return std::move(fault_);
  }

 private:
  // Text is made only when something is wrong: this runs for every chunk.
  [[nodiscard]] std::string field(std::string_view member) const {
    return fmt::format("{}[{}]{}", where_, place_, member);
  }
  void fail(std::string_view member, std::string found, std::string allowed) {
    fault_ = ChainFault{field(member), std::move(found), std::move(allowed)};
  }
  void fail_chain(const std::string& field, std::string found) {
    fault_ = ChainFault{field, std::move(found),
                        format_ == Format::v3
                            ? "any transposes, then `bytes` or `sharding_indexed` (nothing may "
                              "follow that), then any of zstd, gzip, blosc and crc32c"
                            : "order C or F, `bytes` and at most one of zstd, gzip, zlib, bz2 and "
                              "blosc"};
  }

  void check_order(const Codec& codec) {
    const bool transposes = std::holds_alternative<Transpose>(codec.value);
    const bool shards = std::holds_alternative<Sharding>(codec.value);
    const bool serializes = shards || std::holds_alternative<Bytes>(codec.value);
    const bool misplaced = transposes || serializes ? serialized_ : !serialized_ || sharded_;
    if (misplaced) {
      return fail_chain(field("/name"), fmt::format("\"{}\" at this place", name_of(codec)));
    }
    serialized_ = serialized_ || serializes;
    sharded_ = sharded_ || shards;
    if (transposes) ++transposes_;
    if (!transposes && !serializes) ++compressors_;
    const auto* gzip = std::get_if<Gzip>(&codec.value);
    const bool only_v2 = (gzip && gzip->zlib) || std::holds_alternative<Bz2>(codec.value);
    const bool only_v3 = shards || is_checksum(codec);
    if ((only_v2 && format_ == Format::v3) || (only_v3 && format_ == Format::v2)) {
      fail_chain(field("/name"), fmt::format("\"{}\"", name_of(codec)));
    }
  }

  void check_integer(std::string_view member, std::int64_t value, std::int64_t low,
                     std::int64_t high) {
    if (fault_ || (value >= low && value <= high)) return;
    fail(fmt::format("/configuration/{}", member), std::to_string(value),
         fmt::format("an integer from {} to {}", low, high));
  }

  void check_codec(const Bytes&) {}
  void check_codec(const Crc32c&) {}
  void check_codec(const Transpose& transpose) {
    if (!is_permutation_of_axes(transpose.order, shape_.size())) {
      return fail("/configuration/order", fmt::format("[{}]", fmt::join(transpose.order, ",")),
                  fmt::format("each of the {} axes once", shape_.size()));
    }
    if (format_ == Format::v2 &&
        !std::is_sorted(transpose.order.rbegin(), transpose.order.rend())) {
      return fail("/configuration/order", fmt::format("[{}]", fmt::join(transpose.order, ",")),
                  "all axes reversed: order F");
    }
    shape_ = permuted(shape_, transpose.order);
  }
  void check_codec(const Zstd& zstd) {
    check_integer("level", zstd.level, cairn::internal::min_zstd_level(),
                  cairn::internal::max_zstd_level());
    if (format_ == Format::v2 && zstd.checksum) fail("/checksum", "true", "false in zarr v2");
  }
  void check_codec(const Gzip& gzip) { check_integer("level", gzip.level, 0, kMaxGzipLevel); }
  void check_codec(const Bz2& bz2) {
    check_integer("level", bz2.level, kMinBz2Level, kMaxBz2Level);
  }
  void check_codec(const Blosc& blosc) {
    check_integer("clevel", blosc.level, 0, kMaxBloscLevel);
    check_integer("typesize", static_cast<std::int64_t>(blosc.typesize), 1, kMaxBloscTypesize);
    check_integer("blocksize", static_cast<std::int64_t>(blosc.blocksize), 0,
                  static_cast<std::int64_t>(blosc::kContentBytesMax));
  }
  void check_codec(const Sharding& sharding) {
    const std::string found = fmt::format("[{}]", fmt::join(sharding.chunk_shape, ","));
    bool divides = sharding.chunk_shape.size() == shape_.size();
    for (std::size_t i = 0; divides && i < shape_.size(); ++i) {
      divides = sharding.chunk_shape[i] >= 1 && shape_[i] % sharding.chunk_shape[i] == 0;
    }
    if (!divides) {
      return fail(
          "/configuration/chunk_shape", found,
          fmt::format("extents that divide those of the chunk, [{}]", fmt::join(shape_, ",")));
    }
    Index cells = 1;
    for (const Index extent : cell_grid(sharding, shape_)) {
      // Both are at most 2^30 before, so that nothing overflows.
      cells = extent > kMaxCells ? kMaxCells + 1 : cells * extent;
      if (cells > kMaxCells) {
        return fail("/configuration/chunk_shape", found,
                    fmt::format("at most {} inner chunks in one of [{}]", kMaxCells,
                                fmt::join(shape_, ",")));
      }
    }
    if (depth_ >= kMaxShardDepth) {
      return fail("/name", "a shard in more than " + std::to_string(depth_ - 1) + " others",
                  fmt::format("at most {} levels of shards", kMaxShardDepth));
    }
    check_index_codecs(sharding.index_codecs);
    if (fault_) return;
    fault_ = Checker(format_, sharding.chunk_shape, field("/configuration/codecs"), depth_ + 1)
                 .check(sharding.codecs);
  }
  // Where the index lies follows from its size alone, so nothing may change that. Other readers
  // take transposes here too; no writer is known to make any.
  void check_index_codecs(const CodecChain& codecs) {
    bool fits = !codecs.empty() && codecs.size() <= kMaxCodecs &&
                std::holds_alternative<Bytes>(codecs.front().value);
    for (std::size_t i = 1; i < codecs.size(); ++i) fits = fits && is_checksum(codecs[i]);
    if (fits) return;
    std::vector<std::string_view> names;
    for (const Codec& codec : codecs) names.push_back(name_of(codec));
    fail("/configuration/index_codecs", fmt::format("[{}]", fmt::join(names, ",")),
         "`bytes`, then any number of `crc32c`");
  }

  Format format_;
  Shape shape_;  // of what reaches the codec
  std::string where_;
  std::size_t place_ = 0;
  std::size_t depth_;
  bool serialized_ = false;
  bool sharded_ = false;
  std::size_t transposes_ = 0;
  std::size_t compressors_ = 0;
  std::optional<ChainFault> fault_;
};

}  // namespace

std::size_t swap_width(DType dtype) noexcept {
  const bool complex = dtype == DType::complex64 || dtype == DType::complex128;
  return complex ? size_of(dtype) / 2 : size_of(dtype);
}

void swap_bytes(std::span<std::byte> elements, DType dtype) noexcept {
  const std::size_t width = swap_width(dtype);
  if (width == 1) return;
  for (std::size_t i = 0; i + width <= elements.size(); i += width) {
    std::reverse(elements.data() + i, elements.data() + i + width);
  }
}

std::optional<ChainFault> find_fault(Format format, const CodecChain& codecs,
                                     std::span<const Index> chunk_shape, const std::string& where) {
  return Checker(format, chunk_shape, where, 0).check(codecs);
}

void require_sound(const ArrayMetadata& metadata) {
  if (const auto fault =
          find_fault(metadata.format, metadata.codecs, metadata.chunk_shape, "codecs")) {
    throw std::invalid_argument(
        fmt::format("zarr: {} is {}; allowed: {}", fault->field, fault->found, fault->allowed));
  }
}

ChainParts::ChainParts(const CodecChain& codecs) : serializer(nullptr) {
  std::size_t count = 0;
  while (count < codecs.size() && std::holds_alternative<Transpose>(codecs[count].value)) ++count;
  assert(count < codecs.size());
  const std::span all(codecs);
  transposes = all.first(count);
  serializer = &codecs[count];
  byte_codecs = all.subspan(count + 1);
}

bool ChainParts::big_endian() const noexcept {
  const auto* bytes = std::get_if<Bytes>(&serializer->value);
  return bytes != nullptr && bytes->big_endian;
}

std::vector<std::size_t> permutation_of(std::span<const Codec> transposes, std::size_t rank) {
  std::vector<std::size_t> all(rank);
  std::iota(all.begin(), all.end(), std::size_t{0});
  for (const Codec& codec : transposes) {
    const auto& order = std::get<Transpose>(codec.value).order;
    assert(order.size() == rank);
    std::vector<std::size_t> next(rank);
    for (std::size_t i = 0; i < rank; ++i) next[i] = all[order[i]];
    all = std::move(next);
  }
  if (std::is_sorted(all.begin(), all.end())) all.clear();
  return all;
}

Shape permuted(std::span<const Index> values, std::span<const std::size_t> order) {
  Shape result(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) result[i] = values[order[i]];
  return result;
}

Shape cell_grid(const Sharding& sharding, std::span<const Index> shard_shape) {
  Shape grid(shard_shape.size());
  for (std::size_t i = 0; i < grid.size(); ++i) grid[i] = shard_shape[i] / sharding.chunk_shape[i];
  return grid;
}

std::size_t index_bytes(const Sharding& sharding, std::size_t cells) noexcept {
  return cells * kIndexEntryBytes + (sharding.index_codecs.size() - 1) * kChecksumBytes;
}

}  // namespace cairn::zarr::internal
