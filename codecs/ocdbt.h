#pragma once
// OCDBT, TensorStore's key-value database: manifest, B+tree nodes, version tree. Grammar and facts
// are in codecs/ocdbt_format.md. Pure functions; reading and writing files is the manager's work.

#include <cairn/export.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace cairn::ocdbt {

/// The first bytes of each structure, big-endian.
inline constexpr std::uint32_t kManifestMagic = 0x0cdb3a2a;
inline constexpr std::uint32_t kBtreeMagic = 0x0cdb20de;
inline constexpr std::uint32_t kVersionTreeMagic = 0x0cdb1234;

/// Of a whole key, what the nodes above strip included.
inline constexpr std::uint64_t kMaxKeyBytes = 65535;

/// Where bytes lie: an index into a FileTable, and a range.
struct Reference {
  std::uint64_t file = 0;
  std::uint64_t offset = 0;  ///< bytes
  std::uint64_t length = 0;  ///< bytes
  friend bool operator==(const Reference&, const Reference&) = default;
};

/// A data file's path, split where nodes below change their base (see the format notes).
struct DataFile {
  DataFile() = default;
  DataFile(std::string b, std::string r) : base(std::move(b)), relative(std::move(r)) {}
  std::string base;
  std::string relative;
  [[nodiscard]] std::string path() const { return base + relative; }
  friend bool operator==(const DataFile&, const DataFile&) = default;
};
using FileTable = std::vector<DataFile>;

/// Of nodes and manifests; the numbers are those of the format.
enum class Compression : std::uint8_t { none = 0, zstd = 1 };

/// Database configuration. The defaults are Orbax's: a writer with others is refused by
/// TensorStore.
struct Config {
  std::array<std::byte, 16> uuid{};
  bool numbered = false;  ///< numbered manifests are read, never written
  std::uint32_t max_inline_value_bytes = 1024;
  std::uint32_t max_decoded_node_bytes = 100'000'000;
  std::uint8_t version_tree_arity_log2 = 4;
  Compression compression = Compression::zstd;
  std::int32_t zstd_level = 0;
  friend bool operator==(const Config&, const Config&) = default;
};

/// Subtree totals, self included; tools show them.
struct Statistics {
  std::uint64_t num_keys = 0;
  std::uint64_t num_tree_bytes = 0;
  std::uint64_t num_indirect_value_bytes = 0;
  friend bool operator==(const Statistics&, const Statistics&) = default;
};

/// One version of the database.
struct Version {
  std::uint64_t generation = 0;
  std::uint8_t root_height = 0;
  std::optional<Reference> root;  ///< none: the empty tree
  Statistics statistics;
  std::uint64_t commit_time_ns = 0;  ///< since the Unix epoch
  friend bool operator==(const Version&, const Version&) = default;
};

/// A node of the version tree that holds older versions.
struct VersionNodeReference {
  std::uint64_t generation = 0;  ///< the latest in it
  Reference location;
  std::uint64_t num_generations = 0;
  std::uint64_t commit_time_ns = 0;  ///< of its earliest root
  std::uint8_t height = 0;
  friend bool operator==(const VersionNodeReference&, const VersionNodeReference&) = default;
};

/// The root of a database: its versions, and where their trees are.
struct Manifest {
  Config config;
  FileTable files;
  std::vector<Version>
      versions;  ///< ascending; the last is the current one. Empty only if numbered
  /// Where older versions are.
  std::vector<VersionNodeReference> version_nodes;
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

/// A leaf entry: the value itself, or where it is.
struct Entry {
  Entry() = default;
  Entry(std::string k, std::variant<std::string, Reference> v)
      : key(std::move(k)), value(std::move(v)) {}
  std::string key;
  std::variant<std::string, Reference> value;
  friend bool operator==(const Entry&, const Entry&) = default;
};

/// A leaf entry whose key and inline value lie elsewhere.
struct EntryView {
  EntryView() = default;
  EntryView(std::string_view k, std::variant<std::string_view, Reference> v) : key(k), value(v) {}
  EntryView(const Entry& entry);  // NOLINT(google-explicit-constructor): of an lvalue
  EntryView(Entry&&) = delete;    ///< a temporary would be gone before its view
  std::string_view key;
  std::variant<std::string_view, Reference> value;
};

/// An interior entry: a child and the smallest key it may hold.
struct Child {
  std::string key;                  ///< full key, the prefix included
  std::uint32_t common_prefix = 0;  ///< first bytes of `key` that the child's own keys omit
  Reference location;
  Statistics statistics;
  friend bool operator==(const Child&, const Child&) = default;
};

/// A node of the B+tree; of height 0: a leaf. `files` is what its references count in.
struct Node {
  std::uint8_t height = 0;
  FileTable files;
  std::variant<std::vector<Entry>, std::vector<Child>> entries;
  friend bool operator==(const Node&, const Node&) = default;
};

/// A node of the tree of versions, likewise.
struct VersionNode {
  std::uint8_t arity_log2 = 4;
  std::uint8_t height = 0;
  FileTable files;
  std::variant<std::vector<Version>, std::vector<VersionNodeReference>> entries;
  friend bool operator==(const VersionNode&, const VersionNode&) = default;
};

// Encoders throw std::invalid_argument on values the format cannot hold; decoders throw
// FormatError. A decoder checks magic, length, checksum and every bound before it allocates, and
// consumes every byte.
/// The bytes of a file or node.
[[nodiscard]] CAIRN_EXPORT std::string encode(const Manifest& manifest);
[[nodiscard]] CAIRN_EXPORT std::string encode(const Node& node, const Config& config);
/// The manifest of these bytes.
[[nodiscard]] CAIRN_EXPORT Manifest decode_manifest(std::string_view bytes);
/// Bytes that nodes decoded together may take: keys and paths, prefixes undone; inline values; and,
/// while they are being decoded, decompressed bodies. Thread-safe.
class NodeBudget {
 public:
  explicit NodeBudget(std::uint64_t bytes) noexcept : left_(static_cast<std::int64_t>(bytes)) {}
  /// False, and nothing taken, where that is more than is left.
  [[nodiscard]] bool take(std::uint64_t bytes) noexcept {
    const auto more = static_cast<std::int64_t>(bytes);
    if (left_.fetch_sub(more, std::memory_order_relaxed) >= more) return true;
    give(bytes);
    return false;
  }
  /// What is no longer taken, or more to take.
  void give(std::uint64_t bytes) noexcept {
    left_.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  }

 private:
  std::atomic<std::int64_t> left_;
};
/// `max_decoded_bytes`: the manifest's max_decoded_node_bytes. With `budget` null, only the node's
/// own limits hold.
[[nodiscard]] CAIRN_EXPORT Node decode_node(std::string_view bytes, std::uint64_t max_decoded_bytes,
                                            NodeBudget* budget = nullptr);
[[nodiscard]] CAIRN_EXPORT std::string encode(const VersionNode& node, const Config& config);
[[nodiscard]] CAIRN_EXPORT VersionNode decode_version_node(std::string_view bytes,
                                                           const Config& config,
                                                           NodeBudget* budget = nullptr);

/// A whole tree, encoded: nodes back to back, children before parents, the root last.
struct EncodedTree {
  std::string bytes;
  Version version;  ///< generation 1 and commit_time_ns 0: the caller sets the time
};
/// Of a node before compression: 1 to 4 MiB keep a read of a part small, and the tree flat.
inline constexpr std::size_t kTargetNodeBytes = std::size_t{2} << 20;
/// Lays `entries` (any order; sorted here; duplicate keys or a key that is the `prefix + "/"` of
/// another's are std::invalid_argument) out in nodes of at most `target_node_bytes` before
/// compression. The nodes will be written at `node_offset` of file `node_file` of `files`;
/// Reference::file indexes `files` too, and each file's path must begin with the base of
/// `node_file`, below which nodes in it may refer.
[[nodiscard]] CAIRN_EXPORT EncodedTree
encode_tree(std::vector<Entry> entries, const FileTable& files, std::uint64_t node_file,
            std::uint64_t node_offset, const Config& config,
            std::size_t target_node_bytes = kTargetNodeBytes);

/// encode_tree() in steps, so that the leaves, which are nearly all of the work, can be encoded
/// side by side: the constructor says how many there are, encode_leaf() is called once for each,
/// and finish() gives the tree. The bytes are encode_tree()'s.
class CAIRN_EXPORT TreeBuilder {
 public:
  /// Arguments and errors are encode_tree()'s. What the entries view outlives the builder.
  TreeBuilder(std::vector<EntryView> entries, const FileTable& files, std::uint64_t node_file,
              std::uint64_t node_offset, const Config& config,
              std::size_t target_node_bytes = kTargetNodeBytes);
  ~TreeBuilder();
  /// How many leaf nodes there are to encode.
  [[nodiscard]] std::size_t leaves() const noexcept;
  /// Of different leaves at once, on any threads. `scratch` holds the body meanwhile; a caller with
  /// many leaves keeps it, and its memory.
  void encode_leaf(std::size_t leaf, std::string& scratch);
  /// Once, when all leaves are encoded.
  [[nodiscard]] EncodedTree finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// What a reader checks when it follows a reference to `child`: its height is what the parent's (or
/// the version's root_height) calls for, and it holds no key below `min_key`, the parent's key
/// without its first `common_prefix` bytes. Throws FormatError.
CAIRN_EXPORT void check_child(const Node& child, std::uint8_t height, std::string_view min_key);
/// The same of the version tree: the node has the height of the reference to it, and its latest
/// generation.
CAIRN_EXPORT void check_child(const VersionNode& child, const VersionNodeReference& reference);

/// The path below the database's directory of a file in a node's table: `transitive` is the
/// concatenation of the bases on the way to the node ("" for the manifest). Throws like
/// check_data_path().
[[nodiscard]] CAIRN_EXPORT std::string data_path(std::string_view transitive, const DataFile& file);

/// Throws FormatError unless `path` (transitive + base + relative) stays inside the database
/// directory: no empty, "." or ".." component, not absolute, none ending in "__lock".
CAIRN_EXPORT void check_data_path(std::string_view path);

}  // namespace cairn::ocdbt
