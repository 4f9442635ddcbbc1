#include <cairn/manager/checkpoint_manager.h>
#include <cairn/manager/internal/manager_core.h>

namespace cairn {

CheckpointManager::CheckpointManager(std::string directory, ManagerOptions options)
    : impl_(std::make_shared<Impl>(std::move(directory), std::move(options))) {
  impl_->open();
}

CheckpointManager::~CheckpointManager() {
  // In a forked child nothing of it may be touched. On the strand (the last owner let go inside a
  // callback) waiting would deadlock; what is under way holds the core and ends by itself.
  if (!impl_) return;
  if (impl_->engine->forked()) {
    // Left as it is: its mutexes may be held by threads that this process does not have.
    static_cast<void>(new std::shared_ptr<Impl>(std::move(impl_)));
    return;
  }
  Future<void> closed = impl_->close();
  if (engine::on_any_strand()) return;
  try {
    closed.get();
  } catch (const std::exception& error) {
    impl_->log(LogLevel::error, "close", std::nullopt, error.what());
  }
}

CheckpointManager::CheckpointManager(CheckpointManager&&) noexcept = default;

CheckpointManager& CheckpointManager::operator=(CheckpointManager&& other) noexcept {
  CheckpointManager old(std::move(*this));  // closes what this one had
  impl_ = std::move(other.impl_);
  return *this;
}

const std::string& CheckpointManager::directory() const noexcept {
  return impl_->directory;
}
const std::shared_ptr<engine::Engine>& CheckpointManager::engine() const noexcept {
  return impl_->engine;
}

std::vector<Step> CheckpointManager::all_steps(bool read) const {
  impl_->check_usable();
  if (read) impl_->reload();
  return impl_->index.all();
}
std::optional<Step> CheckpointManager::latest_step() const {
  impl_->check_usable();
  return impl_->index.latest();
}
std::optional<Step> CheckpointManager::latest_committed_step() const {
  impl_->check_usable();
  return impl_->index.latest_committed();
}
std::optional<Step> CheckpointManager::best_step() const {
  impl_->check_usable();
  return impl_->best_step();
}
void CheckpointManager::reload() {
  impl_->reload();
}
bool CheckpointManager::should_save(Step step) const {
  impl_->check_usable();
  return impl_->should_save(step);
}

bool CheckpointManager::reached_preemption(Step step) const {
  return impl_->reached_preemption(step);
}
Future<bool> CheckpointManager::agree_on_preemption(Step step) const {
  return impl_->agree_on_preemption(step);
}
void CheckpointManager::notify_preemption() noexcept {
  impl_->notify_preemption();
}

SaveFuture CheckpointManager::save(Step step, args::SaveArgs args, SaveOptions options) {
  return impl_->save(step, std::move(args), std::move(options));
}
SaveFuture CheckpointManager::save_before_exit(Step step, args::SaveArgs args,
                                               ExitSaveOptions options) {
  return impl_->save_before_exit(step, std::move(args), std::move(options));
}
Future<Restored> CheckpointManager::restore(std::optional<Step> step, args::RestoreArgs args,
                                            RestoreOptions options) const {
  return impl_->restore(step, std::move(args), std::move(options));
}
Future<LatestValid> CheckpointManager::restore_latest_valid(args::RestoreArgs args,
                                                            RestoreOptions options) const {
  return impl_->restore_latest_valid(std::move(args), std::move(options));
}
Future<boost::json::object> CheckpointManager::metrics(Step step) const {
  return impl_->metrics(step);
}
Future<RootMetadata> CheckpointManager::metadata() const {
  return impl_->root_metadata();
}
Future<StepMetadata> CheckpointManager::metadata(Step step) const {
  return impl_->step_metadata(step);
}
Future<ItemsMetadata> CheckpointManager::item_metadata(Step step) const {
  return impl_->item_metadata(step);
}
Future<HeldStep> CheckpointManager::wait_for_new_step(
    std::optional<std::chrono::milliseconds> timeout, std::optional<Step> after) {
  return impl_->wait_for_new_step(timeout, after);
}
Future<void> CheckpointManager::delete_step(Step step) {
  return impl_->delete_step(step);
}
Future<void> CheckpointManager::wait_until_finished() {
  return impl_->wait_until_finished();
}
void CheckpointManager::check_for_errors() {
  impl_->check_usable();
  impl_->board.check();
}
bool CheckpointManager::is_saving_in_progress() const {
  impl_->check_usable();
  return impl_->saving();
}
Future<void> CheckpointManager::close() {
  return impl_->close();
}

}  // namespace cairn
