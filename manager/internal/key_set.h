#pragma once
// A set of database keys, as ranges: what a partial read needs of a database.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::internal {

/// Half-open range of keys, compared as unsigned bytes.
struct KeyRange {
  KeyRange() = default;
  KeyRange(std::string b, std::optional<std::string> e) : begin(std::move(b)), end(std::move(e)) {}
  std::string begin;
  std::optional<std::string> end;  ///< none: no upper bound
};

/// Sorted, disjoint ranges. Build it with the add functions, then seal() it; the questions are for
/// sealed sets.
class KeySet {
 public:
  KeySet() = default;
  /// Every key; sealed.
  [[nodiscard]] static KeySet all();
  void add_key(const std::string& key);
  /// Every key that begins with `prefix`.
  void add_prefix(const std::string& prefix);
  /// Sorts the ranges and joins those that touch.
  void seal();

  [[nodiscard]] const std::vector<KeyRange>& ranges() const noexcept { return ranges_; }
  [[nodiscard]] bool contains(std::string_view key) const;
  /// Whether a key of the set may lie in [begin, end).
  [[nodiscard]] bool meets(std::string_view begin, const std::optional<std::string>& end) const;
  [[nodiscard]] bool is_all() const;

 private:
  std::vector<KeyRange> ranges_;
};

/// The least string above all that begin with `prefix`; none where there is none.
[[nodiscard]] std::optional<std::string> prefix_end(std::string prefix);

}  // namespace cairn::internal
