#pragma once
// Finding and opening safetensors files: which files a path means, and their headers.

#include <cairn/codecs/format_error.h>
#include <cairn/codecs/safetensors.h>
#include <cairn/manager/internal/storage.h>

#include <memory>
#include <string>
#include <vector>

namespace cairn::internal {

/// A safetensors file that is open; its header is sound and agrees with its size.
struct SafetensorsInput {
  SafetensorsInput(EnginePtr e, FilePtr f) : engine(std::move(e)), file(std::move(f)) {}
  EnginePtr engine;
  FilePtr file;
  std::uint64_t size = 0;  ///< bytes, when it was opened
  safetensors::Header header;
};
using SafetensorsInputPtr = std::shared_ptr<SafetensorsInput>;

/// The files that `path` means (see manager/safetensors.h), by name, with each header read and all
/// checked against each other: no tensor is in two files.
Task<std::vector<SafetensorsInputPtr>> open_safetensors_files(EnginePtr engine, std::string path,
                                                              bool follow_links);

/// The Error for what is wrong with `path`; offsets of `error` count from `base`.
[[nodiscard]] Error safetensors_format_error(const FormatError& error, const std::string& path,
                                             std::uint64_t base);

}  // namespace cairn::internal
