#include "crash/worker_watch.h"

#include <sstream>

namespace cairn::test {

std::string_view to_string(Phase phase) noexcept {
  switch (phase) {
    case Phase::idle:
      return "outside";
    case Phase::prepare:
      return "save: prepare";
    case Phase::write_data:
      return "save: write data";
    case Phase::sync_metadata:
      return "save: sync, metadata";
    case Phase::commit:
      return "save: commit";
    case Phase::remove_old:
      return "save: remove the old";
    case Phase::delete_prepare:
      return "delete: prepare";
    case Phase::delete_rename:
      return "delete: rename";
    case Phase::delete_unlink:
      return "delete: unlink";
  }
  return "unknown";
}

WorkerWatch::WorkerWatch(Steps steps, std::size_t max_to_keep)
    : steps_(std::move(steps)), max_to_keep_(max_to_keep) {}

void WorkerWatch::hear(std::string_view line) {
  std::istringstream words{std::string(line)};
  std::string word;
  words >> word;
  if (word == "op") {
    words >> word;
    operation(word);
  } else if (word == "begin") {
    Change change;
    words >> word >> change.step >> change.version;
    change.kind = word == "save" ? Change::Kind::save : Change::Kind::remove;
    begin(change);
  } else if (word == "error") {
    error_ = line;
  } else {
    acknowledge(line);
  }
}

void WorkerWatch::begin(const Change& change) {
  // The change before is over: whatever it still had to remove was not there any more.
  under_way_ = {change};
  phase_ = change.kind == Change::Kind::save ? Phase::prepare : Phase::delete_prepare;
}

void WorkerWatch::acknowledge(std::string_view label) {
  if (under_way_.empty() || under_way_.front().label() != label) {
    error_ = "acknowledged out of turn: " + std::string(label);
    return;
  }
  const Change done = under_way_.front();
  const bool replaces = steps_.contains(done.step);
  done.apply(steps_);
  under_way_.erase(under_way_.begin());
  if (done.kind == Change::Kind::save) {
    queue_losers();
    phase_ = replaces || !under_way_.empty() ? Phase::remove_old : Phase::idle;
  } else if (under_way_.empty()) {
    phase_ = Phase::idle;
  }
}

void WorkerWatch::queue_losers() {
  Steps left = steps_;
  while (left.size() > max_to_keep_) {
    under_way_.push_back({Change::Kind::remove, left.begin()->first, 0});
    left.erase(left.begin());
  }
}

void WorkerWatch::operation(std::string_view name) {
  const bool sync = name == "sync_data" || name == "sync_all";
  switch (phase_) {
    case Phase::prepare:
      if (name == "allocate" || name == "write") phase_ = Phase::write_data;
      return;
    case Phase::write_data:
      if (sync) phase_ = Phase::sync_metadata;
      return;
    case Phase::sync_metadata:
      if (name == "rename") phase_ = Phase::commit;
      return;
    case Phase::delete_prepare:
      if (name == "rename") phase_ = Phase::delete_rename;
      return;
    case Phase::delete_rename:
      if (name == "list") phase_ = Phase::delete_unlink;
      return;
    case Phase::idle:
    case Phase::commit:
    case Phase::remove_old:
    case Phase::delete_unlink:
      return;
  }
}

std::vector<Steps> WorkerWatch::allowed() const {
  std::vector<Steps> states{steps_};
  if (!under_way_.empty()) {
    states.push_back(steps_);
    under_way_.front().apply(states.back());
  }
  return states;
}

}  // namespace cairn::test
