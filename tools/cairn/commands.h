#pragma once
// The commands and what each takes from the command line. Each prints to stdout and returns the
// exit status, or throws: main() turns exceptions into one message and a status.

#include <cairn/engine/io_backend.h>
#include <cairn/manager/codec.h>
#include <cairn/manager/save_future.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cairn::cli {

inline constexpr int kGood = 0;
inline constexpr int kDamage = 1;       ///< damage, or a problem that was found
inline constexpr int kCouldNotRun = 2;  ///< wrong usage too

struct Settings {
  bool json = false;
  engine::BackendKind backend = engine::BackendKind::automatic;
};

struct LsOptions {
  std::string root;
};
int run_ls(const Settings& settings, const LsOptions& options);

struct InspectOptions {
  std::string path;                 ///< a root, a step, an item or safetensors
  std::optional<Step> step;         ///< of a root; none: the latest
  bool values = false;              ///< read the arrays and show what is in them
  std::vector<std::string> leaves;  ///< key paths; empty: all
  bool follow_links = false;        ///< of safetensors: shards may lie elsewhere
};
int run_inspect(const Settings& settings, const InspectOptions& options);

struct VerifyOptions {
  std::string path;           ///< a root, a step, an item or safetensors
  std::optional<Step> step;   ///< of a root; none: all
  bool follow_links = false;  ///< of safetensors: shards may lie elsewhere
};
int run_verify(const Settings& settings, const VerifyOptions& options);

struct ImportOptions {
  std::string file;  ///< or an index, or a directory
  std::string root;
  Step step = 0;
  bool overwrite = false;
  bool follow_links = false;  ///< shards may lie elsewhere
  Codec codec = Codec::raw();
  Layout layout = Layout::ocdbt_zarr3;
};
int run_import(const Settings& settings, const ImportOptions& options);

struct ExportOptions {
  std::string root;
  std::string file;
  std::optional<Step> step;           ///< none: the latest
  std::string item;                   ///< empty: the only tree
  bool force = false;                 ///< replace an existing file
  bool drop_empty = false;            ///< leave nulls and empty containers out
  std::uint64_t max_shard_bytes = 0;  ///< 0: one file
  std::size_t alignment = 0;          ///< of the data; 0: the library's choice
};
int run_export(const Settings& settings, const ExportOptions& options);

struct DoctorOptions {
  std::string directory = ".";
};
int run_doctor(const Settings& settings, const DoctorOptions& options);

}  // namespace cairn::cli
