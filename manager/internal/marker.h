#pragma once

#include <cairn/manager/version.h>

#include <string>

namespace cairn::internal {

/// Content of commit_success.txt: for people; its presence is what counts.
[[nodiscard]] inline std::string commit_marker_text() {
  return "Checkpoint commit was successful (Cairn " + std::string(version()) + ")\n";
}

}  // namespace cairn::internal
