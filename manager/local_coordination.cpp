#include <cairn/manager/internal/local_core.h>
#include <cairn/manager/local_coordination.h>
#include <fmt/format.h>

#include <array>
#include <system_error>
#include <utility>

namespace cairn {
namespace {

using namespace internal;

class LocalCoordinator final : public Coordinator {
 public:
  explicit LocalCoordinator(std::shared_ptr<LocalCore> core) : core_(std::move(core)) {}
  ~LocalCoordinator() override {
    if (core_->origin.forked()) {
      core_->give_up();
    } else {
      core_->close();
    }
  }

  [[nodiscard]] ProcessIndex process_index() const noexcept override { return core_->index; }
  [[nodiscard]] ProcessIndex process_count() const noexcept override { return core_->count; }

  void fail(std::string_view scope, const Error& error) override {
    core_->origin.check();
    check_coordination_name(scope, "fail an operation");
    core_->tell(Fail{std::string(scope), error.code(), bounded_text(error.what())});
  }
  void announce(std::string_view name) override {
    core_->origin.check();
    check_coordination_name(name, "announce");
    core_->announce(std::string(name));
  }
  [[nodiscard]] bool announced(std::string_view name) const override {
    core_->origin.check();
    return core_->announced(name);
  }

 private:
  void start(impl::Collective operation, std::shared_ptr<impl::CollectiveCall> call) override {
    if (core_->origin.forked()) return call->refuse(core_->origin.exception());
    core_->start(std::move(operation), std::move(call));
  }

  const std::shared_ptr<LocalCore> core_;
};

void check_place(ProcessIndex index, ProcessIndex count) {
  if (count > 0 && count <= Coordinator::kProcessesMax && index < count) return;
  ErrorContext context;
  context.operation = "coordinate processes";
  throw Error(ErrorCode::invalid_argument,
              fmt::format("there is no process {} of {}; a job has 1 to {} processes", index, count,
                          Coordinator::kProcessesMax),
              context);
}

std::shared_ptr<Coordinator> make(ProcessIndex index, ProcessIndex count,
                                  std::shared_ptr<engine::Clock> clock, LocalPlace place,
                                  std::chrono::milliseconds linger) {
  auto core = std::make_shared<LocalCore>(index, count, std::move(clock), linger);
  try {
    core->open(std::move(place));
  } catch (const std::system_error& error) {  // of std::thread
    ErrorContext context;
    context.operation = "coordinate processes";
    throw Error(ErrorCode::resource_exhausted,
                fmt::format("a thread cannot be had: {}", error.what()), context);
  }
  return std::make_shared<LocalCoordinator>(std::move(core));
}

}  // namespace

std::shared_ptr<Coordinator> local_coordinator(LocalCoordination options) {
  check_place(options.index, options.count);
  LocalPlace place;
  if (options.count > 1) {
    check_socket_path(options.path);
    if (options.index == 0) {
      place.listener = std::make_unique<Listener>(options.path);
    } else {
      place.path = std::move(options.path);
    }
  }
  return make(options.index, options.count, std::move(options.clock), std::move(place),
              options.linger);
}

/// Of each process but 0, the end that process 0 has and its own.
struct LocalGroup::Sockets {
  std::vector<std::array<Descriptor, 2>> pairs;
};

LocalGroup::LocalGroup(ProcessIndex count) : count_(count), sockets_(std::make_unique<Sockets>()) {
  check_place(0, count);
  for (ProcessIndex i = 1; i < count; ++i) sockets_->pairs.push_back(socket_pair());
}

LocalGroup::~LocalGroup() = default;

std::shared_ptr<Coordinator> LocalGroup::join(ProcessIndex index,
                                              std::shared_ptr<engine::Clock> clock) {
  check_place(index, count_);
  if (!sockets_) {
    ErrorContext context;
    context.operation = "coordinate processes";
    throw Error(ErrorCode::invalid_argument, "this process has joined the group already", context);
  }
  LocalPlace place;
  {
    ForkGuard forks;
    for (ProcessIndex i = 1; i < count_; ++i) {
      auto& pair = sockets_->pairs[i - 1];
      if (index != 0 && index != i) continue;
      place.sockets.push_back(std::move(index == 0 ? pair[0] : pair[1]));
      place.sockets.back().guard(forks);
    }
    sockets_.reset();
  }
  return make(index, count_, std::move(clock), std::move(place), LocalCoordination().linger);
}

}  // namespace cairn
