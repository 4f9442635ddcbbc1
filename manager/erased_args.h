#pragma once
// Arguments of any type that some handler takes.

#include <any>
#include <concepts>
#include <type_traits>
#include <typeindex>
#include <utility>

namespace cairn::args {

/// Holds arguments whose type the item's handler knows. A regular value, as they are.
class ErasedArgs {
 public:
  ErasedArgs() = default;
  template <class T>
  requires(!std::derived_from<std::remove_cvref_t<T>, ErasedArgs>) explicit ErasedArgs(T&& args)
      : value_(std::forward<T>(args)) {}

  /// False after the default constructor.
  [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
  /// typeid(void) where there is nothing.
  [[nodiscard]] std::type_index type() const noexcept { return value_.type(); }
  /// The arguments, where they are of this type; null where not.
  template <class T>
  [[nodiscard]] T* get_if() noexcept {
    return std::any_cast<T>(&value_);
  }
  template <class T>
  [[nodiscard]] const T* get_if() const noexcept {
    return std::any_cast<T>(&value_);
  }
  /// The arguments, whatever they are.
  [[nodiscard]] std::any& value() noexcept { return value_; }
  [[nodiscard]] const std::any& value() const noexcept { return value_; }

 private:
  std::any value_;
};

/// What may be given where the arguments of an item are wanted. (First what keeps the question
/// from being asked of the holders themselves, which would have no answer.)
template <class T>
concept ItemArgs = !std::derived_from<std::remove_cvref_t<T>, ErasedArgs> &&
                   std::is_class_v<std::remove_cvref_t<T>> && std::copyable<std::remove_cvref_t<T>>;

}  // namespace cairn::args
