#include <cairn/codecs/internal/zstd_frame.h>
#include <cairn/codecs/ocdbt.h>
#include <codecs/ocdbt_samples.h>
#include <fuzz/ocdbt_inputs.h>

#include <variant>

namespace cairn::fuzz {
namespace {

using namespace ocdbt;           // NOLINT(google-build-using-namespace): all of this is OCDBT
using namespace ocdbt::testing;  // NOLINT(google-build-using-namespace): byte surgery

constexpr std::size_t kCompressionOffset = kBodyOffset - 1;
/// Above what any input should need, and quick to compress again.
constexpr std::uint64_t kOpenedBytesMax = kNodeBytesMax + (std::uint64_t{4} << 20);

/// Walks one database and keeps the bytes of its structures.
class Walk {
 public:
  Walk(const TestData& data, std::filesystem::path root, GoldenStructures& to)
      : data_(data), root_(std::move(root)), to_(to) {}

  void manifest(const std::filesystem::path& file) {
    to_.manifests.push_back(data_.read(file));
    const Manifest manifest = decode_manifest(to_.manifests.back());
    config_ = manifest.config;
    for (const auto& node : manifest.version_nodes) version_node("", manifest.files, node);
    versions("", manifest.files, manifest.versions);
  }

 private:
  std::string bytes(const std::string& base, const FileTable& files, const Reference& at) const {
    const auto path = root_ / data_path(base, files.at(static_cast<std::size_t>(at.file)));
    return data_.read(path).substr(static_cast<std::size_t>(at.offset),
                                   static_cast<std::size_t>(at.length));
  }
  static std::string base_of(const std::string& base, const FileTable& files, const Reference& at) {
    return base + files.at(static_cast<std::size_t>(at.file)).base;
  }

  void versions(const std::string& base, const FileTable& files,
                const std::vector<Version>& versions) {
    for (const auto& version : versions) {
      if (version.root) node(base, files, *version.root);
    }
  }

  void version_node(const std::string& base, const FileTable& files,
                    const VersionNodeReference& at) {
    to_.version_nodes.push_back(bytes(base, files, at.location));
    const VersionNode node = decode_version_node(to_.version_nodes.back(), config_);
    const auto below = base_of(base, files, at.location);
    if (const auto* leaf = std::get_if<std::vector<Version>>(&node.entries)) {
      versions(below, node.files, *leaf);
    } else {
      for (const auto& child : std::get<std::vector<VersionNodeReference>>(node.entries)) {
        version_node(below, node.files, child);
      }
    }
  }

  void node(const std::string& base, const FileTable& files, const Reference& at) {
    to_.nodes.push_back(bytes(base, files, at));
    const Node node = decode_node(to_.nodes.back(), config_.max_decoded_node_bytes);
    if (const auto* children = std::get_if<std::vector<Child>>(&node.entries)) {
      for (const auto& child : *children) {
        this->node(base_of(base, files, at), node.files, child.location);
      }
    }
  }

  const TestData& data_;
  std::filesystem::path root_;
  GoldenStructures& to_;
  Config config_;
};

}  // namespace

std::optional<OpenedEnvelope> open_envelope(std::string_view envelope) {
  if (envelope.size() < kBodyOffset + kChecksumBytes) return std::nullopt;
  OpenedEnvelope opened;
  opened.compressed = envelope[kCompressionOffset] != 0;
  opened.body = envelope.substr(kBodyOffset, envelope.size() - kBodyOffset - kChecksumBytes);
  if (!opened.compressed) return opened;
  try {
    opened.body = internal::decode_zstd_frame(opened.body, kOpenedBytesMax, "fuzz input");
  } catch (const FormatError&) {
    return std::nullopt;
  }
  return opened;
}

std::string seal_envelope(std::uint32_t magic, const OpenedEnvelope& opened) {
  if (!opened.compressed) return sealed(magic, opened.body);
  std::string frame;
  internal::append_zstd_frame(opened.body, 1, frame);
  return sealed(magic, frame, 1);
}

std::string mutate_envelope(std::string_view envelope, std::uint32_t magic, Mutation& mutation) {
  if (mutation.one_in(16)) return mutation.of_bytes(envelope);
  const bool outside = mutation.one_in(8);
  auto opened = open_envelope(envelope);
  if (!opened || outside) {
    const auto changed = mutation.of_bytes(envelope);
    return changed.size() < kBodyOffset + kChecksumBytes ? changed : resealed(changed);
  }
  opened->body = mutation.of_bytes(opened->body);
  if (mutation.one_in(16)) opened->compressed = !opened->compressed;
  return seal_envelope(magic, *opened);
}

std::size_t structure_memory(std::string_view envelope) {
  // From codecs/ocdbt_format.md, "What the decoder refuses". Keys and paths are held twice while
  // they are cut, and a vector that grows holds its old memory too.
  constexpr std::size_t kExpansion = 4096;
  constexpr std::size_t kCopies = 2;
  // The smallest record has four bytes and is held as an entry and its lengths.
  constexpr std::size_t kRecordMemory = 64;
  const auto opened = open_envelope(envelope);
  const std::size_t body = opened ? opened->body.size() : kOpenedBytesMax;
  return kFreeMemory + kCopies * ((std::size_t{1} << 20) + kExpansion * envelope.size()) +
         kRecordMemory * body;
}

GoldenStructures golden_structures(const TestData& data) {
  GoldenStructures found;
  for (const auto* folder : {"ocdbt", "orbax"}) {
    for (const auto& file : data.files(folder, "manifest.")) {
      Walk(data, file.parent_path(), found).manifest(file);
    }
  }
  return found;
}

}  // namespace cairn::fuzz
