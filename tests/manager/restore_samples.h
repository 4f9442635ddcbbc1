#pragma once
// What the tests of restores share: a root, arrays, and damage.

#include <cairn/cairn.h>
#include <cairn/codecs/cast.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "manager/stored_samples.h"
#include "support/manager_fixture.h"
#include "support/weights.h"

namespace cairn::test {

inline Array cast_array(const Array& array, DType dtype) {
  Array out = Array::uninitialized(dtype, array.shape());
  if (dtype == array.dtype()) return array;
  cast(array.bytes(), array.dtype(), out.bytes(), dtype);
  return out;
}

/// 0, 1, 2, ... cast to `dtype`.
inline Array counting(DType dtype, Shape shape) {
  Array array = Array::uninitialized(DType::float64, std::move(shape));
  double next = 0;
  for (double& value : array.values<double>()) value = next++;
  return cast_array(array, dtype);
}

/// The array in another shape of its rank: cut off, and filled up with zeros; one element at a
/// time.
inline Array reshaped(const Array& array, const Shape& shape) {
  Array out(array.dtype(), shape);
  const std::size_t size = size_of(array.dtype());
  const std::vector<Index> from = c_strides(array.dtype(), array.shape());
  const std::vector<Index> to = c_strides(array.dtype(), shape);
  Shape at(shape.size(), 0);
  for (Index i = 0; i < out.size(); ++i) {
    Index source = 0, target = 0;
    bool within = true;
    for (std::size_t d = 0; d < at.size(); ++d) {
      within = within && at[d] < array.shape()[d];
      source += at[d] * from[d];
      target += at[d] * to[d];
    }
    if (within) std::memcpy(out.bytes().data() + target, array.bytes().data() + source, size);
    for (std::size_t d = at.size(); d-- > 0;) {
      if (++at[d] < shape[d]) break;
      at[d] = 0;
    }
  }
  return out;
}

/// A directory with a zarr v3 array, every chunk in a file of its own.
inline void write_array(const std::filesystem::path& folder, const zarr::ArrayMetadata& metadata,
                        const Array& array) {
  write_file(folder / "zarr.json", zarr::encode_metadata(metadata));
  const Shape grid = zarr::grid_shape(metadata);
  Shape at(grid.size(), 0);
  for (Index i = 0; i < element_count(grid); ++i) {
    Shape origin = at, part = metadata.chunk_shape;
    for (std::size_t d = 0; d < at.size(); ++d) {
      origin[d] *= metadata.chunk_shape[d];
      part[d] = std::min(part[d], array.shape()[d] - origin[d]);
    }
    Array box = Array::uninitialized(array.dtype(), part);
    copy_region(array, origin, part, box.bytes().data());
    const Array chunk = reshaped(box, metadata.chunk_shape);
    write_file(folder / zarr::chunk_key(metadata, at), encoded_chunk(metadata, chunk.bytes()));
    for (std::size_t d = at.size(); d-- > 0;) {
      if (++at[d] < grid[d]) break;
      at[d] = 0;
    }
  }
}

class RestoreTest : public ManagerTest {
 protected:
  [[nodiscard]] const std::shared_ptr<engine::Engine>& engine() {
    if (!engine_) engine_ = make_engine(GetParam());
    return engine_;
  }
  /// Managers of one test share one engine.
  [[nodiscard]] ManagerOptions given() {
    ManagerOptions options;
    options.engine = engine();
    return options;
  }
  [[nodiscard]] std::string fresh_root() { return root() + "_" + std::to_string(++roots_); }
  /// Flips a bit of those bytes, in whatever file below `path` has them as they are.
  static void damage(const std::string& path, std::span<const std::byte> bytes) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (!entry.is_regular_file()) continue;
      std::string text = read_file(entry.path());
      const auto place = text.find(text_of(bytes));
      if (place == std::string::npos) continue;
      text[place] = static_cast<char>(text[place] ^ 1);
      write_file(entry.path(), text);
      return;
    }
    ADD_FAILURE() << "no file has these bytes";
  }

 private:
  std::shared_ptr<engine::Engine> engine_;
  int roots_ = 0;
};

}  // namespace cairn::test
