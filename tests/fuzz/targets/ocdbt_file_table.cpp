// The data file table, as it stands at the head of manifests and nodes: what decodes can be written
// again and reads the same, and no path that is accepted leaves the database's directory.

#include <cairn/codecs/internal/ocdbt_columns.h>
#include <cairn/codecs/ocdbt.h>
#include <fuzz/harness.h>

#include <filesystem>

namespace cairn::fuzz {
namespace {

using namespace ocdbt;            // NOLINT(google-build-using-namespace): all of this is OCDBT
using namespace ocdbt::internal;  // NOLINT(google-build-using-namespace): its parts

constexpr std::string_view kStructure = "file table";

std::uint64_t expansion(std::string_view input) {
  return (std::uint64_t{1} << 20) + 4096 * input.size();
}

FileTable decode(std::string_view bytes, std::uint64_t limit, bool whole) {
  ByteReader reader(bytes, kStructure);
  ExpansionBudget budget(limit);
  auto files = decode_file_table(reader, budget);
  if (whole) reader.expect_end();
  return files;
}

void check_path(const DataFile& file) {
  const auto path = decoded(kFreeMemory, [&] { return data_path("base/", file); });
  if (!path) return;
  const std::filesystem::path accepted(*path);
  require(accepted.is_relative() && accepted.lexically_normal() == accepted,
          "a path that is accepted has no \"..\" and is not absolute");
  require(path->starts_with("base/") && path->find('\0') == path->npos,
          "a path that is accepted is one that a file system can have");
}

void check(std::string_view input) {
  // A path is built, cut in two and kept.
  const auto files = decoded(kFreeMemory + 3 * expansion(input),
                             [&] { return decode(input, expansion(input), false); });
  if (!files) return;
  std::string bytes;
  ByteWriter writer(bytes, kStructure);
  encode_file_table(writer, *files);
  require(bytes.size() <= input.size(), "our prefixes are the longest");
  require(decode(bytes, expansion(input), true) == *files, "a file table reads back as it was");
  for (const auto& file : *files) check_path(file);
}

Seeds seeds(const TestData&) {
  const FileTable tables[] = {
      {},
      {{"", ""}},
      {{"", "d/00112233445566778899aabbccddeeff"}, {"", "d/00112233445566778899aabbccddeefe"}},
      {{"ocdbt.process_0/", "d/1"}, {"ocdbt.process_0/", "d/2"}, {"ocdbt.process_1/", "d/2"}},
      {{"", "a/b/c"}, {"a/", "b/c"}, {"a/b/", "c"}, {"", "../up"}, {"", "/root"}, {"", "x__lock"}}};
  Seeds found;
  for (const auto& table : tables) {
    ByteWriter writer(found.emplace_back(), kStructure);
    encode_file_table(writer, table);
  }
  return found;
}

const Registration registration({"ocdbt_file_table", check, nullptr, seeds});

}  // namespace
}  // namespace cairn::fuzz
