// What bench/peers does with the other libraries, with Cairn: a process that saves or restores the
// tensors of a safetensors file once.

#include <cairn/cairn.h>

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "report/context.h"
#include "report/worker.h"

namespace cairn::bench {
namespace {

namespace fs = std::filesystem;

std::string text_of(const boost::json::object& arguments, std::string_view name) {
  return arguments.at(name).as_string().c_str();
}

/// "VmHWM" of /proc/self/status, in bytes. What getrusage() gives has the memory of the process in
/// it that started this one.
std::uint64_t status_bytes(std::string_view field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(field)) continue;
    std::uint64_t kilobytes = 0;
    std::istringstream(line.substr(field.size() + 1)) >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

/// The tensors by name, in memory that nothing else uses.
Tree load(const std::string& file) {
  SafetensorsContent content = read_safetensors(make_engine({}), file).get();
  return std::move(content.tree);
}

/// Views of them in the tree whose keys the names join with dots.
Dict nested(const Tree& flat) {
  Dict tree;
  for (const auto& [name, node] : flat.as<Dict>()) {
    Dict* at = &tree;
    std::size_t begin = 0;
    for (std::size_t end = name.find('.'); end != std::string::npos; end = name.find('.', begin)) {
      Tree& child = (*at)[name.substr(begin, end - begin)];
      if (!child.is<Dict>()) child = Dict();
      at = &child.as<Dict>();
      begin = end + 1;
    }
    (*at)[name.substr(begin)] = ArrayView(node.as<Array>());
  }
  return tree;
}

std::uint64_t stored_bytes(const fs::path& directory) {
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory))
    if (entry.is_regular_file()) bytes += entry.file_size();
  return bytes;
}

boost::json::object save(const boost::json::object& arguments) {
  const std::string root = text_of(arguments, "root");
  ManagerOptions options;
  options.codec = Codec::parse(text_of(arguments, "codec"));
  const std::string file = text_of(arguments, "safetensors");
  const Tree flat = load(file);
  CheckpointManager manager(root, std::move(options));
  // As the peers, it has saved a little before.
  const Array first(DType::float32, {1 << 18});
  static_cast<void>(manager.save(0, Dict{{"first", ArrayView(first)}}).get());
  make_cold(fs::path(file).parent_path());
  Dict tree = nested(flat);
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak is what there is now
  const std::uint64_t resident = status_bytes("VmRSS");
  const double cpu = cpu_seconds();
  const Stopwatch watch;
  const SaveFuture saving = manager.save(1, std::move(tree));
  saving.wait_staged();
  const double stall = watch.seconds();
  const SaveResult result = saving.get();
  const double durable = watch.seconds();
  const double used = cpu_seconds() - cpu;
  return {{"bytes", result.bytes},
          {"stall_s", stall},
          {"durable_s", durable},
          {"durable_fsync_s", durable},  // there is nothing left to sync
          {"peak_bytes", status_bytes("VmHWM") - resident},
          {"cpu_s", used},
          {"cpu_s_per_gb", used / (static_cast<double>(result.bytes) / 1e9)},
          {"stored_bytes", stored_bytes(fs::path(root) / "1")},
          {"durability", "all of it is synced"}};
}

boost::json::object restore(const boost::json::object& arguments) {
  const std::string root = text_of(arguments, "root");
  make_cold(root);
  boost::json::object result;
  Restored restored;
  for (const char* name : {"cold_s", "warm_s"}) {
    if (std::string_view(name) == "warm_s" && !arguments.at("warm").as_bool()) break;
    restored = Restored();
    const Stopwatch watch;
    const CheckpointManager manager(root);
    restored = manager.restore(1).get();  // into new memory
    result[name] = watch.seconds();
    make_warm(root);
  }
  if (arguments.at("verify").as_bool()) {
    const Tree flat = load(text_of(arguments, "safetensors"));
    if (!(restored.tree() == Tree(nested(flat))))
      throw std::runtime_error("what came back is not what was saved");
    result["verified"] = true;
  }
  return result;
}

}  // namespace

boost::json::object peer_worker(const boost::json::object& arguments) {
  const std::string mode = text_of(arguments, "mode");
  if (mode == "save") return save(arguments);
  if (mode == "restore") return restore(arguments);
  throw std::invalid_argument("mode is save or restore, not " + mode);
}

}  // namespace cairn::bench
