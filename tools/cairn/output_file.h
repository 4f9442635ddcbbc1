#pragma once
// A file that is there whole or not at all.

#include <cairn/engine/file.h>
#include <cairn/manager/error.h>

#include <cstddef>
#include <span>
#include <string>

namespace cairn::cli {

/// Written beside its place under a temporary name and renamed when it is durable. Errors are of
/// type Error. Destroyed before commit(), it removes what it wrote.
class OutputFile {
 public:
  /// Throws already_exists when `path` is there and `replace` is not set.
  OutputFile(std::string path, bool replace);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Syncs the file, gives it its name, and syncs the directory. Without `replace`, a file that
  /// came to be there meanwhile stays, and this throws.
  void commit();

 private:
  [[nodiscard]] Error exists() const;
  std::string path_;
  std::string directory_;
  std::string temporary_;
  bool replace_;
  bool committed_ = false;
  engine::Descriptor fd_;
};

}  // namespace cairn::cli
