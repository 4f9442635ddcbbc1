#pragma once
// A safetensors file as a tree whose elements are read when a save asks for them.
//
// Read, not mapped: a file that another program shortens, or a disk that fails, would end a process
// that reads a mapping with SIGBUS, and stall the thread that copies. Reads through the engine give
// an error that names the file, wait for no thread, and need memory for the chunks under way alone.

#include <cairn/codecs/safetensors.h>
#include <cairn/codecs/tree.h>
#include <cairn/engine/engine.h>

#include <cstdint>
#include <memory>
#include <string>

namespace cairn::cli {

/// A file whose header is sound: its size is what the header says.
struct SafetensorsFile {
  safetensors::Header header;
  Tree tree;  ///< a dict: tensor name -> leaf, in the order of the file's offsets
  std::uint64_t element_bytes = 0;
};

/// Opens `path` and reads its header. Throws Error naming the file and what is wrong with it. The
/// tree keeps the file and the engine.
[[nodiscard]] SafetensorsFile open_safetensors(const std::shared_ptr<engine::Engine>& engine,
                                               const std::string& path);

}  // namespace cairn::cli
