#pragma once
// Rules of a restore by which leaves of the target take other saved leaves than those of their own
// path: Orbax's transforms. What is decided here is which leaf feeds which; nothing is read.
//
// Rules know a leaf by its key text: its keys joined by "/", indices in decimal. In a key "~" is
// written "~0" and "/" is "~1", as in a JSON pointer: layers/0/w, {"a/b": x} is a~1b. A bare leaf's
// is "".

#include <cairn/codecs/tree.h>
#include <cairn/export.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cairn {

/// A path as rules are matched against.
[[nodiscard]] CAIRN_EXPORT std::string key_text(const KeyPath& path);

/// What some leaves of the target are made of. A regular value; copying copies the functions.
///
/// `pattern` is a regular expression (std::regex, ECMAScript) that matches the whole key text of
/// each such leaf: R"(block_(\d+)/(.*))". In a `source` $1 to $99 stand for its groups, $& for all
/// of the text and $$ for a dollar: "layers/$1/$2".
class CAIRN_EXPORT TransformRule {
 public:
  /// The value of a leaf from that of its source.
  using ValueFunction = std::function<Tree(Tree value)>;
  /// The value of the leaf `key` from its sources: their values by key text.
  using CombineFunction = std::function<Tree(std::string_view key, const Dict& values)>;

  /// Takes the saved leaf `source` (Orbax's original_key), or what `function` makes of it
  /// (value_fn).
  [[nodiscard]] static TransformRule rename(std::string pattern, std::string source,
                                            ValueFunction function = {});
  /// Takes what `function` makes of the saved leaf of the same path. Throws std::invalid_argument
  /// on an empty function.
  [[nodiscard]] static TransformRule apply(std::string pattern, ValueFunction function);
  /// Takes what `function` makes of all saved leaves that the sources name (multi_value_fn): each
  /// is a leaf, or a node that stands for all leaves below it. Throws std::invalid_argument on an
  /// empty function.
  [[nodiscard]] static TransformRule combine(std::string pattern, std::vector<std::string> sources,
                                             CombineFunction function);
  /// Takes the value that leaves without a rule do not take (use_fallback): the target's own, or,
  /// with Unmatched::target, the saved one.
  [[nodiscard]] static TransformRule fallback(std::string pattern);

  /// take: rename() and apply(), which have one source.
  enum class Kind : std::uint8_t { take, combine, fallback };
  /// Which of these it is.
  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  /// Which leaves of the target it is for, as it was given.
  [[nodiscard]] const std::string& pattern() const noexcept { return pattern_; }
  /// One for Kind::take, none for Kind::fallback.
  [[nodiscard]] const std::vector<std::string>& sources() const noexcept { return sources_; }
  /// Of apply(); empty without.
  [[nodiscard]] const ValueFunction& value_function() const noexcept { return value_; }
  /// Of combine(); empty without.
  [[nodiscard]] const CombineFunction& combine_function() const noexcept { return combine_; }

 private:
  TransformRule(Kind kind, std::string pattern, std::vector<std::string> sources)
      : kind_(kind), pattern_(std::move(pattern)), sources_(std::move(sources)) {}
  Kind kind_;
  std::string pattern_;
  std::vector<std::string> sources_;
  ValueFunction value_;
  CombineFunction combine_;
};

/// What feeds a leaf of the target that no rule matches: Orbax's default_to_original.
enum class Unmatched : std::uint8_t {
  saved,  ///< the saved leaf of its path; the target's own value where there is none
  target  ///< the target's own value
};

/// What feeds one leaf of the target.
struct LeafFeed {
  LeafFeed() = default;
  /// The target's own value is kept. Otherwise the rule's function, if it has one, or the only
  /// source gives the value.
  bool keeps_target = false;
  std::vector<std::size_t> sources;  ///< indices into the saved paths, ascending
  std::optional<std::size_t> rule;   ///< index into the rules; none: by Unmatched
  friend bool operator==(const LeafFeed&, const LeafFeed&) = default;
};

/// The feed of each path of `target`, in its order. `saved` and `target` are the paths of leaves;
/// placeholders are left out. Takes a regular expression's match for each rule and target path.
/// Throws std::invalid_argument that names the rule and the path: a pattern that is no regular
/// expression or matches no path of the target; a source that names a group that the pattern does
/// not have, or what is not saved; a path that two rules match.
[[nodiscard]] CAIRN_EXPORT std::vector<LeafFeed> plan_transforms(
    std::span<const KeyPath> saved, std::span<const KeyPath> target,
    std::span<const TransformRule> rules, Unmatched unmatched = Unmatched::saved);

}  // namespace cairn
