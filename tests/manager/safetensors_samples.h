#pragma once
// safetensors files for the tests of reading and writing them.

#include <cairn/codecs/safetensors.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "support/files.h"
#include "support/manager_fixture.h"
#include "support/seed.h"

namespace cairn::test {

/// A directory, and an engine on the backend under test.
class SafetensorsTest : public ManagerTest {
 protected:
  SafetensorsTest() { std::filesystem::create_directory(root()); }
  [[nodiscard]] std::string at(const std::string& name) const { return root() + "/" + name; }
  void put(const std::string& name, std::string_view bytes) const {
    std::ofstream out(at(name), std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  [[nodiscard]] std::string get(const std::string& name) const { return read_file(at(name)); }
  [[nodiscard]] static std::shared_ptr<engine::Engine> new_engine(
      const EngineSettings& settings = {}) {
    return make_engine(GetParam(), settings);
  }
};

/// Random elements; booleans are 0 or 1, float4_e2m1fn has four bits.
inline Array random_array(DType dtype, Shape shape, std::mt19937_64& random) {
  Array array(dtype, std::move(shape));
  fill_random(array.bytes(), random);
  if (dtype == DType::boolean) {
    for (std::byte& byte : array.bytes()) byte &= std::byte{1};
  }
  if (dtype == DType::float4_e2m1fn) {
    for (std::byte& byte : array.bytes()) byte &= std::byte{15};
  }
  return array;
}

/// An array's bytes in a file: those that it has in memory, and of float4_e2m1fn two in one, the
/// first in the low four bits.
inline std::string stored_bytes(const Array& array) {
  std::string bytes(reinterpret_cast<const char*>(array.bytes().data()), array.bytes().size());
  if (array.dtype() != DType::float4_e2m1fn) return bytes;
  for (std::size_t i = 0; i < bytes.size() / 2; ++i) {
    bytes[i] = static_cast<char>(bytes[2 * i] + 16 * bytes[2 * i + 1]);
  }
  bytes.resize(bytes.size() / 2);
  return bytes;
}

/// The file of these arrays, in this order.
inline std::string safetensors_bytes(const std::vector<std::pair<std::string, Array>>& tensors,
                                     std::size_t alignment = 1,
                                     std::vector<std::pair<std::string, std::string>> meta = {}) {
  safetensors::Header header;
  header.metadata = std::move(meta);
  for (const auto& [name, array] : tensors) {
    safetensors::TensorInfo info;
    info.name = name;
    info.dtype = array.dtype();
    info.shape = array.shape();
    header.tensors.push_back(std::move(info));
  }
  std::string bytes = safetensors::encode_header(header, alignment);
  for (const auto& [name, array] : tensors) bytes += stored_bytes(array);
  return bytes;
}

/// Length, header text, and so many bytes of data: a file as somebody else may have written it.
inline std::string raw_safetensors(std::string_view json, std::size_t data_bytes) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(json.size() >> (8 * i) & 0xff);
  return bytes + std::string(json) + std::string(data_bytes, 'x');
}

}  // namespace cairn::test
