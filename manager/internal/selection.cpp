#include <cairn/manager/error.h>
#include <cairn/manager/internal/path_identity.h>
#include <cairn/manager/internal/selection.h>

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <unordered_set>

namespace cairn::internal {
namespace {

/// Names that are compared with a wrong one: enough for a person, quick for a large model.
constexpr std::size_t kComparedMax = 20'000;
constexpr std::size_t kNamedMax = 5;

Error refusal(ErrorCode code, const std::string& key_path, std::string reason) {
  ErrorContext context;
  context.key_path = key_path;
  return Error(code, std::move(reason), context);
}

/// Levenshtein's distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

/// The leaves at and below the paths of selections: each leaf looks for the paths above it among
/// those that were asked for, rather than each selection among all leaves.
class Asked {
 public:
  explicit Asked(const Selections& selections) {
    numbers_.reserve(selections.size());
    for (const args::Selection& selection : selections) {
      const auto* keys = std::get_if<KeyPath>(&selection.path);
      auto& paths = keys != nullptr ? by_keys_ : by_text_;
      std::string path =
          keys != nullptr ? identity(*keys, keys->size()) : std::get<std::string>(selection.path);
      numbers_.push_back(paths.try_emplace(std::move(path), leaves_.size()).first->second);
      leaves_.resize(std::max(leaves_.size(), numbers_.back() + 1));
    }
  }

  void look_up(std::size_t leaf, const KeyPath& path) {
    if (!by_text_.empty()) look_up(leaf, to_string(path), "/[");
    if (by_keys_.empty()) return;
    std::string above;
    note(by_keys_, above, leaf);
    for (const Key& key : path) {
      append_identity(above, key.name);
      note(by_keys_, above, leaf);
    }
  }
  /// By text alone; a key ends where one of `ends` follows.
  void look_up(std::size_t leaf, std::string_view text, std::string_view ends) {
    for (std::size_t end = 0; end <= text.size(); ++end) {
      // The empty text names everything.
      if (end == 0 || end == text.size() || ends.find(text[end]) != ends.npos)
        note(by_text_, text.substr(0, end), leaf);
    }
  }
  /// Selections of one path have one number.
  [[nodiscard]] std::size_t number_of(std::size_t selection) const { return numbers_[selection]; }
  [[nodiscard]] const std::vector<std::size_t>& leaves(std::size_t number) const {
    return leaves_[number];
  }

 private:
  using Paths = std::map<std::string, std::size_t, std::less<>>;
  void note(const Paths& paths, std::string_view path, std::size_t leaf) {
    const auto found = paths.find(path);
    if (found == paths.end()) return;
    std::vector<std::size_t>& leaves = leaves_[found->second];
    // A text that is empty ends twice.
    if (leaves.empty() || leaves.back() != leaf) leaves.push_back(leaf);
  }

  Paths by_text_;
  Paths by_keys_;
  std::vector<std::size_t> numbers_;
  std::vector<std::vector<std::size_t>> leaves_;
};

std::vector<std::string> texts_of(const std::vector<KeyPath>& paths) {
  std::vector<std::string> texts;
  texts.reserve(paths.size());
  for (const KeyPath& path : paths) texts.push_back(to_string(path));
  return texts;
}

}  // namespace

std::string text_of(const args::Selection& selection) {
  if (const auto* keys = std::get_if<KeyPath>(&selection.path)) return to_string(*keys);
  return std::get<std::string>(selection.path);
}

std::string near_names(const std::string& name, const std::vector<std::string>& names) {
  std::vector<std::pair<std::size_t, const std::string*>> ranked;
  const std::size_t most = std::max<std::size_t>(2, name.size() / 3);
  for (std::size_t i = 0; i < std::min(names.size(), kComparedMax); ++i) {
    const std::size_t far = distance(name, names[i]);
    if (far <= most) ranked.emplace_back(far, &names[i]);
  }
  std::ranges::stable_sort(ranked, {}, [](const auto& entry) { return entry.first; });
  std::string text;
  const auto add = [&text](const std::string& one) { text += (text.empty() ? "" : ", ") + one; };
  for (std::size_t i = 0; i < std::min(ranked.size(), kNamedMax); ++i) add(*ranked[i].second);
  if (!ranked.empty()) return "; did you mean " + text + "?";
  for (std::size_t i = 0; i < std::min(names.size(), kNamedMax); ++i) add(names[i]);
  if (names.size() > kNamedMax) text += ", ...";
  return names.empty() ? "; there are none" : "; there are " + text;
}

namespace {

std::vector<Chosen> all_of(std::size_t leaves) {
  std::vector<Chosen> chosen(leaves);
  for (std::size_t i = 0; i < leaves; ++i) chosen[i].leaf = i;
  return chosen;
}

/// `texts`: of all leaves, for messages.
std::vector<Chosen> choose_found(const Selections& selections, const Asked& asked,
                                 const std::function<std::vector<std::string>()>& texts) {
  std::vector<Chosen> chosen;
  std::unordered_set<std::size_t> whole;  // paths that were asked for without a range
  for (std::size_t i = 0; i < selections.size(); ++i) {
    const args::Selection& selection = selections[i];
    const std::size_t number = asked.number_of(i);
    const std::vector<std::size_t>& leaves = asked.leaves(number);
    if (leaves.empty()) {
      const std::string text = text_of(selection);
      throw refusal(ErrorCode::not_found, text,
                    "the tree has nothing at this path" + near_names(text, texts()));
    }
    if (selection.range && leaves.size() > 1) {
      throw refusal(ErrorCode::invalid_argument, text_of(selection),
                    "a range was given, but there are " + std::to_string(leaves.size()) +
                        " leaves at this path");
    }
    if (!selection.range && !whole.insert(number).second) continue;
    for (const std::size_t leaf : leaves) {
      Chosen one;
      one.leaf = leaf;
      one.range = selection.range;
      chosen.push_back(std::move(one));
    }
  }
  std::ranges::stable_sort(chosen, {}, &Chosen::leaf);
  const auto twice = std::ranges::adjacent_find(chosen, [](const Chosen& a, const Chosen& b) {
    return a.leaf == b.leaf && a.range != b.range;
  });
  if (twice != chosen.end()) {
    throw refusal(ErrorCode::invalid_argument, texts()[twice->leaf],
                  "the leaf was asked for twice, with different ranges");
  }
  // Not std::ranges::unique: clang 14 refuses libstdc++ 12's subrange.
  const auto same = [](const Chosen& a, const Chosen& b) { return a.leaf == b.leaf; };
  chosen.erase(std::unique(chosen.begin(), chosen.end(), same), chosen.end());
  return chosen;
}

}  // namespace

std::vector<Chosen> choose(const Selections& selections, const std::vector<KeyPath>& paths) {
  if (selections.empty()) return all_of(paths.size());
  Asked asked(selections);
  for (std::size_t leaf = 0; leaf < paths.size(); ++leaf) asked.look_up(leaf, paths[leaf]);
  return choose_found(selections, asked, [&paths] { return texts_of(paths); });
}

std::vector<Chosen> choose_by_name(const Selections& selections,
                                   const std::vector<std::string>& names) {
  if (selections.empty()) return all_of(names.size());
  Selections by_name;
  for (const args::Selection& selection : selections) {
    const auto* keys = std::get_if<KeyPath>(&selection.path);
    by_name.emplace_back(keys != nullptr ? dotted_name(*keys) : text_of(selection),
                         selection.range);
  }
  Asked asked(by_name);
  for (std::size_t leaf = 0; leaf < names.size(); ++leaf) asked.look_up(leaf, names[leaf], ".");
  return choose_found(by_name, asked, [&names] { return names; });
}

std::vector<KeyPath> list_gaps(const std::vector<KeyPath>& paths,
                               const std::vector<Chosen>& chosen) {
  // Every node on the way to something chosen.
  std::unordered_set<std::string> kept;
  for (const Chosen& one : chosen) {
    const KeyPath& path = paths[one.leaf];
    for (std::size_t keys = 0; keys <= path.size(); ++keys) kept.insert(identity(path, keys));
  }
  std::vector<KeyPath> gaps;
  for (const KeyPath& path : paths) {
    std::size_t keys = 0;
    while (keys <= path.size() && kept.contains(identity(path, keys))) ++keys;
    // Left the kept nodes by the key before: a list's element is missed, a dict's is not.
    if (keys == 0 || keys > path.size() || path[keys - 1].kind != Key::Kind::sequence) continue;
    kept.insert(identity(path, keys));
    gaps.emplace_back(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(keys));
  }
  return gaps;
}

void check_range(const IndexRange& range, const Shape& shape, const std::string& key_path) {
  const auto fail = [&](const std::string& what) {
    throw refusal(ErrorCode::invalid_argument, key_path, what);
  };
  if (range.origin.size() != shape.size() || range.shape.size() != shape.size()) {
    fail("the range has " + std::to_string(range.origin.size()) + " and " +
         std::to_string(range.shape.size()) + " axes, the array has " +
         std::to_string(shape.size()));
  }
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (range.origin[d] >= 0 && range.shape[d] >= 0 && range.origin[d] <= shape[d] &&
        range.shape[d] <= shape[d] - range.origin[d]) {
      continue;
    }
    fail("the range of axis " + std::to_string(d) + " begins at " +
         std::to_string(range.origin[d]) + " and has " + std::to_string(range.shape[d]) +
         " elements, the axis has " + std::to_string(shape[d]));
  }
}

}  // namespace cairn::internal
