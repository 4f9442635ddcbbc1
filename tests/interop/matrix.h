#pragma once
// The interop matrix's side in C++: writes what the peers read, and lays what the peers wrote open
// for a comparison byte by byte. tests/interop/matrix.py is the other side.

#include <cairn/cairn.h>

#include <string>
#include <string_view>
#include <vector>

namespace cairn::interop {

/// Adds a step to ROOT: `dtypes` in several shapes, empty arrays, numbers and strings. Prints how
/// the arrays were encoded, a line for each kind: ARRAYS CHUNKS CHUNKS_STORED CODEC.
/// `codec`: as Codec::parse() takes it, auto always encoding; or auto-stored, where it never does.
void save(const std::string& root, std::string_view layout, std::string_view codec,
          std::string_view dtypes);

/// Forks three processes that save two steps together in ROOT. To be called before any thread is
/// started.
void save_together(const std::string& root);

/// Writes a safetensors file of `dtypes` in several shapes, empty arrays and numbers.
void write_safetensors_file(const std::string& file, std::string_view dtypes);

/// Reads the tree at each of `paths` (an item, a step, or a safetensors file), and puts that of
/// number i into OUT/i: index.json has the leaves, or the error; data.bin has the elements.
void dump(const std::string& out, const std::vector<std::string>& paths);

}  // namespace cairn::interop
