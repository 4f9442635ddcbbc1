#include "report/linked_steps.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace cairn::bench {
namespace {

namespace fs = std::filesystem;

constexpr Step kWholeSteps = 50;
constexpr Step kRemovers = 16;

void link_own_files(const fs::path& model, const fs::path& step) {
  fs::create_directory(step);
  for (const fs::directory_entry& entry : fs::directory_iterator(model)) {
    if (entry.is_regular_file()) fs::create_hard_link(entry.path(), step / entry.path().filename());
  }
}

}  // namespace

fs::path LinkedSteps::path_of(Step step) const {
  return root_ / std::to_string(step);
}

void LinkedSteps::grow_to(Step count) {
  for (; count_ < count; ++count_) {
    if (count_ < kWholeSteps || count_ == count - 1) {
      fs::copy(path_of(0), path_of(count_),
               fs::copy_options::recursive | fs::copy_options::create_hard_links);
    } else {
      link_own_files(path_of(0), path_of(count_));
    }
  }
}

/// On an ext4 that discards what it frees, each directory takes 4 ms to go (seen on a virtual
/// disk), and one waits for the other, as all are gone from one parent. One that is open goes when
/// it is closed, which needs no parent.
void LinkedSteps::remove_every(Step stride, Step first) const noexcept {
  for (Step step = first; step < count_; step += stride) {
    std::error_code ignored;  // what is left goes with the directory that the root is in
    const fs::path path = path_of(step);
    for (const fs::directory_entry& entry : fs::directory_iterator(path, ignored)) {
      if (!entry.is_directory(ignored)) fs::remove(entry.path(), ignored);
    }
    const int held = ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    fs::remove(path, ignored);
    if (held >= 0) ::close(held);
  }
}

LinkedSteps::~LinkedSteps() {
  std::vector<std::jthread> removers;
  for (Step i = 0; i < kRemovers; ++i)
    removers.emplace_back([this, i] { remove_every(kRemovers, kWholeSteps + i); });
}

}  // namespace cairn::bench
