#pragma once
// The newest names of an endless series, with something about each.

#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace cairn::internal {

template <class Value>
class RecentNames {
 public:
  explicit RecentNames(std::size_t most) : most_(most) {}

  /// False where the name is there already; what it has stays. Forgets the oldest beyond `most`.
  bool insert(std::string name, Value value) {
    if (!values_.try_emplace(name, std::move(value)).second) return false;
    order_.push_back(std::move(name));
    if (order_.size() > most_) {
      values_.erase(order_.front());
      order_.pop_front();
    }
    return true;
  }
  [[nodiscard]] const Value* find(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? nullptr : &found->second;
  }
  /// Oldest first.
  [[nodiscard]] const std::deque<std::string>& names() const noexcept { return order_; }

 private:
  const std::size_t most_;
  std::map<std::string, Value, std::less<>> values_;
  std::deque<std::string> order_;
};

}  // namespace cairn::internal
