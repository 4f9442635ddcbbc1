#include "crash/crash_states.h"

#include <cairn/codecs/orbax.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "support/backends.h"

namespace cairn::test {
namespace {

namespace fs = std::filesystem;
using engine::internal::ImageInode;
using engine::internal::InodeId;
using engine::internal::kRootInode;
using engine::internal::LogEntry;
using engine::internal::TreeImage;

// Below what is recorded, so that making the root is part of it.
constexpr const char* kRootPath = "runs/root";

std::uint64_t mix(std::uint64_t digest, std::uint64_t value) {
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;
  digest = (digest ^ value) * kOdd;
  return digest ^ (digest >> 32);
}

std::uint64_t mix(std::uint64_t digest, const std::string& text) {
  return mix(digest, std::hash<std::string>()(text));
}

std::uint64_t digest_of(const TreeImage& image, InodeId id) {
  const ImageInode& inode = image.inodes[id];
  std::uint64_t digest = mix(inode.directory ? 1 : 0, inode.content);
  for (const auto& [name, child] : inode.entries) {
    digest = mix(mix(digest, name), digest_of(image, child));
  }
  return digest;
}

// Readers look at the names in the root, and into directories with a step's name.
std::uint64_t what_readers_see(const TreeImage& image) {
  const std::optional<InodeId> root = image.find(kRootInode, kRootPath);
  if (!root) return 0;
  std::uint64_t digest = 1;
  for (const auto& [name, child] : image.inodes[*root].entries) {
    digest = mix(digest, name);
    if (orbax::step_from_name(name)) digest = mix(digest, digest_of(image, child));
  }
  return digest;
}

std::unique_ptr<CheckpointManager> open_manager(std::shared_ptr<engine::Engine> engine,
                                                const std::string& root,
                                                std::shared_ptr<Logger> logger = nullptr,
                                                std::optional<std::int64_t> max_to_keep = {}) {
  ManagerOptions options;
  options.engine = std::move(engine);
  options.logger = std::move(logger);
  options.max_to_keep = max_to_keep;
  return std::make_unique<CheckpointManager>(root, options);
}

void save_and_wait(CheckpointManager& manager, Step step, std::int64_t version) {
  static_cast<void>(manager.save(step, content(step, version), save_options(version, true)).get());
  manager.wait_until_finished().get();
}

}  // namespace

// ---- RecordedRun --------------------------------------------------------------------------------

RecordedRun::RecordedRun(engine::BackendKind kind, const Steps& setup,
                         std::optional<std::int64_t> max_to_keep)
    : max_to_keep_(max_to_keep), setup_(setup) {
  if (!setup.empty()) {
    const auto manager = open_manager(small_engine(make_backend(kind)), root());
    for (const auto& [step, version] : setup) save_and_wait(*manager, step, version);
  }
  recording_ = std::make_shared<engine::Recording>(directory_.string());
  auto engine = small_engine(engine::make_recording_backend(make_backend(kind), recording_));
  auto logger = std::make_shared<AcknowledgementLogger>(
      [recording = recording_](std::string label) { recording->mark(std::move(label)); });
  manager_ = open_manager(std::move(engine), root(), std::move(logger), max_to_keep);
}

RecordedRun::~RecordedRun() = default;

std::string RecordedRun::root() const { return (directory_ / kRootPath).string(); }

void RecordedRun::save(Step step, std::int64_t version) {
  changes_.push_back({Change::Kind::save, step, version});
  save_and_wait(*manager_, step, version);
  Steps steps = steps_after(changes_.size());
  while (max_to_keep_ && steps.size() > static_cast<std::size_t>(*max_to_keep_)) {
    changes_.push_back({Change::Kind::remove, steps.begin()->first, 0});
    steps.erase(steps.begin());
  }
}

void RecordedRun::remove(Step step) {
  changes_.push_back({Change::Kind::remove, step, 0});
  manager_->delete_step(step).get();
}

void RecordedRun::finish() {
  manager_->close().get();
  manager_.reset();
  std::vector<std::string> asked;
  for (const Change& change : changes_) asked.push_back(change.label());
  std::vector<std::string> heard;
  for (const auto& mark : recording_->marks()) heard.push_back(mark.label);
  if (asked != heard) throw std::logic_error("what was acknowledged is not what was asked for");
}

std::size_t RecordedRun::acknowledged(std::size_t prefix) const {
  const auto marks = recording_->marks();
  return static_cast<std::size_t>(
      std::ranges::count_if(marks, [&](const auto& mark) { return mark.position <= prefix; }));
}

Steps RecordedRun::steps_after(std::size_t count) const {
  Steps steps = setup_;
  for (std::size_t i = 0; i < std::min(count, changes_.size()); ++i) changes_[i].apply(steps);
  return steps;
}

std::string RecordedRun::path_of(InodeId inode) const {
  for (const LogEntry& entry : log()) {
    const bool made = entry.op == engine::IoOp::open || entry.op == engine::IoOp::make_directory;
    if (made && entry.inode == inode) {
      const std::string parent = path_of(entry.from.directory);
      return parent.empty() ? entry.from.name : parent + "/" + entry.from.name;
    }
  }
  // It was there at the start.
  for (InodeId parent = 0; parent < start().inodes.size(); ++parent) {
    for (const auto& [name, child] : start().inodes[parent].entries) {
      if (child != inode) continue;
      const std::string above = path_of(parent);
      return above.empty() ? name : above + "/" + name;
    }
  }
  return {};
}

std::string RecordedRun::describe(std::size_t mutation) const {
  const LogEntry& entry = log().at(mutation);
  if (!engine::internal::is_sync(entry.op)) return recording_->describe(mutation);
  const std::string path = path_of(entry.inode);
  return fmt::format("{} {} {}", mutation, engine::to_string(entry.op), path.empty() ? "." : path);
}

// ---- CrashStates --------------------------------------------------------------------------------

CrashStates::CrashStates(const RecordedRun& run)
    : run_(run), engine_(small_engine(make_backend(engine::BackendKind::threads))) {}

TreeImage CrashStates::crash(std::size_t prefix, std::uint64_t seed,
                             const IgnoreSync& ignore) const {
  return engine::internal::crash(run_.start(), run_.log(), prefix, seed, ignore);
}

const Found& CrashStates::find(const TreeImage& image) {
  ++seen_;
  const auto [known, is_new] = known_.try_emplace(what_readers_see(image));
  if (is_new) {
    const std::string state = (scratch_ / "state").string();
    fs::create_directory(state);
    engine::internal::write_tree(image, state);
    Found& found = known->second;
    found = look(engine_, state + "/" + kRootPath);
    const auto at = found.trouble.find(state + "/");
    if (at != std::string::npos) found.trouble.erase(at, state.size() + 1);  // only noise
    fs::remove_all(state);
  }
  return known->second;
}

std::string CrashStates::violation(std::size_t prefix, std::uint64_t seed,
                                   const IgnoreSync& ignore) {
  const std::size_t acknowledged = run_.acknowledged(prefix);
  const Found& found = find(crash(prefix, seed, ignore));
  if (!found.trouble.empty()) return found.trouble;
  const Steps before = run_.steps_after(acknowledged);
  const Steps after = run_.steps_after(acknowledged + 1);
  if (found.steps == before || found.steps == after) return {};
  return fmt::format("found {}; acknowledged {}, with the next change {}", to_string(found.steps),
                     to_string(before), to_string(after));
}

std::string CrashStates::continuation(std::size_t prefix, std::uint64_t seed) {
  const std::string state = (scratch_ / "continued").string();
  fs::create_directory(state);
  engine::internal::write_tree(crash(prefix, seed, {}), state);
  std::string trouble;
  try {
    trouble = go_on(state + "/" + kRootPath, run_.acknowledged(prefix));
  } catch (const Error& error) {
    trouble = error.what();
  }
  fs::remove_all(state);
  return trouble;
}

std::string CrashStates::go_on(const std::string& root, std::size_t acknowledged) {
  constexpr Step kNewStep = 1000;
  const auto manager = open_manager(engine_, root);
  if (acknowledged < run_.changes().size()) {
    const Change& next = run_.changes()[acknowledged];
    const std::vector<Step> there = manager->all_steps();
    if (next.kind == Change::Kind::save) {
      save_and_wait(*manager, next.step, next.version);
    } else if (std::ranges::find(there, next.step) != there.end()) {
      manager->delete_step(next.step).get();
    }
  }
  save_and_wait(*manager, kNewStep, 1);
  Steps expected = run_.steps_after(acknowledged + 1);
  expected[kNewStep] = 1;
  const Found found = look(engine_, root);
  if (!found.trouble.empty()) return found.trouble;
  if (found.steps != expected) {
    return fmt::format("found {} instead of {}", to_string(found.steps), to_string(expected));
  }
  const std::vector<std::string> left = leftovers(root);
  return left.empty() ? std::string() : "left over: " + left.front();
}

}  // namespace cairn::test
