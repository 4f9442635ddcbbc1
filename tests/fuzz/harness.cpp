#include <fuzz/harness.h>

#include <algorithm>
#include <fstream>
#include <iterator>

namespace cairn::fuzz {
namespace {

/// An error is one line that a person reads, whatever the file had in it.
constexpr std::size_t kErrorBytesMax = 4096;

std::vector<Target>& registry() {
  static std::vector<Target> targets;
  return targets;
}

}  // namespace

void require(bool kept, std::string_view promise) {
  if (!kept) throw Finding(std::string(promise));
}

void check_error(const FormatError& error) {
  const std::string_view text = error.what();
  require(!error.structure().empty() && !error.field().empty() && !error.found().empty() &&
              !error.allowed().empty(),
          "an error names structure, field, what was found and what is allowed");
  require(text.size() <= kErrorBytesMax, "an error fits a page");
  require(std::all_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7f'; }),
          "an error has no control characters");
}

void check_place(const FormatError& error, std::size_t bytes) {
  require(error.offset() && *error.offset() <= bytes, "an error names the byte");
}

std::size_t Mutation::below(std::size_t n) {
  return n == 0 ? 0 : std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
}

std::string Mutation::of_bytes(std::string_view bytes) {
  const std::size_t room = std::max(bytes.size(), max_bytes_);
  std::string result(bytes);
  result.resize(room);
  result.resize(of_bytes_(reinterpret_cast<std::uint8_t*>(result.data()), bytes.size(), room));
  return result;
}

std::string TestData::read(const std::filesystem::path& file) const {
  std::ifstream stream(root_ / file, std::ios::binary);
  if (!stream) throw std::runtime_error("no test data " + (root_ / file).string());
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

std::vector<std::filesystem::path> TestData::files(const std::filesystem::path& folder,
                                                   std::string_view prefix) const {
  std::vector<std::filesystem::path> found;
  for (const auto& file : std::filesystem::recursive_directory_iterator(root_ / folder)) {
    if (!file.is_regular_file()) continue;
    if (!file.path().filename().string().starts_with(prefix)) continue;
    found.push_back(std::filesystem::relative(file.path(), root_));
  }
  std::sort(found.begin(), found.end());
  return found;
}

Registration::Registration(const Target& target) {
  auto& all = registry();
  const auto after = std::find_if(all.begin(), all.end(),
                                  [&](const Target& other) { return other.name > target.name; });
  all.insert(after, target);
}

std::span<const Target> targets() {
  return registry();
}

}  // namespace cairn::fuzz
