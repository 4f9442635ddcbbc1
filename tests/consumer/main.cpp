// What a program outside of the tree can reach, with installed headers and the library alone: saves
// a small tree in a temporary directory, restores it in a second manager and compares.
#include <cairn/cairn.h>
#include <cairn/version.h>
#include <stdlib.h>

#include <filesystem>
#include <iostream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

/// A directory that goes with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_((std::filesystem::temp_directory_path() / "cairn-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp " + path_);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

cairn::Tree sample(std::int64_t epoch) {
  cairn::Array weights(cairn::DType::float32, {64, 1024});
  auto values = weights.values<float>();
  std::iota(values.begin(), values.end(), static_cast<float>(epoch));
  return cairn::Tree(cairn::Dict{
      {"epoch", cairn::Tree(epoch)},
      {"layers", cairn::Tree(cairn::List{cairn::Tree(std::move(weights)), cairn::Tree(0.5)})}});
}

bool round_trip(const std::string& root) {
  {
    cairn::CheckpointManager manager(root);
    for (cairn::Step step = 0; step < 2; ++step) {
      if (!manager.save(step, sample(step)).get()) return false;
    }
    manager.close().get();
  }
  cairn::CheckpointManager manager(root);
  return manager.latest_step() == 1 && manager.restore().get().tree() == sample(1) &&
         manager.restore(0).get().tree() == sample(0) && sample(0) != sample(1);
}

}  // namespace

int main() try {
  std::cout << "cairn " << cairn::version() << '\n';
  if (cairn::version() != CAIRN_VERSION_STRING) {
    std::cerr << "the headers are of version " << CAIRN_VERSION_STRING << '\n';
    return 1;
  }
  const TemporaryDirectory directory;
  if (!round_trip(directory.path() + "/root")) {
    std::cerr << "what was restored is not what was saved\n";
    return 1;
  }
  std::cout << "saved, restored, the same\n";
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
