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

// Readers look at the names in the root, and into directories with a step's name: where steps
// commit by file, into those with a marker.
std::uint64_t what_readers_see(const TreeImage& image, Atomicity atomicity) {
  const std::optional<InodeId> root = image.find(kRootInode, kRootPath);
  if (!root) return 0;
  std::uint64_t digest = 1;
  for (const auto& [name, child] : image.inodes[*root].entries) {
    digest = mix(digest, name);
    if (!orbax::step_from_name(name)) continue;
    const bool marked = image.find(child, std::string(orbax::kCommitMarkerFile)).has_value();
    if (atomicity == Atomicity::commit_file && !marked) continue;
    digest = mix(digest, digest_of(image, child));
  }
  return digest;
}

std::unique_ptr<CheckpointManager> open_manager(std::shared_ptr<engine::Engine> engine,
                                                const std::string& root,
                                                std::shared_ptr<Logger> logger = nullptr,
                                                std::optional<std::int64_t> max_to_keep = {},
                                                bool incremental = false,
                                                Layout layout = Layout::ocdbt_zarr3,
                                                Atomicity atomicity = Atomicity::rename) {
  ManagerOptions options;
  options.engine = std::move(engine);
  options.logger = std::move(logger);
  options.max_to_keep = max_to_keep;
  options.incremental = incremental;
  options.layout = layout;
  options.atomicity = atomicity;
  return std::make_unique<CheckpointManager>(root, options);
}

// The sync after a rename, not one that makes an earlier writer's renames certain.
engine::FaultPlan::Predicate commit_sync(const std::string& root) {
  return [renamed = std::make_shared<bool>(false),
          is_sync = sync_of(root)](const engine::IoRequest& request) {
    if (request.op == engine::IoOp::rename) *renamed = true;
    return *renamed && is_sync(request);
  };
}

void save_and_wait(CheckpointManager& manager, Step step, std::int64_t version) {
  static_cast<void>(
      manager.save(step, args::PyTreeSave(content(step, version)), save_options(version, true))
          .get());
  manager.wait_until_finished().get();
}

}  // namespace

// ---- RecordedRun --------------------------------------------------------------------------------

RecordedRun::RecordedRun(engine::BackendKind kind, const Steps& setup,
                         std::optional<std::int64_t> max_to_keep,
                         std::shared_ptr<engine::FaultPlan> faults, bool incremental, Layout layout,
                         Atomicity atomicity)
    : max_to_keep_(max_to_keep),
      incremental_(incremental),
      layout_(layout),
      atomicity_(atomicity),
      setup_(setup),
      faults_(std::move(faults)) {
  if (!setup.empty()) {
    const auto manager = open_manager(small_engine(make_backend(kind)), root(), nullptr,
                                      std::nullopt, incremental_, layout_, atomicity_);
    for (const auto& [step, version] : setup) save_and_wait(*manager, step, version);
  }
  recording_ = std::make_shared<engine::Recording>(directory_.string());
  auto backend = make_backend(kind);
  if (faults_) backend = engine::make_faulty_backend(std::move(backend), faults_);
  auto engine = small_engine(engine::make_recording_backend(std::move(backend), recording_));
  auto logger = std::make_shared<AcknowledgementLogger>(
      [recording = recording_](std::string label) { recording->mark(std::move(label)); });
  manager_ = open_manager(std::move(engine), root(), std::move(logger), max_to_keep, incremental_,
                          layout_, atomicity_);
}

RecordedRun::~RecordedRun() = default;

std::string RecordedRun::root() const {
  return (directory_ / kRootPath).string();
}

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

void RecordedRun::save_unknown(Step step, std::int64_t version) {
  changes_.push_back({Change::Kind::save, step, version, true});
  faults_->fail(commit_sync(root()), 1, EIO);
  try {
    save_and_wait(*manager_, step, version);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::commit_unknown) throw;
  }
  faults_->clear();
}

void RecordedRun::remove_unknown(Step step) {
  changes_.push_back({Change::Kind::remove, step, 0, true});
  faults_->fail(commit_sync(root()), 1, EIO);
  try {
    manager_->delete_step(step).get();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::io_error) throw;
  }
  faults_->clear();
}

void RecordedRun::finish() {
  manager_->close().get();
  manager_.reset();
  std::vector<std::string> asked;
  for (const Change& change : changes_) {
    if (!change.unknown) asked.push_back(change.label());
  }
  std::vector<std::string> heard;
  for (const auto& mark : recording_->marks()) heard.push_back(mark.label);
  if (asked != heard) throw std::logic_error("what was acknowledged is not what was asked for");
}

std::size_t RecordedRun::acknowledged(std::size_t prefix) const {
  const auto marks = recording_->marks();
  auto heard = std::ranges::count_if(marks, [&](const auto& m) { return m.position <= prefix; });
  std::size_t count = 0;
  for (; heard > 0; ++count) heard -= changes_[count].unknown ? 0 : 1;
  return count;
}

std::vector<Change> RecordedRun::pending(std::size_t prefix) const {
  std::vector<Change> changes;
  for (std::size_t i = acknowledged(prefix); i < changes_.size(); ++i) {
    changes.push_back(changes_[i]);
    if (!changes_[i].unknown) break;
  }
  return changes;
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
  const auto [known, is_new] = known_.try_emplace(what_readers_see(image, run_.atomicity()));
  if (is_new) {
    const std::string state = (scratch_ / "state").string();
    fs::create_directory(state);
    engine::internal::write_tree(image, state);
    Found& found = known->second;
    found = look(engine_, state + "/" + kRootPath, run_.atomicity());
    const auto at = found.trouble.find(state + "/");
    if (at != std::string::npos) found.trouble.erase(at, state.size() + 1);  // only noise
    fs::remove_all(state);
  }
  return known->second;
}

std::string CrashStates::violation(std::size_t prefix, std::uint64_t seed,
                                   const IgnoreSync& ignore) {
  const Found& found = find(crash(prefix, seed, ignore));
  if (!found.trouble.empty()) return found.trouble;
  std::vector<Steps> allowed{run_.steps_after(run_.acknowledged(prefix))};
  for (const Change& change : run_.pending(prefix)) {
    // Each on its own: before a sync they may survive in any combination.
    const std::size_t before = allowed.size();
    for (std::size_t i = 0; i < before; ++i) {
      allowed.push_back(allowed[i]);
      change.apply(allowed.back());
    }
  }
  if (std::ranges::find(allowed, found.steps) != allowed.end()) return {};
  return fmt::format("found {}; acknowledged {}, with what was under way {}",
                     to_string(found.steps), to_string(allowed.front()), to_string(allowed.back()));
}

std::string CrashStates::continuation(std::size_t prefix, std::uint64_t seed,
                                      const IgnoreSync& ignore) {
  const std::string state = (scratch_ / "continued").string();
  fs::create_directory(state);
  engine::internal::write_tree(crash(prefix, seed, ignore), state);
  std::string trouble;
  try {
    trouble = go_on(state + "/" + kRootPath, prefix);
  } catch (const Error& error) {
    trouble = error.what();
  }
  fs::remove_all(state);
  return trouble;
}

std::string CrashStates::go_on(const std::string& root, std::size_t prefix) {
  constexpr Step kNewStep = 1000;
  const auto manager = open_manager(engine_, root, nullptr, std::nullopt, run_.incremental(),
                                    run_.layout(), run_.atomicity());
  // There a step that has come about cannot be saved again.
  const bool replaces = run_.atomicity() == Atomicity::rename;
  Steps expected = run_.steps_after(run_.acknowledged(prefix));
  for (const Change& change : run_.pending(prefix)) {
    change.apply(expected);
    const std::vector<Step> there = manager->all_steps();
    const bool is_there = std::ranges::find(there, change.step) != there.end();
    if (change.kind == Change::Kind::save) {
      if (replaces || !is_there) save_and_wait(*manager, change.step, change.version);
    } else if (is_there) {
      manager->delete_step(change.step).get();
    }
  }
  save_and_wait(*manager, kNewStep, 1);
  expected[kNewStep] = 1;
  const Found found = look(engine_, root, run_.atomicity());
  if (!found.trouble.empty()) return found.trouble;
  if (found.steps != expected) {
    return fmt::format("found {} instead of {}", to_string(found.steps), to_string(expected));
  }
  const std::vector<std::string> left = leftovers(root);
  return left.empty() ? std::string() : "left over: " + left.front();
}

}  // namespace cairn::test
