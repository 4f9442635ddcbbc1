#pragma once
// Tries in a directory what a save does there.

#include <cairn/engine/engine.h>

#include <cstdint>
#include <memory>
#include <string>

namespace cairn::cli {

struct DirectProbe {
  DirectProbe() = default;
  engine::error_code open_error;   ///< of the directory; then nothing else was tried
  bool direct = false;             ///< a direct write went through
  std::string direct_error;        ///< why not
  std::uint32_t alignment = 0;     ///< bytes, of direct transfers
  bool writable = false;           ///< a file could be made, written and synced, direct or not
  engine::error_code write_error;  ///< why not
  bool exchange = false;           ///< two names can be exchanged: what overwriting a step needs
  std::string exchange_error;      ///< why not
};

/// Makes two small files in `directory`, uses them and removes them. Throws Error when the
/// directory cannot be opened.
[[nodiscard]] DirectProbe probe_directory(const std::shared_ptr<engine::Engine>& engine,
                                          const std::string& directory);

}  // namespace cairn::cli
