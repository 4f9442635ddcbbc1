#pragma once
// The files that a Handler makes of a value.

#include <cairn/export.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace cairn {

/// Names to bytes. Names are of files in the item's directory: of at most 255 bytes, without
/// '/', not starting with '.', and neither commit_success.txt nor _CAIRN. A regular value.
class CAIRN_EXPORT ItemFiles {
 public:
  /// Names to bytes.
  using Map = std::map<std::string, std::string, std::less<>>;
  ItemFiles() = default;
  ItemFiles(std::initializer_list<Map::value_type> files) : files_(files) {}

  /// Adds a file, or replaces its bytes.
  void set(std::string name, std::string bytes) { files_[std::move(name)] = std::move(bytes); }
  /// Whether there is a file of that name.
  [[nodiscard]] bool contains(std::string_view name) const { return files_.contains(name); }
  /// Throws Error(data_loss) naming the files there are: where a handler asks, the item should have
  /// had it.
  [[nodiscard]] const std::string& at(std::string_view name) const;
  [[nodiscard]] std::size_t size() const noexcept { return files_.size(); }  ///< files
  [[nodiscard]] std::uint64_t bytes() const noexcept;                        ///< of all of them

  /// The files, by name.
  [[nodiscard]] Map::const_iterator begin() const noexcept { return files_.begin(); }
  [[nodiscard]] Map::const_iterator end() const noexcept { return files_.end(); }
  friend bool operator==(const ItemFiles&, const ItemFiles&) = default;

 private:
  Map files_;
};

}  // namespace cairn
