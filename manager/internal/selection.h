#pragma once
// Which leaves of a tree a partial read is about. Pure.

#include <cairn/codecs/tree.h>
#include <cairn/manager/args.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cairn::internal {

using Selections = std::vector<args::Selection>;

/// a/b[3].
[[nodiscard]] std::string text_of(const args::Selection& selection);

/// A leaf that was asked for, by its place among the paths.
struct Chosen {
  std::size_t leaf = 0;
  std::optional<IndexRange> range;
};
/// The leaves of `paths` that `selections` name, in order; all of them where it is empty. Throws
/// Error as args::TreeRestore says, all but what needs the arrays' shapes.
[[nodiscard]] std::vector<Chosen> choose(const Selections& selections,
                                         const std::vector<KeyPath>& paths);
/// The same of leaves that have flat names, whose dots make paths of them: "a.b" is below "a".
[[nodiscard]] std::vector<Chosen> choose_by_name(const Selections& selections,
                                                 const std::vector<std::string>& names);
/// Paths of nulls that keep the elements of lists in their places: one for each element, among
/// `paths`, of which nothing was chosen, in lists of which something was.
[[nodiscard]] std::vector<KeyPath> list_gaps(const std::vector<KeyPath>& paths,
                                             const std::vector<Chosen>& chosen);
/// Throws Error(invalid_argument) unless `range` lies in an array of `shape`.
void check_range(const IndexRange& range, const Shape& shape, const std::string& key_path);

/// Up to five of `names` that are written much like `name`: "; did you mean ...?", or the first
/// ones there are.
[[nodiscard]] std::string near_names(const std::string& name,
                                     const std::vector<std::string>& names);

}  // namespace cairn::internal
