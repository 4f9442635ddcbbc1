#include <cairn/codecs/internal/ocdbt_node_codec.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>

namespace cairn::ocdbt {
namespace internal {
namespace {

Field entry(std::uint64_t index, std::string_view name) {
  return {"entry", index, name};
}

enum ValueKind : std::uint8_t { kInline = 0, kOutOfLine = 1 };

// Least bytes of a record. Keys ascend, so only the first may be empty, but its prefix length is
// not stored.
constexpr std::uint64_t kMinKeyBytes = 3;
constexpr std::uint64_t kMinEntryBytes = kMinKeyBytes + 2;
constexpr std::uint64_t kMinChildBytes = kMinKeyBytes + 1 + 6;
constexpr std::uint64_t kMissingOfFirst = 2;

// ---- keys
// -----------------------------------------------------------------------------------------------

// Always shares the longest prefix, which the format allows a writer not to.
template <class Record>
void encode_keys(ByteWriter& writer, std::span<const Record> records, std::size_t stripped) {
  std::vector<std::uint32_t> prefixes(records.size(), 0);
  const auto key = [&](std::size_t i) { return std::string_view(records[i].key).substr(stripped); };
  for (std::size_t i = 1; i < records.size(); ++i) {
    const auto previous = key(i - 1);
    const auto current = key(i);
    const auto shared = shared_prefix(previous, current);
    const bool ascends =
        shared < current.size() &&
        (shared == previous.size() || static_cast<unsigned char>(previous[shared]) <
                                          static_cast<unsigned char>(current[shared]));
    if (!ascends)
      writer.fail(entry(i, "key"), std::string(current), "a key after the one before it");
    prefixes[i] = static_cast<std::uint32_t>(shared);
    writer.varint(prefixes[i], entry(i, "key_prefix_length"), kMaxKeyBytes);
  }
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::uint64_t size = key(i).size();
    if (size > kMaxKeyBytes) {
      writer.fail(entry(i, "key"), fmt::format("{} bytes", size),
                  fmt::format("at most {}", kMaxKeyBytes));
    }
    writer.varint(size - prefixes[i], entry(i, "key_suffix_length"));
  }
  if constexpr (std::is_same_v<Record, Child>) {
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto& record = records[i];
      if (record.common_prefix < stripped || record.common_prefix > record.key.size()) {
        writer.fail(entry(i, "subtree_common_prefix_length"), std::to_string(record.common_prefix),
                    fmt::format("{} to {}", stripped, record.key.size()));
      }
      writer.varint(record.common_prefix - static_cast<std::uint32_t>(stripped),
                    entry(i, "subtree_common_prefix_length"));
    }
  }
  for (std::size_t i = 0; i < records.size(); ++i) writer.bytes(key(i).substr(prefixes[i]));
}

// All lengths come before the first byte of a key, so the memory that the keys will take is known,
// and bounded, before any of it is taken.
template <class Record>
void decode_keys(ByteReader& reader, std::vector<Record>& records, ExpansionBudget& budget) {
  struct Lengths {
    std::uint16_t prefix = 0;
    std::uint16_t suffix = 0;
  };
  std::vector<Lengths> lengths(records.size());
  for (std::size_t i = 1; i < records.size(); ++i) {
    reader.varint(lengths[i].prefix, entry(i, "key_prefix_length"));
  }
  std::uint32_t previous = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    reader.varint(lengths[i].suffix, entry(i, "key_suffix_length"));
    const auto size = std::uint32_t{lengths[i].prefix} + lengths[i].suffix;
    if (lengths[i].prefix > previous) {
      reader.reject(entry(i, "key_prefix_length"), std::to_string(lengths[i].prefix),
                    fmt::format("at most {}, the length of the key before", previous));
    }
    if (size > kMaxKeyBytes) {
      reader.reject(entry(i, "key"), fmt::format("{} bytes", size),
                    fmt::format("at most {}", kMaxKeyBytes));
    }
    budget.take(size, reader, entry(i, "key"));
    previous = size;
  }
  if constexpr (std::is_same_v<Record, Child>) {
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto size = std::uint64_t{lengths[i].prefix} + lengths[i].suffix;
      reader.varint(records[i].common_prefix, entry(i, "subtree_common_prefix_length"), size);
    }
  }
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto suffix = reader.bytes(lengths[i].suffix, entry(i, "key_suffix"));
    if (i == 0) {
      records[i].key = suffix;
      continue;
    }
    // The shared part is equal, so comparing what follows it compares the keys.
    const std::string_view before = records[i - 1].key;
    if (before.substr(lengths[i].prefix) >= suffix) {
      reader.fail(entry(i, "key"), "a key that is not after the one before it", "ascending keys");
    }
    records[i].key.reserve(lengths[i].prefix + suffix.size());
    records[i].key.assign(before.substr(0, lengths[i].prefix)).append(suffix);
  }
}

// ---- values of a leaf
// -------------------------------------------------------------------------------------

void encode_values(ByteWriter& writer, std::span<const EntryView> entries, const NodeFiles& files) {
  const auto count = entries.size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto field = entry(i, "value_length");
    if (const auto* text = std::get_if<std::string_view>(&entries[i].value)) {
      writer.varint(std::uint64_t{text->size()}, field, kMaxInlineValueBytes);
      continue;
    }
    const auto& location = std::get<Reference>(entries[i].value);
    if (location.length == 0) {
      writer.fail(field, "0 out of line", "1 or more: a value without bytes is inline");
    }
    check_range(writer, location, field);
    writer.varint(location.length, field);
  }
  for (std::size_t i = 0; i < count; ++i) {
    writer.u8(entries[i].value.index() == 0 ? kInline : kOutOfLine, entry(i, "value_kind"));
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (const auto* location = std::get_if<Reference>(&entries[i].value)) {
      const auto file = files(location->file);
      check_file(writer, file, files.table.size(), entry(i, "data_file_id"));
      writer.varint(file, entry(i, "data_file_id"));
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (const auto* location = std::get_if<Reference>(&entries[i].value)) {
      writer.varint(location->offset, entry(i, "data_file_offset"));
    }
  }
  for (const auto& record : entries) {
    if (const auto* text = std::get_if<std::string_view>(&record.value)) writer.bytes(*text);
  }
}

void decode_values(ByteReader& reader, std::vector<Entry>& entries, std::uint64_t file_count,
                   ExpansionBudget& budget) {
  const auto count = entries.size();
  // Until its kind is known, a value is a reference that holds the length.
  for (std::size_t i = 0; i < count; ++i) {
    auto& location = entries[i].value.emplace<Reference>();
    reader.varint(location.length, entry(i, "value_length"));
  }
  std::vector<std::uint8_t> kinds(count);
  for (std::size_t i = 0; i < count; ++i) reader.u8(kinds[i], entry(i, "value_kind"), kOutOfLine);
  for (std::size_t i = 0; i < count; ++i) {
    if (kinds[i] == kInline) continue;
    auto& location = std::get<Reference>(entries[i].value);
    reader.varint(location.file, entry(i, "data_file_id"));
    check_file(reader, location.file, file_count, entry(i, "data_file_id"));
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (kinds[i] == kInline) continue;
    auto& location = std::get<Reference>(entries[i].value);
    reader.varint(location.offset, entry(i, "data_file_offset"));
    check_range(reader, location, entry(i, "data_file_offset"));
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto length = std::get<Reference>(entries[i].value).length;
    // No bytes out of line are an empty value, which is written inline.
    if (kinds[i] == kOutOfLine && length != 0) continue;
    if (length > kMaxInlineValueBytes) {
      reader.reject(entry(i, "value_length"), std::to_string(length),
                    fmt::format("at most {} inline", kMaxInlineValueBytes));
    }
    const auto value = reader.bytes(static_cast<std::size_t>(length), entry(i, "value"));
    budget.take(length, reader, entry(i, "value"));
    entries[i].value.emplace<std::string>(value);
  }
}

// ---- what precedes the entries
// ------------------------------------------------------------------------------

template <class Io>
void code_entry_count(Io& io, std::uint32_t& count) {
  io.varint(count, "num_entries", kMaxNodeEntries);
  if (count == 0) io.fail("num_entries", "0", "1 or more");
}

void encode_head(ByteWriter& writer, std::uint8_t height, const NodeFiles& files,
                 std::size_t num_entries) {
  writer.u8(height, "height");
  encode_file_table(writer, files.table);
  if (num_entries > kMaxNodeEntries) {
    writer.fail("num_entries", std::to_string(num_entries),
                fmt::format("at most {}", kMaxNodeEntries));
  }
  auto count = static_cast<std::uint32_t>(num_entries);
  code_entry_count(writer, count);
}

template <class Record>
std::vector<Record> decode_keyed(ByteReader& reader, std::uint32_t count, std::uint64_t min_bytes,
                                 ExpansionBudget& budget) {
  reader.expect_room(count, min_bytes, "num_entries", kMissingOfFirst);
  std::vector<Record> records(count);
  decode_keys(reader, records, budget);
  return records;
}

}  // namespace

// Eight bytes at a time: neighbouring keys share most of what they are made of.
std::size_t shared_prefix(std::string_view a, std::string_view b) noexcept {
  const std::size_t most = std::min(a.size(), b.size());
  std::size_t shared = 0;
  for (; most - shared >= sizeof(std::uint64_t); shared += sizeof(std::uint64_t)) {
    std::uint64_t in_a = 0;
    std::uint64_t in_b = 0;
    std::memcpy(&in_a, a.data() + shared, sizeof(in_a));
    std::memcpy(&in_b, b.data() + shared, sizeof(in_b));
    if (in_a != in_b) return shared + static_cast<std::size_t>(std::countr_zero(in_a ^ in_b)) / 8;
  }
  while (shared < most && a[shared] == b[shared]) ++shared;
  return shared;
}

std::string encode_leaf(std::span<const EntryView> entries, std::size_t stripped,
                        const NodeFiles& files, const Config& config, std::string& body) {
  body.clear();
  ByteWriter writer(body, kNodeKind.structure);
  encode_head(writer, 0, files, entries.size());
  encode_keys(writer, entries, stripped);
  encode_values(writer, entries, files);
  return seal(kNodeKind, body, config);
}

std::string encode_interior(std::span<const Child> children, std::size_t stripped,
                            std::uint8_t height, const NodeFiles& files, const Config& config,
                            std::string& body) {
  body.clear();
  ByteWriter writer(body, kNodeKind.structure);
  encode_head(writer, height, files, children.size());
  encode_keys(writer, children, stripped);
  // The same locations, in terms of the node's own table.
  std::vector<Reference> locations;
  locations.reserve(children.size());
  for (const auto& child : children) {
    locations.push_back(child.location);
    locations.back().file = files(child.location.file);
  }
  code_references(
      writer, locations, files.table.size(), [](auto& l) -> auto& { return l; });
  code_statistics(writer, children);
  return seal(kNodeKind, body, config);
}

}  // namespace internal

using namespace internal;  // NOLINT(google-build-using-namespace): this file implements them

std::string encode(const Node& node, const Config& config) {
  const NodeFiles files{node.files};
  std::string body;
  if (const auto* entries = std::get_if<std::vector<Entry>>(&node.entries)) {
    if (node.height != 0) {
      throw std::invalid_argument("OCDBT B+tree node: only height 0 holds values");
    }
    const std::vector<EntryView> views(entries->begin(), entries->end());
    return encode_leaf(views, 0, files, config, body);
  }
  if (node.height == 0) {
    throw std::invalid_argument("OCDBT B+tree node: height 0 holds values, not children");
  }
  return encode_interior(std::get<std::vector<Child>>(node.entries), 0, node.height, files, config,
                         body);
}

Node decode_node(std::string_view bytes, std::uint64_t max_decoded_bytes, NodeBudget* shared) {
  const OpenEnvelope envelope(bytes, kNodeKind, max_decoded_bytes, shared);
  auto reader = envelope.reader();
  ExpansionBudget budget(envelope.expansion_limit(), shared);
  Node node;
  reader.u8(node.height, "height");
  node.files = decode_file_table(reader, budget);
  std::uint32_t count = 0;
  code_entry_count(reader, count);
  if (node.height == 0) {
    auto entries = decode_keyed<Entry>(reader, count, kMinEntryBytes, budget);
    decode_values(reader, entries, node.files.size(), budget);
    node.entries = std::move(entries);
  } else {
    auto children = decode_keyed<Child>(reader, count, kMinChildBytes, budget);
    code_references(
        reader, children, node.files.size(), [](auto& c) -> auto& { return c.location; });
    code_statistics(reader, children);
    node.entries = std::move(children);
  }
  reader.expect_end();
  return node;
}

void check_child(const Node& child, std::uint8_t height, std::string_view min_key) {
  if (child.height != height) {
    throw FormatError(std::string(kNodeKind.structure), "height", std::to_string(child.height),
                      fmt::format("{}, as the node above calls for", height));
  }
  const auto check = [&](std::string_view first) {
    if (first >= min_key) return;
    throw FormatError(std::string(kNodeKind.structure), "entry 0: key",
                      fmt::format("\"{}\"", first),
                      fmt::format("\"{}\" or after, as the node above says", min_key));
  };
  std::visit([&](const auto& entries) { check(entries.empty() ? min_key : entries.front().key); },
             child.entries);
}

}  // namespace cairn::ocdbt
