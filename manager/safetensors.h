#pragma once
// safetensors files as trees: one file, several under an index JSON, or a directory with either.

#include <cairn/codecs/leaf.h>
#include <cairn/codecs/tree.h>
#include <cairn/export.h>
#include <cairn/manager/future.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cairn {
namespace engine {
class Engine;
}

/// Key and value of "__metadata__", which holds strings only.
using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

/// A tensor to read: all of it, or a box of its elements.
struct SafetensorsSelection {
  SafetensorsSelection(std::string n)
      : name(std::move(n)) {}                       // NOLINT(google-explicit-constructor)
  SafetensorsSelection(const char* n) : name(n) {}  // NOLINT(google-explicit-constructor)
  SafetensorsSelection(std::string n, IndexRange r) : name(std::move(n)), range(std::move(r)) {}
  std::string name;
  std::optional<IndexRange> range;
};

/// Which tensors, and whether links are followed.
struct SafetensorsReadOptions {
  SafetensorsReadOptions() = default;
  std::vector<SafetensorsSelection> tensors;  ///< none = all; each name once
  /// Shards may be symlinks that lead out of the index's directory, as in the cache of the Hugging
  /// Face hub. Off, they may not: an index from elsewhere then reads no file but those beside it.
  bool follow_links = false;
};

/// What was read. With several files the order is that of their names, then of offsets.
struct SafetensorsContent {
  SafetensorsContent() = default;
  Tree tree;  ///< a Dict: name -> array. Names stay as they are: "a.b" is one key
  /// Of all files; where they differ about a key, the first one's value.
  SafetensorsMetadata metadata;
  std::vector<std::string> files;  ///< paths of the files with tensors
  std::uint64_t bytes = 0;         ///< of elements in `tree`
};

/// Reads tensors into Arrays. `path` is
///  - a safetensors file (a symlink to one is followed);
///  - an index, whose name ends with ".json": the files that it names lie beside it. Tensors in
///    them that the index does not name are read too, as transformers does;
///  - a directory: its model.safetensors, else its model.safetensors.index.json, else the only
///    index, else the only file, by the suffixes ".safetensors" and ".safetensors.index.json"; a
///    shard ("model-00001-of-00005.safetensors") is not taken for a file.
/// Every header is checked whole before a byte of data is read; of the data only what is selected
/// is, through the engine's window, with direct I/O where the engine uses it. Memory: the arrays,
/// the window, and what the headers take (each at most 100 MB).
/// Errors: not_found (path, a shard, a selected tensor), data_loss (names file, offset, field,
/// found, allowed where bytes do not follow the format; an index and files that contradict each
/// other; a file that became shorter meanwhile), invalid_argument (a path that is no one file; a
/// range outside its tensor), not_supported (F6_E2M3 and F6_E3M2, which have no DType; dtypes of a
/// newer version), and those of the system.
CAIRN_EXPORT Future<SafetensorsContent> read_safetensors(std::shared_ptr<engine::Engine> engine,
                                                         std::string path,
                                                         SafetensorsReadOptions options = {});

/// The same with a Leaf for each tensor, whose elements are read when a save asks for them: for
/// files larger than memory. The leaves keep the files open and the engine alive; a failure to read
/// is an Error through the save.
CAIRN_EXPORT Future<SafetensorsContent> open_safetensors(std::shared_ptr<engine::Engine> engine,
                                                         std::string path,
                                                         SafetensorsReadOptions options = {});

/// How files are cut and laid out.
struct SafetensorsWriteOptions {
  SafetensorsWriteOptions() = default;
  SafetensorsMetadata metadata;       ///< goes into every file
  std::uint64_t max_shard_bytes = 0;  ///< of tensors in one file; 0 = one file for all
  /// Data starts at a multiple of this, bytes (a power of two, at most 1 MiB). 0 = 4096 for files
  /// with a MiB of data, else 64. From 4096 on, tensors whose size is a multiple of 4096 come
  /// first, so that each can be read with direct I/O straight into its array.
  std::size_t alignment = 0;
  bool overwrite = false;   ///< replace what is there under this name, in one file or in shards
  bool drop_empty = false;  ///< leave nulls and empty containers out
  std::string root_name = "tensor";  ///< of a tree that is one array, and so has no key
};

/// What was written.
struct SafetensorsWritten {
  SafetensorsWritten() = default;
  std::vector<std::string> files;  ///< paths; the index last where there is one
  std::uint64_t tensors = 0;
  std::uint64_t bytes = 0;         ///< of tensors, in the files
  std::uint64_t stored_bytes = 0;  ///< of all files
};

/// Writes the arrays and numbers of `tree` (bools, integers and floats become tensors of rank 0),
/// durable when it completes. Names are the keys joined by ".". Within a file wide elements come
/// before narrow ones, so that each tensor is aligned to its element. float4_e2m1fn becomes F4, two
/// elements in a byte.
/// With max_shard_bytes, and more bytes than that, "DIR/model.safetensors" becomes
/// "DIR/model-00001-of-00005.safetensors" and so on, with "DIR/model.safetensors.index.json"; a
/// larger tensor gets a file of its own.
/// The directory must exist. Everything is written and synced under temporary names first; then
/// files get their names, the index last, and the directory is synced: a reader finds all or
/// nothing. Replacing a single file by another is atomic; replacing shards takes the old index away
/// first. On an error nothing new is left.
/// Borrowed arrays must not change before it completes.
/// Errors: already_exists, invalid_argument (a path that is no regular file, as a link, a FIFO or a
/// directory is none, two leaves of one name, no tensors, names that are not UTF-8, a name that a
/// sharded file cannot have, a byte above 15 in an array of float4_e2m1fn), not_supported (strings;
/// nulls and empty containers without drop_empty; dtypes that safetensors has no name for; an odd
/// number of float4_e2m1fn elements), and those of the system.
CAIRN_EXPORT Future<SafetensorsWritten> write_safetensors(std::shared_ptr<engine::Engine> engine,
                                                          Tree tree, std::string path,
                                                          SafetensorsWriteOptions options = {});

}  // namespace cairn
