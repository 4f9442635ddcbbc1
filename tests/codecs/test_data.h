#pragma once
// Files under tests/data.

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace cairn {

inline std::string read_test_data(const std::string& name) {
  std::ifstream file(std::string(CAIRN_TEST_DATA) + "/" + name, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << "no test data " << name;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The lines of a file, split at tabs.
inline std::vector<std::vector<std::string>> read_test_table(const std::string& name) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream text(read_test_data(name));
  for (std::string line; std::getline(text, line);) {
    std::istringstream cells(line);
    rows.emplace_back();
    for (std::string cell; std::getline(cells, cell, '\t');) rows.back().push_back(cell);
  }
  EXPECT_FALSE(rows.empty()) << name;
  return rows;
}

inline std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

}  // namespace cairn
