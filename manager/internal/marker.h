#pragma once

#include <cairn/manager/version.h>

#include <string>
#include <string_view>

namespace cairn::internal {

/// What a marker begins with, Orbax's too; an unfinished write leaves something else.
inline constexpr std::string_view kCommitMarkerStart = "Checkpoint commit was successful";

/// Content of commit_success.txt: for people; to readers its presence is what counts.
[[nodiscard]] inline std::string commit_marker_text() {
  std::string text(kCommitMarkerStart);
  text.append(" (Cairn ").append(version()).append(")\n");
  return text;
}

}  // namespace cairn::internal
