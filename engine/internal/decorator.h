#pragma once
// What backends around backends have in common: each operation travels inside a wrapper of its own,
// so that the decorator sees its result before its owner does.

#include <cairn/engine/io_backend.h>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace cairn::engine::internal {

class Decorator : public IoBackend {
 public:
  explicit Decorator(std::unique_ptr<IoBackend> inner) : inner_(std::move(inner)) {}
  ~Decorator() override = default;

  void submit(IoOperation* operation) noexcept final;
  void cancel(IoOperation* operation) noexcept final;
  [[nodiscard]] BackendInfo info() const override { return inner_->info(); }
  void register_memory(std::span<const std::span<std::byte>> ranges) noexcept override {
    inner_->register_memory(ranges);
  }
  bool shut_down(std::int64_t timeout_ms) noexcept override;

  /// What a decorator remembers about an operation between on_submit() and on_complete().
  struct Note {
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    std::uint64_t position = 0;
    int error = 0;
  };

 protected:
  class Wrapper;

  /// Sees the request before it goes to the inner backend, and may change it. False: it does not
  /// go; the decorator keeps `wrapper` and later passes it to forward() or finish().
  virtual bool on_submit(IoRequest& request, Note& note, Wrapper* wrapper) = 0;
  /// Sees the result, and may change it and the request, before the owner does.
  virtual void on_complete(IoRequest& request, IoResult& result, const Note& note) noexcept = 0;

  /// Hands a wrapper that was kept to the inner backend.
  void forward(Wrapper* wrapper) noexcept;
  /// Completes a wrapper that the inner backend never saw. On a thread of the decorator's own.
  void finish(Wrapper* wrapper, std::int64_t value) noexcept;

 private:
  std::unique_ptr<IoBackend> inner_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::unordered_map<const IoOperation*, Wrapper*> under_way_;  // by the owner's operation
  std::size_t unfinished_ = 0;  // also counts those whose complete() has not returned
};

class Decorator::Wrapper final : public IoOperation {
 public:
  Wrapper(Decorator& owner, IoOperation* original)
      : IoOperation(std::move(original->request)), owner_(owner), original_(original) {}
  ~Wrapper() override = default;
  void complete() noexcept override;

  Note note;

 private:
  friend class Decorator;
  Decorator& owner_;
  IoOperation* original_;
};

}  // namespace cairn::engine::internal
