#include "crash/history.h"

#include <cairn/codecs/orbax.h>

#include <filesystem>

#include <fmt/format.h>

namespace cairn::test {
namespace {

constexpr std::size_t kArenaBytes = 4u << 20;
// Larger than what goes into the database, and several blocks of the crash model.
constexpr Index kPackedValues = 2500;
constexpr Index kInlineValues = 6;
// The same in every step, and more than half of what a data file holds: incremental saves link it.
constexpr Index kFrozenValues = 6000;

Array filled(Index values, std::int64_t from) {
  Array array = Array::uninitialized(DType::int64, {values});
  for (std::int64_t& value : array.values<std::int64_t>()) value = from++;
  return array;
}

constexpr std::int64_t first_value(Step step, std::int64_t version) {
  constexpr std::int64_t kApart = 1'000'003;
  return (step * kApart + version) * kApart;
}

Found look_or_throw(const std::shared_ptr<engine::Engine>& engine, const std::string& root,
                    Atomicity atomicity) {
  ManagerOptions options;
  options.engine = engine;
  options.atomicity = atomicity;
  CheckpointManager manager(root, options);
  Found found;
  for (const Step step : manager.all_steps()) {
    const std::string path = root + "/" + std::to_string(step);
    const VerifyReport report = verify_step(engine, path).get();
    if (!report.ok()) {
      found.trouble = fmt::format("step {}: {}", step, report.damages.front().message);
      return found;
    }
    Restored restored = manager.restore(step).get();
    const std::int64_t version = restored.tree().at("version").as<std::int64_t>();
    const SaveOptions with = save_options(version);
    const StepInfo info = inspect_step(engine, path).get();
    const bool same = restored.tree() == content(step, version) &&
                      manager.metrics(step).get() == with.metrics &&
                      info.custom_metadata == with.custom_metadata;
    if (!same) {
      found.trouble = fmt::format("step {}: not what was saved as version {}", step, version);
      return found;
    }
    found.steps[step] = version;
  }
  return found;
}

}  // namespace

std::string to_string(const Steps& steps) {
  std::string text;
  for (const auto& [step, version] : steps) text += fmt::format(" {}v{}", step, version);
  return text.empty() ? "none" : text.substr(1);
}

void Change::apply(Steps& steps) const {
  switch (kind) {
    case Kind::save:
      steps[step] = version;
      return;
    case Kind::remove:
      steps.erase(step);
      return;
  }
}

std::string Change::label() const {
  return fmt::format("{} {}", kind == Kind::save ? "save" : "delete", step);
}

Tree content(Step step, std::int64_t version) {
  const std::int64_t from = first_value(step, version);
  return Tree(Dict{{"packed", Tree(filled(kPackedValues, from))},
                   {"inline", Tree(filled(kInlineValues, -from))},
                   {"frozen", Tree(filled(kFrozenValues, 1))},
                   {"version", Tree(version)},
                   {"text", Tree(fmt::format("step {}, version {}", step, version))}});
}

SaveOptions save_options(std::int64_t version, bool overwrite) {
  SaveOptions options;
  options.force = true;
  options.overwrite = overwrite;
  options.metrics["loss"] = version;
  options.custom_metadata["version"] = version;
  return options;
}

Found look(const std::shared_ptr<engine::Engine>& engine, const std::string& root,
           Atomicity atomicity) {
  try {
    return look_or_throw(engine, root, atomicity);
  } catch (const std::exception& error) {
    Found found;
    found.trouble = error.what();
    return found;
  }
}

bool has_marker(const std::string& step_path) {
  return std::filesystem::exists(step_path + "/" + std::string(orbax::kCommitMarkerFile));
}

std::vector<std::string> leftovers(const std::string& root) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    std::string name = entry.path().filename();
    const bool temporary = name.find(".orbax-checkpoint-tmp") != std::string::npos;
    const bool begun = orbax::step_from_name(name) && !has_marker(entry.path().string());
    if (temporary || begun) names.push_back(std::move(name));
  }
  return names;
}

AcknowledgementLogger::AcknowledgementLogger(std::function<void(std::string)> acknowledged)
    : acknowledged_(std::move(acknowledged)) {}

void AcknowledgementLogger::log(const LogRecord& record) {
  if (record.level != LogLevel::info || !record.step) return;
  const bool saved = record.event == "save" && record.message == "saved";
  if (saved) acknowledged_(fmt::format("save {}", *record.step));
  if (record.event == "delete") acknowledged_(fmt::format("delete {}", *record.step));
}

engine::FaultPlan::Predicate sync_of(std::string directory) {
  return [directory = std::move(directory)](const engine::IoRequest& request) {
    if (request.op != engine::IoOp::sync_all) return false;
    std::error_code error;
    const auto link = fmt::format("/proc/self/fd/{}", request.fd);
    return std::filesystem::read_symlink(link, error) == directory;
  };
}

std::shared_ptr<engine::Engine> small_engine(std::unique_ptr<engine::IoBackend> backend) {
  engine::EngineOptions options;
  options.io_backend = std::move(backend);
  options.staging_bytes = kArenaBytes;
  options.io_window_bytes = kArenaBytes;
  options.cpu_threads = 1;
  return engine::Engine::create(std::move(options));
}

}  // namespace cairn::test
