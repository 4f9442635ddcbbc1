// Power loss while safetensors files are written: a reader of the directory finds what was there
// before, or what is new, each whole; where shards replace shards, for a moment nothing.

#include <cairn/engine/recording_backend.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "crash/history.h"
#include "support/backends.h"
#include "support/seed.h"
#include "support/temp_directory.h"

namespace cairn::test {
namespace {

constexpr std::uint64_t kSeeds = 40;          // to find a state that breaks the promise
constexpr std::uint64_t kSeedsPerPrefix = 15;  // to see it kept

enum class Form : std::uint8_t { nothing, single, shards };

std::string name_of(Form form) {
  switch (form) {
    case Form::nothing:
      return "nothing";
    case Form::single:
      return "single";
    case Form::shards:
      return "shards";
  }
  return "unknown";
}

Dict tensors_of(std::uint8_t version) {
  Dict dict;
  for (const char* const name : {"a", "b", "c"}) {
    Array array(DType::uint8, {9000});
    for (std::byte& byte : array.bytes()) byte = std::byte{version};
    dict[name] = Tree(std::move(array));
  }
  return dict;
}

void write(const std::shared_ptr<engine::Engine>& engine, const std::string& directory, Form form,
           std::uint8_t version) {
  if (form == Form::nothing) return;
  SafetensorsWriteOptions options;
  options.max_shard_bytes = form == Form::shards ? 10'000 : 0;
  options.overwrite = true;
  static_cast<void>(write_safetensors(engine, Tree(tensors_of(version)),
                                      directory + "/model.safetensors", options)
                        .get());
}

using Parameter = std::tuple<Form, Form, engine::BackendKind>;

class SafetensorsPowerLoss : public ::testing::TestWithParam<Parameter> {
 protected:
  static constexpr std::uint8_t kOld = 1;
  static constexpr std::uint8_t kNew = 2;

  SafetensorsPowerLoss() {
    const auto [before, after, kind] = GetParam();
    const std::string root = (directory_ / "root").string();
    std::filesystem::create_directory(root);
    engine_ = small_engine(make_backend(kind));
    write(engine_, root, before, kOld);
    recording_ = std::make_shared<engine::Recording>(root);
    const auto recorded =
        small_engine(engine::make_recording_backend(make_backend(kind), recording_));
    write(recorded, root, after, kNew);
    recording_->mark("written");
  }

  /// "old", "new", "nothing", or what else a reader of `path` finds.
  std::string look(const std::string& path) {
    try {
      const SafetensorsContent content = read_safetensors(engine_, path).get();
      if (content.tree == Tree(tensors_of(kOld))) return "old";
      if (content.tree == Tree(tensors_of(kNew))) return "new";
      return "a checkpoint that was never written";
    } catch (const Error& error) {
      const std::string what = error.what();
      const bool nothing = what.find("no safetensors file") != std::string::npos ||
                           what.find("no index for shards") != std::string::npos;
      return nothing ? "nothing" : what;
    }
  }

  /// Empty, or what a reader finds after this power loss and should not.
  std::string violation(std::size_t prefix, std::uint64_t seed,
                        const engine::Recording::IgnoreSync& ignore = {}) {
    const auto [before, after, kind] = GetParam();
    const std::string place = (directory_ / "replayed").string();
    std::filesystem::remove_all(place);
    recording_->replay(prefix, seed, place, ignore);
    const bool written = prefix >= recording_->marks().at(0).position;
    const bool may_be_gone =
        before == Form::nothing || (before == Form::shards && after == Form::shards);
    const std::string found = look(place);
    const bool good =
        found == "new" || (!written && (found == "old" || (found == "nothing" && may_be_gone)));
    if (!good) return found;
    // Whoever goes by the index is not misled either.
    const std::string index = place + "/model.safetensors.index.json";
    if (!std::filesystem::exists(index)) return "";
    const std::string by_index = look(index);
    if (by_index == "new" || (by_index == "old" && !written)) return "";
    return "by the index: " + by_index;
  }

  std::uint64_t seed_ = make_seed();
  TempDirectory directory_ = TempDirectory::in_memory();
  std::shared_ptr<engine::Engine> engine_;
  std::shared_ptr<engine::Recording> recording_;
};
INSTANTIATE_TEST_SUITE_P(Stories, SafetensorsPowerLoss,
                         ::testing::Combine(::testing::Values(Form::nothing, Form::single,
                                                              Form::shards),
                                            ::testing::Values(Form::single, Form::shards),
                                            ::testing::ValuesIn(backend_kinds())),
                         [](const ::testing::TestParamInfo<Parameter>& story) {
                           return name_of(std::get<1>(story.param)) + "_over_" +
                                  name_of(std::get<0>(story.param)) + "_" +
                                  to_string(std::get<2>(story.param));
                         });

TEST_P(SafetensorsPowerLoss, LeavesTheOldCheckpointOrTheNewOneWhole) {
  for (std::size_t prefix = 0; prefix <= recording_->mutations(); ++prefix) {
    for (std::uint64_t i = 0; i < kSeedsPerPrefix; ++i) {
      const std::string trouble = violation(prefix, seed_ + prefix * kSeeds + i);
      ASSERT_EQ(trouble, "") << "after " << prefix << " mutations, the last "
                             << (prefix == 0 ? "none" : recording_->describe(prefix - 1));
    }
  }
}

// Each sync, left out, breaks the promise.
TEST_P(SafetensorsPowerLoss, NeedsEverySync) {
  for (const std::size_t sync : recording_->syncs()) {
    const auto ignore = [sync](std::size_t index) { return index == sync; };
    std::string found;
    for (std::uint64_t i = 0; i < kSeeds && found.empty(); ++i) {
      for (std::size_t prefix = sync + 1; prefix <= recording_->mutations() && found.empty();
           ++prefix) {
        found = violation(prefix, seed_ + prefix * kSeeds + i, ignore);
      }
    }
    EXPECT_NE(found, "") << "nothing breaks without " << recording_->describe(sync);
  }
}

}  // namespace
}  // namespace cairn::test
