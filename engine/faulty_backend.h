#pragma once
// Faults on purpose, for tests: operations that fail, end short, or hang until the test lets them
// go.
//
//   auto plan = std::make_shared<FaultPlan>();
//   options.io_backend = make_faulty_backend(make_backend({}), plan);
//   for (std::uint64_t n = 1;; ++n) {          // the N-th call fails, until a run is clean
//     plan->clear();
//     plan->fail(FaultPlan::any(), n, EIO);
//     ... a save ...
//     if (plan->injected() == 0) break;
//   }

#include <cairn/engine/io_backend.h>
#include <cairn/export.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>

namespace cairn::engine {

/// Which operations suffer what. Shared by a test and the backend; thread-safe. Operations are
/// counted as they are submitted, those that the engine submits again after a short transfer too.
class CAIRN_EXPORT FaultPlan {
 public:
  using Predicate = std::function<bool(const IoRequest&)>;
  static constexpr std::uint64_t kForever = ~std::uint64_t{0};

  FaultPlan();
  ~FaultPlan();
  FaultPlan(const FaultPlan&) = delete;
  FaultPlan& operator=(const FaultPlan&) = delete;

  /// Every operation; those of these kinds.
  [[nodiscard]] static Predicate any();
  [[nodiscard]] static Predicate only(std::initializer_list<IoOp> ops);

  /// The `nth` matching operation from now on (1 = the next), and the `times` - 1 after it, fail
  /// with `error` (an errno) and are not carried out; a close is, as on Linux.
  void fail(Predicate matches, std::uint64_t nth, int error, std::uint64_t times = 1);
  /// Likewise, but they are carried out, and only reported as failed: the answer was lost.
  void fail_after(Predicate matches, std::uint64_t nth, int error, std::uint64_t times = 1);
  /// Likewise; they move at most `bytes` bytes. For read and write.
  void shorten(Predicate matches, std::uint64_t nth, std::uint64_t bytes, std::uint64_t times = 1);
  /// Matching operations hang, like those on a dead file server: a cancel does not help. Until
  /// release().
  void hold(Predicate matches);
  /// Carries out what hangs, and holds nothing more.
  void release();
  /// Forgets all rules and counts. What hangs, hangs on.
  void clear();

  /// Operations submitted since the start or clear().
  [[nodiscard]] std::uint64_t calls() const;
  /// Faults that happened since the start or clear().
  [[nodiscard]] std::uint64_t injected() const;
  /// Operations that hang now.
  [[nodiscard]] std::size_t held() const;
  /// Waits until at least `count` operations hang.
  void wait_until_held(std::size_t count) const;

  struct Impl;
  /// For the backend's own sources.
  [[nodiscard]] Impl& impl() noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// A backend around `inner` that follows `plan`. One backend to a plan. Its destruction releases
/// what hangs.
[[nodiscard]] CAIRN_EXPORT std::unique_ptr<IoBackend> make_faulty_backend(
    std::unique_ptr<IoBackend> inner, std::shared_ptr<FaultPlan> plan);

}  // namespace cairn::engine
