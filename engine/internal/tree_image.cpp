#include <cairn/engine/internal/tree_image.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

namespace cairn::engine::internal {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& what, const fs::path& path) {
  throw std::system_error(errno != 0 ? errno : EIO, std::system_category(),
                          what + " " + path.string());
}

class TreeReader {
 public:
  TreeImage read(const std::string& root) {
    image_.add(true, mode_of(root));
    read_directory(kRootInode, root);
    return std::move(image_);
  }

 private:
  static std::uint32_t mode_of(const fs::path& path) {
    return static_cast<std::uint32_t>(fs::status(path).permissions());
  }

  void read_directory(InodeId directory, const fs::path& path) {
    for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
      const std::string name = entry.path().filename().string();
      if (entry.is_symlink()) continue;
      if (entry.is_directory()) {
        const InodeId child = image_.add(true, mode_of(entry.path()));
        image_.inodes[directory].entries[name] = child;
        read_directory(child, entry.path());
      } else if (entry.is_regular_file()) {
        const InodeId child = read_file(entry.path());
        image_.inodes[directory].entries[name] = child;
      }
    }
  }

  InodeId read_file(const fs::path& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) fail("cannot read", path);
    const auto [known, is_new] =
        files_.try_emplace(std::pair(status.st_dev, status.st_ino), kRootInode);
    if (!is_new) return known->second;  // another name of a file we have
    known->second = image_.add(false, mode_of(path));
    std::ifstream file(path, std::ios::binary);
    if (!file) fail("cannot read", path);
    image_.inodes[known->second].content.assign(std::istreambuf_iterator<char>(file), {});
    return known->second;
  }

  TreeImage image_;
  std::map<std::pair<dev_t, ino_t>, InodeId> files_;
};

class TreeWriter {
 public:
  explicit TreeWriter(const TreeImage& image) : image_(image), written_(image.inodes.size()) {}

  void write_directory(InodeId directory, const fs::path& path) {
    written_[directory] = path;
    for (const auto& [name, child] : image_.inodes[directory].entries) {
      const ImageInode& inode = image_.inodes[child];
      const fs::path at = path / name;
      if (!inode.directory) {
        write_file(child, at);
      } else if (written_[child].empty()) {
        // Lost renames can leave a directory with two names; the first one has it.
        fs::create_directory(at);
        write_directory(child, at);
      }
    }
  }

 private:
  void write_file(InodeId file, const fs::path& path) {
    if (!written_[file].empty()) {
      fs::create_hard_link(written_[file], path);
      return;
    }
    written_[file] = path;
    const ImageInode& inode = image_.inodes[file];
    std::ofstream out(path, std::ios::binary);
    out.write(inode.content.data(), static_cast<std::streamsize>(inode.content.size()));
    if (!out.flush()) fail("cannot write", path);
    fs::permissions(path, static_cast<fs::perms>(inode.mode));
  }

  const TreeImage& image_;
  std::vector<fs::path> written_;  // by inode: the first name it got
};

// Calls `visit` for each component that is not empty or "."; false when one is "..".
template <class Visit>
bool for_each_component(std::string_view path, Visit visit) {
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (name == "..") return false;
    if (!name.empty() && name != ".") visit(name);
  }
  return true;
}

}  // namespace

InodeId TreeImage::add(bool directory, std::uint32_t mode) {
  ImageInode inode;
  inode.directory = directory;
  inode.mode = mode;
  inodes.push_back(std::move(inode));
  return static_cast<InodeId>(inodes.size() - 1);
}

std::optional<InodeId> TreeImage::find(InodeId from, std::string_view path) const {
  std::optional<InodeId> at = from;
  const bool understood = for_each_component(path, [&](std::string_view name) {
    if (!at) return;
    const auto& entries = inodes[*at].entries;
    const auto entry = entries.find(std::string(name));
    at = entry == entries.end() ? std::nullopt : std::optional(entry->second);
  });
  return understood ? at : std::nullopt;
}

std::optional<Place> find_place(const TreeImage& image, InodeId from, std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  const std::size_t slash = path.rfind('/');
  const bool nested = slash != std::string_view::npos;
  const std::string_view name = nested ? path.substr(slash + 1) : path;
  if (name.empty() || name == "." || name == "..") return std::nullopt;
  const auto directory = image.find(from, nested ? path.substr(0, slash) : std::string_view());
  if (!directory) return std::nullopt;
  return Place{*directory, std::string(name)};
}

TreeImage read_tree(const std::string& root) {
  return TreeReader().read(root);
}

void write_tree(const TreeImage& image, const std::string& target) {
  TreeWriter(image).write_directory(kRootInode, target);
}

}  // namespace cairn::engine::internal
