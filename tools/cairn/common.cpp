#include "common.h"

#include <cairn/codecs/orbax.h>
#include <cairn/manager/engine_error.h>
#include <cairn/manager/step_name.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "table.h"

namespace cairn::cli {
namespace {

// Bounds the memory of an import: a save streams what does not fit. 16 chunks of 16 MiB keep a disk
// busy.
constexpr std::size_t kStagingBytes = 256u << 20;
constexpr std::size_t kStepsListedMax = 20;

std::shared_ptr<engine::Engine> create(const Settings& settings, engine::EngineOptions options) {
  options.backend.kind = settings.backend;
  try {
    return engine::Engine::create(std::move(options));
  } catch (const boost::system::system_error& error) {
    ErrorContext context;
    context.operation = "start I/O";
    context.remedy = engine::remedy(error.code());
    throw Error(ErrorCode::not_supported, error.what(), context);
  }
}

}  // namespace

std::shared_ptr<engine::Engine> make_engine(const Settings& settings) {
  engine::EngineOptions options;
  options.staging_bytes = kStagingBytes;
  return create(settings, std::move(options));
}

std::shared_ptr<engine::Engine> make_roomy_engine(const Settings& settings) {
  return create(settings, engine::EngineOptions());
}

std::shared_ptr<engine::Engine> make_probing_engine(const Settings& settings) {
  engine::EngineOptions options;
  options.registered_buffers = engine::RegisteredBuffers::automatic;
  return create(settings, std::move(options));
}

std::string join_path(const std::string& directory, const std::string& name) {
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

std::string step_list(const std::vector<StepEntry>& steps) {
  if (steps.empty()) return "none";
  std::vector<Step> numbers;
  for (const StepEntry& directory : steps) numbers.push_back(directory.step);
  if (numbers.size() <= kStepsListedMax) return fmt::format("{}", fmt::join(numbers, ", "));
  const auto half = static_cast<std::ptrdiff_t>(kStepsListedMax / 2);
  return fmt::format("{}, ... {}", fmt::join(numbers.begin(), numbers.begin() + half, ", "),
                     fmt::join(numbers.end() - half, numbers.end(), ", "));
}

StepEntry pick_step(const std::shared_ptr<engine::Engine>& engine, const std::string& root,
                    std::optional<Step> step, std::optional<Step> below) {
  std::vector<StepEntry> steps = list_steps(engine, root).get();
  if (below) std::erase_if(steps, [&](const StepEntry& entry) { return entry.step >= *below; });
  if (steps.empty()) throw make_error(ErrorCode::not_found, "there is no step", root);
  const Step number = step.value_or(steps.back().step);
  std::vector<std::string> names;
  for (const StepEntry& entry : steps) {
    if (entry.step != number) continue;
    if (entry.name == std::to_string(number)) return entry;
    names.push_back(entry.name);
  }
  if (names.size() == 1) return StepEntry(number, names.front());
  if (names.empty()) {
    throw make_error(ErrorCode::not_found,
                     fmt::format("there is no step {}; steps: {}", number, step_list(steps)), root);
  }
  throw make_error(
      ErrorCode::invalid_argument,
      fmt::format("several directories are step {}: {}", number, fmt::join(names, ", ")), root,
      "Name the path of one of them");
}

PathKind kind_of(const std::shared_ptr<engine::Engine>& engine, const std::string& path,
                 std::optional<Step> step) {
  const PathKind kind = kind_of_path(engine, path).get();
  if (step && kind != PathKind::root) {
    throw make_error(ErrorCode::invalid_argument,
                     fmt::format("--step is for a root, and this is {}", with_article(kind)), path,
                     "Leave --step out");
  }
  return kind;
}

bool was_deleted(const std::shared_ptr<engine::Engine>& engine, const std::string& root,
                 const std::string& name, const Error& error) {
  if (error.code() == ErrorCode::step_deleted) return true;
  if (error.code() != ErrorCode::not_found) return false;
  const std::vector<StepEntry> steps = list_steps(engine, root).get();
  return std::ranges::find(steps, name, &StepEntry::name) == steps.end();
}

std::string last_component(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

std::optional<Step> step_number(const std::string& path) {
  return any_standard_name_format()->parse(last_component(path));
}

std::string step_label(const std::string& path) {
  const std::optional<Step> step = step_number(path);
  const std::string name = last_component(path);
  if (!step) return "step " + name;
  const std::string number = std::to_string(*step);
  return "step " + number + (name == number ? "" : " (" + name + ")");
}

std::string with_article(PathKind kind) {
  switch (kind) {
    case PathKind::root:
      return "a root";
    case PathKind::step:
      return "a step";
    case PathKind::item:
      return "an item";
    case PathKind::safetensors:
      return "safetensors";
  }
  return "unknown";
}

std::int64_t now_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

std::string describe(const Leftover& leftover, std::int64_t now_ns) {
  return fmt::format(
      "{}, {} old{}{}",
      leftover.deletion ? "step that is not deleted whole" : "save that has not committed",
      human_duration(now_ns - leftover.modified_ns), leftover.writer.empty() ? "" : ", of ",
      leftover.writer);
}

Error make_error(ErrorCode code, std::string reason, std::string path, std::string remedy) {
  ErrorContext context;
  context.path = std::move(path);
  context.remedy = std::move(remedy);
  return Error(code, std::move(reason), context);
}

Error io_failure(const engine::error_code& code, std::string operation, std::string path) {
  ErrorContext context;
  context.operation = std::move(operation);
  context.path = std::move(path);
  context.remedy = engine::remedy(code);
  return Error(error_code_of(engine::classify(code)), code.message(), context);
}

Error system_error(int error, std::string operation, std::string path) {
  return io_failure(engine::from_errno(error), std::move(operation), std::move(path));
}

int exit_status(ErrorCode code) noexcept {
  return code == ErrorCode::data_loss || code == ErrorCode::incomplete_checkpoint ? kDamage
                                                                                  : kCouldNotRun;
}

int worse_status(int a, int b) noexcept {
  if (a == kDamage || b == kDamage) return kDamage;
  return std::max(a, b);
}

void print(std::string_view text) {
  // A failed write shows in ferror(), which main() looks at before it ends.
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stdout));
}

namespace {

/// JSON has no word for NaN and the infinities, which metrics of a diverged run hold.
void name_non_finite(boost::json::value& value) {
  if (auto* object = value.if_object()) {
    for (auto& member : *object) name_non_finite(member.value());
  } else if (auto* array = value.if_array()) {
    for (boost::json::value& element : *array) name_non_finite(element);
  } else if (const double* number = value.if_double(); number && !std::isfinite(*number)) {
    value = std::isnan(*number) ? "NaN" : *number > 0 ? "Infinity" : "-Infinity";
  }
}

}  // namespace

void print_json(boost::json::value value) {
  name_non_finite(value);
  print(boost::json::serialize(value) + "\n");
}

boost::json::object error_json(std::string_view code, std::string_view message) {
  boost::json::object inner;
  inner["code"] = code;
  inner["message"] = message;
  boost::json::object outer;
  outer["error"] = std::move(inner);
  return outer;
}

std::string metrics_text(const boost::json::object& metrics) {
  std::string text;
  for (const auto& [name, value] : metrics) {
    const std::string number = value.is_double() ? fmt::format("{:.6g}", value.get_double())
                                                 : boost::json::serialize(value);
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", std::string_view(name), number);
  }
  return text;
}

boost::json::value optional_json(std::optional<std::int64_t> value) {
  return value ? boost::json::value(*value) : boost::json::value(nullptr);
}

boost::json::array to_json(const std::vector<std::string>& values) {
  boost::json::array out;
  for (const std::string& value : values) out.emplace_back(value);
  return out;
}

}  // namespace cairn::cli
