#pragma once
// What a fork() leaves in the child: memory without the threads that served it, and mutexes that
// those threads may have held. Objects with threads note the generation they were made in and do
// nothing in another.

#include <atomic>
#include <cstdint>
#include <memory>

namespace cairn::engine::internal {

/// How many fork()s lie between the first call in this line of processes and now. A plain atomic
/// load.
[[nodiscard]] std::uint64_t fork_generation() noexcept;

/// Throws system_error(Errc::forked_child) in a child of the process in which fork_generation() was
/// `made_in`. `what` names the object.
void check_not_forked(std::uint64_t made_in, const char* what);

/// One `T` per process, made at first use and never destroyed: it stays valid during exit, and a
/// child gets its own rather than a parent's with locked mutexes. The parent's stays reachable, not
/// leaked.
template <class T>
class PerProcess {
 public:
  T& get() {
    const std::uint64_t generation = fork_generation();
    Node* head = head_.load(std::memory_order_acquire);
    while (head == nullptr || head->generation != generation) {
      auto fresh = std::make_unique<Node>(generation, head);
      // On failure `head` is what another thread has put there.
      if (head_.compare_exchange_strong(head, fresh.get(), std::memory_order_acq_rel))
        head = fresh.release();
    }
    return head->value;
  }

 private:
  struct Node {
    Node(std::uint64_t g, Node* p) : generation(g), previous(p) {}
    std::uint64_t generation;
    Node* previous;
    T value;
  };
  std::atomic<Node*> head_ = nullptr;
};

}  // namespace cairn::engine::internal
