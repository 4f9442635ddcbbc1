#pragma once
// What a step and its items say of themselves, without their values.

#include <cairn/codecs/orbax.h>
#include <cairn/codecs/tree.h>
#include <cairn/export.h>
#include <cairn/manager/inspect.h>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn {

/// What an item is, without its values.
struct ItemMetadata {
  ItemMetadata() = default;
  std::string name;
  std::string directory;  ///< absolute path
  std::string handler;    ///< as the step's metadata has it; empty where it does not
  /// The item's tree with a LeafSpec for each array, number and string (whose spec is empty): as it
  /// stands, the target of a restore. A leaf of a type that a program registered with Orbax, which
  /// cannot be read, is a Placeholder(). None where the item is no tree.
  std::optional<Tree> tree;
  std::vector<LeafInfo> leaves;         ///< of the tree, with kinds and sizes; in its order
  std::uint64_t bytes = 0;              ///< of elements; of files where the item is no tree
  std::uint64_t stored_bytes = 0;       ///< on disk
  boost::json::object custom_metadata;  ///< what the tree was saved with
  boost::json::value description;       ///< what a handler of yours says (Handler::describe)
};

/// Of the items of one step, by name; those that no known handler reads, or that are not what their
/// handler expects, are there as none.
class CAIRN_EXPORT ItemsMetadata {
 public:
  /// Names to what is known of them.
  using Map = std::map<std::string, std::optional<ItemMetadata>, std::less<>>;
  ItemsMetadata() = default;
  explicit ItemsMetadata(Map items) : items_(std::move(items)) {}

  /// All items.
  [[nodiscard]] const Map& items() const noexcept { return items_; }
  /// Whether the step has an item of that name.
  [[nodiscard]] bool contains(std::string_view item) const { return items_.contains(item); }
  /// Throws Error(not_found) naming the items there are.
  [[nodiscard]] const std::optional<ItemMetadata>& at(std::string_view item) const;
  /// The only item there is. Throws Error(not_found) naming them where there is none or several,
  /// or where no known handler reads it.
  [[nodiscard]] const ItemMetadata& only() const;

 private:
  Map items_;
};

/// Of a step: item_handlers (item to the name of its handler), metrics, performance_metrics,
/// custom_metadata, and init_timestamp_ns and commit_timestamp_ns, in ns since the Unix epoch
/// (Orbax: ..._timestamp_nsecs), which orbax::StepMetadata declares. Members that nothing was said
/// of are empty: item_handlers of a step without a _CHECKPOINT_METADATA, or with one that cannot be
/// read, which the log says.
struct StepMetadata : orbax::StepMetadata {
  StepMetadata() = default;
  ItemsMetadata item_metadata;  ///< without the metrics
};

}  // namespace cairn
