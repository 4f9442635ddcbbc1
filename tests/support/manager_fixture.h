#pragma once
// A manager's root in a temporary directory, and an engine on the backend under test.

#include <cairn/cairn.h>
#include <cairn/engine/faulty_backend.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "support/backends.h"
#include "support/temp_directory.h"

namespace cairn::test {

/// Small, so that a test machine holds many.
struct EngineSettings {
  std::size_t staging_bytes = 256u << 20;
  std::size_t io_window_bytes = 64u << 20;
  engine::DirectIo direct_io = engine::DirectIo::automatic;
  std::shared_ptr<engine::Clock> clock;
  std::shared_ptr<engine::CpuPool> cpu_pool;
  std::shared_ptr<engine::FaultPlan> faults;  ///< none = a healthy disk
};

inline std::shared_ptr<engine::Engine> make_engine(engine::BackendKind kind,
                                                   const EngineSettings& settings = {}) {
  engine::EngineOptions options;
  options.backend.kind = kind;
  options.staging_bytes = settings.staging_bytes;
  options.io_window_bytes = settings.io_window_bytes;
  options.direct_io = settings.direct_io;
  options.clock = settings.clock;
  options.cpu_pool = settings.cpu_pool;
  options.registered_buffers = engine::RegisteredBuffers::automatic;  // the default is off
  if (settings.faults)
    options.io_backend =
        engine::make_faulty_backend(engine::make_backend(options.backend), settings.faults);
  return engine::Engine::create(std::move(options));
}

/// A number that tells states apart, and an array of zeros.
inline Tree state_of(std::int64_t value, Index elements = 1 << 10) {
  return Tree(Dict{{"s", Tree(value)}, {"w", Tree(Array(DType::float32, {elements}))}});
}

class ManagerTest : public ::testing::TestWithParam<engine::BackendKind> {
 protected:
  [[nodiscard]] std::string root() const { return (directory_.path() / "root").string(); }
  [[nodiscard]] ManagerOptions options(const EngineSettings& settings = {}) {
    ManagerOptions options;
    options.engine = make_engine(GetParam(), settings);
    return options;
  }
  /// Names in the root, sorted.
  [[nodiscard]] std::vector<std::string> entries() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(root()))
      names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }
  static Tree state(std::int64_t value) { return state_of(value); }
  /// Of a call, or of what .get() of a future throws; a failure of the test where it is none.
  template <class What>
  static Error error_of(What&& what) {
    try {
      if constexpr (requires { what.get(); }) {
        static_cast<void>(what.get());
      } else {
        what();
      }
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "it succeeded";
    return Error(ErrorCode::internal, "none");
  }

 private:
  TempDirectory directory_;
};

}  // namespace cairn::test

/// Runs a ManagerTest suite once per backend.
#define CAIRN_ON_EVERY_BACKEND(suite)                                                         \
  INSTANTIATE_TEST_SUITE_P(Backend, suite, ::testing::ValuesIn(cairn::test::backend_kinds()), \
                           cairn::test::backend_name)
