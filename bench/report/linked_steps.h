#pragma once
// A root with very many steps, made in a moment out of one that was saved, and gone as fast.

#include <cairn/manager/step.h>

#include <filesystem>
#include <utility>

namespace cairn::bench {

/// Steps 1, 2, ... of a root are hard links to the files of step 0. Some are whole copies: the
/// first ones, for who wants to delete the oldest, and the last whenever they have grown, for who
/// wants to read the newest. The others have what a list of steps looks at: their own files, and
/// none of an item.
class LinkedSteps {
 public:
  explicit LinkedSteps(std::filesystem::path root) : root_(std::move(root)) {}
  ~LinkedSteps();
  LinkedSteps(const LinkedSteps&) = delete;
  LinkedSteps& operator=(const LinkedSteps&) = delete;
  /// Until there are so many, step 0 included.
  void grow_to(Step count);

 private:
  [[nodiscard]] std::filesystem::path path_of(Step step) const;
  void remove_every(Step stride, Step first) const noexcept;

  std::filesystem::path root_;
  Step count_ = 1;
};

}  // namespace cairn::bench
