#pragma once
// What crash tests save, and how they look at what is left: every step's content follows from its
// number and a version, so that a step says by itself whether it is whole and which one it is.

#include <cairn/cairn.h>
#include <cairn/engine/faulty_backend.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cairn::test {

/// Step -> version of its content.
using Steps = std::map<Step, std::int64_t>;
[[nodiscard]] std::string to_string(const Steps& steps);

/// One change of what is there. It happens whole or not at all.
struct Change {
  enum class Kind : std::uint8_t { save, remove };
  Kind kind = Kind::save;
  Step step = 0;
  std::int64_t version = 0;  ///< of a save; one of a step that is there replaces it
  bool unknown = false;      ///< made, but not acknowledged: its last sync failed
  void apply(Steps& steps) const;
  [[nodiscard]] std::string label() const;  ///< "save 3", "delete 3"
};

/// Two arrays that share an extent, one that never changes, one in the database, and scalars.
[[nodiscard]] Tree content(Step step, std::int64_t version);
/// Metrics and custom metadata that go with the content; overwrite as asked for.
[[nodiscard]] SaveOptions save_options(std::int64_t version, bool overwrite = false);

/// What a manager that opens `root` anew finds there.
struct Found {
  Steps steps;
  std::string trouble;  ///< empty, or a step that does not verify or is not what was saved
};
/// Lists, verifies and restores every step. Throws nothing that a damaged root could cause.
[[nodiscard]] Found look(const std::shared_ptr<engine::Engine>& engine, const std::string& root,
                         Atomicity atomicity = Atomicity::rename);

/// Whether a step's directory has its marker.
[[nodiscard]] bool has_marker(const std::string& step_path);
/// Names in `root` that belong to a save or deletion that never ended: temporary ones, and those of
/// steps without a marker.
[[nodiscard]] std::vector<std::string> leftovers(const std::string& root);

/// Hears of each save and deletion at the moment when it is acknowledged, on the engine's strand
/// and before whatever the manager does next.
class AcknowledgementLogger final : public Logger {
 public:
  explicit AcknowledgementLogger(std::function<void(std::string)> acknowledged);
  void log(const LogRecord& record) override;

 private:
  std::function<void(std::string)> acknowledged_;
};

/// Matches what makes renames in `directory` durable.
[[nodiscard]] engine::FaultPlan::Predicate sync_of(std::string directory);

/// A small engine.
[[nodiscard]] std::shared_ptr<engine::Engine> small_engine(
    std::unique_ptr<engine::IoBackend> backend);

}  // namespace cairn::test
