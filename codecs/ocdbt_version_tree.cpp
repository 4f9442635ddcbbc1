#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/ocdbt_columns.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace cairn::ocdbt {
namespace internal {
namespace {

Field entry(std::uint64_t index, std::string_view name) {
  return {"entry", index, name};
}

/// Generations that one node of `height` covers, as a power of two; 64 and more mean all there are.
unsigned span_log2(unsigned arity_log2, unsigned height) {
  return arity_log2 * (height + 1);
}

/// The window of 2^log2 generations that `generation` is in; windows start at 1.
std::uint64_t window(std::uint64_t generation, unsigned log2) {
  return log2 >= 64 ? 0 : (generation - 1) >> log2;
}

/// The tallest node that the version tree of a manifest may have.
std::uint8_t max_height(std::uint8_t arity_log2) {
  return static_cast<std::uint8_t>(63 / arity_log2 - 1);
}

template <class Io, class Records>
void check_ascending(Io& io, const Records& records) {
  for (std::uint64_t i = 0; i < records.size(); ++i) {
    const auto previous = i == 0 ? 0 : records[i - 1].generation;
    if (records[i].generation > previous) continue;
    io.reject(entry(i, "generation"), std::to_string(records[i].generation),
              fmt::format("more than {}", previous));
  }
}

// Older versions than the last window's are in the tree: a reader finds a generation by arithmetic,
// which fails where an entry is in the wrong place.
template <class Io>
void check_versions(Io& io, const std::vector<Version>& versions, std::uint8_t arity_log2) {
  check_ascending(io, versions);
  const auto last = versions.back().generation;
  if (window(versions.front().generation, arity_log2) != window(last, arity_log2)) {
    io.reject(entry(0, "generation"), std::to_string(versions.front().generation),
              fmt::format("the window of 2^{} generations that {} is in", arity_log2, last));
  }
  for (std::uint64_t i = 0; i < versions.size(); ++i) {
    if (versions[i].root) continue;
    if (versions[i].root_height != 0) {
      io.reject(entry(i, "root_height"), std::to_string(versions[i].root_height), "0: no tree");
    }
    if (versions[i].statistics != Statistics{}) {
      io.reject(entry(i, "statistics"), "a value above 0", "0: no tree");
    }
  }
}

template <class Io>
void code_count(Io& io, std::uint64_t& count, std::uint64_t min, std::uint64_t max) {
  io.varint(count, "num_entries", max);
  if (count < min) io.fail("num_entries", std::to_string(count), fmt::format("{} or more", min));
}

// The columns of a version array. `roots` stands for Version::root, which may be missing.
template <class Io, class Versions, class Roots>
void code_version_columns(Io& io, Versions& versions, Roots& roots, std::uint64_t file_count) {
  std::uint64_t i = 0;
  for (auto& version : versions) io.varint(version.generation, entry(i++, "generation"));
  i = 0;
  for (auto& version : versions) io.u8(version.root_height, entry(i++, "root_height"));
  code_references(
      io, roots, file_count, [](auto& root) -> auto& { return root; }, Missing::allowed);
  code_statistics(io, versions);
  i = 0;
  for (auto& version : versions)
    io.little_endian(version.commit_time_ns, entry(i++, "commit_time"));
}

// The columns of an array of version nodes, but for the heights, which only the manifest stores.
template <class Io, class Nodes>
void code_version_node_columns(Io& io, Nodes& nodes, std::uint64_t file_count) {
  std::uint64_t i = 0;
  for (auto& node : nodes) io.varint(node.generation, entry(i++, "generation"));
  code_references(
      io, nodes, file_count, [](auto& node) -> auto& { return node.location; });
  i = 0;
  for (auto& node : nodes) io.varint(node.num_generations, entry(i++, "num_generations"));
  i = 0;
  for (auto& node : nodes) io.little_endian(node.commit_time_ns, entry(i++, "commit_time"));
}

// A node cannot hold more versions than generations of its span; gaps make it fewer.
template <class Io>
void check_num_generations(Io& io, const std::vector<VersionNodeReference>& nodes, std::uint64_t i,
                           unsigned log2) {
  if (log2 >= 64 || nodes[i].num_generations <= std::uint64_t{1} << log2) return;
  io.reject(entry(i, "num_generations"), std::to_string(nodes[i].num_generations),
            fmt::format("at most 2^{}", log2));
}

// Entries of an interior node of `height`: full children, all in the node's window.
template <class Io>
void check_children(Io& io, const std::vector<VersionNodeReference>& nodes, std::uint8_t arity_log2,
                    std::uint8_t height) {
  check_ascending(io, nodes);
  const auto child_log2 = span_log2(arity_log2, height - 1u);
  const auto stride = std::uint64_t{1} << child_log2;
  for (std::uint64_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].generation % stride != 0) {
      io.reject(entry(i, "generation"), std::to_string(nodes[i].generation),
                fmt::format("a multiple of {}", stride));
    }
    check_num_generations(io, nodes, i, child_log2);
  }
  const auto log2 = span_log2(arity_log2, height);
  if (window(nodes.front().generation, log2) != window(nodes.back().generation, log2)) {
    io.reject(
        entry(0, "generation"), std::to_string(nodes.front().generation),
        fmt::format("the window of 2^{} generations that {} is in", log2, nodes.back().generation));
  }
}

// The manifest's version nodes: at most one of each height, tallest first, each within the
// generations that its height is for. Going down from the newest generation, height h covers what
// is left of its window.
template <class Io>
void check_manifest_nodes(Io& io, const std::vector<VersionNodeReference>& nodes,
                          std::uint8_t arity_log2, std::uint64_t last_generation) {
  check_ascending(io, nodes);
  auto top = window(last_generation, arity_log2) << arity_log2;
  unsigned height = 1;
  for (auto i = nodes.size(); i-- > 0;) {
    const auto& node = nodes[i];
    for (; top != 0 && height < node.height; ++height) {
      const auto log2 = span_log2(arity_log2, height);
      top = log2 >= 64 ? 0 : window(top, log2) << log2;
    }
    if (node.height != height || height > max_height(arity_log2) || top == 0) {
      io.reject(entry(i, "height"), std::to_string(node.height),
                fmt::format("1 to {}, rising from the last entry to the first, and no more than {} "
                            "generations need",
                            max_height(arity_log2), last_generation));
    }
    const auto log2 = span_log2(arity_log2, height);
    const auto next = window(top, log2) << log2;
    if (node.generation <= next || node.generation > top) {
      io.reject(entry(i, "generation"), std::to_string(node.generation),
                fmt::format("{} to {} at height {}", next + 1, top, height));
    }
    check_num_generations(io, nodes, i, log2);
    top = next;
    ++height;
  }
}

// What an empty version writes: an index into the table all the same.
std::uint64_t empty_path_index(const FileTable& files) {
  return static_cast<std::uint64_t>(std::find(files.begin(), files.end(), DataFile{}) -
                                    files.begin());
}

}  // namespace

FileTable files_for(const FileTable& files, const std::vector<Version>& versions) {
  auto table = files;
  const bool empty_version =
      std::any_of(versions.begin(), versions.end(), [](const Version& v) { return !v.root; });
  if (empty_version && empty_path_index(files) == files.size()) table.emplace_back();
  return table;
}

void encode_versions(ByteWriter& writer, const std::vector<Version>& versions,
                     const FileTable& files, std::uint8_t arity_log2) {
  std::uint64_t count = versions.size();
  code_count(writer, count, 1, std::uint64_t{1} << arity_log2);
  check_versions(writer, versions, arity_log2);
  std::vector<Reference> roots;
  roots.reserve(versions.size());
  for (const auto& version : versions) {
    roots.push_back(version.root.value_or(Reference{empty_path_index(files), kMissing, kMissing}));
  }
  code_version_columns(writer, versions, roots, files.size());
}

std::vector<Version> decode_versions(ByteReader& reader, std::uint64_t file_count,
                                     std::uint8_t arity_log2) {
  constexpr std::uint64_t kMinBytes = 2 + 3 + 3 + 8;
  std::uint64_t count = 0;
  code_count(reader, count, 1, std::uint64_t{1} << arity_log2);
  reader.expect_room(count, kMinBytes, "num_entries");
  std::vector<Version> versions(static_cast<std::size_t>(count));
  std::vector<Reference> roots(versions.size());
  code_version_columns(reader, versions, roots, file_count);
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (roots[i].offset != kMissing) versions[i].root = roots[i];
  }
  check_versions(reader, versions, arity_log2);
  return versions;
}

void encode_version_nodes(ByteWriter& writer, const std::vector<VersionNodeReference>& nodes,
                          std::uint64_t file_count, std::uint8_t arity_log2,
                          std::uint64_t last_generation) {
  std::uint64_t count = nodes.size();
  code_count(writer, count, 0, max_height(arity_log2));
  check_manifest_nodes(writer, nodes, arity_log2, last_generation);
  code_version_node_columns(writer, nodes, file_count);
  for (std::uint64_t i = 0; i < count; ++i) writer.u8(nodes[i].height, entry(i, "height"));
}

std::vector<VersionNodeReference> decode_version_nodes(ByteReader& reader, std::uint64_t file_count,
                                                       std::uint8_t arity_log2,
                                                       std::uint64_t last_generation) {
  std::uint64_t count = 0;
  code_count(reader, count, 0, max_height(arity_log2));
  std::vector<VersionNodeReference> nodes(static_cast<std::size_t>(count));
  code_version_node_columns(reader, nodes, file_count);
  for (std::uint64_t i = 0; i < count; ++i) reader.u8(nodes[i].height, entry(i, "height"));
  check_manifest_nodes(reader, nodes, arity_log2, last_generation);
  return nodes;
}

}  // namespace internal

using namespace internal;  // NOLINT(google-build-using-namespace): this file implements them

namespace {

template <class Io>
void code_height(Io& io, auto& height, std::uint8_t arity_log2) {
  io.u8(height, "height", max_height(arity_log2));
}

// Heights of children follow from their parent's and are not stored.
template <class Io, class Nodes>
void code_children(Io& io, Nodes& children, std::uint64_t file_count, std::uint8_t arity_log2,
                   std::uint8_t height) {
  if constexpr (!Io::kReads) check_children(io, children, arity_log2, height);
  code_version_node_columns(io, children, file_count);
  if constexpr (Io::kReads) {
    for (auto& child : children) child.height = static_cast<std::uint8_t>(height - 1);
    check_children(io, children, arity_log2, height);
  }
}

constexpr std::uint64_t kMinChildBytes = 1 + 3 + 1 + 8;

}  // namespace

std::string encode(const VersionNode& node, const Config& config) {
  const auto* versions = std::get_if<std::vector<Version>>(&node.entries);
  if ((versions != nullptr) != (node.height == 0)) {
    throw std::invalid_argument("OCDBT version tree node: height 0 holds versions, others nodes");
  }
  std::string body;
  ByteWriter writer(body, kVersionNodeKind.structure);
  code_arity(writer, node.arity_log2);
  code_height(writer, node.height, node.arity_log2);
  const auto files = versions != nullptr ? files_for(node.files, *versions) : node.files;
  encode_file_table(writer, files);
  if (versions != nullptr) {
    encode_versions(writer, *versions, files, node.arity_log2);
  } else {
    const auto& children = std::get<std::vector<VersionNodeReference>>(node.entries);
    std::uint64_t count = children.size();
    code_count(writer, count, 1, std::uint64_t{1} << node.arity_log2);
    code_children(writer, children, files.size(), node.arity_log2, node.height);
  }
  return seal(kVersionNodeKind, body, config);
}

VersionNode decode_version_node(std::string_view bytes, const Config& config, NodeBudget* shared) {
  const OpenEnvelope envelope(bytes, kVersionNodeKind, config.max_decoded_node_bytes, shared);
  auto reader = envelope.reader();
  ExpansionBudget budget(envelope.expansion_limit(), shared);
  VersionNode node;
  code_arity(reader, node.arity_log2);
  if (node.arity_log2 != config.version_tree_arity_log2) {
    reader.fail("version_tree_arity_log2", std::to_string(node.arity_log2),
                fmt::format("{}, as the manifest says", config.version_tree_arity_log2));
  }
  code_height(reader, node.height, node.arity_log2);
  node.files = decode_file_table(reader, budget);
  if (node.height == 0) {
    node.entries = decode_versions(reader, node.files.size(), node.arity_log2);
  } else {
    std::uint64_t count = 0;
    code_count(reader, count, 1, std::uint64_t{1} << node.arity_log2);
    reader.expect_room(count, kMinChildBytes, "num_entries");
    std::vector<VersionNodeReference> children(static_cast<std::size_t>(count));
    code_children(reader, children, node.files.size(), node.arity_log2, node.height);
    node.entries = std::move(children);
  }
  reader.expect_end();
  return node;
}

void check_child(const VersionNode& child, const VersionNodeReference& reference) {
  const auto check = [](std::string_view field, std::uint64_t found, std::uint64_t expected) {
    if (found == expected) return;
    throw FormatError(std::string(kVersionNodeKind.structure), std::string(field),
                      std::to_string(found),
                      fmt::format("{}, as the node above calls for", expected));
  };
  check("height", child.height, reference.height);
  const auto latest =
      std::visit([](const auto& entries) { return entries.back().generation; }, child.entries);
  check("latest generation", latest, reference.generation);
}

}  // namespace cairn::ocdbt
