#pragma once
// Reads a whole database from a directory with the codecs alone: small, slow and obvious, for
// tests.

#include <cairn/codecs/ocdbt.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace cairn::ocdbt::testing {

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out) throw std::runtime_error("cannot write " + path.string());
}

class Database {
 public:
  using Values = std::map<std::string, std::string>;

  explicit Database(std::filesystem::path root)
      : root_(std::move(root)), manifest_(decode_manifest(read_file(root_ / "manifest.ocdbt"))) {
    if (!manifest_.config.numbered) return;
    // The configuration stays the first file's; the newest numbered manifest has the rest.
    std::filesystem::path newest;
    for (const auto& file : std::filesystem::directory_iterator(root_)) {
      const auto name = file.path().filename().string();
      if (name.starts_with("manifest.0")) newest = std::max(newest, file.path());
    }
    manifest_ = decode_manifest(read_file(newest));
  }

  const Manifest& manifest() const { return manifest_; }
  std::uint8_t tallest_node() const { return tallest_; }
  std::uint8_t tallest_version_node() const { return tallest_version_node_; }

  /// Every version, from the version tree and the manifest, ascending.
  std::vector<Version> versions() {
    std::vector<Version> all;
    for (const auto& node : manifest_.version_nodes) add_versions("", manifest_.files, node, all);
    for (const auto& version : manifest_.versions) add_version("", manifest_.files, version, all);
    return all;
  }

  Values values(const Version& version) {
    Values values;
    if (!version.root) return values;
    const auto& [transitive, files] = tables_.at(version.generation);
    // No key is below the empty one: a root has no lower bound.
    const auto totals =
        add_node(transitive, files, *version.root, version.root_height, "", "", values);
    if (totals != version.statistics) throw std::runtime_error("statistics of the version");
    return values;
  }
  Values latest() { return values(versions().back()); }

 private:
  std::string bytes(const std::string& transitive, const FileTable& files, const Reference& at) {
    const auto& file = files.at(static_cast<std::size_t>(at.file));
    auto& content = files_[data_path(transitive, file)];
    if (content.empty()) content = read_file(root_ / data_path(transitive, file));
    if (at.offset + at.length > content.size()) throw std::runtime_error("reference past the end");
    return content.substr(static_cast<std::size_t>(at.offset), static_cast<std::size_t>(at.length));
  }

  void add_version(const std::string& transitive, const FileTable& files, const Version& version,
                   std::vector<Version>& all) {
    all.push_back(version);
    tables_[version.generation] = {transitive, files};
  }

  void add_versions(const std::string& transitive, const FileTable& files,
                    const VersionNodeReference& at, std::vector<Version>& all) {
    const auto before = all.size();
    const auto node = decode_version_node(bytes(transitive, files, at.location), manifest_.config);
    if (node.height != at.height) throw std::runtime_error("height of a version node");
    tallest_version_node_ = std::max(tallest_version_node_, node.height);
    const auto base = transitive + files.at(static_cast<std::size_t>(at.location.file)).base;
    if (const auto* versions = std::get_if<std::vector<Version>>(&node.entries)) {
      for (const auto& version : *versions) add_version(base, node.files, version, all);
    } else {
      for (const auto& child : std::get<std::vector<VersionNodeReference>>(node.entries)) {
        add_versions(base, node.files, child, all);
      }
    }
    if (all.size() - before != at.num_generations) throw std::runtime_error("num_generations");
    if (all.back().generation != at.generation) throw std::runtime_error("last generation");
    if (all[before].commit_time_ns != at.commit_time_ns) throw std::runtime_error("commit time");
  }

  Statistics add_node(const std::string& transitive, const FileTable& files, const Reference& at,
                      std::uint8_t height, const std::string& prefix, std::string_view min_key,
                      Values& values) {
    const auto node =
        decode_node(bytes(transitive, files, at), manifest_.config.max_decoded_node_bytes);
    check_child(node, height, min_key);
    tallest_ = std::max(tallest_, node.height);
    const auto base = transitive + files.at(static_cast<std::size_t>(at.file)).base;
    Statistics totals{0, at.length, 0};
    if (const auto* entries = std::get_if<std::vector<Entry>>(&node.entries)) {
      totals.num_keys = entries->size();
      for (const auto& entry : *entries) {
        auto& value = values[prefix + entry.key];
        if (const auto* out_of_line = std::get_if<Reference>(&entry.value)) {
          value = bytes(base, node.files, *out_of_line);
          totals.num_indirect_value_bytes += out_of_line->length;
        } else {
          value = std::get<std::string>(entry.value);
        }
      }
      return totals;
    }
    for (const auto& child : std::get<std::vector<Child>>(node.entries)) {
      const auto below =
          add_node(base, node.files, child.location, static_cast<std::uint8_t>(height - 1),
                   prefix + child.key.substr(0, child.common_prefix),
                   std::string_view(child.key).substr(child.common_prefix), values);
      if (below != child.statistics) throw std::runtime_error("statistics of " + child.key);
      totals.num_keys += below.num_keys;
      totals.num_tree_bytes += below.num_tree_bytes;
      totals.num_indirect_value_bytes += below.num_indirect_value_bytes;
    }
    return totals;
  }

  std::filesystem::path root_;
  Manifest manifest_;
  std::map<std::string, std::string> files_;
  std::map<std::uint64_t, std::pair<std::string, FileTable>> tables_;  // by generation
  std::uint8_t tallest_ = 0;
  std::uint8_t tallest_version_node_ = 0;
};

}  // namespace cairn::ocdbt::testing
