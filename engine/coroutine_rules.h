#pragma once
// What g++ 12 gets wrong in coroutines, silently, and how this code avoids it:
//  - an aggregate made inside a co_await expression is destroyed twice: give it a constructor
//    (CoroutineParameter checks);
//  - a capturing lambda made inside a co_await expression likewise: name it first, then move it in;
//  - awaiters, initiations and completion functions have constructors;
//  - no braced list inside co_await;
//  - no conditional expression with class operands inside co_await, whose operands are destroyed
//    twice: name the result first;
//  - a coroutine lambda captures nothing: state comes as by-value parameters;
//  - parameters are taken by value; none is a view of a temporary;
//  - no co_await in a catch block: keep the exception_ptr, leave, then await.
// And one of Boost 1.81: never assign to an awaitable; the frame it held is forgotten, not
// destroyed. tests/engine/coroutine_canary_test.cpp counts constructions and destructions to see
// that it holds.

#include <type_traits>

namespace cairn::engine {

/// May be passed to a coroutine as a temporary. An aggregate may not, unless destroying it does
/// nothing.
template <class T>
concept CoroutineParameter = !std::is_aggregate_v<std::remove_cvref_t<T>> ||
                             std::is_trivially_destructible_v<std::remove_cvref_t<T>>;

}  // namespace cairn::engine
