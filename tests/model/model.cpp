#include "model/model.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>

namespace cairn::model {

std::string Model::find(Step step) const {
  for (const std::string& name : names(step))
    if (disk.contains(name)) return name;
  return "";
}

bool Model::reads_metadata() const {
  return settings_.max_to_keep || !settings_.keep_rules.empty() || settings_.best != Best::none ||
         !settings_.save_rules.empty();
}

void Model::list(bool read) {
  committed_.clear();
  for (Step step = 0; step <= kStepMax; ++step) {
    const std::string name = find(step);
    if (name.empty()) continue;
    const Content& content = disk.at(name);
    Known& known = committed_[step];
    known.unread = !read;
    if (!read) continue;
    known.damaged = content.damaged;
    // The directory's own time is the machine's, not of the clock that is injected.
    known.time_ns = content.damaged ? std::numeric_limits<std::int64_t>::max() : content.time_ns;
    if (!content.damaged) known.loss = content.loss;
  }
  std::erase_if(made_by_, [this](const auto& made) { return !committed_.contains(made.first); });
  for (Step step = 0; step <= kStepMax; ++step) prune(step);
}

void Model::open(Settings settings) {
  if (settings.read_only) {  // "write options are reset"
    settings.max_to_keep = settings.keep_period = settings.keep_ms = std::nullopt;
    settings.keep_rules.clear();
    settings.save_rules.clear();
    settings.clean_up = settings.keep_latest = false;
  }
  settings_ = std::move(settings);
  chosen_.clear();
  made_by_.clear();
  deferred_.clear();
  unseen_.clear();
  composite_.reset();
  restored_.reset();
  agreed_.reset();
  noticed = false;
  list(reads_metadata() && !settings_.lightweight);
  if (!settings_.clean_up) return;
  for (Step step = 0; step <= kStepMax; ++step)
    for (const std::string& name : names(step)) unfinished.erase(name);
}

void Model::reload() {
  list(reads_metadata());
  end_lone_roll_back();
}

KnownSteps Model::tracked() const {
  KnownSteps steps = committed_;
  std::erase_if(steps, [this](const auto& entry) { return doomed(entry.first); });
  for (const Save& save : saves)
    if (!doomed(save)) steps[save.call.step] = save.known;
  return steps;
}

std::set<Step> Model::all_steps() const {
  std::set<Step> steps;
  for (const auto& [step, known] : tracked()) steps.insert(step);
  return steps;
}

std::optional<Step> Model::latest() const {
  const std::set<Step> steps = all_steps();
  return steps.empty() ? std::nullopt : std::optional(*steps.rbegin());
}

std::optional<Step> Model::latest_committed() const {
  std::optional<Step> latest;
  for (const auto& [step, known] : committed_)
    if (!doomed(step)) latest = step;
  return latest;
}

bool Model::reached_preemption(Step step) {
  if (noticed && !agreed_) agreed_ = step;
  return agreed_ == step;
}

bool Model::policy_wants(Step step, bool supersedes) {
  Moment moment{step, now_ns};
  moment.last = reached_preemption(step);
  moment.saving = !saves.empty();
  for (const auto& [before, known] : tracked()) {
    if (supersedes && before >= step) break;
    moment.newest = before;
    moment.newest_ns = known.time_ns;
  }
  return wanted_by(settings_, moment);
}

Model::Decision Model::decide(const SaveCall& call) {
  if (settings_.read_only) return {SaveOutcome::skipped_read_only};
  const std::set<Step> steps = all_steps();
  if (call.force || (call.overwrite && steps.contains(call.step))) return {};
  const bool older = !steps.empty() && *steps.rbegin() >= call.step;
  const bool rolled_back = restored_ && *restored_ < call.step;
  if (older && (!rolled_back || settings_.on_older == OnOlder::skip))
    return {SaveOutcome::skipped_older_step};
  if (!policy_wants(call.step, older)) return {SaveOutcome::skipped_by_policy};
  if (older && settings_.on_older == OnOlder::error) return {ErrorCode::invalid_argument};
  // Of later steps that are to be deleted for another save, too: that one may fail.
  const bool later =
      std::ranges::any_of(saves, [&](const Save& save) { return save.call.step > call.step; }) ||
      committed_.upper_bound(call.step) != committed_.end();
  const bool supersedes = settings_.on_older == OnOlder::supersede && rolled_back && later;
  return {SaveOutcome::saved, older || supersedes};
}

bool Model::should_save(Step step) {
  SaveCall call;
  call.step = step;
  const Answer answer = decide(call).answer;
  return answer.error || answer.outcome == SaveOutcome::saved;
}

std::optional<Answer> Model::begin_save(const SaveCall& call) {
  const auto refuse = [&](ErrorCode code) -> Answer {
    unseen_.push_back({call.value, code});
    return code;
  };
  if (call.step < 0) return refuse(ErrorCode::invalid_argument);
  if (settings_.strict_errors)
    if (const auto code = take_errors()) return refuse(*code);
  std::optional<bool> mode = composite_;
  if (!mode && !saves.empty()) mode = saves.front().call.composite;
  if (mode && *mode != call.composite) return refuse(ErrorCode::invalid_argument);
  const Decision decision = decide(call);
  if (decision.answer.error) return refuse(*decision.answer.error);
  if (decision.answer.outcome != SaveOutcome::saved) return decision.answer;
  const bool there = all_steps().contains(call.step);
  const bool overwrites =
      call.overwrite || decision.supersedes || (!chosen_[call.step].empty() && !there);
  if (there && !overwrites) return refuse(ErrorCode::already_exists);
  if (settings_.best != Best::none && !call.loss && !settings_.allow_missing)
    return refuse(ErrorCode::invalid_argument);
  Save save{call, {}, decision.supersedes, overwrites, {now_ns, call.loss}};
  save.roll_back = roll_backs_;
  save.number = ++begun_;
  KnownSteps steps = tracked();
  if (save.supersedes) {
    std::set<Step> later;
    for (const auto& [step, known] : committed_) later.insert(step);
    for (const Save& other : saves) later.insert(other.call.step);
    save.losers.assign(later.upper_bound(call.step), later.end());
    steps.erase(steps.upper_bound(call.step), steps.end());
  }
  steps[call.step] = save.known;
  for (const Step step : losers_of(steps, settings_)) save.losers.push_back(step);
  for (const Step step : save.losers) chosen_[step].insert(save.number);
  saves.push_back(std::move(save));
  return std::nullopt;
}

Answer Model::fail(const Save& save, ErrorCode code) {
  for (const Step step : save.losers) chosen_[step].erase(save.number);
  const Step step = save.call.step;
  if (code == ErrorCode::commit_unknown) {
    // What was to be deleted before may be the new content now.
    std::erase_if(chosen_[step], [&](int by) { return by < save.number; });
  } else {
    prune(step);
  }
  end_lone_roll_back();
  unseen_.push_back({save.call.value, code});
  return code;
}

Answer Model::end_save(std::size_t place) {
  Save save = std::move(saves[place]);
  saves.erase(saves.begin() + static_cast<std::ptrdiff_t>(place));
  const SaveCall& call = save.call;
  if (call.fault == Fault::cancelled) return fail(save, ErrorCode::cancelled);
  if (call.fault == Fault::no_tree) return fail(save, ErrorCode::invalid_argument);
  const std::string there = find(call.step);
  if (!there.empty() && !save.overwrites) return fail(save, ErrorCode::already_exists);
  const std::string name = names(call.step).front();
  unfinished.erase(name);
  if (call.fault == Fault::before || call.fault == Fault::commit)
    return fail(save, ErrorCode::io_error);
  disk[name] = {call.value, call.loss, now_ns, call.composite};
  if (call.fault == Fault::last_sync) return fail(save, ErrorCode::commit_unknown);
  if (!there.empty() && there != name && !std::exchange(trash_fault, false)) disk.erase(there);
  commit(save);
  return SaveOutcome::saved;
}

void Model::commit(Save& save) {
  const Step step = save.call.step;
  save.known.time_ns = now_ns;
  committed_[step] = save.known;
  made_by_[step] = save.number;
  prune(step);
  const bool ends = save.supersedes && save.roll_back == roll_backs_;
  if (ends || step > rolled_back_from_) restored_.reset();
  if (!composite_) composite_ = save.call.composite;
  // No step goes for a save that has failed. What is as good as deleted does not count.
  KnownSteps settled = committed_;
  for (const Deletion& deletion : deferred_)
    if (is_due(deletion)) settled.erase(deletion.step);
  if (save.supersedes) settled.erase(settled.upper_bound(step), settled.end());
  const std::vector<Step> lost = losers_of(settled, settings_);
  std::vector<Deletion> deletions = std::exchange(deferred_, {});
  for (const Step loser : save.losers) {
    const bool superseded = save.supersedes && loser > step;
    // "A step whose metadata is damaged is kept", also where nobody has looked until now.
    const std::string name = find(loser);
    const bool looked = committed_.contains(loser) && committed_.at(loser).unread && !superseded;
    const bool damaged = looked && (name.empty() || disk.at(name).damaged);
    const bool spared = settled.contains(loser) && std::ranges::count(lost, loser) == 0;
    if (spared || damaged) chosen_[loser].erase(save.number);
    deletions.push_back({loser, save.number, superseded});
  }
  carry_out(std::move(deletions));
  end_lone_roll_back();
}

bool Model::is_due(const Deletion& deletion) const {
  const auto chosen = chosen_.find(deletion.step);
  return chosen != chosen_.end() && chosen->second.contains(deletion.by);
}

void Model::carry_out(std::vector<Deletion> deletions) {
  // The run that was given up first, from its end.
  std::ranges::stable_sort(deletions, std::greater(), [](const Deletion& deletion) {
    return deletion.superseded ? deletion.step : -1;
  });
  for (const Deletion& deletion : deletions) {
    if (!is_due(deletion)) continue;
    const Step step = deletion.step;
    const auto of_step = [step](const Save& save) { return save.call.step == step; };
    const bool replaced = deletion.superseded && std::ranges::any_of(saves, [&](const Save& save) {
                            return of_step(save) && !doomed(save);
                          });
    const bool now = replaced || !is_saving(step);
    const bool gone = now && remove(step);
    if (gone) {
      lose(step);
    } else if (now && settings_.background_delete) {
      unseen_.push_back({-1, ErrorCode::io_error});
    }
    if (!gone || is_due(deletion)) deferred_.push_back(deletion);
  }
}

void Model::prune(Step step) {
  std::erase_if(chosen_[step], [&](int by) {
    const bool comes = std::ranges::any_of(
        saves, [&](const Save& save) { return save.call.step == step && save.number <= by; });
    return !comes && !(committed_.contains(step) && maker(step) <= by);
  });
}

void Model::lose(Step step) {
  committed_.erase(step);
  made_by_.erase(step);
  prune(step);
}

void Model::close() {
  std::erase_if(deferred_, [](const Deletion& deletion) { return !deletion.superseded; });
  carry_out(std::exchange(deferred_, {}));
}

void Model::end_lone_roll_back() {
  if (!restored_) return;
  if (!committed_.empty() && committed_.rbegin()->first > *restored_) return;
  const bool comes = std::ranges::any_of(saves, [&](const Save& save) {
    return save.call.step > *restored_ && save.roll_back != roll_backs_;
  });
  if (!comes) restored_.reset();
}

bool Model::remove(Step step) {
  if (find(step).empty()) return true;
  if (std::exchange(trash_fault, false)) return false;
  for (const std::string& name : names(step))
    if (disk.erase(name) > 0 && settings_.aside) ++aside;
  return true;
}

void Model::seen(std::int64_t value) {
  std::erase_if(unseen_, [value](const Unseen& unseen) { return unseen.value == value; });
}

std::optional<ErrorCode> Model::take_errors() {
  if (unseen_.empty()) return std::nullopt;
  const ErrorCode first = unseen_.front().code;
  unseen_.clear();
  return first;
}

Answer Model::delete_step(Step step) {
  if (settings_.read_only) return ErrorCode::permission_denied;
  if (is_saving(step)) return ErrorCode::busy;
  if (!committed_.contains(step) || doomed(step)) return ErrorCode::not_found;
  if (!remove(step)) return ErrorCode::io_error;
  lose(step);
  end_lone_roll_back();
  return {};
}

Model::Read Model::restore(std::optional<Step> step) {
  if (!step) step = to_restore();
  const std::string name = step ? find(*step) : "";
  if (name.empty()) return {missing(step.value_or(-1))};
  const Content& content = disk.at(name);
  const bool other_mode = composite_ && *composite_ != content.composite;
  if (other_mode) return {ErrorCode::invalid_argument, content};
  const bool again = step == restored_;
  const bool older = again || (latest_committed() && *step < *latest_committed());
  if (older && !again) ++roll_backs_;
  restored_ = older ? step : std::nullopt;
  rolled_back_from_ = latest().value_or(-1);
  return {std::nullopt, content};
}

}  // namespace cairn::model
