#include "report/saving.h"

#include <utility>

#include "report/measure.h"

namespace cairn::bench {
namespace {

ManagerOptions options_of(std::shared_ptr<engine::Engine> engine, Codec codec, Saver::Kind kind) {
  ManagerOptions options;
  options.engine = std::move(engine);
  options.codec = codec;
  options.incremental = kind == Saver::Kind::incremental;
  return options;
}

}  // namespace

Saver::Saver(const std::filesystem::path& root, std::shared_ptr<engine::Engine> engine, Codec codec,
             const Workload& workload, Kind kind)
    : workload_(workload),
      bytes_(workload.bytes()),
      manager_(root.string(), options_of(std::move(engine), codec, kind)) {}

Saved Saver::save() {
  Tree tree = views_of(workload_);
  const double cpu = cpu_seconds();
  const Stopwatch watch;
  const SaveFuture future = manager_.save(next_++, std::move(tree));
  Saved saved;
  saved.returned_s = watch.seconds();
  future.wait_staged();
  saved.staged_s = watch.seconds();
  const SaveResult result = future.get();
  saved.durable_s = watch.seconds();
  const auto bytes = static_cast<double>(bytes_);
  stored_share_ = static_cast<double>(result.stored_bytes) / bytes;
  cpu_.push_back((cpu_seconds() - cpu) / (bytes / 1e9));
  return saved;
}

void Saver::warm_up() {
  save();
  save();
  cpu_.clear();
}

}  // namespace cairn::bench
