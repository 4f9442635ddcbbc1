#pragma once
// What every section of the report is given, and the sections.

#include <cairn/manager/checkpoint_manager.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "report/fio_sweep.h"
#include "report/measure.h"
#include "report/report.h"

namespace cairn::bench {

struct Settings {
  std::filesystem::path directory = ".";         ///< on the file system to measure
  std::uint64_t bytes = std::uint64_t{2} << 30;  ///< of a state
  int rounds = 7;
  std::uint64_t seed = 1;
  bool quick = false;
  std::filesystem::path python{};  ///< with the peers; empty: they are left out
};

struct Context {
  Settings settings;
  FioBest fio{};      ///< what the sweep found
  Stopwatch running;  ///< since the report began

  /// What takes about so long would end after the report is to have ended.
  [[nodiscard]] bool too_late_for(double seconds) const {
    constexpr double kWhole = 3600;
    constexpr double kQuick = 300;
    return running.seconds() + seconds > (settings.quick ? kQuick : kWhole);
  }
};

/// A new directory below settings.directory, which takes what it holds with it. Files that were
/// written a second ago make the next writes slow when they are deleted, so it lives until its
/// section has been measured; then the disk is given time to be done.
class WorkDirectory {
 public:
  WorkDirectory(const Settings& settings, std::string_view section);
  ~WorkDirectory();
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const {
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

/// Takes what the directory's files hold out of the page cache.
void make_cold(const std::filesystem::path& directory);
/// Reads all of them, so that it is in the page cache.
void make_warm(const std::filesystem::path& directory);

/// Where the sources are from which this program was built: its peers lie there.
[[nodiscard]] std::filesystem::path source_directory();

/// An engine of its own.
[[nodiscard]] std::shared_ptr<engine::Engine> make_engine(engine::EngineOptions options);
/// "io_uring (SINGLE_ISSUER|DEFER_TASKRUN), direct, no registered buffers".
[[nodiscard]] std::string path_of(const engine::Engine& engine);

// The sections, in the order in which they run. Each adds its rows, and says what it leaves out.
void measure_fio(Context& context, Report& report);
void measure_saves(const Context& context, Report& report);
void measure_staging(const Context& context, Report& report);
void measure_restores(const Context& context, Report& report);
void measure_engine(const Context& context, Report& report);
void measure_codecs(const Context& context, Report& report);
void measure_tiny(const Context& context, Report& report);
void measure_scale(const Context& context, Report& report);
void measure_memory(const Context& context, Report& report);
void measure_interference(const Context& context, Report& report);
void measure_peers(const Context& context, Report& report);

}  // namespace cairn::bench
