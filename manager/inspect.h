#pragma once
// What is on disk, for tools: describing it, checking every byte of it, and what its values are
// like. A path may be a manager's root, a step or an item, ours or Orbax's.

#include <cairn/codecs/dtype.h>
#include <cairn/codecs/statistics.h>
#include <cairn/codecs/tree.h>
#include <cairn/export.h>
#include <cairn/manager/args.h>
#include <cairn/manager/error.h>
#include <cairn/manager/future.h>
#include <cairn/manager/save_future.h>

#include <boost/json/object.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn {
namespace engine {
class Engine;
}

/// What a path is.
enum class PathKind : std::uint8_t {
  root,         ///< has a directory for each step
  step,         ///< has a directory for each item, or is one item itself
  item,         ///< a tree or a JSON document: Orbax's, or zarr arrays and groups
  safetensors,  ///< a file, an index, or a directory with one of them and nothing of the above
};
[[nodiscard]] CAIRN_EXPORT std::string_view to_string(PathKind kind) noexcept;

/// A leaf of a tree, and how it is stored.
struct LeafInfo {
  LeafInfo() = default;
  std::string key_path;  ///< a/b[3]
  std::string kind;      ///< "array", "scalar", "string", "foreign", "null", "empty dict", ...
  DType dtype = DType::float32;     ///< of an array
  Shape shape;                      ///< of an array
  Shape chunk_shape;                ///< of an array; where there are shards, a chunk is one
  int zarr_format = 0;              ///< 2 or 3; 0 for what is no zarr array: it has no chunks
  std::vector<std::string> codecs;  ///< zarr's names with their settings: "blosc(zstd,5,shuffle)"
  std::uint64_t chunks = 0;         ///< that are stored
  std::uint64_t bytes = 0;          ///< of elements
  std::uint64_t stored_bytes = 0;   ///< of its chunks on disk
  /// Why nothing more is known of an array or a foreign leaf: data_loss, or not_supported.
  std::optional<Error> fault;
};

/// A file of an item.
struct FileInfo {
  FileInfo() = default;
  std::string path;  ///< relative to the item
  std::uint64_t bytes = 0;
  /// Names that the file has. More than one: other steps share it (ManagerOptions::incremental), or
  /// a copy by hard links does.
  std::uint32_t links = 1;
};

/// An item of a step.
struct ItemInfo {
  ItemInfo() = default;
  std::string name;     ///< empty where the step is the item
  std::string handler;  ///< as the step's metadata has it; empty when it does not
  std::string kind;     ///< "tree", "json", "proto", "random key", "unknown"
  std::string layout;   ///< of a tree: "OCDBT", "directory" or "safetensors"
  std::vector<LeafInfo> leaves;
  std::vector<FileInfo> files;
  std::string writer_version;  ///< of Cairn; empty when another program wrote it
  /// How its arrays were encoded, why, and what came of it, by codec and reason, as the item's
  /// record has it. Empty where Cairn did not write the item.
  std::vector<CodecSummary> codecs;
  boost::json::object metadata;  ///< of safetensors: "__metadata__"
};

/// A step, or what stands for one: an item or a file alone.
struct StepInfo {
  StepInfo() = default;
  std::optional<Step> step;
  std::string path;
  std::vector<ItemInfo> items;
  boost::json::object metrics;
  boost::json::object custom_metadata;
  std::optional<std::int64_t> init_timestamp_ns;
  std::optional<std::int64_t> commit_timestamp_ns;
  std::uint64_t bytes = 0;         ///< of elements
  std::uint64_t stored_bytes = 0;  ///< of all files
};

/// One thing that is wrong, or that could not be looked at.
struct Damage {
  Damage() = default;
  std::string item;
  std::string file;                     ///< path; empty where no single file is at fault
  std::optional<std::uint64_t> offset;  ///< bytes from the start of `file`
  std::string key_path;                 ///< a/b[3]; empty where no single array is at fault
  std::string message;                  ///< all of this in one line, with the chunk
};

/// What verify found. `arrays` and `chunks` are those that were looked at.
struct VerifyReport {
  VerifyReport() = default;
  std::string path;             ///< what was looked at
  std::uint64_t arrays = 0;     ///< that were looked at
  std::uint64_t chunks = 0;     ///< that were looked at
  std::uint64_t bytes = 0;      ///< of stored chunks that were read
  std::vector<Damage> damages;  ///< none: what could be looked at is sound
  /// What may be as good as ever, but could not be read: arrays and items of a kind that this
  /// release does not read, files behind links, files that this process may not read.
  std::vector<Damage> unchecked;
  /// Of kinds that Cairn does not know. Whether their files are those of the save was checked where
  /// `_CAIRN` says so.
  std::vector<std::string> unchecked_items;
  /// Of safetensors, which has no checksums: that files, headers and index agree was checked, and
  /// no element was read.
  bool structure_only = false;
  /// Whether there is no damage; `unchecked` may have entries.
  [[nodiscard]] bool ok() const noexcept { return damages.empty(); }
};

/// A directory of a save that has not committed, or of a step that has not been deleted whole: of a
/// process that died, or of one that is at it.
struct Leftover {
  Leftover() = default;
  std::string name;              ///< below the root
  Step step = 0;                 ///< by the name, in any of the standard formats
  bool deletion = false;         ///< it was a step once; false: it was to become one
  std::int64_t modified_ns = 0;  ///< of its first level, since the Unix epoch
  std::string writer;            ///< "host H, pid P"; empty where it cannot be told
};

/// A committed step of a root.
struct StepEntry {
  StepEntry() = default;
  StepEntry(Step s, std::string n) : step(s), name(std::move(n)) {}
  Step step = 0;
  std::string name;  ///< below the root
};

/// The values of one leaf.
struct LeafValues {
  LeafValues() = default;
  std::string key_path;  ///< a/b[3]
  DType dtype = DType::float32;
  Shape shape;
  Statistics statistics;
};

/// Looks at names only. Errors: not_found.
CAIRN_EXPORT Future<PathKind> kind_of_path(std::shared_ptr<engine::Engine> engine,
                                           std::string path);
/// Reads metadata and databases of the step at `step_path`, no array data. Errors as restore().
CAIRN_EXPORT Future<StepInfo> inspect_step(std::shared_ptr<engine::Engine> engine,
                                           std::string step_path);
/// The same of an item's directory, or of safetensors; then `follow_links` is as in
/// SafetensorsReadOptions, here and below.
CAIRN_EXPORT Future<ItemInfo> inspect_item(std::shared_ptr<engine::Engine> engine,
                                           std::string item_path, bool follow_links = false);
/// Reads every chunk of every array and checks it. Bytes that are wrong, missing or unreadable are
/// in the report, and what cannot be checked (not_supported, permission_denied) is too; the rest is
/// checked all the same. What says nothing about the step (no memory, a deadline) is thrown.
/// Errors: not_found, incomplete_checkpoint for a temporary directory, step_deleted where the step
/// was deleted meanwhile.
CAIRN_EXPORT Future<VerifyReport> verify_step(std::shared_ptr<engine::Engine> engine,
                                              std::string step_path);
/// The same of an item's directory, or of safetensors.
CAIRN_EXPORT Future<VerifyReport> verify_item(std::shared_ptr<engine::Engine> engine,
                                              std::string item_path, bool follow_links = false);
/// Extremes, mean and NaN counts of the arrays of a tree, chunk by chunk: no more is held than the
/// engine's window. `path`: a step, of which `item` names one (empty: the step itself), or an
/// item's directory or safetensors, with an empty `item`. `selection` as in ReadOptions.
CAIRN_EXPORT Future<std::vector<LeafValues>> inspect_values(
    std::shared_ptr<engine::Engine> engine, std::string path, std::string item = {},
    std::vector<args::Selection> selection = {}, bool follow_links = false);
/// Committed steps below `root`, ascending, whatever standard format their names have: "12",
/// "00000012", "ckpt_12". With a prefix, what makes a directory a step is that it looks like one:
/// anything may be called logs_2024. A step that has several directories is there several times.
/// Throws not_found when there is no such directory.
CAIRN_EXPORT Future<std::vector<StepEntry>> list_steps(std::shared_ptr<engine::Engine> engine,
                                                       std::string root);
/// What saves and deletions below `root` have left, or are at; by name. Errors: as list_steps().
CAIRN_EXPORT Future<std::vector<Leftover>> list_leftovers(std::shared_ptr<engine::Engine> engine,
                                                          std::string root);

}  // namespace cairn
