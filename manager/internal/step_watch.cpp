#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/step_reader.h>
#include <cairn/manager/internal/step_watch.h>

#include <algorithm>
#include <utility>

namespace cairn::internal {
namespace {

using engine::Clock;
using engine::DirectoryWatch;

/// Looks that inotify makes unnecessary, as a rule, for each that is made nevertheless.
constexpr int kLooksSpared = 60;

constexpr std::chrono::milliseconds kForever = std::chrono::hours(24 * 365 * 100);

/// Opens a directory; null where there is none.
Task<FolderPtr> open_if_there(EnginePtr engine, std::string path) {
  std::exception_ptr failure;
  try {
    co_return co_await open_folder(engine, path);
  } catch (...) {
    failure = std::current_exception();
  }
  if (code_of(failure) != ErrorCode::not_found) std::rethrow_exception(failure);
  co_return nullptr;
}

struct SplitPath {
  explicit SplitPath(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    const std::size_t slash = path.rfind('/');
    name = path.substr(slash + 1);
    parent = slash == 0 ? "/" : path.substr(0, slash);
  }
  std::string parent;
  std::string name;  ///< empty: there is nothing above it
};

}  // namespace

Clock::Duration later(Clock& clock, std::chrono::milliseconds span) {
  return clock.steady() + std::min(span, kForever);
}

StepWatch::StepWatch(EnginePtr engine, WatchSettings settings)
    : engine_(std::move(engine)), settings_(std::move(settings)), watch_(engine_) {}

Task<StepHoldPtr> StepWatch::wait(std::optional<Step> above, Deadline deadline) {
  Clock& clock = engine_->clock();
  while (true) {
    const bool last = deadline && clock.steady() >= *deadline;
    seen_.clear();
    StepHoldPtr found = co_await look(above);
    if (found || last) {
      seen_.clear();
      co_return found;
    }
    const bool watched = co_await watch_seen();
    seen_.clear();
    if (!watched) continue;
    const Clock::Duration until = deadline ? std::min(*deadline, next_look()) : next_look();
    co_await watch_.wait_until(until);
  }
}

Task<StepHoldPtr> StepWatch::look(std::optional<Step> above) {
  FolderPtr root = co_await open_if_there(engine_, settings_.directory);
  if (!root) {
    co_await see_above();
    co_return nullptr;
  }
  see(root, [names = settings_.rules.names](std::string_view name) {
    return names->parse(name).has_value();
  });
  std::exception_ptr failure;
  try {
    co_return co_await look_into(root, above);
  } catch (...) {
    failure = std::current_exception();
  }
  // What has been replaced is as good as missing.
  const bool gone = co_await is_gone(root);
  if (!gone) std::rethrow_exception(failure);
  co_return nullptr;
}

Task<ListedSteps> StepWatch::list_wanted(FolderPtr root, std::optional<Step> above) {
  std::optional<Step> from = above;
  if (from && !passed_.empty()) from = std::min(*from, *passed_.begin() - 1);
  ListedSteps listed = co_await list_steps_above(root, settings_.rules, from);
  const auto is_new = [above](const ListedStep& step) { return !above || step.step > *above; };
  std::erase_if(listed.begun, [&](const ListedStep& step) { return !is_new(step); });
  std::erase_if(listed.committed, [&](const ListedStep& step) {
    return !is_new(step) && !passed_.contains(step.step);
  });
  const std::set<Step> before = std::exchange(passed_, {});
  for (const ListedStep& step : listed.committed) {
    if (before.contains(step.step)) passed_.insert(step.step);
  }
  co_return listed;
}

Task<StepHoldPtr> StepWatch::look_into(FolderPtr root, std::optional<Step> above) {
  deleting_ = false;
  ListedSteps listed = co_await list_wanted(root, above);
  std::vector<Step> deleting;
  if (settings_.latest_only) std::ranges::reverse(listed.committed);
  std::exception_ptr unreadable;
  for (const ListedStep& step : listed.committed) {
    StepHoldPtr hold;
    std::exception_ptr failure;
    try {
      hold = co_await hold_step(root, settings_.rules, step);
    } catch (...) {
      failure = std::current_exception();
    }
    if (hold) {
      if (!settings_.latest_only) passed_.insert(deleting.begin(), deleting.end());
      passed_.erase(hold->step);
      if (unreadable && settings_.warn)
        settings_.warn("a step is passed over: " + message_of(unreadable));
      co_return hold;
    }
    if (failure && code_of(failure) == ErrorCode::cancelled) std::rethrow_exception(failure);
    if (failure && !unreadable) unreadable = failure;
    if (!failure) deleting.push_back(step.step);
  }
  deleting_ = !deleting.empty();
  // A step that cannot be read stops nobody for ever: the next one that comes is reported.
  if (unreadable) std::rethrow_exception(unreadable);
  co_await see_begun(root, std::move(listed.begun));
  co_return nullptr;
}

Task<void> StepWatch::see_begun(FolderPtr root, std::vector<ListedStep> begun) {
  for (const ListedStep& step : begun) {
    FolderPtr folder = co_await open_if_there(engine_, join_path(root->path, step.name));
    if (!folder) continue;
    see(folder, [](std::string_view name) { return name == orbax::kCommitMarkerFile; });
  }
}

Task<void> StepWatch::see_above() {
  for (SplitPath at(settings_.directory); !at.name.empty(); at = SplitPath(at.parent)) {
    FolderPtr folder;
    std::exception_ptr failure;
    try {
      folder = co_await open_if_there(engine_, at.parent);
    } catch (...) {
      failure = std::current_exception();
    }
    // A directory that may be passed through and not be read.
    if (failure && code_of(failure) == ErrorCode::permission_denied) co_return;
    if (failure) std::rethrow_exception(failure);
    if (!folder) continue;
    see(folder, [expected = at.name](std::string_view name) { return name == expected; });
    co_return;
  }
}

void StepWatch::see(FolderPtr folder, engine::WatchedDirectory::Wanted wanted) {
  seen_.push_back({std::move(folder), std::move(wanted)});
}

Task<bool> StepWatch::watch_seen() {
  if (seen_.empty()) {
    polling_ = true;
    co_return true;
  }
  std::vector<engine::WatchedDirectory> directories;
  for (Seen& seen : seen_) directories.emplace_back(seen.folder->handle.fd(), seen.wanted);
  const DirectoryWatch::Answer answer = co_await watch_.watch(std::move(directories));
  switch (answer) {
    case DirectoryWatch::Answer::as_before:
      polling_ = false;
      co_return true;
    case DirectoryWatch::Answer::anew:
      polling_ = false;
      co_return false;
    case DirectoryWatch::Answer::unable:
      break;
  }
  polling_ = true;
  if (std::exchange(warned_, true) || !settings_.warn) co_return true;
  const Error why = system_failure(watch_.error(), "watch directory", settings_.directory);
  settings_.warn("the root is looked at every " + std::to_string(settings_.poll_interval.count()) +
                 " ms, because inotify cannot watch it: " + why.reason());
  co_return true;
}

Clock::Duration StepWatch::next_look() {
  const std::chrono::milliseconds pause = std::min(settings_.poll_interval, kForever);
  return later(engine_->clock(), polling_ || deleting_ ? pause : pause * kLooksSpared);
}

}  // namespace cairn::internal
