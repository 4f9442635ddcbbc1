#pragma once
#include "support/temp_directory.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace trainer {

/// A folder of one test's own, with its files as strings.
class TemporaryFolder {
 public:
  [[nodiscard]] const std::filesystem::path& path() const { return directory_.path(); }
  void write(const std::string& name, std::string_view text) const {
    std::ofstream(path() / name, std::ios::binary) << text;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream file(path() / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

 private:
  cairn::test::TempDirectory directory_;
};

}  // namespace trainer
