#pragma once
// A first-in-first-out list of operations threaded through IoOperation::link: queueing allocates
// nothing, so submit() cannot fail.

#include <cairn/engine/io_backend.h>

#include <cassert>

namespace cairn::engine::internal {

class OpQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }

  void push(IoOperation* operation) noexcept {
    assert(operation != nullptr);
    operation->link = nullptr;
    (tail_ != nullptr ? tail_->link : head_) = operation;
    tail_ = operation;
  }

  [[nodiscard]] IoOperation* pop() noexcept {
    IoOperation* first = head_;
    if (first == nullptr) return nullptr;
    head_ = first->link;
    if (head_ == nullptr) tail_ = nullptr;
    first->link = nullptr;
    return first;
  }

  /// Takes `operation` out to cancel it; false when it is not here, or is a close, which is never
  /// cancelled. Compares addresses only, so the pointer may be stale.
  bool remove(const IoOperation* operation) noexcept {
    IoOperation* previous = nullptr;
    for (IoOperation* at = head_; at != nullptr; previous = at, at = at->link) {
      if (at != operation) continue;
      if (at->request.op == IoOp::close) return false;
      (previous != nullptr ? previous->link : head_) = at->link;
      if (tail_ == at) tail_ = previous;
      at->link = nullptr;
      return true;
    }
    return false;
  }

  /// Moves everything in `other` behind what is here.
  void splice(OpQueue& other) noexcept {
    if (other.empty()) return;
    (tail_ != nullptr ? tail_->link : head_) = other.head_;
    tail_ = other.tail_;
    other.head_ = other.tail_ = nullptr;
  }

 private:
  IoOperation* head_ = nullptr;
  IoOperation* tail_ = nullptr;
};

}  // namespace cairn::engine::internal
