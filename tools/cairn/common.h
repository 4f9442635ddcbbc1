#pragma once
// What several commands need: an engine, the step that is meant, and output.

#include <cairn/engine/engine.h>
#include <cairn/engine/error.h>
#include <cairn/manager/error.h>
#include <cairn/manager/inspect.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "commands.h"

namespace cairn::cli {

/// An engine for one command. Throws Error when the backend asked for is refused.
[[nodiscard]] std::shared_ptr<engine::Engine> make_engine(const Settings& settings);
/// One with the staging memory that the library chooses by itself, of which a part is touched: for
/// chunks of any size.
[[nodiscard]] std::shared_ptr<engine::Engine> make_roomy_engine(const Settings& settings);
/// One that shows what the library gets here: the staging size that it chooses by itself, and
/// registered buffers where they can be had.
[[nodiscard]] std::shared_ptr<engine::Engine> make_probing_engine(const Settings& settings);

[[nodiscard]] std::string join_path(const std::string& directory, const std::string& name);
/// What follows the last '/', of those at the end apart.
[[nodiscard]] std::string last_component(std::string path);
/// "0, 1, 7", or "none". Long lists are cut in the middle.
[[nodiscard]] std::string step_list(const std::vector<StepEntry>& steps);
/// The step asked for, or the latest; of several directories the one called by the number alone.
/// Throws not_found, naming the steps there are, and invalid_argument where it is not clear which.
/// `below`: of the steps below it alone.
[[nodiscard]] StepEntry pick_step(const std::shared_ptr<engine::Engine>& engine,
                                  const std::string& root, std::optional<Step> step,
                                  std::optional<Step> below = std::nullopt);

/// What `path` is. A step can be asked for in a root alone: where one was, a path that is none is
/// invalid_argument.
[[nodiscard]] PathKind kind_of(const std::shared_ptr<engine::Engine>& engine,
                               const std::string& path, std::optional<Step> step);
/// "a root", "an item", "safetensors".
[[nodiscard]] std::string with_article(PathKind kind);
/// "save that has not committed, 3.0 h old, of host H, pid P". `now_ns`: since the Unix epoch.
[[nodiscard]] std::string describe(const Leftover& leftover, std::int64_t now_ns);
/// Since the Unix epoch.
[[nodiscard]] std::int64_t now_ns();
/// "step 3", "step 3 (ckpt_3)", or "step NAME" where the directory's name has no number.
[[nodiscard]] std::string step_label(const std::string& path);
/// Whether `error` only says that a step of `root` was deleted after it was listed. `name`: of its
/// directory.
[[nodiscard]] bool was_deleted(const std::shared_ptr<engine::Engine>& engine,
                               const std::string& root, const std::string& name,
                               const Error& error);
/// The number in a step directory's name.
[[nodiscard]] std::optional<Step> step_number(const std::string& path);

[[nodiscard]] Error make_error(ErrorCode code, std::string reason, std::string path,
                               std::string remedy = "");
/// The Error for a failed operation on `path`, with its remedy.
[[nodiscard]] Error io_failure(const engine::error_code& code, std::string operation,
                               std::string path);
/// The same for an errno value.
[[nodiscard]] Error system_error(int error, std::string operation, std::string path);
/// 1 for what is wrong with a checkpoint, 2 for everything else.
[[nodiscard]] int exit_status(ErrorCode code) noexcept;

/// Of two steps' statuses the one to end with: damage counts more than what could not be looked at.
[[nodiscard]] int worse_status(int a, int b) noexcept;

/// "loss=2.519 accuracy=0.4", for people; numbers to six digits.
[[nodiscard]] std::string metrics_text(const boost::json::object& metrics);

void print(std::string_view text);
/// One line of JSON.
/// NaN and the infinities, which JSON has no words for, as strings.
void print_json(boost::json::value value);
/// {"error":{"code":...,"message":...}}
[[nodiscard]] boost::json::object error_json(std::string_view code, std::string_view message);
[[nodiscard]] boost::json::value optional_json(std::optional<std::int64_t> value);
[[nodiscard]] boost::json::array to_json(const std::vector<std::string>& values);

}  // namespace cairn::cli
