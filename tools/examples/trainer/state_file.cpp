// The final state as a file and as a hash: one walk over the tree serves both.

#include "trainer/state.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string_view>

namespace trainer {
namespace {
using Sink = std::function<void(const void*, std::size_t)>;

void put(const Sink& sink, std::string_view text) {
  sink(text.data(), text.size());
}

void put_array(const Sink& sink, const std::string& name, const cairn::ArrayView& view) {
  put(sink, fmt::format("{} {} [{}]\n", name, cairn::name_of(view.dtype()),
                        fmt::join(view.shape(), ",")));
  sink(view.data(), static_cast<std::size_t>(view.size()) * cairn::size_of(view.dtype()));
  put(sink, "\n");
}

void walk(const State& state, const Sink& sink) {
  const cairn::Tree tree = to_tree(state);
  for (const cairn::FlatEntry& entry : cairn::flatten(tree)) {
    const std::string name = cairn::to_string(entry.path);
    const cairn::Tree& node = *entry.node;
    if (node.is<cairn::ArrayView>()) {
      put_array(sink, name, node.as<cairn::ArrayView>());
    } else if (node.is<cairn::Array>()) {
      put_array(sink, name, cairn::ArrayView(node.as<cairn::Array>()));
    } else if (node.is<double>()) {
      put(sink, fmt::format("{} {:.17g}\n", name, node.as<double>()));
    } else {
      put(sink, fmt::format("{} {}\n", name, node.as<std::int64_t>()));
    }
  }
}

}  // namespace

std::string content_hash(const State& state) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> hash(XXH3_createState(),
                                                                      &XXH3_freeState);
  if (!hash) throw std::bad_alloc();
  XXH3_128bits_reset(hash.get());
  walk(state,
       [&](const void* bytes, std::size_t size) { XXH3_128bits_update(hash.get(), bytes, size); });
  const XXH128_hash_t digest = XXH3_128bits_digest(hash.get());
  return fmt::format("{:016x}{:016x}", digest.high64, digest.low64);
}

void write_state_file(const State& state, const std::filesystem::path& path) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  walk(state, [&](const void* bytes, std::size_t size) {
    file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  });
  file.close();
  if (!file) throw std::runtime_error(fmt::format("--final-state {}: cannot write", path.string()));
}

}  // namespace trainer
