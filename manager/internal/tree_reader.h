#pragma once
// Reads a tree item: metadata, database, and arrays with every checksum verified.

#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/orbax.h>
#include <cairn/codecs/zarr.h>
#include <cairn/manager/inspect.h>
#include <cairn/manager/internal/database.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cairn::internal {

struct StoredLeaf {
  StoredLeaf() = default;
  orbax::TreeEntry entry;
  std::string name;
  bool has_data = false;  ///< false: an empty container
  zarr::ArrayMetadata metadata;
  Shape grid;
  std::uint64_t chunks = 0;
  std::size_t chunk_bytes = 0;
  std::size_t stored_bytes = 0;  ///< of one chunk
};

/// Chunks that lie near each other and are read as one.
struct ReadExtent {
  ReadExtent() = default;
  struct Piece {
    std::uint32_t leaf = 0;
    std::uint64_t chunk = 0;
    std::uint64_t offset = 0;  ///< in the file
  };
  std::uint32_t file = 0;
  std::uint64_t begin = 0;  ///< in the file, bytes
  std::uint64_t end = 0;
  std::vector<Piece> pieces;
};

/// Called with what is wrong with a chunk; throws to stop reading, or returns to go on.
using DamageSink = std::function<void(const Error&)>;

class TreeReader {
 public:
  TreeReader(FolderPtr item, std::string name) : item_(std::move(item)), name_(std::move(name)) {}

  /// Reads metadata and database. Everything below needs it.
  Task<void> open();
  [[nodiscard]] const std::vector<StoredLeaf>& leaves() const noexcept { return leaves_; }
  [[nodiscard]] const std::optional<CairnRecord>& record() const noexcept { return record_; }
  [[nodiscard]] std::uint64_t element_bytes() const;
  /// Bytes of the chunks of a leaf on disk; chunks that are missing count nothing.
  [[nodiscard]] std::uint64_t stored_bytes(const StoredLeaf& leaf) const;
  /// The whole tree.
  Task<Tree> load();
  /// Reads and checks everything; damage goes to `sink`. Fills counts of `report`.
  Task<void> verify(VerifyReport& report, DamageSink sink);

 private:
  /// Arrays being filled: none when verifying.
  using Targets = std::vector<Array>;
  Task<void> read_chunks(Targets* targets, DamageSink sink);
  Task<void> read_extent(ReadExtent extent, Targets* targets, DamageSink sink);
  Task<FilePtr> data_file(std::uint32_t index);
  [[nodiscard]] std::vector<ReadExtent> plan_reads(Targets* targets, const DamageSink& sink);
  void take_chunk(std::uint32_t leaf, std::uint64_t chunk, std::byte* stored,
                  Targets* targets) const;
  void fill_missing(std::uint32_t leaf, std::uint64_t chunk, Targets* targets) const;
  [[nodiscard]] Error chunk_error(const StoredLeaf& leaf, std::uint64_t chunk, std::string reason,
                                  std::string path, std::optional<std::uint64_t> offset) const;
  void add_leaf(const orbax::TreeEntry& entry);
  /// Refuses metadata that asks for more than the database has, before anything is allocated for
  /// it.
  void check_claims(const StoredLeaf& leaf) const;
  [[nodiscard]] Tree value_of(const StoredLeaf& leaf, Array array) const;
  void restore_tuples(Tree& tree) const;

  FolderPtr item_;
  std::string name_;
  orbax::TreeMetadata metadata_;
  std::optional<CairnRecord> record_;
  ItemDatabase database_;
  std::vector<StoredLeaf> leaves_;
  std::vector<FilePtr> files_;  ///< opened at first use
  std::vector<std::uint64_t> file_sizes_;
  std::uint64_t verified_chunks_ = 0;
  std::uint64_t verified_bytes_ = 0;
};

}  // namespace cairn::internal
