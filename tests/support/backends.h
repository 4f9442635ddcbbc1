#pragma once
// The backends that tests of I/O run on: INSTANTIATE_TEST_SUITE_P(Backends, MyTest,
// ::testing::ValuesIn(cairn::test::backend_kinds()), cairn::test::backend_name).

#include <cairn/engine/io_backend.h>
#include <gtest/gtest.h>

#include <boost/system/system_error.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace cairn::test {

/// uring and threads; threads alone, with a note, where this machine refuses io_uring.
inline std::vector<engine::BackendKind> backend_kinds() {
  static const std::vector<engine::BackendKind> kinds = [] {
    std::vector<engine::BackendKind> found;
    engine::BackendOptions options;
    options.kind = engine::BackendKind::uring;
    try {
      static_cast<void>(engine::make_backend(options));
      found.push_back(engine::BackendKind::uring);
    } catch (const boost::system::system_error& error) {
      std::fprintf(stderr, "note: running on threads only: %s\n", error.what());
    }
    found.push_back(engine::BackendKind::threads);
    return found;
  }();
  return kinds;
}

inline std::string to_string(engine::BackendKind kind) {
  switch (kind) {
    case engine::BackendKind::automatic:
      return "automatic";
    case engine::BackendKind::uring:
      return "uring";
    case engine::BackendKind::threads:
      return "threads";
  }
  return "unknown";
}

/// Names a parameterized test after its backend.
inline std::string backend_name(const ::testing::TestParamInfo<engine::BackendKind>& info) {
  return to_string(info.param);
}

inline std::unique_ptr<engine::IoBackend> make_backend(engine::BackendKind kind,
                                                       unsigned queue_depth = 128) {
  engine::BackendOptions options;
  options.kind = kind;
  options.queue_depth = queue_depth;
  return engine::make_backend(options);
}

}  // namespace cairn::test
