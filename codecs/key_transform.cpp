#include <cairn/codecs/internal/readable.h>
#include <cairn/codecs/key_transform.h>
#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <stdexcept>
#include <utility>

namespace cairn {
namespace {

using internal::readable;
using Kind = TransformRule::Kind;

[[noreturn]] void fail(const TransformRule& rule, const std::string& why) {
  throw std::invalid_argument(
      fmt::format("transform rule \"{}\": {}", readable(rule.pattern()), why));
}

void check_function(const TransformRule& rule, bool given) {
  if (!given) fail(rule, "its function is empty; give one that can be called");
}

// The saved leaves by their key texts.
class SavedKeys {
 public:
  explicit SavedKeys(std::span<const KeyPath> paths) {
    keys_.reserve(paths.size());
    for (std::size_t i = 0; i < paths.size(); ++i) keys_.emplace_back(key_text(paths[i]), i);
    std::sort(keys_.begin(), keys_.end());
  }

  [[nodiscard]] std::optional<std::size_t> leaf(const std::string& key) const {
    const auto found = first_from(key);
    if (found == keys_.end() || found->first != key) return std::nullopt;
    return found->second;
  }

  // Appends the leaf, or the leaves below the node.
  bool append_all(const std::string& key, std::vector<std::size_t>& to) const {
    if (const auto only = leaf(key)) {
      to.push_back(*only);
      return true;
    }
    const std::size_t before = to.size();
    const std::string prefix = key.empty() ? "" : key + '/';
    for (auto i = first_from(prefix); i != keys_.end() && i->first.starts_with(prefix); ++i) {
      to.push_back(i->second);
    }
    return to.size() != before;
  }

 private:
  using Entry = std::pair<std::string, std::size_t>;
  [[nodiscard]] std::vector<Entry>::const_iterator first_from(const std::string& key) const {
    return std::lower_bound(
        keys_.begin(), keys_.end(), key,
        [](const Entry& entry, const std::string& k) { return entry.first < k; });
  }
  std::vector<Entry> keys_;
};

// A rule with its pattern compiled.
class Matcher {
 public:
  explicit Matcher(const TransformRule& rule) : rule_(rule), regex_(compile(rule)) {
    for (const std::string& source : rule.sources()) check_groups(source);
  }

  [[nodiscard]] bool match(const std::string& key, std::smatch& groups) {
    if (!std::regex_match(key, groups, regex_)) return false;
    used_ = true;
    return true;
  }
  [[nodiscard]] const TransformRule& rule() const noexcept { return rule_; }
  void check_used() const {
    if (!used_) fail(rule_, "matches no leaf of the target; patterns match whole key texts: a/b/0");
  }

 private:
  static std::regex compile(const TransformRule& rule) {
    try {
      return std::regex(rule.pattern(), std::regex::ECMAScript | std::regex::optimize);
    } catch (const std::regex_error& error) {
      fail(rule, std::string("is no regular expression (ECMAScript): ") + error.what());
    }
  }

  // std::regex takes a group that is not there for an empty one.
  void check_groups(const std::string& source) const {
    const auto is_digit = [&](std::size_t i) {
      return i < source.size() && source[i] >= '0' && source[i] <= '9';
    };
    for (std::size_t i = 0; i + 1 < source.size(); ++i) {
      if (source[i] != '$') continue;
      ++i;
      if (!is_digit(i)) continue;
      auto group = static_cast<unsigned>(source[i] - '0');
      if (is_digit(i + 1)) group = 10 * group + static_cast<unsigned>(source[++i] - '0');
      if (group <= regex_.mark_count()) continue;
      fail(rule_, fmt::format("its source \"{}\" names group ${}; the pattern has {}",
                              readable(source), group, regex_.mark_count()));
    }
  }

  const TransformRule& rule_;
  std::regex regex_;
  bool used_ = false;
};

class Planner {
 public:
  Planner(std::span<const KeyPath> saved, std::span<const TransformRule> rules, Unmatched unmatched)
      : saved_(saved), unmatched_(unmatched) {
    matchers_.reserve(rules.size());
    for (const TransformRule& rule : rules) matchers_.emplace_back(rule);
  }

  std::vector<LeafFeed> plan(std::span<const KeyPath> target) {
    std::vector<LeafFeed> feeds;
    feeds.reserve(target.size());
    for (const KeyPath& path : target) feeds.push_back(feed(key_text(path)));
    for (const Matcher& matcher : matchers_) matcher.check_used();
    return feeds;
  }

 private:
  LeafFeed feed(const std::string& key) {
    LeafFeed result;
    std::smatch groups;
    for (std::size_t i = 0; i < matchers_.size(); ++i) {
      std::smatch match;
      if (!matchers_[i].match(key, match)) continue;
      if (result.rule) {
        fail(matchers_[*result.rule].rule(),
             fmt::format("matches \"{}\", and so does \"{}\"; one rule may match a leaf",
                         readable(key), readable(matchers_[i].rule().pattern())));
      }
      result.rule = i;
      groups = std::move(match);
    }
    if (result.rule) {
      by_rule(key, matchers_[*result.rule].rule(), groups, result);
    } else {
      by_default(key, result);
    }
    return result;
  }

  void by_default(const std::string& key, LeafFeed& result) const {
    if (unmatched_ == Unmatched::saved) {
      if (const auto leaf = saved_.leaf(key)) {
        result.sources.push_back(*leaf);
        return;
      }
    }
    result.keeps_target = true;
  }

  void by_rule(const std::string& key, const TransformRule& rule, const std::smatch& groups,
               LeafFeed& result) const {
    switch (rule.kind()) {
      case Kind::take:
        take(key, rule, groups.format(rule.sources().front()), result);
        return;
      case Kind::combine:
        for (const std::string& source : rule.sources()) {
          const std::string name = groups.format(source);
          if (saved_.append_all(name, result.sources)) continue;
          fail(rule, fmt::format("for \"{}\" it needs \"{}\", and there is no saved leaf of that "
                                 "name or below it",
                                 readable(key), readable(name)));
        }
        std::sort(result.sources.begin(), result.sources.end());
        result.sources.erase(std::unique(result.sources.begin(), result.sources.end()),
                             result.sources.end());
        return;
      case Kind::fallback:
        result.keeps_target = unmatched_ == Unmatched::saved;
        if (!result.keeps_target) take(key, rule, key, result);
        return;
    }
  }

  void take(const std::string& key, const TransformRule& rule, const std::string& source,
            LeafFeed& result) const {
    const auto leaf = saved_.leaf(source);
    if (!leaf) {
      fail(rule, fmt::format("for \"{}\" it needs \"{}\", which is no saved leaf", readable(key),
                             readable(source)));
    }
    result.sources.push_back(*leaf);
  }

  const SavedKeys saved_;
  const Unmatched unmatched_;
  std::vector<Matcher> matchers_;
};

}  // namespace

std::string key_text(const KeyPath& path) {
  std::string text;
  for (const Key& key : path) {
    if (&key != path.data()) text += '/';
    for (const char c : key.name) {
      if (c == '~') {
        text += "~0";
      } else if (c == '/') {
        text += "~1";
      } else {
        text += c;
      }
    }
  }
  return text;
}

TransformRule TransformRule::rename(std::string pattern, std::string source,
                                    ValueFunction function) {
  TransformRule rule(Kind::take, std::move(pattern), {std::move(source)});
  rule.value_ = std::move(function);
  return rule;
}

TransformRule TransformRule::apply(std::string pattern, ValueFunction function) {
  TransformRule rule = rename(std::move(pattern), "$&", std::move(function));
  check_function(rule, rule.value_ != nullptr);
  return rule;
}

TransformRule TransformRule::combine(std::string pattern, std::vector<std::string> sources,
                                     CombineFunction function) {
  TransformRule rule(Kind::combine, std::move(pattern), std::move(sources));
  rule.combine_ = std::move(function);
  check_function(rule, rule.combine_ != nullptr);
  return rule;
}

TransformRule TransformRule::fallback(std::string pattern) {
  return TransformRule(Kind::fallback, std::move(pattern), {});
}

std::vector<LeafFeed> plan_transforms(std::span<const KeyPath> saved,
                                      std::span<const KeyPath> target,
                                      std::span<const TransformRule> rules, Unmatched unmatched) {
  return Planner(saved, rules, unmatched).plan(target);
}

}  // namespace cairn
