#pragma once
// safetensors files for tests.

#include <cairn/codecs/safetensors.h>
#include <fmt/format.h>

#include <random>
#include <span>
#include <string>

#include "support/files.h"
#include "support/seed.h"

namespace cairn::test {

inline std::string random_bytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  fill_random(std::as_writable_bytes(std::span(bytes)), random);
  return bytes;
}

/// The file of these tensors, with random bytes for elements.
inline std::string safetensors_file(safetensors::Header header, std::uint64_t seed) {
  const std::string start = safetensors::encode_header(header);
  const std::size_t size = header.tensors.empty() ? 0 : header.tensors.back().end;
  return start + random_bytes(size, seed);
}

inline safetensors::TensorInfo tensor(std::string name, DType dtype, Shape shape) {
  safetensors::TensorInfo info;
  info.name = std::move(name);
  info.dtype = dtype;
  info.shape = std::move(shape);
  return info;
}

/// A file as somebody else may have written it: any header text, and so many bytes of data.
inline std::string raw_file(std::string_view json, std::size_t data_bytes) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(json.size() >> (8 * i) & 0xff);
  return bytes + std::string(json) + std::string(data_bytes, 'x');
}

}  // namespace cairn::test
