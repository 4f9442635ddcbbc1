#pragma once
// Finding and opening safetensors files: which files a path means, and their headers.

#include <cairn/codecs/format_error.h>
#include <cairn/codecs/safetensors.h>
#include <cairn/manager/internal/storage.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace cairn::internal {

/// A safetensors file that is open; its header is sound and agrees with its size.
struct SafetensorsInput {
  SafetensorsInput(EnginePtr e, FilePtr f, std::string n)
      : engine(std::move(e)), file(std::move(f)), name(std::move(n)) {}
  EnginePtr engine;
  FilePtr file;
  std::string name;        ///< in its directory
  std::uint64_t size = 0;  ///< bytes, when it was opened
  safetensors::Header header;
};
using SafetensorsInputPtr = std::shared_ptr<SafetensorsInput>;

/// The one file, or the index, that a path means.
struct SafetensorsPlace {
  SafetensorsPlace() = default;
  FolderPtr folder;
  std::string name;
  [[nodiscard]] bool is_index() const { return name.ends_with(".json"); }
};
/// By the rules of manager/safetensors.h.
Task<SafetensorsPlace> find_safetensors(EnginePtr engine, std::string path);

/// Takes what is wrong with a file, or why it cannot be looked at, and returns; or throws it, which
/// ends the reading.
using FaultSink = std::function<void(const Error&)>;
/// Of what a FaultSink gets: false where the file may be as good as ever.
[[nodiscard]] bool tells_of_damage(const Error& error) noexcept;

/// The files of a place, by name, with each header read and all checked against each other: no
/// tensor is in two files. With a `sink`, what is wrong with files goes there, and the others are
/// returned; what says nothing about the files is thrown.
Task<std::vector<SafetensorsInputPtr>> open_safetensors_place(EnginePtr engine,
                                                              SafetensorsPlace place,
                                                              bool follow_links,
                                                              FaultSink sink = nullptr);
/// Both: the files that `path` means.
Task<std::vector<SafetensorsInputPtr>> open_safetensors_files(EnginePtr engine, std::string path,
                                                              bool follow_links);

/// The Error for what is wrong with `path`; offsets of `error` count from `base`.
[[nodiscard]] Error safetensors_format_error(const FormatError& error, const std::string& path,
                                             std::uint64_t base);

}  // namespace cairn::internal
