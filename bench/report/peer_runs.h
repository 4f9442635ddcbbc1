#pragma once
// Saves and restores of one state by several libraries in turns, each in processes of its own.

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "report/context.h"

namespace cairn::bench {

/// What one library gave. Where it failed once, everything of it is left out.
struct PeerResult {
  std::string name;  ///< "torch_save", "cairn_raw", ...
  /// "stall_s", "durable_s", ... as bench/peers prints them, of each run.
  std::map<std::string, std::vector<double>> figures{};
  std::string durability{};  ///< what it does about it as shipped
  std::string error{};
  /// The figures of that name; none where it failed.
  [[nodiscard]] std::vector<double> of(const std::string& figure) const;
};

/// The disk itself, among the names of a plan.
inline constexpr std::string_view kDiskRun = "fio";

struct PeerPlan {
  std::vector<std::string> names;  ///< "cairn_CODEC", a peer of bench/peers, or kDiskRun
  std::filesystem::path python;
  std::filesystem::path workload;   ///< a safetensors file, alone in its directory
  std::filesystem::path directory;  ///< for what is saved
  int rounds = 3;
  FioJob disk{};          ///< what kDiskRun writes as many bytes with
  bool warm = true;       ///< restores from the page cache, too
  double deadline = 300;  ///< of each process, in seconds
};

/// In the order of the names. Each round restores what it saved; the first one compares it with
/// the file. What takes longer than a minute runs in the first round alone. The newest saves stay:
/// files that are deleted make the writes after them slow.
[[nodiscard]] std::vector<PeerResult> run_peers(const PeerPlan& plan);

/// Runs `python bench/peers --json` with these arguments; throws std::runtime_error with its words.
[[nodiscard]] boost::json::object run_peer(const std::filesystem::path& python, double deadline,
                                           std::vector<std::string> arguments);

}  // namespace cairn::bench
