#pragma once
// Which managers are calling a function of the user's on this thread: what changes a manager is
// refused inside, where it would wait for itself, or ask the function again without end.

namespace cairn::internal {

/// While it lives, the calling thread is inside a function of `manager`'s user. Nests; ends on the
/// thread that made it, so never across a co_await.
class RuleScope {
 public:
  explicit RuleScope(const void* manager) noexcept : manager_(manager), outer_(innermost()) {
    innermost() = this;
  }
  ~RuleScope() { innermost() = outer_; }
  RuleScope(const RuleScope&) = delete;
  RuleScope& operator=(const RuleScope&) = delete;

  [[nodiscard]] static bool inside(const void* manager) noexcept {
    for (const RuleScope* scope = innermost(); scope != nullptr; scope = scope->outer_) {
      if (scope->manager_ == manager) return true;
    }
    return false;
  }

 private:
  [[nodiscard]] static const RuleScope*& innermost() noexcept {
    static thread_local const RuleScope* scope = nullptr;
    return scope;
  }
  const void* manager_;
  const RuleScope* outer_;
};

}  // namespace cairn::internal
