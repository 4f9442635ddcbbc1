#include <cairn/codecs/internal/zarr_text.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <stdexcept>

namespace cairn::zarr::internal {

namespace json = boost::json;
using cairn::internal::describe;

void refuse_unknown(const JsonMembers& members, std::initializer_list<std::string_view> known) {
  for (const auto& member : members.object()) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    members.fail(name, describe(member.value()), fmt::format("only {}", fmt::join(known, ", ")));
  }
}

std::int64_t integer(const JsonMembers& members, std::string_view name, std::int64_t low,
                     std::int64_t high, std::optional<std::int64_t> missing) {
  const json::value* value = members.find(name);
  if (value == nullptr && missing) return *missing;
  const auto allowed = [&] { return fmt::format("an integer from {} to {}", low, high); };
  if (value == nullptr) members.fail(name, "nothing", allowed());
  const auto* number = value->if_int64();
  if (number == nullptr || *number < low || *number > high) {
    members.fail(name, describe(*value), allowed());
  }
  return *number;
}

Shape decode_extents(const JsonMembers& members, std::string_view name, Index least) {
  const std::string allowed =
      fmt::format("an array of at most {} integers of {} or more", kMaxRank, least);
  const json::value& value = members.require(name, allowed);
  const auto* extents = value.if_array();
  if (extents == nullptr || extents->size() > kMaxRank) {
    members.fail(name, describe(value), allowed);
  }
  Shape shape;
  for (const json::value& extent : *extents) {
    const auto* number = extent.if_int64();
    if (number == nullptr || *number < least) {
      members.fail(fmt::format("{}[{}]", name, shape.size()), describe(extent), allowed);
    }
    shape.push_back(*number);
  }
  return shape;
}

char decode_separator(const JsonMembers& members, std::string_view name, char missing) {
  if (!members.find(name)) return missing;
  const std::string_view separator = members.string(name);
  if (separator != "/" && separator != ".") {
    members.fail(name, fmt::format("\"{}\"", separator), "\"/\" or \".\"");
  }
  return separator.front();
}

void check_sizes(const JsonMembers& root, const ArrayMetadata& m, std::string_view chunks) {
  if (m.chunk_shape.size() != m.shape.size()) {
    root.fail(chunks, fmt::format("{} extents", m.chunk_shape.size()),
              fmt::format("{}, as shape has", m.shape.size()));
  }
  const auto check_bytes = [&](std::string_view name, const Shape& shape) {
    try {
      static_cast<void>(byte_count(m.dtype, shape));
    } catch (const std::invalid_argument&) {
      root.fail(name, fmt::format("[{}]", fmt::join(shape, ",")), "fewer than 2^63 bytes");
    }
  };
  check_bytes("shape", m.shape);
  check_bytes(chunks, m.chunk_shape);
}

blosc::Compressor decode_compressor(const JsonMembers& members, std::string_view name) {
  using blosc::Compressor;
  const std::string_view found = members.string(name);
  for (const Compressor compressor : {Compressor::blosclz, Compressor::lz4, Compressor::lz4hc,
                                      Compressor::snappy, Compressor::zlib, Compressor::zstd}) {
    if (found == blosc::name_of(compressor)) return compressor;
  }
  members.fail(name, fmt::format("\"{}\"", found),
               "\"blosclz\", \"lz4\", \"lz4hc\", \"snappy\", \"zlib\" or \"zstd\"");
}

}  // namespace cairn::zarr::internal
