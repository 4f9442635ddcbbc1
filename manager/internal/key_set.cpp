#include <cairn/manager/internal/key_set.h>

#include <algorithm>

namespace cairn::internal {

std::optional<std::string> prefix_end(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (prefix.empty()) return std::nullopt;
  prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

KeySet KeySet::all() {
  KeySet set;
  set.ranges_.emplace_back("", std::nullopt);
  return set;
}

void KeySet::add_key(const std::string& key) {
  // The next string after a key is the key with a zero byte behind it.
  ranges_.emplace_back(key, key + '\0');
}

void KeySet::add_prefix(const std::string& prefix) {
  ranges_.emplace_back(prefix, prefix_end(prefix));
}

void KeySet::seal() {
  std::ranges::sort(ranges_, {}, &KeyRange::begin);
  std::vector<KeyRange> joined;
  for (KeyRange& next : ranges_) {
    if (joined.empty() || (joined.back().end && *joined.back().end < next.begin)) {
      joined.push_back(std::move(next));
    } else if (joined.back().end && (!next.end || *joined.back().end < *next.end)) {
      joined.back().end = std::move(next.end);
    }
  }
  ranges_ = std::move(joined);
}

bool KeySet::contains(std::string_view key) const {
  const auto above = std::ranges::upper_bound(ranges_, key, {}, &KeyRange::begin);
  if (above == ranges_.begin()) return false;
  const KeyRange& range = *std::prev(above);
  return !range.end || key < *range.end;
}

bool KeySet::meets(std::string_view begin, const std::optional<std::string>& end) const {
  // The first range that ends above `begin` is the only one to ask: those before end too early.
  const auto range = std::ranges::partition_point(
      ranges_, [&](const KeyRange& r) { return r.end && *r.end <= begin; });
  return range != ranges_.end() && (!end || range->begin < *end);
}

bool KeySet::is_all() const {
  return ranges_.size() == 1 && ranges_[0].begin.empty() && !ranges_[0].end;
}

}  // namespace cairn::internal
