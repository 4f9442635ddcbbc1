#include "model/model.h"

#include <algorithm>
#include <iterator>
#include <tuple>

namespace cairn::model {

// ---- what is there ----

std::string Model::find(Step step) const {
  for (const std::string& name : names(step))
    if (disk.contains(name)) return name;
  return "";
}

ErrorCode Model::missing(Step step) const {
  const bool begun = step >= 0 && unfinished.contains(names(step).front());
  return begun ? ErrorCode::incomplete_checkpoint : ErrorCode::not_found;
}

bool Model::is_saving() const {
  return std::ranges::any_of(saves, &Save::is_under_way);
}

bool Model::is_saving(Step step) const {
  return std::ranges::any_of(
      saves, [step](const Save& save) { return save.is_under_way() && save.step() == step; });
}

bool Model::doomed(Step step, std::size_t save) const {
  return std::ranges::any_of(saves, [step, save](const Save& later) {
    return later.number >= save && later.losers.contains(step);
  });
}

Contents Model::tracked() const {
  Contents steps = committed;
  std::erase_if(steps, [this](const auto& entry) { return doomed(entry.first); });
  for (const Save& save : saves)
    if (save.is_under_way() && !doomed(save.step(), save.number)) steps[save.step()] = save.content;
  return steps;
}

std::optional<Step> Model::latest() const {
  const Contents steps = tracked();
  return steps.empty() ? std::nullopt : std::optional(steps.rbegin()->first);
}

std::optional<Step> Model::latest_committed() const {
  std::optional<Step> latest;
  for (const auto& [step, content] : committed)
    if (!doomed(step)) latest = step;
  return latest;
}

std::optional<Step> Model::best() const {
  return settings.best == Best::none ? latest() : best_of(tracked(), settings.best == Best::min);
}

std::set<Step> Model::above(Step step, std::size_t first_saves) const {
  std::set<Step> later;
  for (const auto& [other, content] : committed) later.insert(other);
  for (const Save& save : saves)
    if (save.is_under_way() && save.number < first_saves) later.insert(save.step());
  later.erase(later.begin(), later.upper_bound(step));
  return later;
}

// ---- opening and reading ----

void Model::open(Settings with) {
  *this = Model{now_ns, std::move(disk), std::move(unfinished), aside, false, std::move(with)};
  list(!settings.lightweight);
  if (!settings.clean_up || settings.read_only) return;
  for (Step step = 0; step <= kStepMax; ++step)
    for (const std::string& name : names(step)) unfinished.erase(name);
}

void Model::list(bool read) {
  committed.clear();
  for (Step step = 0; step <= kStepMax; ++step) {
    if (const std::string name = find(step); !name.empty())
      committed[step] = read ? disk.at(name) : Content{.step = step, .unread = true};
    prune(step);
  }
}

void Model::reload() {
  list(true);
  end_lone_roll_back();
}

Model::Read Model::restore(std::optional<Step> step) {
  if (!step) step = latest_committed();
  // What is pushed out is better than none.
  if (!step && !committed.empty()) step = committed.rbegin()->first;
  const std::string name = step ? find(*step) : "";
  if (name.empty()) return {missing(step.value_or(-1))};
  const Content& content = disk.at(name);
  const bool other_mode = std::ranges::any_of(saves, [&](const Save& save) {
    return save.state == Save::State::committed && save.content.composite != content.composite;
  });
  if (other_mode) return {ErrorCode::invalid_argument, content};
  const bool again = roll_back && roll_back->to == *step;
  const bool older = again || (latest_committed() && *step < *latest_committed());
  const std::size_t since = again ? roll_back->since : saves.size();
  roll_back.reset();
  if (older) roll_back = {*step, latest().value_or(-1), since};
  return {std::nullopt, content};
}

// ---- whether to save ----

bool Model::reached_preemption(Step step) {
  if (noticed && !agreed) agreed = step;
  return agreed == step;
}

bool Model::wants(Step step) {
  const bool last = reached_preemption(step);
  const Contents steps = tracked();
  const auto next = steps.lower_bound(step);
  const Content* before = next == steps.begin() ? nullptr : &std::prev(next)->second;
  std::vector<SaveRule> rules = settings.save_rules;
  if (rules.empty()) {
    if (const std::int64_t n = settings.should_save_fn; n > 0)
      return last || (step + (before == nullptr ? 0 : before->step)) % n == 0;
    rules = {{SaveRule::Kind::interval, settings.interval},
             {SaveRule::Kind::listed, 1, settings.on_steps},
             {SaveRule::Kind::preemption},
             {SaveRule::Kind::initial}};
  }
  return std::ranges::any_of(rules, [&](const SaveRule& rule) {
    switch (rule.kind) {
      case SaveRule::Kind::interval:
        return step % rule.n == 0;
      case SaveRule::Kind::listed:
        return rule.steps.contains(step);
      case SaveRule::Kind::preemption:
        return last;
      case SaveRule::Kind::initial:
        return before == nullptr;
      case SaveRule::Kind::continuous:
        return !is_saving() && (before == nullptr || rule.n < 0 || before->time_ns > now_ns ||
                                now_ns - before->time_ns >= rule.n * kMsNs);
    }
    return false;
  });
}

Answer Model::decide(const SaveCall& call, Save& save) {
  if (settings.read_only) return SaveOutcome::skipped_read_only;
  const Contents steps = tracked();
  if (call.force || (call.overwrite && steps.contains(call.step))) return {};
  const bool older = !steps.empty() && steps.rbegin()->first >= call.step;
  const bool rolled_back = roll_back && roll_back->to < call.step;
  if (older && (!rolled_back || settings.on_older == OnOlder::skip))
    return SaveOutcome::skipped_older_step;
  if (!wants(call.step)) return SaveOutcome::skipped_by_policy;
  if (older && settings.on_older == OnOlder::error) return ErrorCode::invalid_argument;
  // Of later steps that are to be deleted for another save, too: that one may fail.
  save.supersedes = settings.on_older == OnOlder::supersede && rolled_back &&
                    (older || !above(call.step, saves.size()).empty());
  return {};
}

bool Model::should_save(Step step) {
  Save save;
  const Answer answer = decide({.step = step}, save);
  return answer.error || answer == Answer();
}

// ---- saves ----

Answer Model::admit(const SaveCall& call, Save& save) {
  if (call.step < 0) return ErrorCode::invalid_argument;
  if (settings.strict_errors)
    if (const auto code = take_errors()) return *code;
  const bool other_mode = std::ranges::any_of(saves, [&](const Save& earlier) {
    return earlier.state != Save::State::failed && earlier.content.composite != call.composite;
  });
  if (other_mode) return ErrorCode::invalid_argument;
  const Answer decision = decide(call, save);
  if (decision != Answer()) return decision;
  const bool there = tracked().contains(call.step);
  save.overwrites = call.overwrite || save.supersedes || (!there && doomed(call.step));
  if (there && !save.overwrites) return ErrorCode::already_exists;
  if (settings.best != Best::none && !call.loss && !settings.allow_missing)
    return ErrorCode::invalid_argument;
  return {};
}

Answer Model::begin_save(const SaveCall& call) {
  Save save{saves.size(), {call.step, call.value, call.loss, now_ns, call.composite}};
  const Answer answer = admit(call, save);
  if (answer.error) unseen.emplace_back(call.value, *answer.error);
  if (answer != Answer()) return answer;
  if (save.supersedes) save.losers = above(call.step, saves.size());
  Contents steps = tracked();
  steps[call.step] = save.content;
  std::erase_if(steps, [&](const auto& entry) { return save.gives_up(entry.first); });
  save.losers.merge(losers_of(steps, settings));
  saves.push_back(std::move(save));
  return answer;
}

/// What becomes of the disk.
Answer Model::write(const Save& save, Fault fault) {
  if (fault == Fault::cancelled) return ErrorCode::cancelled;
  if (fault == Fault::no_tree) return ErrorCode::invalid_argument;
  const std::string there = find(save.step());
  if (!there.empty() && !save.overwrites) return ErrorCode::already_exists;
  const std::string name = names(save.step()).front();
  unfinished.erase(name);
  if (fault == Fault::before || fault == Fault::commit) return ErrorCode::io_error;
  disk[name] = save.content;
  if (fault == Fault::last_sync) return ErrorCode::commit_unknown;
  if (!there.empty() && there != name && !std::exchange(trash_fault, false)) disk.erase(there);
  return {};
}

Answer Model::end_save(std::size_t number, Fault fault) {
  Save& save = saves[number];
  const Step step = save.step();
  save.content.time_ns = now_ns;
  const Answer answer = write(save, fault);
  save.state = answer.error ? Save::State::failed : Save::State::committed;
  const bool unknown = answer.error == ErrorCode::commit_unknown;
  if (!answer.error || unknown)  // What was to be deleted before may be the new content now.
    for (std::size_t before = 0; before < number; ++before) saves[before].losers.erase(step);
  if (answer.error) {
    save.losers.clear();
    unseen.emplace_back(save.content.value, *answer.error);
    if (!unknown) prune(step);
  } else {
    committed[step] = save.content;
    const bool in_time = roll_back && number >= roll_back->since;
    if (roll_back && ((save.supersedes && in_time) || step > roll_back->from)) roll_back.reset();
    spare(save);
    delete_losers(false);
  }
  end_lone_roll_back();
  return answer;
}

/// No step goes for a save that has failed: losers stay that would not go for those that are there.
void Model::spare(Save& save) {
  Contents steps = committed;
  std::erase_if(steps, [&](const auto& entry) {  // What is as good as deleted does not count.
    return save.gives_up(entry.first) || std::ranges::any_of(saves, [&](const Save& other) {
             return other.number != save.number && other.state == Save::State::committed &&
                    other.losers.contains(entry.first);
           });
  });
  // "A step whose metadata is damaged is kept", also where nobody has looked until now.
  for (auto& [step, content] : steps)
    if (content.unread && save.losers.contains(step))
      content.damaged = find(step).empty() || disk.at(find(step)).damaged;
  const std::set<Step> lost = losers_of(steps, settings);
  std::erase_if(save.losers,
                [&](Step step) { return steps.contains(step) && !lost.contains(step); });
}

// ---- deletions ----

/// Forgets deletions of what is not there, nor to come.
void Model::prune(Step step) {
  if (committed.contains(step)) return;
  for (Save& save : saves) {
    if (save.is_under_way() && save.step() == step) return;
    save.losers.erase(step);
  }
}

void Model::delete_losers(bool given_up_only) {
  // The run that was given up first, from its end.
  std::set<std::tuple<Step, std::size_t, Step>> deletions;
  for (const Save& save : saves)
    for (const Step step : save.losers)
      if (save.state == Save::State::committed)
        deletions.emplace(save.gives_up(step) ? -step : 1, save.number, step);
  for (const auto& [order, by, step] : deletions) {
    const bool given_up = saves[by].gives_up(step);
    if (!saves[by].losers.contains(step) || (given_up_only && !given_up)) continue;
    const bool replaced =
        given_up && std::ranges::any_of(saves, [&, s = step](const Save& save) {
          return save.is_under_way() && save.step() == s && !doomed(s, save.number);
        });
    if (is_saving(step) && !replaced) continue;
    if (!remove(step) && settings.background_delete) unseen.emplace_back(-1, ErrorCode::io_error);
  }
}

/// False where the step cannot be taken off the disk.
bool Model::remove(Step step) {
  if (!find(step).empty() && std::exchange(trash_fault, false)) return false;
  for (const std::string& name : names(step))
    if (disk.erase(name) > 0 && settings.aside) ++aside;
  committed.erase(step);
  prune(step);
  return true;
}

Answer Model::delete_step(Step step) {
  if (settings.read_only) return ErrorCode::permission_denied;
  if (is_saving(step)) return ErrorCode::busy;
  if (!committed.contains(step) || doomed(step)) return ErrorCode::not_found;
  if (!remove(step)) return ErrorCode::io_error;
  end_lone_roll_back();
  return {};
}

void Model::end_lone_roll_back() {
  if (roll_back && above(roll_back->to, roll_back->since).empty()) roll_back.reset();
}

// ---- errors ----

void Model::seen(std::int64_t value) {
  std::erase_if(unseen, [value](const auto& error) { return error.first == value; });
}

std::optional<ErrorCode> Model::take_errors() {
  if (unseen.empty()) return std::nullopt;
  const ErrorCode first = unseen.front().second;
  unseen.clear();
  return first;
}

}  // namespace cairn::model
