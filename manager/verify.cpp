#include <cairn/manager/inspect.h>
#include <cairn/manager/internal/file_record.h>
#include <cairn/manager/internal/handler_lookup.h>
#include <cairn/manager/internal/item_reader.h>
#include <cairn/manager/internal/marker.h>
#include <cairn/manager/internal/safetensors_report.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_directory.h>
#include <cairn/manager/internal/verification.h>

#include <algorithm>

namespace cairn {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

Damage damage_of(const std::string& item, const Error& error) {
  Damage damage;
  damage.item = item;
  damage.file = error.context().path;
  damage.offset = error.context().offset;
  damage.key_path = error.context().key_path;
  damage.message = error.what();
  return damage;
}

/// Puts what is wrong, and what could not be checked, into the report. Throws what says nothing of
/// the step: what failed is this process.
void take(VerifyReport& report, const std::string& item, const Error& error) {
  const ErrorCode code = error.code();
  if (code == ErrorCode::data_loss || code == ErrorCode::not_found || code == ErrorCode::io_error) {
    report.damages.push_back(damage_of(item, error));
  } else if (code == ErrorCode::not_supported || code == ErrorCode::permission_denied) {
    report.unchecked.push_back(damage_of(item, error));
  } else {
    throw Error(error);
  }
}

/// Checks the step's metadata against what is there. A restore goes by the files where the metadata
/// cannot be read; that something is wrong with it shows here alone.
void verify_metadata(const OpenStep& step, VerifyReport& report) {
  const auto add = [&](const std::string& item, std::string reason,
                       std::optional<std::uint64_t> offset = std::nullopt) {
    ErrorContext context;
    context.operation = "read";
    context.item = item;
    context.path = join_path(step.folder->path, std::string(orbax::kStepMetadataFile));
    context.offset = offset;
    report.damages.push_back(
        damage_of(item, Error(ErrorCode::data_loss, std::move(reason), context)));
  };
  if (!step.metadata_fault.empty()) {
    add("", "the step's metadata cannot be decoded: " + step.metadata_fault,
        step.metadata_fault_offset);
  }
  if (step.items.empty()) add("", "the step has no items");
  for (const std::string& name : missing_items(step))
    add(name, "the metadata names this item, but its folder is not there");
}

/// A marker is optional; one with other content lost bytes.
Task<void> verify_marker(FolderPtr folder, std::string item, VerifyReport* report) {
  constexpr std::uint64_t kMarkerBytesMax = 64u << 10;
  const std::string name(orbax::kCommitMarkerFile);
  const std::optional<std::string> text =
      co_await read_file_if_there(folder, name, kMarkerBytesMax);
  if (!text || text->starts_with(kCommitMarkerStart)) co_return;
  // Of a save by commit_file that died over its marker, before which all else was durable.
  const std::optional<engine::FileStatus> owner =
      co_await find_status(folder, std::string(kOwnerFile));
  if (owner) co_return;
  ErrorContext context;
  context.operation = "read";
  context.item = item;
  context.path = join_path(folder->path, name);
  std::string reason = "found " + std::to_string(text->size()) + " other bytes where \"" +
                       std::string(kCommitMarkerStart) + "...\" should be";
  report->damages.push_back(
      damage_of(item, Error(ErrorCode::data_loss, std::move(reason), context)));
}

/// `values`: every byte, too.
Task<void> verify_item(OpenStepPtr step, std::string name, VerifyReport* report, bool values) {
  FolderPtr folder = co_await item_folder(step, name);
  if (!step->direct) co_await verify_marker(folder, name, report);
  const HandlerRegistry nothing_registered;
  const HandlerPtr handler = co_await find_reader(nothing_registered, step, name);
  DamageSink sink = [report, name](const Error& error) { take(*report, name, error); };
  if (!handler) {
    report->unchecked_items.push_back(name);
    // Whatever its files mean, they are those of the save, or not.
    co_await verify_recorded_files(folder, name, std::move(sink));
    co_return;
  }
  const auto reader = HandlerAccess::make_reader(*handler);
  co_await reader->verify(step, name, values, std::move(sink), report);
}

/// What ends `check` goes into the report.
Task<void> report_on(Task<void> check, std::string item, std::string path, VerifyReport* report) {
  std::exception_ptr failure;
  try {
    co_await std::move(check);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) take(*report, item, known_error(as_error(failure, "verify", path)));
}

Task<VerifyReport> verify_items(OpenStepPtr step, VerifyReport report, bool values = true) {
  const std::string& path = step->folder->path;
  co_await report_on(verify_marker(step->folder, "", &report), "", path, &report);
  for (const std::string& name : step->items) {
    co_await report_on(verify_item(step, name, &report, values), name, join_path(path, name),
                       &report);
  }
  co_await close_step(step);
  if (report.ok() && report.unchecked.empty()) co_return report;
  const bool gone = co_await is_gone(step->folder);
  if (!gone) co_return report;
  throw step_error(ErrorCode::step_deleted, "it was deleted while it was verified", path);
}

Task<VerifyReport> verify_whole(OpenStepPtr step, std::string path, bool values) {
  VerifyReport report;
  report.path = path;
  verify_metadata(*step, report);
  co_return co_await verify_items(step, std::move(report), values);
}

Task<VerifyReport> verify_at(EnginePtr engine, std::string path, bool follow_links) {
  const PathKind kind = co_await kind_at(engine, path);
  if (kind == PathKind::safetensors)
    co_return co_await verify_safetensors(engine, path, follow_links);
  OpenStepPtr step = co_await open_step_or_item(engine, path);
  step->direct = true;
  step->items.assign(1, "");
  VerifyReport report;
  report.path = path;
  co_return co_await verify_items(step, std::move(report));
}

}  // namespace

Task<VerifyReport> internal::check_step(EnginePtr engine, std::string path, bool values) {
  OpenStepPtr step = co_await open_step(engine, path);
  co_return co_await verify_whole(step, path, values);
}

Task<VerifyReport> internal::check_step_in(FolderPtr folder, bool values) {
  OpenStepPtr step = co_await open_step_in(folder);
  co_return co_await verify_whole(step, folder->path, values);
}

void internal::refuse_damaged(const VerifyReport& report, Step step, const std::string& stays) {
  if (report.ok() && report.unchecked.empty()) return;
  const Damage& first = report.ok() ? report.unchecked.front() : report.damages.front();
  throw with_operation(
      ErrorCode::data_loss, "the new step does not read back, " + stays + ": " + first.message,
      "verify step " + std::to_string(step), report.path, "Save again, and look at the disk");
}

Future<VerifyReport> verify_step(std::shared_ptr<engine::Engine> engine, std::string step_path) {
  return start(engine, check_step(engine, step_path, true), "verify", step_path);
}

Future<VerifyReport> verify_item(std::shared_ptr<engine::Engine> engine, std::string item_path,
                                 bool follow_links) {
  return start(engine, verify_at(engine, item_path, follow_links), "verify", item_path);
}

}  // namespace cairn
