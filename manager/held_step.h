#pragma once
// A step that stays on disk while somebody looks at it.

#include <cairn/export.h>
#include <cairn/manager/save_future.h>

#include <memory>
#include <string>

namespace cairn {
namespace internal {
struct StepHold;
}

/// A committed step that no writer, of any process, deletes: delete_step() is refused (busy), and
/// retention comes back later. A cheap handle; copies stand for the same hold, which ends a little
/// after the last has gone. Thread-safe. It keeps the engine, and no manager.
///
/// The hold is a shared lock (flock) on the step's metadata file, which Cairn honours. Orbax
/// deletes what it likes.
class CAIRN_EXPORT HeldStep {
 public:
  HeldStep() = default;  ///< none
  explicit HeldStep(std::shared_ptr<internal::StepHold> hold) noexcept : hold_(std::move(hold)) {}
  [[nodiscard]] explicit operator bool() const noexcept { return hold_ != nullptr; }

  /// Of the members below: not for none.
  [[nodiscard]] Step step() const noexcept;
  /// Of its directory, for read_tree(), open_tree() or inspect_step(). Where the step has been
  /// overwritten it leads to the new one; what was opened before stays readable.
  [[nodiscard]] const std::string& path() const noexcept;
  /// False where nothing keeps it from being deleted: the file system has no locks, or the step no
  /// metadata file.
  [[nodiscard]] bool locked() const noexcept;

 private:
  std::shared_ptr<internal::StepHold> hold_;
};

}  // namespace cairn
