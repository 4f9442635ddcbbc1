#pragma once
// What stands between the token-taking members of a Coordinator and those who implement one: a
// collective operation as data, and the call that waits for its end.

#include <cairn/engine/clock.h>
#include <cairn/engine/coroutine_rules.h>
#include <cairn/engine/impl/completion.h>
#include <cairn/export.h>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace cairn {

class Coordinator;
/// Counts from 0; MPI's rank.
using ProcessIndex = std::uint32_t;
/// What becomes of the proposals of Coordinator::agree().
enum class Agreement : std::uint8_t {
  maximum,  ///< of truth values: any
  minimum   ///< of truth values: all
};

}  // namespace cairn

namespace cairn::impl {

enum class CollectiveKind : std::uint8_t { barrier, broadcast, gather, agree };

/// One process's part in an operation.
struct Collective {
  Collective(CollectiveKind k, std::string n) : kind(k), name(std::move(n)) {}
  CollectiveKind kind;
  std::string name;
  std::vector<ProcessIndex> processes;  ///< empty = all
  engine::Clock::Duration timeout{0};
  ProcessIndex root = 0;     ///< of broadcast and gather
  std::string contribution;  ///< likewise
  std::int64_t proposal = 0;
  Agreement agreement = Agreement::maximum;
};
static_assert(engine::CoroutineParameter<Collective>);

/// What a process gets out of it; members that its kind does not know stay empty.
struct CollectiveResult {
  CollectiveResult() = default;
  std::vector<std::string> parts;  ///< the broadcast's one, or what was gathered
  std::int64_t agreed = 0;
};

/// The caller's side of an operation. An implementation ends it by complete() or refuse(), once,
/// from any thread; the handler never runs inside complete(). Thread-safe.
class CAIRN_EXPORT CollectiveCall {
 public:
  CollectiveCall() = default;
  CollectiveCall(const CollectiveCall&) = delete;
  CollectiveCall& operator=(const CollectiveCall&) = delete;
  virtual ~CollectiveCall() = default;

  virtual void complete(std::exception_ptr error, CollectiveResult result) noexcept = 0;
  /// In a forked child, where Asio's own pool may have no threads: see Completion::refuse().
  virtual void refuse(std::exception_ptr error) noexcept = 0;

  /// `hook` is called when the caller cancels, at once if it has done so, on the canceller's
  /// thread.
  void on_cancel(std::function<void()> hook);
  void cancel();

 private:
  std::mutex mutex_;
  std::function<void()> hook_;
  bool cancelled_ = false;
};

/// What the caller of an operation gets, out of what all of them have.
template <class T>
T value_of(CollectiveResult result) {
  if constexpr (std::is_same_v<T, std::string>) {
    return result.parts.empty() ? std::string() : std::move(result.parts.front());
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    return std::move(result.parts);
  } else {
    static_assert(std::is_same_v<T, std::int64_t>);
    return result.agreed;
  }
}

template <class T>
class TypedCall final : public CollectiveCall {
 public:
  using End = std::unique_ptr<engine::impl::Completion<std::exception_ptr, T>>;
  explicit TypedCall(End end) : end_(std::move(end)) {}
  void complete(std::exception_ptr error, CollectiveResult result) noexcept override {
    end_->complete(std::move(error), value_of<T>(std::move(result)));
  }
  void refuse(std::exception_ptr error) noexcept override { end_->refuse(std::move(error), T()); }

 private:
  End end_;
};

template <>
class TypedCall<void> final : public CollectiveCall {
 public:
  using End = std::unique_ptr<engine::impl::Completion<std::exception_ptr>>;
  explicit TypedCall(End end) : end_(std::move(end)) {}
  void complete(std::exception_ptr error, CollectiveResult /*result*/) noexcept override {
    end_->complete(std::move(error));
  }
  void refuse(std::exception_ptr error) noexcept override { end_->refuse(std::move(error)); }

 private:
  End end_;
};

template <class T>
struct CollectiveSignature {
  using type = void(std::exception_ptr, T);
};
template <>
struct CollectiveSignature<void> {
  using type = void(std::exception_ptr);
};

template <class T>
class InitiateCollective {
 public:
  explicit InitiateCollective(Coordinator& coordinator) noexcept : coordinator_(&coordinator) {}

  template <class Handler>
  void operator()(Handler&& handler, Collective operation) const {
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    auto call = std::make_shared<TypedCall<T>>(end_of(std::forward<Handler>(handler)));
    // Before the start: after it the handler may run, elsewhere, at any moment.
    if (slot.is_connected()) {
      slot.assign([call](boost::asio::cancellation_type) { call->cancel(); });
    }
    start(*coordinator_, std::move(operation), std::move(call));
  }

 private:
  template <class Handler>
  static typename TypedCall<T>::End end_of(Handler&& handler) {
    if constexpr (std::is_void_v<T>) {
      return engine::impl::make_completion<std::exception_ptr>(std::forward<Handler>(handler));
    } else {
      return engine::impl::make_completion<std::exception_ptr, T>(std::forward<Handler>(handler));
    }
  }

  // A template, so that Coordinator need not be complete here.
  template <class C>
  static void start(C& coordinator, Collective operation, std::shared_ptr<CollectiveCall> call) {
    coordinator.start(std::move(operation), std::move(call));
  }

  Coordinator* coordinator_;
};

}  // namespace cairn::impl
