#include "trainer/corpus.h"

#include <cairn/codecs/crc32c.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <fstream>
#include <iterator>
#include <numeric>
#include <set>
#include <span>
#include <stdexcept>
#include <system_error>

namespace trainer {
namespace fs = std::filesystem;
namespace {

/// Real paths of the regular files in `folder`, ordered by the name of the file that a link points
/// to.
std::set<fs::path> text_files(const fs::path& folder) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) {
    throw std::runtime_error(
        fmt::format("--data {}: cannot list the folder: {}. Give a folder with text files",
                    folder.string(), error.message()));
  }
  std::set<fs::path> files;
  for (const fs::directory_entry& entry : entries) {
    // A dangling link has no canonical path; it is no text, so it is passed over.
    const fs::path real = fs::canonical(entry.path(), error);
    if (!error && fs::is_regular_file(real, error)) files.insert(real);
  }
  return files;
}

void append_file(const fs::path& file, std::string& text) {
  std::ifstream stream(file, std::ios::binary);
  text.append(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  if (!stream.good() && !stream.eof()) {
    throw std::runtime_error(fmt::format("--data: cannot read {}", file.string()));
  }
}

}  // namespace

Corpus make_corpus(const std::string& text) {
  std::array<bool, 256> present{};
  for (const char c : text) present[static_cast<unsigned char>(c)] = true;
  Corpus corpus;
  std::array<std::uint8_t, 256> number{};
  for (std::size_t byte = 0; byte < present.size(); ++byte) {
    if (!present[byte]) continue;
    number[byte] = static_cast<std::uint8_t>(corpus.vocabulary.size());
    corpus.vocabulary.push_back(static_cast<char>(byte));
  }
  corpus.symbols.reserve(text.size());
  for (const char c : text) corpus.symbols.push_back(number[static_cast<unsigned char>(c)]);
  corpus.checksum = cairn::crc32c(std::as_bytes(std::span(text)));
  return corpus;
}

Corpus load_corpus(const fs::path& folder, std::size_t min_bytes) {
  std::string text;
  const std::set<fs::path> files = text_files(folder);
  for (const fs::path& file : files) {
    append_file(file, text);
    if (text.size() > kMaxCorpusBytes) {
      throw std::runtime_error(
          fmt::format("--data {}: more than {} MiB of text, which is this example's limit",
                      folder.string(), kMaxCorpusBytes >> 20));
    }
  }
  if (text.size() < min_bytes) {
    throw std::runtime_error(fmt::format(
        "--data {}: {} files with {} bytes, but training needs at least {} bytes. Give a folder "
        "with text files",
        folder.string(), files.size(), text.size(), min_bytes));
  }
  Corpus corpus = make_corpus(text);
  corpus.file_count = files.size();
  return corpus;
}

std::uint64_t DataCursor::next(std::uint64_t count, Rng& rng) {
  assert(count > 0 && count <= kMaxCorpusBytes);  // the product below stays under 2^64
  const bool first_epoch_begins = epoch == 0;
  if (first_epoch_begins || position >= count) {
    ++epoch;
    position = 0;
    offset = rng.below(count);
    // Coprime to count: k -> multiplier * k is then a permutation of the residues.
    do {
      multiplier = 1 + rng.below(count);
    } while (std::gcd(multiplier, count) != 1);
  }
  return (multiplier * position++ + offset) % count;
}

}  // namespace trainer
