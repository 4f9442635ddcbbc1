#pragma once
// Files and random bytes for tests, a block at a time: sanitized tests are not optimized, and one
// byte at a time takes its time.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace cairn::test {

/// A file's bytes; its size need not be known before, as of those in /proc. Throws where it cannot
/// be read.
inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  std::ostringstream bytes;
  if (in.peek() != std::ifstream::traits_type::eof()) bytes << in.rdbuf();
  if (in.bad()) throw std::runtime_error("cannot read " + path.string());
  return std::move(bytes).str();
}

inline void fill_random(std::span<std::byte> bytes, std::mt19937_64& random) {
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t next = random();
    std::memcpy(&bytes[at], &next, std::min(sizeof(next), bytes.size() - at));
  }
}

}  // namespace cairn::test
