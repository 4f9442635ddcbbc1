#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/begun_step.h>
#include <cairn/manager/internal/held_lock.h>
#include <cairn/manager/internal/marker.h>
#include <cairn/manager/internal/pause_gate.h>
#include <cairn/manager/internal/random.h>
#include <cairn/manager/internal/root_metadata.h>
#include <cairn/manager/internal/step_directory.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace cairn::internal {
namespace {

constexpr std::size_t kIncarnationBytes = 16;
constexpr std::size_t kFreshSuffixBytes = 8;

std::string host_name() {
  std::array<char, 256> buffer{};
  if (::gethostname(buffer.data(), buffer.size() - 1) != 0) return "unknown";
  return buffer.data();
}

ErrorContext at(std::string operation, const std::string& path) {
  ErrorContext context;
  context.operation = std::move(operation);
  context.path = path;
  return context;
}

/// Throws busy while a reader holds the step; what opening the file that it would hold fails with,
/// but for not_found: then nobody knows whether one does. The handle is kept until the step is
/// gone.
Task<std::unique_ptr<HeldLock>> exclude_readers_of(FolderPtr folder, std::string operation) {
  // Readers hold a shared lock on the step's metadata file while they read.
  LockFile metadata = co_await open_lock_file(folder, std::string(orbax::kStepMetadataFile),
                                              engine::OpenMode::read);
  if (metadata.error && engine::classify(metadata.error) != engine::ErrorKind::not_found) {
    raise_open_failure(metadata.error, "look whether a reader holds the step",
                       join_path(folder->path, std::string(orbax::kStepMetadataFile)));
  }
  if (!metadata.error) {
    const engine::error_code lock_error = co_await metadata.lock->lock(true);
    if (lock_error && engine::classify(lock_error) == engine::ErrorKind::busy) {
      ErrorContext context = at(std::move(operation), folder->path);
      context.remedy = "Delete it when the reader is done";
      throw Error(ErrorCode::busy, "a reader holds the step", context);
    }
  }
  co_return std::move(metadata.lock);
}

/// After a rename: the file has another path now, and who opens that would not wait for this.
Task<void> admit_readers(std::unique_ptr<HeldLock> held) {
  if (held) co_await held->unlock();
}

}  // namespace

Owner::Owner() : incarnation(random_hex(kIncarnationBytes)), host(host_name()), pid(::getpid()) {}

std::string Owner::text() const {
  boost::json::object object;
  object["incarnation"] = incarnation;
  object["host"] = host;
  object["pid"] = pid;
  return boost::json::serialize(object);
}

std::string describe_owner(const std::string& text) {
  // A writer empties the file before it writes its record.
  if (text.empty()) return "it has not written who it is yet";
  boost::json::error_code error;
  const boost::json::value record = boost::json::parse(text, error);
  const auto* object = error ? nullptr : record.if_object();
  const auto* host = object == nullptr ? nullptr : object->if_contains("host");
  const auto* pid = object == nullptr ? nullptr : object->if_contains("pid");
  const auto plain = [](unsigned char c) { return c > ' ' && c != 0x7f; };
  if (host == nullptr || !host->is_string() || pid == nullptr || !pid->is_int64() ||
      !std::ranges::all_of(host->get_string(), plain)) {
    return "its record of who it is is damaged";
  }
  return "host " + std::string(host->get_string()) + ", pid " + std::to_string(pid->get_int64());
}

StepDirectory::StepDirectory(FolderPtr root, StepRules rules, Step step, std::string owner)
    : root_(std::move(root)),
      rules_(std::move(rules)),
      step_(step),
      owner_(std::move(owner)),
      final_(rules_.names->name(step)),
      name_(renames() ? temporary_name(final_) : final_) {}

Task<void> StepDirectory::refuse_existing(bool overwrite) {
  const std::optional<std::string> existing = co_await find_step(root_, rules_, step_);
  if (!existing) co_return;
  ErrorContext context = at("", join_path(root_->path, *existing));
  if (overwrite && renames()) {
    replaces_ = *existing;
    co_return;
  }
  if (overwrite) {
    context.remedy = "Delete the step first";
    throw Error(ErrorCode::not_supported, "atomicity commit_file cannot replace a step", context);
  }
  context.remedy = "Save with overwrite, delete the step first, or choose another number";
  throw Error(ErrorCode::already_exists, "the step is there already", context);
}

Task<void> StepDirectory::create(bool overwrite) {
  co_await refuse_existing(overwrite);
  if (renames()) {
    co_await remove_tree(root_, name_);
  } else {
    co_await remove_begun();
  }
  begun_ = true;
  folder_ = co_await make_subfolder(root_, name_);
  // Its content is not synced: it tells living writers apart.
  co_await write_unsynced_file(folder_, std::string(kOwnerFile), owner_);
  // That it is there tells, without a temporary name, that this is a save: before anything else is.
  if (!renames()) co_await sync_folder(folder_);
}

Task<void> StepDirectory::remove_begun() {
  const std::optional<engine::FileStatus> there = co_await find_status(root_, name_);
  if (!there) co_return;
  std::optional<std::string> evidence;
  if (there->type == engine::FileType::directory) {
    FolderPtr folder = co_await open_subfolder(root_, name_);
    evidence = co_await find_evidence(folder);
  }
  if (!evidence) {
    ErrorContext context = at("", join_path(root_->path, name_));
    context.remedy =
        "Delete it if nobody needs it, or open the root with Atomicity::rename, where it is a step";
    throw Error(ErrorCode::already_exists,
                "what has the step's name has no " + std::string(orbax::kCommitMarkerFile) +
                    ", and nothing tells that it is of a save that never ended",
                context);
  }
  co_await remove_begun_step(root_, name_, *evidence);
}

Task<void> StepDirectory::check_owner() {
  // By the open descriptor: a directory that somebody removed and made anew has another record, or
  // none.
  std::optional<std::string> found =
      co_await read_file_if_there(folder_, std::string(kOwnerFile), kOwnerFileBytesMax);
  if (found == owner_) co_return;
  ErrorContext context = at("commit", folder_->path);
  context.remedy = "Let one process at a time write in a root";
  throw Error(ErrorCode::busy,
              "another writer took the directory over: " +
                  (found ? describe_owner(*found) : std::string("our owner record is gone")),
              context);
}

Task<void> StepDirectory::seal() {
  co_await check_owner();
  if (!renames()) {
    // Everything but the marker must be there before the marker is. The owner record stays until
    // then: with neither, nobody could tell what this is.
    co_await sync_folder(folder_);
    co_await sync_folder(root_);
    co_return;
  }
  auto [error] = co_await folder_->handle.async_unlink(std::string(kOwnerFile), kAsTuple);
  if (error) raise_failure(error, "remove owner record", folder_->path);
  co_await write_marker();
  co_await sync_folder(folder_);
}

Task<void> StepDirectory::write_marker() {
  co_await write_file(folder_, std::string(orbax::kCommitMarkerFile), commit_marker_text());
}

Task<std::optional<std::string>> StepDirectory::commit(bool overwrite) {
  std::optional<std::string> replaced;
  const bool exchanges = overwrite && replaces_ == final_;
  if (exchanges) {
    replaced = trash_name(final_);
    co_await rename_entry(root_, name_, *replaced);
    name_ = *replaced;
  }
  std::exception_ptr failure;
  try {
    if (!renames()) {
      co_await write_marker();
    } else if (exchanges) {
      co_await exchange_entries(root_, name_, final_);
    } else {
      co_await rename_entry(root_, name_, final_);
    }
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure && !renames()) co_await take_marker_back(failure);
  if (failure) co_await explain_failed_rename(failure);
  FolderPtr commits = renames() ? root_ : folder_;
  auto [error] = co_await commits->handle.async_sync(kAsTuple);
  if (!error && overwrite && !replaces_.empty() && !exchanges) {
    // The old step has another name, under which it is looked for after ours: where it cannot go
    // (a reader holds it), it is in nobody's way.
    try {
      replaced = co_await move_step_to_trash(root_, replaces_);
    } catch (const Error&) {
      replaced.reset();
    }
  }
  if (!error && !renames()) {
    // Beside the marker it tells nothing, and harms nobody where it stays.
    auto [ignored] = co_await folder_->handle.async_unlink(std::string(kOwnerFile), kAsTuple);
    static_cast<void>(ignored);
  }
  if (!error) co_return replaced;
  const Error cause = system_failure(error, "sync directory", commits->path);
  ErrorContext context = at("commit", join_path(root_->path, final_));
  context.remedy = "Nothing was deleted; reload() tells whether the step is there";
  throw Error(ErrorCode::commit_unknown,
              "the step has its name, but whether that survives a power loss is unknown: " +
                  std::string(cause.reason()),
              context);
}

Task<void> StepDirectory::take_marker_back(std::exception_ptr failure) {
  ErrorContext context = at("commit", folder_->path);
  context.remedy = "Nothing was deleted; reload() tells whether the step is there";
  std::exception_ptr held;
  try {
    excluded_ = co_await exclude_readers_of(folder_, "commit");
  } catch (...) {
    held = std::current_exception();
  }
  if (held) {
    throw Error(ErrorCode::commit_unknown,
                "the step's marker could not be written well (" + message_of(failure) +
                    "), and stays: " + message_of(held),
                context);
  }
  auto [error] =
      co_await folder_->handle.async_unlink(std::string(orbax::kCommitMarkerFile), kAsTuple);
  auto [sync_error] = co_await folder_->handle.async_sync(kAsTuple);
  const bool gone = !error || engine::classify(error) == engine::ErrorKind::not_found;
  if (gone && !sync_error) std::rethrow_exception(failure);
  co_await admit_readers(std::move(excluded_));
  throw Error(ErrorCode::commit_unknown,
              "the step's marker could not be written, and may be there: " + message_of(failure),
              context);
}

Task<void> StepDirectory::explain_failed_rename(std::exception_ptr failure) {
  // A network file system may carry a call out and lose the answer: what has the name by now tells.
  auto [error, there] = co_await root_->handle.async_stat(final_, kAsTuple);
  auto [error_of_ours, ours] = co_await folder_->handle.async_stat(std::string(), kAsTuple);
  const bool absent = error && engine::classify(error) == engine::ErrorKind::not_found;
  const bool another =
      !error && !error_of_ours && (there.inode != ours.inode || there.device != ours.device);
  if (absent || another) std::rethrow_exception(failure);
  ErrorContext context = at("commit", join_path(root_->path, final_));
  context.remedy = "Nothing was deleted; reload() tells whether the step is there";
  throw Error(
      ErrorCode::commit_unknown,
      "the rename was reported as failed, but may have been carried out: " + message_of(failure),
      context);
}

Task<void> StepDirectory::discard() {
  if (!begun_) co_return;
  if (!folder_) {
    // It was made, perhaps, and could not be opened: if it is ours, it is empty.
    auto [ignored] = co_await root_->handle.async_remove_directory(name_, kAsTuple);
    static_cast<void>(ignored);
    co_return;
  }
  std::optional<engine::FileStatus> there = co_await find_status(root_, name_);
  auto [error, ours] = co_await folder_->handle.async_stat(std::string(), kAsTuple);
  if (error || !there || there->inode != ours.inode || there->device != ours.device) co_return;
  if (renames()) {
    co_await remove_tree(root_, name_);
  } else {
    co_await remove_begun_step(root_, name_, std::string(kOwnerFile));
  }
  co_await admit_readers(std::move(excluded_));
}

namespace {

/// The same of a step of the root, which is to be deleted.
Task<std::unique_ptr<HeldLock>> exclude_readers(FolderPtr root, std::string name) {
  FolderPtr folder = co_await open_subfolder(root, name);
  co_return co_await exclude_readers_of(folder, "delete step " + name);
}

/// And what was left of the root's metadata, without counting it.
Task<std::size_t> remove_named(FolderPtr root, StepRules rules,
                               bool (*chosen)(const StepRules&, std::string_view),
                               PauseGatePtr gate) {
  std::size_t removed = 0;
  bool synced = false;
  const auto entries = co_await list_folder(root);
  for (const engine::DirectoryEntry& entry : entries) {
    if (gate && gate->closed()) break;
    if (entry.type == engine::FileType::regular && is_root_metadata_leftover(entry.name)) {
      co_await remove_tree(root, entry.name, 0, gate);
    }
    if (entry.type != engine::FileType::directory || !chosen(rules, entry.name)) continue;
    // The writer that died may not have synced the rename or exchange: after a loss of power a step
    // would have its name back, and what is removed here would be missing in it.
    if (!std::exchange(synced, true)) co_await sync_folder(root);
    const bool held = co_await is_held_by_reader(root, entry.name);
    if (held) continue;
    co_await remove_tree(root, entry.name, 0, gate);
    ++removed;
  }
  co_return removed;
}

/// commit_file: saves that never ended have their steps' names.
Task<std::size_t> remove_begun_steps(FolderPtr root, StepRules rules) {
  std::size_t removed = 0;
  const auto entries = co_await list_folder(root);
  for (const engine::DirectoryEntry& entry : entries) {
    if (entry.type != engine::FileType::directory || !rules.names->parse(entry.name)) continue;
    const std::optional<std::string> evidence = co_await find_begun_step(root, entry.name);
    // What is empty may be anybody's.
    if (!evidence || evidence->empty()) continue;
    const bool held = co_await is_held_by_reader(root, entry.name);
    if (held) continue;
    co_await remove_begun_step(root, entry.name, *evidence);
    ++removed;
  }
  co_return removed;
}

}  // namespace

Task<bool> is_held_by_reader(FolderPtr root, std::string name) {
  std::exception_ptr refused;
  try {
    std::unique_ptr<HeldLock> lock = co_await exclude_readers(root, name);
    co_await admit_readers(std::move(lock));
  } catch (...) {
    refused = std::current_exception();
  }
  if (!refused || code_of(refused) == ErrorCode::not_found) co_return false;
  if (code_of(refused) == ErrorCode::busy) co_return true;
  std::rethrow_exception(refused);
}

Task<std::string> move_step_to_trash(FolderPtr root, std::string name) {
  std::unique_ptr<HeldLock> held = co_await exclude_readers(root, name);
  const std::string trash = trash_name(name);
  co_await rename_entry(root, name, trash);
  co_await sync_folder(root);
  co_await admit_readers(std::move(held));
  co_return trash;
}

Task<void> move_step_aside(FolderPtr root, std::string name, std::string subdir) {
  const std::unique_ptr<HeldLock> held = co_await exclude_readers(root, name);
  FolderPtr aside = co_await open_or_make_subfolder(root, subdir);
  std::string target = name;
  const auto taken = co_await find_status(aside, target);
  if (taken) target += "-" + random_hex(kFreshSuffixBytes);
  co_await move_entry(root, name, aside, target);
  co_await sync_folder(aside);
  co_await sync_folder(root);
}

Task<std::size_t> remove_leftover_trash(FolderPtr root, StepRules rules, PauseGatePtr gate) {
  co_return co_await remove_named(root, rules, &is_trash_name, gate);
}

Task<std::size_t> remove_leftovers(FolderPtr root, StepRules rules) {
  const PauseGatePtr none;
  const std::size_t named = co_await remove_named(root, rules, &is_leftover_name, none);
  if (rules.atomicity == Atomicity::rename) co_return named;
  const std::size_t begun = co_await remove_begun_steps(root, rules);
  co_return named + begun;
}

}  // namespace cairn::internal
