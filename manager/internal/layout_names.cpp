// Names that would run into each other, or that the layout cannot hold.

#include <cairn/manager/error.h>
#include <cairn/manager/internal/layout.h>

#include <algorithm>
#include <array>
#include <unordered_set>

namespace cairn::internal {
namespace {

constexpr std::size_t kFileNameBytesMax = 255;  // of every Linux file system

/// Files of an item that is a directory of arrays: ours, Orbax's and zarr's.
constexpr std::array<std::string_view, 11> kReservedNames = {
    "zarr.json",          ".zgroup",        ".zattrs",        ".zmetadata",
    "_METADATA",          "_CAIRN",         "_sharding",      "_strings.json",
    "commit_success.txt", "manifest.ocdbt", "array_metadatas"};

class NameCheck {
 public:
  NameCheck(const ItemLayout& layout, const std::vector<FlatEntry>& flat)
      : layout_(layout), flat_(flat) {}

  void run() {
    names_.reserve(layout_.leaves.size());
    for (const PlannedLeaf& leaf : layout_.leaves) {
      if (!names_.insert(leaf.name).second) {
        refuse(leaf, "another leaf has the same dotted name '" + leaf.name + "'", "Rename a key");
      }
    }
    const bool unnamed = names_.contains("");
    for (const PlannedLeaf& leaf : layout_.leaves) {
      if (unnamed) check_beside_unnamed(leaf);
      check_parents(leaf);
      if (!uses_ocdbt(layout_.layout)) check_directory(leaf);
    }
  }

 private:
  [[noreturn]] void refuse(const PlannedLeaf& leaf, std::string reason, std::string remedy) const {
    ErrorContext context;
    const auto entry = std::ranges::find(flat_, leaf.node, &FlatEntry::node);
    if (entry != flat_.end()) context.key_path = to_string(entry->path);
    context.remedy = std::move(remedy);
    throw Error(ErrorCode::invalid_argument, std::move(reason), context);
  }

  /// The keys of a leaf without a name begin with its metadata's and its chunks' names.
  void check_beside_unnamed(const PlannedLeaf& leaf) const {
    if (leaf.name.empty()) return;
    const std::string_view name = leaf.name;
    const std::string_view first = name.substr(0, name.find('/'));
    const bool zarr3 = uses_zarr3(layout_.layout);
    const bool clashes =
        zarr3 ? first == "zarr.json" || first == "c"
              : first == ".zarray" || first.find_first_not_of("0123456789.") == first.npos;
    if (!clashes) return;
    refuse(leaf, "its name '" + leaf.name + "' runs into the keys of the leaf whose name is empty",
           "Rename a key");
  }

  /// A leaf whose name is a path prefix of another's.
  void check_parents(const PlannedLeaf& leaf) const {
    const std::string_view name = leaf.name;
    for (auto slash = name.find('/'); slash != name.npos; slash = name.find('/', slash + 1)) {
      if (!names_.contains(name.substr(0, slash))) continue;
      refuse(leaf,
             "its name '" + leaf.name + "' lies below that of another leaf, '" +
                 std::string(name.substr(0, slash)) + "'",
             "Rename a key so that it does not hold '/'");
    }
  }

  /// What a directory can be called, and what it would overwrite.
  void check_directory(const PlannedLeaf& leaf) const {
    if (leaf.name.empty()) return;
    std::string_view rest = leaf.name;
    const std::string_view first = rest.substr(0, rest.find('/'));
    const bool reserved = std::ranges::find(kReservedNames, first) != kReservedNames.end();
    bool usable = !reserved && rest.find('\0') == rest.npos;
    while (usable) {
      const auto slash = rest.find('/');
      const std::string_view part = rest.substr(0, slash);
      usable = !part.empty() && part != "." && part != ".." && part.size() <= kFileNameBytesMax;
      if (slash == rest.npos) break;
      rest.remove_prefix(slash + 1);
    }
    if (usable) return;
    refuse(leaf,
           "its name '" + leaf.name + "' cannot be that of a directory, as the layout " +
               std::string(to_string(layout_.layout)) + " wants it",
           "Rename a key, or use an OCDBT layout");
  }

  const ItemLayout& layout_;
  const std::vector<FlatEntry>& flat_;
  std::unordered_set<std::string_view> names_;
};

}  // namespace

void check_names(const ItemLayout& layout, const std::vector<FlatEntry>& flat) {
  NameCheck(layout, flat).run();
}

}  // namespace cairn::internal
