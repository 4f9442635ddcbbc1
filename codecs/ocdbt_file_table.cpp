#include <cairn/codecs/internal/ocdbt_columns.h>
#include <fmt/format.h>

#include <algorithm>

namespace cairn::ocdbt {
namespace internal {
namespace {

Field file_field(std::uint64_t index, std::string_view name) {
  return {"file", index, name};
}

std::uint64_t common_prefix(std::string_view a, std::string_view b) {
  const auto end = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  return static_cast<std::uint64_t>(end - a.begin());
}

// A reader takes an equal prefix to mean an equal base only where both bases have one length.
std::uint64_t shared_prefix(const DataFile& previous, const DataFile& file) {
  const auto common = common_prefix(previous.path(), file.path());
  if (previous.base.size() == file.base.size()) return common;
  return std::min<std::uint64_t>(common, std::min(previous.base.size(), file.base.size()));
}

struct PathLengths {
  std::uint64_t prefix = 0;
  std::uint64_t suffix = 0;
  std::uint64_t base = 0;
};

// All lengths are known before the first byte of a path: what they claim is checked before anything
// is built.
void check_lengths(const ByteReader& reader, const std::vector<PathLengths>& lengths,
                   std::uint64_t i) {
  const auto& file = lengths[i];
  const auto path = file.prefix + file.suffix;
  if (path > kMaxPathBytes) {
    reader.reject(file_field(i, "path"), fmt::format("{} bytes", path),
                  fmt::format("at most {}", kMaxPathBytes));
  }
  if (file.base > path) {
    reader.reject(file_field(i, "base_path_length"), std::to_string(file.base),
                  fmt::format("at most {}, the length of the path", path));
  }
  const auto previous_path = i == 0 ? 0 : lengths[i - 1].prefix + lengths[i - 1].suffix;
  const auto previous_base = i == 0 ? 0 : lengths[i - 1].base;
  const auto most = previous_base == file.base ? previous_path : std::min(previous_base, file.base);
  if (file.prefix > most) {
    reader.reject(file_field(i, "path_prefix_length"), std::to_string(file.prefix),
                  fmt::format("at most {}, given the file before it", most));
  }
}

}  // namespace

void encode_file_table(ByteWriter& writer, const FileTable& files) {
  const auto count = files.size();
  writer.varint(std::uint64_t{count}, "num_files");
  std::vector<std::uint64_t> prefixes(count, 0);
  for (std::size_t i = 1; i < count; ++i) {
    prefixes[i] = shared_prefix(files[i - 1], files[i]);
    writer.varint(prefixes[i], file_field(i, "path_prefix_length"), kMaxPathBytes);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t size = files[i].base.size() + files[i].relative.size();
    if (size > kMaxPathBytes) {
      writer.fail(file_field(i, "path"), fmt::format("{} bytes", size),
                  fmt::format("at most {}", kMaxPathBytes));
    }
    writer.varint(size - prefixes[i], file_field(i, "path_suffix_length"), kMaxPathBytes);
  }
  for (std::size_t i = 0; i < count; ++i) {
    writer.varint(std::uint64_t{files[i].base.size()}, file_field(i, "base_path_length"));
  }
  for (std::size_t i = 0; i < count; ++i) {
    writer.bytes(files[i].path().substr(static_cast<std::size_t>(prefixes[i])));
  }
}

FileTable decode_file_table(ByteReader& reader, ExpansionBudget& budget) {
  std::uint64_t count = 0;
  reader.varint(count, "num_files");
  if (count == 0) return {};
  // Three lengths each, but no prefix of the first.
  reader.expect_room(count, 3, "num_files", 1);
  // A file of no bytes takes three bytes here and much more in memory.
  budget.take(count * sizeof(DataFile), reader, "num_files");
  std::vector<PathLengths> lengths(static_cast<std::size_t>(count));
  for (std::uint64_t i = 1; i < count; ++i) {
    reader.varint(lengths[i].prefix, file_field(i, "path_prefix_length"), kMaxPathBytes);
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    reader.varint(lengths[i].suffix, file_field(i, "path_suffix_length"), kMaxPathBytes);
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    reader.varint(lengths[i].base, file_field(i, "base_path_length"), kMaxPathBytes);
    check_lengths(reader, lengths, i);
    budget.take(lengths[i].prefix + lengths[i].suffix, reader, file_field(i, "path"));
  }
  FileTable files;
  files.reserve(lengths.size());
  std::string path;
  for (std::uint64_t i = 0; i < count; ++i) {
    path.resize(static_cast<std::size_t>(lengths[i].prefix));
    path += reader.bytes(static_cast<std::size_t>(lengths[i].suffix), file_field(i, "path_suffix"));
    const auto base = static_cast<std::size_t>(lengths[i].base);
    files.emplace_back(path.substr(0, base), path.substr(base));
  }
  return files;
}

}  // namespace internal

void check_data_path(std::string_view path) {
  constexpr std::string_view kLockSuffix = "__lock";  // TensorStore's name for a lock file
  constexpr std::size_t kShownPathBytes = 200;
  // A database must not lead its reader out of its directory, whoever wrote it; TensorStore refuses
  // the same paths.
  const auto fail = [&](std::string_view found) {
    throw FormatError("OCDBT data file", "path",
                      fmt::format("{} in \"{}\"", found, path.substr(0, kShownPathBytes)),
                      "a path below the database's directory, without empty, \".\" and \"..\" "
                      "components, none ending in \"__lock\"");
  };
  if (path.size() > internal::kMaxPathBytes) {
    fail(fmt::format("{} bytes", path.size()));
  }
  // The system would take the path to end there.
  if (path.find('\0') != std::string_view::npos) fail("a zero byte");
  for (std::size_t begin = 0;;) {
    const auto end = std::min(path.find('/', begin), path.size());
    const auto component = path.substr(begin, end - begin);
    if (component.empty()) fail(path.starts_with('/') ? "an absolute path" : "an empty component");
    if (component == "." || component == "..") fail(fmt::format("\"{}\"", component));
    if (component.ends_with(kLockSuffix)) fail("a lock file");
    if (end == path.size()) return;
    begin = end + 1;
  }
}

std::string data_path(std::string_view transitive, const DataFile& file) {
  auto path = std::string(transitive) + file.base + file.relative;
  check_data_path(path);
  return path;
}

}  // namespace cairn::ocdbt
