// Dict: entries in a vector, in order. From kIndexFrom entries on, an open-addressing table of
// positions makes lookup O(1). Positions, not pointers or views, because entries move when the
// vector grows.

#include <cairn/codecs/tree.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <limits>
#include <stdexcept>

namespace cairn {
namespace {

constexpr std::size_t kIndexFrom = 16;  // below, comparing a few strings is faster than hashing
constexpr std::size_t kKeysInErrors = 10;
constexpr std::uint32_t kFree = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

}  // namespace

struct Dict::Entries {
  std::vector<value_type> items;
  std::vector<std::uint32_t> slots;  // a power of two, at most half full; empty while small

  [[nodiscard]] std::size_t first_slot(std::string_view key) const noexcept {
    return std::hash<std::string_view>()(key) & (slots.size() - 1);
  }

  [[nodiscard]] std::size_t position(std::string_view key) const noexcept {
    if (slots.empty()) {
      for (std::size_t i = 0; i < items.size(); ++i) {
        if (items[i].first == key) return i;
      }
      return kNone;
    }
    for (std::size_t slot = first_slot(key);; slot = (slot + 1) & (slots.size() - 1)) {
      if (slots[slot] == kFree) return kNone;
      if (items[slots[slot]].first == key) return slots[slot];
    }
  }

  void enter(std::size_t item) noexcept {
    std::size_t slot = first_slot(items[item].first);
    while (slots[slot] != kFree) slot = (slot + 1) & (slots.size() - 1);
    slots[slot] = static_cast<std::uint32_t>(item);
  }

  void rebuild() {
    slots.clear();
    if (items.size() < kIndexFrom) return;
    std::size_t size = kIndexFrom * 4;
    while (size < items.size() * 4) size *= 2;
    slots.assign(size, kFree);
    for (std::size_t i = 0; i < items.size(); ++i) enter(i);
  }

  Tree& append(std::string_view key) {
    assert(items.size() < kFree);
    items.emplace_back(std::string(key), Tree());
    if (items.size() * 2 > slots.size() && items.size() >= kIndexFrom) {
      rebuild();
    } else if (!slots.empty()) {
      enter(items.size() - 1);
    }
    return items.back().second;
  }
};

Dict::Dict() noexcept = default;
Dict::Dict(std::initializer_list<detail::DictInit> entries) {
  for (const auto& entry : entries) (*this)[entry.key] = std::move(entry.value);
}
Dict::Dict(const Dict& other)
    : entries_(other.entries_ ? std::make_unique<Entries>(*other.entries_) : nullptr) {}
Dict::Dict(Dict&&) noexcept = default;
Dict& Dict::operator=(const Dict& other) {
  if (this != &other) *this = Dict(other);
  return *this;
}
Dict& Dict::operator=(Dict&&) noexcept = default;
Dict::~Dict() = default;

Tree& Dict::operator[](std::string_view key) {
  if (Tree* found = find(key)) return *found;
  if (!entries_) entries_ = std::make_unique<Entries>();
  return entries_->append(key);
}

const Tree* Dict::find(std::string_view key) const noexcept {
  if (!entries_) return nullptr;
  const std::size_t position = entries_->position(key);
  return position == kNone ? nullptr : &entries_->items[position].second;
}

Tree* Dict::find(std::string_view key) noexcept {
  return const_cast<Tree*>(std::as_const(*this).find(key));
}

const Tree& Dict::at(std::string_view key) const {
  if (const Tree* found = find(key)) return *found;
  std::vector<std::string> names;
  for (const auto& entry : *this) {
    if (names.size() == kKeysInErrors) break;
    names.push_back('"' + entry.first + '"');
  }
  throw std::out_of_range(fmt::format("no key \"{}\" in a dict of {}: {}{}", key, size(),
                                      fmt::join(names, ", "),
                                      size() > kKeysInErrors ? ", ..." : ""));
}

Tree& Dict::at(std::string_view key) {
  return const_cast<Tree&>(std::as_const(*this).at(key));
}

bool Dict::erase(std::string_view key) {
  const std::size_t position = entries_ ? entries_->position(key) : kNone;
  if (position == kNone) return false;
  entries_->items.erase(entries_->items.begin() + static_cast<std::ptrdiff_t>(position));
  entries_->rebuild();
  return true;
}

std::size_t Dict::size() const noexcept {
  return entries_ ? entries_->items.size() : 0;
}
const Dict::value_type* Dict::begin() const noexcept {
  return entries_ ? entries_->items.data() : nullptr;
}
const Dict::value_type* Dict::end() const noexcept {
  return begin() + size();
}
Dict::value_type* Dict::begin() noexcept {
  return entries_ ? entries_->items.data() : nullptr;
}
Dict::value_type* Dict::end() noexcept {
  return begin() + size();
}

bool operator==(const Dict& a, const Dict& b) {
  if (a.size() != b.size()) return false;
  return std::all_of(a.begin(), a.end(), [&b](const Dict::value_type& entry) {
    const Tree* other = b.find(entry.first);
    return other != nullptr && entry.second == *other;
  });
}

namespace detail {

DictInit::DictInit(Dict::value_type entry)
    : key(std::move(entry.first)), value(std::move(entry.second)) {}

}  // namespace detail
}  // namespace cairn
