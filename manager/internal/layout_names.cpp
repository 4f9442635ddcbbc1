// Names that would run into each other, or that the layout cannot hold.

#include <cairn/manager/error.h>
#include <cairn/manager/internal/layout.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <unordered_set>

namespace cairn::internal {
namespace {

constexpr std::size_t kFileNameBytesMax = 255;  // of every Linux file system

/// Files of an item that is a directory of arrays: ours, Orbax's and zarr's.
constexpr std::array<std::string_view, 12> kReservedNames = {
    "zarr.json",      ".zgroup",        ".zattrs",   ".zmetadata",    "_METADATA",
    "_CAIRN",         "_CAIRN_INDEX",   "_sharding", "_strings.json", "commit_success.txt",
    "manifest.ocdbt", "array_metadatas"};

/// Eight bytes of the keys "<name>/..." from `from` on, as a number that orders as they do.
std::uint64_t leading_bytes(std::string_view name, std::size_t from) {
  std::uint64_t bytes = 0;
  if (from + sizeof(bytes) <= name.size()) {
    std::memcpy(&bytes, name.data() + from, sizeof(bytes));
  } else if (from <= name.size()) {
    char padded[sizeof(bytes)] = {};
    name.copy(padded, sizeof(bytes), from);
    padded[name.size() - from] = '/';
    std::memcpy(&bytes, padded, sizeof(bytes));
  }
  return __builtin_bswap64(bytes);
}

/// A leaf, and what decides its place among others whose names begin alike.
struct SortedLeaf {
  std::uint64_t leading = 0;
  std::uint32_t leaf = 0;
};

/// Whether the keys "<a>/..." come before the keys "<b>/..."; where one name leads to the other, it
/// comes first.
bool keys_before(std::string_view a, std::string_view b) {
  const std::size_t shared = std::min(a.size(), b.size());
  const int order = a.substr(0, shared).compare(b.substr(0, shared));
  if (order != 0) return order < 0;
  const auto next = [shared](std::string_view name) {
    return static_cast<unsigned char>(name.size() > shared ? name[shared] : '/');
  };
  return next(a) != next(b) ? next(a) < next(b) : a.size() < b.size();
}

/// So few leaves, or names alike for so long, are compared whole.
constexpr std::size_t kComparedWhole = 4;
constexpr std::size_t kAlikeForLong = 512;

/// Sorts leaves whose names are alike up to `from`. Comparing numbers is what makes it fast: names
/// of neighbours begin alike, and comparing them whole goes through all of that each time.
void sort_by_name(std::span<SortedLeaf> leaves, const std::vector<PlannedLeaf>& names,
                  std::size_t from) {
  if (leaves.size() <= kComparedWhole || from >= kAlikeForLong) {
    std::ranges::sort(leaves, [&](const SortedLeaf& x, const SortedLeaf& y) {
      return keys_before(names[x.leaf].name, names[y.leaf].name);
    });
    return;
  }
  for (SortedLeaf& one : leaves) one.leading = leading_bytes(names[one.leaf].name, from);
  std::ranges::sort(leaves, {}, &SortedLeaf::leading);
  for (std::size_t begin = 0, end = 0; begin < leaves.size(); begin = end) {
    while (end < leaves.size() && leaves[end].leading == leaves[begin].leading) ++end;
    if (end - begin > 1) {
      sort_by_name(leaves.subspan(begin, end - begin), names, from + sizeof(std::uint64_t));
    }
  }
}

/// Whether some leaf's name is another's, or leads to another's, or is empty. In their order such
/// two are neighbours: all keys that begin with "<name>/" lie together.
bool may_clash(const ItemLayout& layout) {
  std::string_view before;
  for (const std::uint32_t leaf : layout.by_name) {
    const std::string_view name = layout.leaves[leaf].name;
    if (name.empty()) return true;
    const bool below = !before.empty() && name.starts_with(before) &&
                       (name.size() == before.size() || name[before.size()] == '/');
    if (below) return true;
    before = name;
  }
  return false;
}

class NameCheck {
 public:
  explicit NameCheck(const ItemLayout& layout) : layout_(layout) {}

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
    context.key_path = to_string(layout_.entries[leaf.entry].path);
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
  std::unordered_set<std::string_view> names_;
};

}  // namespace

std::vector<std::uint32_t> sorted_by_name(const std::vector<PlannedLeaf>& leaves) {
  std::vector<SortedLeaf> order(leaves.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i].leaf = static_cast<std::uint32_t>(i);
  sort_by_name(order, leaves, 0);
  std::vector<std::uint32_t> sorted;
  sorted.reserve(order.size());
  for (const SortedLeaf& one : order) sorted.push_back(one.leaf);
  return sorted;
}

void check_names(const ItemLayout& layout) {
  // Looking up every name and what leads to it takes longer than to find that nothing is wrong.
  if (uses_ocdbt(layout.layout) && !may_clash(layout)) return;
  NameCheck(layout).run();
}

}  // namespace cairn::internal
