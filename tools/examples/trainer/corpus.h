#pragma once
// The training text: every file of a folder, as a sequence of symbols of a small vocabulary.

#include "trainer/rng.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace trainer {

inline constexpr std::size_t kMaxCorpusBytes = 256u << 20;

/// Text as symbol numbers. The same files give the same corpus: files are taken in the order of
/// their names, a file reached twice (through a symbolic link) counts once, the vocabulary is
/// sorted.
struct Corpus {
  std::vector<std::uint8_t> symbols;  ///< each below vocabulary.size()
  std::string vocabulary;             ///< symbol number -> byte
  std::size_t file_count = 0;
  std::uint32_t checksum = 0;  ///< crc32c of the text: a run resumes on the text it began with
};

/// Reads the regular files directly in `folder`. Throws std::runtime_error, naming the folder and
/// what to do, when it is missing, unreadable, above kMaxCorpusBytes, or holds fewer than
/// `min_bytes` bytes.
[[nodiscard]] Corpus load_corpus(const std::filesystem::path& folder, std::size_t min_bytes);
/// The same from text in memory.
[[nodiscard]] Corpus make_corpus(const std::string& text);

/// Where training is in the text. An epoch visits every position once, in the order
/// (multiplier * k + offset) mod count: a shuffle that is four numbers to save instead of a
/// permutation.
struct DataCursor {
  std::uint64_t epoch = 0;
  std::uint64_t position = 0;  ///< k: positions of this epoch already visited
  std::uint64_t multiplier = 1;
  std::uint64_t offset = 0;

  /// The next position below `count`; draws a new order from `rng` when an epoch begins.
  std::uint64_t next(std::uint64_t count, Rng& rng);
  friend bool operator==(const DataCursor&, const DataCursor&) = default;
};

}  // namespace trainer
