#pragma once
// Text for people: aligned columns in plain ASCII, and numbers in units that can be read.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::cli {

enum class Align : std::uint8_t { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
};

/// Rows below a line of titles, each column as wide as its widest cell.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// As many cells as there are columns. Control characters in them are made visible.
  void add(std::vector<std::string> cells);
  [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }
  /// The whole table, each line behind `indent` spaces.
  [[nodiscard]] std::string text(std::size_t indent = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// 512 B, 1.50 KiB, 23.4 MiB: three digits.
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);
/// 2024-11-23 16:05:12Z.
[[nodiscard]] std::string human_time(std::int64_t ns_since_epoch);
/// 41 s, 3.2 min, 7.5 h, 12 d; what is below zero counts as nothing.
[[nodiscard]] std::string human_duration(std::int64_t ns);
/// 1 array, 2 arrays.
[[nodiscard]] std::string counted(std::uint64_t count, std::string_view noun);
/// `text` without control characters: names in a checkpoint must not steer a terminal. They become
/// \xNN, a byte each.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace cairn::cli
