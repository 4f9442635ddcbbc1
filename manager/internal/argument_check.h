#pragma once
// Refusing arguments at construction, all in the same words.

#include <cairn/manager/error.h>

#include <chrono>
#include <concepts>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cairn::internal {

/// Throws Error(invalid_argument): "<where>: <reason>. <remedy>".
[[noreturn]] inline void refuse_argument(std::string where, std::string reason,
                                         std::string remedy = {}) {
  ErrorContext context;
  context.operation = std::move(where);
  context.remedy = std::move(remedy);
  throw Error(ErrorCode::invalid_argument, std::move(reason), std::move(context));
}

/// Numbers that count something; none is always allowed.
template <std::integral T>
void require_at_least(const char* where, const char* name, std::optional<T> value, T least) {
  if (!value || *value >= least) return;
  refuse_argument(where,
                  std::string(name) + " is " + std::to_string(*value) + ", it must " +
                      (least == 0 ? "not be negative" : "be at least " + std::to_string(least)));
}

inline void require_not_negative(const char* where, const char* name,
                                 std::optional<std::chrono::milliseconds> value) {
  if (!value || value->count() >= 0) return;
  refuse_argument(where, std::string(name) + " is " + std::to_string(value->count()) +
                             " ms, it must not be negative");
}

/// Functions that will be asked in turn; `consequence` says what a list without any would do.
template <class Function>
void require_functions(const char* where, const std::vector<Function>& functions,
                       const char* consequence) {
  if (functions.empty()) refuse_argument(where, std::string("no policy is given: ") + consequence);
  for (std::size_t i = 0; i < functions.size(); ++i) {
    if (functions[i]) continue;
    refuse_argument(where, "policy " + std::to_string(i + 1) + " of " +
                               std::to_string(functions.size()) + " is an empty function");
  }
}

}  // namespace cairn::internal
