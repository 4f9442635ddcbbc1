// What the managers of several processes tell each other outside a save's own steps (those are in
// save_job_processes.cpp).

#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/manager_core.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_reader.h>
#include <cairn/manager/internal/wire.h>
#include <fmt/format.h>

#include <algorithm>

namespace cairn {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

namespace {

constexpr std::uint64_t kDigestedBytesMax = 64u << 20;  // of a file

std::string encode_records(const std::vector<StepRecord>& records) {
  WireWriter text;
  text.number(records.size());
  for (const StepRecord& record : records) {
    text.number(static_cast<std::uint64_t>(record.info.step));
    text.number(static_cast<std::uint64_t>(record.info.time_ns));
    text.number((record.unread ? 1u : 0u) | (record.info.damaged ? 2u : 0u));
    text.bytes(record.info.metrics ? orbax::to_json(*record.info.metrics) : "");
  }
  return text.take();
}

std::vector<StepRecord> decode_records(const std::string& bytes) {
  WireReader from(bytes);
  std::vector<StepRecord> records(from.count());
  for (StepRecord& record : records) {
    record.info.step = static_cast<Step>(from.number());
    record.info.time_ns = static_cast<std::int64_t>(from.number());
    const std::uint64_t flags = from.number();
    record.unread = (flags & 1u) != 0;
    record.info.damaged = (flags & 2u) != 0;
    const std::string_view metrics = from.bytes();
    if (metrics.empty()) continue;
    record.info.metrics = orbax::parse_json(metrics, "metrics of the primary").as_object();
  }
  from.end();
  return records;
}

void put_steps(WireWriter& to, const std::vector<Step>& steps) {
  to.number(steps.size());
  for (const Step step : steps) to.number(static_cast<std::uint64_t>(step));
}

std::vector<Step> get_steps(WireReader& from) {
  std::vector<Step> steps(from.count());
  for (Step& step : steps) step = static_cast<Step>(from.number());
  return steps;
}

}  // namespace

GroupScopePtr CheckpointManager::Impl::next_scope(const std::string& what,
                                                  std::atomic<std::uint64_t>& n) {
  if (!group_) return nullptr;
  return std::make_shared<const GroupScope>(group_, what + "." + std::to_string(++n));
}

// ---- listing ------------------------------------------------------------------------------------

Task<std::vector<StepRecord>> CheckpointManager::Impl::list_by_role(bool create, bool read,
                                                                    GroupScopePtr scope) {
  const bool for_all = options.single_host_load_and_broadcast;
  std::vector<StepRecord> records;
  if (is_primary()) {
    records = co_await list_root(create, read);
    if (!opened_) co_await prepare_root();
    if (!shares_root()) co_return records;
    std::string steps;
    if (for_all) steps = encode_records(records);
    const std::string told = co_await group_->broadcast(scope->name("steps"), std::move(steps));
    static_cast<void>(told);
    co_return records;
  }
  // The primary has made the root by then.
  const std::string told = co_await group_->broadcast(scope->name("steps"), std::string());
  if (!for_all) {
    records = co_await list_root(false, read);
    co_return records;
  }
  co_return decode_records(told);
}

Task<std::vector<StepRecord>> CheckpointManager::Impl::list_together(bool create, bool read,
                                                                     GroupScopePtr scope) {
  const auto self = shared_from_this();
  std::exception_ptr failure;
  std::vector<StepRecord> records;
  try {
    records = co_await list_by_role(create, read, scope);
    // What one of them cannot open is open for none.
    if (!opened_) co_await group_->barrier(scope->name("opened"));
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return records;
  scope->fail(as_error(failure, "list steps", directory));
  std::rethrow_exception(failure);
}

// ---- deleting -----------------------------------------------------------------------------------

Task<void> CheckpointManager::Impl::tell_losers(JobPtr job, std::vector<Step> gone) {
  WireWriter text;
  put_steps(text, gone);
  std::vector<Step> deferred;
  for (const Deferred& deletion : deferred_) deferred.push_back(deletion.step);
  put_steps(text, deferred);
  text.number(job->distrusted ? 1 : 0);
  std::string bytes = text.take();
  std::exception_ptr untold;
  try {
    const std::string told =
        co_await group_->broadcast(job->scope->name("deleted"), std::move(bytes));
    static_cast<void>(told);
  } catch (...) {
    untold = std::current_exception();
  }
  if (untold) log(LogLevel::warning, "delete", job->step, message_of(untold));
}

Task<void> CheckpointManager::Impl::hear_losers(JobPtr job) {
  std::vector<Step> gone;
  std::vector<Step> deferred;  // not listed, and still there: to be deleted later
  std::exception_ptr unheard;
  try {
    const std::string told = co_await group_->broadcast(job->scope->name("deleted"), std::string());
    WireReader from(told);
    gone = get_steps(from);
    deferred = get_steps(from);
    if (from.at_most(1) == 1) index.distrust(job->step);
    from.end();
  } catch (...) {
    unheard = std::current_exception();
  }
  for (const Step step : job->losers) {
    const bool stays = std::ranges::find(gone, step) == gone.end() &&
                       std::ranges::find(deferred, step) == deferred.end();
    if (stays) index.spare(step, job->listed);
  }
  for (const Step step : gone) index.forget(step);
  end_lone_roll_back();
  if (unheard) {
    log(LogLevel::warning, "delete", job->step, message_of(unheard));
    co_return;
  }
  // What the primary had deferred, and has taken back since, is listed again here, too.
  const std::vector<Deferred> before = std::exchange(deferred_, {});
  for (const Step step : deferred) {
    const auto known = std::ranges::find(before, step, &Deferred::step);
    deferred_.push_back(known == before.end() ? deferral(*job, step) : *known);
  }
  for (const Deferred& deletion : before) {
    const Step step = deletion.step;
    const bool pending = std::ranges::find(deferred, step) != deferred.end() ||
                         std::ranges::find(gone, step) != gone.end();
    if (!pending) index.spare_up_to(step, job->listed);
  }
}

Task<void> CheckpointManager::Impl::tell_delete(DeletePtr job, std::exception_ptr failure) {
  WireWriter text;
  text.number(job->gone ? 1 : 0);
  text.number(failure ? 1 : 0);
  if (failure) ProcessGroup::put_failure(text, as_error(failure, "", directory));
  std::string bytes = text.take();
  std::exception_ptr untold;
  try {
    const std::string told = co_await group_->broadcast(job->scope->name("done"), std::move(bytes));
    static_cast<void>(told);
  } catch (...) {
    untold = std::current_exception();
  }
  if (untold) log(LogLevel::warning, "delete", job->step, message_of(untold));
}

Task<void> CheckpointManager::Impl::hear_delete(DeletePtr job) {
  // The primary alone knows whether the step goes. A missed deadline is told to the caller, and the
  // list is put right when the primary says how it ended.
  job->past_recall = true;
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  std::exception_ptr failure;
  try {
    co_await group_->barrier(job->scope->name("begin"));
    const std::string told = co_await group_->await_broadcast(job->scope->name("done"));
    WireReader from(told);
    job->gone = from.at_most(1) == 1;
    if (from.at_most(1) == 1) throw group_->get_failure(from, directory);
  } catch (...) {
    failure = std::current_exception();
  }
  co_await end_writing();
  if (failure) {
    failure = as_error(failure, "delete step " + std::to_string(job->step), directory);
    if (!job->settled) log(LogLevel::error, "delete", job->step, message_of(failure));
  }
  end_delete(job);
  settle_delete(job, failure);
  job->quarantine.release();
}

// ---- restoring ----------------------------------------------------------------------------------

Task<std::string> CheckpointManager::Impl::digest_of(std::string root_path, Step step) {
  const std::string path = co_await path_of_step(std::move(root_path), step);
  const OpenStepPtr opened = co_await open_step(engine, path);
  const std::string metadata(orbax::kStepMetadataFile);
  const std::string manifest = "manifest.ocdbt";
  auto text = co_await read_file_if_there(opened->folder, metadata, kDigestedBytesMax);
  std::string all = text.value_or("");
  for (const std::string& item : opened->items) {
    const FolderPtr folder = co_await item_folder(opened, item);
    auto root = co_await read_file_if_there(folder, manifest, kDigestedBytesMax);
    all += item + "\n" + root.value_or("");
  }
  co_await close_step(opened);
  co_return content_hash(all);
}

Task<std::vector<Step>> CheckpointManager::Impl::common_steps(std::string root_path,
                                                              GroupScopePtr scope) {
  FolderPtr root = co_await open_folder(engine, root_path);
  WireWriter mine;
  std::vector<Step> here;
  const std::vector<ListedStep> listed = co_await list_committed_steps(root, rules);
  for (const ListedStep& one : listed) here.push_back(one.step);
  put_steps(mine, here);
  std::string bytes = mine.take();
  const std::vector<std::string> lists =
      co_await group_->gather(scope->name("have"), std::move(bytes));
  WireWriter chosen;
  if (group_->leads()) {
    for (const std::string& list : lists) {
      WireReader from(list);
      const std::vector<Step> there = get_steps(from);
      std::erase_if(here, [&](Step step) { return std::ranges::find(there, step) == there.end(); });
    }
    put_steps(chosen, here);
  }
  bytes = chosen.take();
  const std::string told = co_await group_->broadcast(scope->name("common"), std::move(bytes));
  WireReader from(told);
  co_return get_steps(from);
}

Task<Step> CheckpointManager::Impl::agree_on_step(std::string root_path, std::optional<Step> step,
                                                  GroupScopePtr scope) {
  if (!step && !shares_root()) {
    const std::vector<Step> common = co_await common_steps(root_path, scope);
    if (common.empty()) {
      throw with_operation(ErrorCode::not_found, "there is no step that every process has", "",
                           root_path);
    }
    step = common.back();
  }
  WireWriter mine;
  if (group_->leads()) {
    if (!step && root_path == directory) step = index.latest_committed();
    if (!step) step = co_await newest_step(root_path);
    mine.number(static_cast<std::uint64_t>(*step));
    std::string digest;
    if (shares_root()) digest = co_await digest_of(root_path, *step);
    mine.bytes(digest);
  }
  std::string bytes = mine.take();
  const std::string told = co_await group_->broadcast(scope->name("step"), std::move(bytes));
  WireReader from(told);
  const auto agreed = static_cast<Step>(from.number());
  const std::string digest(from.bytes());
  if (step && *step != agreed) {
    throw with_operation(ErrorCode::invalid_argument,
                         fmt::format("process {} restores step {}, process {} restores step {}",
                                     group_->leader(), agreed, group_->self(), *step),
                         "", root_path, "Restore the same step in every process");
  }
  if (digest.empty() || group_->leads()) co_return agreed;
  const std::string here = co_await digest_of(root_path, agreed);
  if (here == digest) co_return agreed;
  throw with_operation(
      ErrorCode::data_loss,
      fmt::format("step {} is not what process {} sees: its metadata or a manifest differ", agreed,
                  group_->leader()),
      "", root_path, "Give every process the same directory, and replace no step meanwhile");
}

Task<Restored> CheckpointManager::Impl::restore_together(std::string root_path,
                                                         std::optional<Step> step,
                                                         args::RestoreArgs args,
                                                         GroupScopePtr scope) {
  const auto self = shared_from_this();
  const std::int64_t begin = steady_ns(*engine);
  std::exception_ptr failure;
  Restored restored;
  try {
    step = co_await agree_on_step(root_path, step, scope);
    restored = co_await restore_from(root_path, *step, std::move(args));
    co_await group_->barrier(scope->name("done"));
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) {
    report_restored(root_path, *step, restored, begin);
    co_return restored;
  }
  const std::exception_ptr error = report_unrestored(root_path, step, failure, begin);
  scope->fail(error);
  std::rethrow_exception(error);
}

// ---- saving -------------------------------------------------------------------------------------

void CheckpointManager::Impl::check_layout_for_processes(const args::ItemSave& item) const {
  if (!shares_root()) return;
  const auto check = [](const args::TreeSave* tree) {
    if (tree == nullptr || !tree->layout || uses_ocdbt(*tree->layout)) return;
    throw with_operation(ErrorCode::not_supported,
                         fmt::format("several processes cannot save in layout {} together",
                                     to_string(*tree->layout)),
                         "", "", "Use Layout::ocdbt_zarr3");
  };
  check(item.get_if<args::StandardSave>());
  check(item.get_if<args::PyTreeSave>());
}

}  // namespace cairn
