#pragma once
// What a CheckpointManager does, without a disk and with no code of its own: written step by step
// from the description of its members and options. It remembers the saves and derives the rest.
// What the rules say is in model/rules.h; who plays both, and compares, in model/player.h.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "model/rules.h"

namespace cairn::model {

/// A call of save() that was not refused and has not failed.
struct Save {
  Content content{};
  bool committed = false;  ///< or under way
  bool overwrites = false;
  bool supersedes = false;  ///< all later steps: their run was given up
  /// What goes when it commits, of what is there or comes from saves before it, and from itself.
  std::set<Step> losers{};

  [[nodiscard]] Step step() const { return content.step; }
  [[nodiscard]] bool gives_up(Step other) const { return supersedes && other > step(); }
};

/// Goes on from an older step than the latest.
struct RollBack {
  Step to;
  std::optional<Step> from;  ///< the latest then
  std::size_t since;         ///< the number of the next save then
};

struct Model {
  // The machine.
  std::int64_t now_ns = 0;
  std::map<std::string, Content> disk{};  ///< by the directory's name
  std::set<std::string> unfinished{};     ///< of temporary directories, the names of their steps
  std::size_t aside = 0;                  ///< steps that were moved into todelete_subdir
  bool trash_fault = false;               ///< the next step to be deleted cannot be renamed
  // The manager that is open.
  Settings settings{};
  Contents listed{};                    ///< as of the last listing, and changed since
  std::map<std::size_t, Save> saves{};  ///< by their numbers, in the order of the calls
  std::size_t begun = 0;                ///< saves so far
  std::optional<RollBack> roll_back{};
  bool noticed = false;  ///< notify_preemption()
  std::optional<Step> last_step{};
  std::vector<std::pair<std::int64_t, ErrorCode>> unseen{};  ///< by the value that was to be saved

  // ---- what there is ----

  [[nodiscard]] auto names(Step step) const { return step_names(settings.naming, step); }
  /// Where a step lies; empty: nowhere.
  [[nodiscard]] std::string find(Step step) const {
    for (const std::string& name : names(step))
      if (disk.contains(name)) return name;
    return "";
  }
  /// The error of reading a step that is nowhere.
  [[nodiscard]] ErrorCode missing(Step step) const {
    const bool begins = step >= 0 && unfinished.contains(names(step).front());
    return begins ? ErrorCode::incomplete_checkpoint : ErrorCode::not_found;
  }
  /// Any step, or this one.
  [[nodiscard]] bool is_saving(std::optional<Step> step = std::nullopt) const {
    return std::ranges::any_of(saves, [step](const auto& entry) {
      return !entry.second.committed && (!step || step == entry.second.step());
    });
  }
  /// The steps of the list, after what the saves do to it.
  [[nodiscard]] Contents tracked(bool with_saving = true) const {
    Contents steps = listed;
    for (const auto& [number, save] : saves) {
      if (with_saving && !save.committed) steps[save.step()] = save.content;
      for (const Step loser : save.losers) steps.erase(loser);
    }
    return steps;
  }
  [[nodiscard]] std::optional<Step> latest() const { return latest_of(tracked()); }
  [[nodiscard]] std::optional<Step> latest_committed() const { return latest_of(tracked(false)); }
  [[nodiscard]] std::optional<Step> best() const {
    return settings.best == Best::none ? latest() : best_of(tracked(), settings.best == Best::min);
  }
  /// Later steps, also those that are to go: there, or to come from saves before that one.
  [[nodiscard]] std::set<Step> after(Step step, std::size_t before) const {
    std::set<Step> later;
    for (const auto& [other, content] : listed) later.insert(other);
    for (const auto& [number, save] : saves)
      if (!save.committed && number < before) later.insert(save.step());
    later.erase(later.begin(), later.upper_bound(step));
    return later;
  }
  /// Of another mode than the saves, which is that of the first.
  [[nodiscard]] bool is_other_mode(bool composite) const {
    return !saves.empty() && saves.begin()->second.content.composite != composite;
  }

  // ---- opening and reading ----

  void open(Settings with) {
    *this = Model{now_ns, std::move(disk), std::move(unfinished), aside, false, std::move(with)};
    reload(!settings.lightweight);
    if (!settings.clean_up || settings.read_only) return;
    for (Step step = 0; step <= kStepMax; ++step)
      for (const std::string& name : names(step)) unfinished.erase(name);
  }
  void reload(bool read = true) {
    listed.clear();
    for (Step step = 0; step <= kStepMax; ++step) {
      if (const std::string name = find(step); !name.empty())
        listed[step] = read ? disk.at(name) : Content{.step = step, .unread = true};
      else
        forget(step);
    }
    end_lone_roll_back();
  }
  /// By a call of the mode that the step was saved in.
  std::pair<Answer, Content> restore(std::optional<Step> step) {
    if (!step) step = latest_committed();
    if (!step) step = latest_of(listed);  // what is to go is better than none
    const std::string name = step ? find(*step) : "";
    if (name.empty()) return {missing(step.value_or(-1)), {}};
    const Content& content = disk.at(name);
    if (is_other_mode(content.composite) && saves.begin()->second.committed)
      return {ErrorCode::invalid_argument, content};
    const bool again = roll_back && roll_back->to == *step;
    const bool older = again || step < latest_committed();
    const std::size_t since = again ? roll_back->since : begun;
    roll_back = older ? std::optional(RollBack{*step, latest(), since}) : std::nullopt;
    return {Answer(), content};
  }
  /// There is none without later steps, there or to come from before it.
  void end_lone_roll_back() {
    if (roll_back && after(roll_back->to, roll_back->since).empty()) roll_back.reset();
  }

  // ---- saving ----

  bool reached_preemption(Step step) {
    if (noticed && !last_step) last_step = step;
    return last_step == step;
  }
  bool should_save(Step step) {
    Save save;
    return decide({.step = step}, save).outcome == SaveOutcome::saved;  // or it is an error
  }
  Answer decide(const SaveCall& call, Save& save) {
    if (settings.read_only) return SaveOutcome::skipped_read_only;
    const Contents steps = tracked();
    if (call.force || (call.overwrite && steps.contains(call.step))) return {};
    const bool older = latest_of(steps) >= call.step;
    const bool rolled_back = roll_back && roll_back->to < call.step;
    if (older && (!rolled_back || settings.on_older == OnOlder::skip))
      return SaveOutcome::skipped_older_step;
    const Moment moment{call.step, now_ns, is_saving(), reached_preemption(call.step)};
    if (!is_wanted(moment, steps, settings)) return SaveOutcome::skipped_by_policy;
    if (older && settings.on_older == OnOlder::error) return ErrorCode::invalid_argument;
    // Also steps that are to go for another save: that one may fail.
    save.supersedes = settings.on_older == OnOlder::supersede && rolled_back &&
                      (older || !after(call.step, begun).empty());
    return {};
  }
  /// Where the answer is that it is saved, the save is under way.
  Answer begin_save(const SaveCall& call) {
    const Answer answer = try_to_begin(call);
    if (answer.error) unseen.emplace_back(call.value, *answer.error);
    return answer;
  }
  Answer try_to_begin(const SaveCall& call) {
    if (call.step < 0) return ErrorCode::invalid_argument;
    if (settings.strict_errors)
      if (const auto code = take_errors()) return *code;
    if (is_other_mode(call.composite)) return ErrorCode::invalid_argument;
    Save save{{call.step, call.value, call.loss, now_ns, call.composite}};
    if (const Answer answer = decide(call, save); answer != Answer()) return answer;
    Contents steps = tracked();
    const bool there = steps.contains(call.step);
    const bool goes = std::ranges::any_of(
        saves, [&](const auto& entry) { return entry.second.losers.contains(call.step); });
    save.overwrites = call.overwrite || save.supersedes || (goes && !there);
    if (there && !save.overwrites) return ErrorCode::already_exists;
    if (settings.best != Best::none && !call.loss && !settings.allow_missing)
      return ErrorCode::invalid_argument;
    steps[call.step] = save.content;
    std::erase_if(steps, [&](const auto& entry) { return save.gives_up(entry.first); });
    save.losers = losers_of(steps, settings);
    if (save.supersedes) save.losers.merge(after(call.step, begun));
    saves.emplace(begun++, std::move(save));
    return {};
  }
  Answer end_save(std::size_t number, Fault fault) {
    Save& save = saves.at(number);
    const Step step = save.step();
    save.content.time_ns = now_ns;
    const Answer answer = write(save, fault);
    const bool made = !answer.error || answer.error == ErrorCode::commit_unknown;
    if (made) forget(step);  // what was to go may be the new content now
    if (answer.error) {
      unseen.emplace_back(save.content.value, *answer.error);
      saves.erase(number);
      if (!made && !listed.contains(step)) forget(step);
    } else {
      const bool takes_over = roll_back && save.supersedes && number >= roll_back->since;
      if (takes_over || (roll_back && step > roll_back->from)) roll_back.reset();
      listed[step] = save.content;
      spare(save);
      save.committed = true;
      delete_losers();
    }
    end_lone_roll_back();
    return answer;
  }
  Answer write(const Save& save, Fault fault) {
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
  /// Whoever made the save has got its error.
  void seen(std::int64_t value) {
    std::erase_if(unseen, [value](const auto& error) { return error.first == value; });
  }
  /// All that nobody has seen, and now have been; the first, if any.
  std::optional<ErrorCode> take_errors() {
    if (unseen.empty()) return std::nullopt;
    const ErrorCode first = unseen.front().second;
    unseen.clear();
    return first;
  }

  // ---- deleting ----

  /// No step goes for a save that has failed: those stay that need not go for what is committed.
  void spare(Save& save) const {
    Contents steps = listed;
    for (const auto& [number, other] : saves)  // What is as good as deleted does not count.
      if (other.committed)
        for (const Step step : other.losers) steps.erase(step);
    std::erase_if(steps, [&](const auto& entry) { return save.gives_up(entry.first); });
    // "A step whose metadata is damaged is kept", also where nobody has looked until now.
    for (auto& [step, content] : steps)
      if (content.unread && save.losers.contains(step))
        content.damaged = find(step).empty() || disk.at(find(step)).damaged;
    const std::set<Step> lost = losers_of(steps, settings);
    std::erase_if(save.losers,
                  [&](Step step) { return steps.contains(step) && !lost.contains(step); });
  }
  /// Nothing of the step is there: it need not go until a save has made it.
  void forget(Step step) {
    for (auto& [number, save] : saves) {
      if (!save.committed && save.step() == step) return;
      save.losers.erase(step);
    }
  }
  /// From its end, so that what is left has no gap. Before the manager closes, too.
  void delete_given_up() {
    for (Step step = kStepMax; step > 0; --step)
      for (const auto& [number, save] : saves)
        if (save.gives_up(step)) delete_for(save, step);
  }
  void delete_losers() {
    delete_given_up();
    for (const auto& [number, save] : saves)
      for (Step step = 0; step <= kStepMax; ++step)
        if (!save.gives_up(step)) delete_for(save, step);
  }
  void delete_for(const Save& save, Step step) {
    if (!save.committed || !save.losers.contains(step)) return;
    const bool comes_back = save.gives_up(step) && tracked().contains(step);
    if (is_saving(step) && !comes_back) return;
    if (!remove(step) && settings.background_delete) unseen.emplace_back(-1, ErrorCode::io_error);
  }
  bool remove(Step step) {
    if (!find(step).empty() && std::exchange(trash_fault, false)) return false;
    for (const std::string& name : names(step))
      if (disk.erase(name) > 0 && settings.aside) ++aside;
    listed.erase(step);
    forget(step);
    end_lone_roll_back();
    return true;
  }
  Answer delete_step(Step step) {
    if (settings.read_only) return ErrorCode::permission_denied;
    if (is_saving(step)) return ErrorCode::busy;
    if (!tracked(false).contains(step)) return ErrorCode::not_found;
    return remove(step) ? Answer() : ErrorCode::io_error;
  }
};

}  // namespace cairn::model
