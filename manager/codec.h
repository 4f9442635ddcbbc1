#pragma once
// How arrays are stored: the codec of their bytes, and the layout of an item's files.

#include <cairn/export.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace cairn {

/// How array bytes are encoded on their way to the disk. A codec is chosen per leaf, else per item,
/// else by the manager's option. Whatever is chosen, each chunk has a crc32c: in the array where
/// its format can carry one, in the item's `_CAIRN` where it cannot (zarr v2). Arrays below
/// kSmallestEncoded are always raw: no codec gains there.
class CAIRN_EXPORT Codec {
 public:
  enum class Kind : std::uint8_t { raw, automatic, blosc, zstd, gzip };

  /// The elements as they are: what the disk takes fastest.
  [[nodiscard]] static constexpr Codec raw() noexcept { return Codec(Kind::raw, 0); }
  /// As small as can be without taking longer than raw. Each array is sampled; where its byte
  /// planes promise at least 5 % they are Huffman-coded, those of integers and booleans with
  /// zstd's search for matches where that gets more through (any Blosc decoder reads both), chunk
  /// by chunk and only while the disk has enough to do meanwhile: a small save, or one on cores
  /// slower than the disk, may store most chunks as they are (ManagerOptions::encode_policy). Raw
  /// otherwise.
  [[nodiscard]] static constexpr Codec automatic() noexcept { return Codec(Kind::automatic, 0); }
  /// libblosc's zstd with a byte shuffle. Levels 0 (none) to 9; Error(invalid_argument) on others.
  [[nodiscard]] static Codec blosc(int level = 5);
  /// Levels 1 to 22.
  [[nodiscard]] static Codec zstd(int level = 3);
  /// Levels 0 to 9.
  [[nodiscard]] static Codec gzip(int level = 6);
  /// For command lines: "raw", "auto", "blosc", "zstd", "gzip", the last three with or without a
  /// level ("zstd:3"). Error(invalid_argument) on other text.
  [[nodiscard]] static Codec parse(std::string_view text);

  /// What it was made as.
  [[nodiscard]] constexpr Kind kind() const noexcept { return kind_; }
  [[nodiscard]] constexpr int level() const noexcept { return level_; }
  friend constexpr bool operator==(Codec, Codec) noexcept = default;

 private:
  constexpr Codec(Kind kind, int level) noexcept : kind_(kind), level_(level) {}
  Kind kind_;
  int level_;
};
/// "raw", "auto", "blosc(5)", ...
[[nodiscard]] CAIRN_EXPORT std::string to_string(Codec codec);

inline constexpr std::size_t kSmallestEncoded = 128;  ///< bytes of an array's elements

/// Where an item's arrays lie. Orbax restores all four without arguments.
enum class Layout : std::uint8_t {
  ocdbt_zarr3,  ///< one OCDBT database of zarr v3 arrays: few large files
  ocdbt_zarr2,  ///< the same of zarr v2 arrays, as Orbax's own default
  zarr3,        ///< a zarr v3 group: a directory for each array, a file for each chunk
  zarr2         ///< the same in zarr v2
};
/// "ocdbt_zarr3", ...
[[nodiscard]] CAIRN_EXPORT std::string_view to_string(Layout layout) noexcept;
/// The layout of that name. Error(invalid_argument) where there is none.
[[nodiscard]] CAIRN_EXPORT Layout parse_layout(std::string_view name);
/// Whether it is a database.
[[nodiscard]] constexpr bool uses_ocdbt(Layout layout) noexcept {
  return layout == Layout::ocdbt_zarr3 || layout == Layout::ocdbt_zarr2;
}
/// Whether its arrays are zarr v3's.
[[nodiscard]] constexpr bool uses_zarr3(Layout layout) noexcept {
  return layout == Layout::ocdbt_zarr3 || layout == Layout::zarr3;
}

}  // namespace cairn
