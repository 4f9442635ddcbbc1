// What is said of a database's nodes: where in the file, and once.

#include <gmock/gmock.h>

#include "codecs/ocdbt_samples.h"
#include "manager/stored_samples.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

using ocdbt::testing::kBodyOffset;
using ocdbt::testing::kChecksumBytes;
using ::testing::HasSubstr;

/// A byte in front of the root, so that its offset is not just 0.
constexpr std::uint64_t kNodeOffset = 1;

/// One frame of one block that holds `bytes` as they are, at most 255 (RFC 8878, 3.1.1).
std::string stored_zstd_frame(const std::string& bytes) {
  const auto block = static_cast<unsigned>(bytes.size()) << 3 | 1;  // raw, the last
  std::string frame("\x28\xb5\x2f\xfd\x20", 5);
  frame += static_cast<char>(bytes.size());
  for (const int shift : {0, 8, 16}) frame += static_cast<char>(block >> shift);
  return frame + bytes;
}

class DatabaseErrors : public test::ManagerTest {
 protected:
  std::shared_ptr<engine::Engine> engine_ = test::make_engine(GetParam());

  /// Of a node that has a byte too many at its end.
  static std::string faulty_body() {
    ocdbt::Node leaf;
    leaf.entries = std::vector<ocdbt::Entry>{{"a", std::string("1")}};
    const std::string node = ocdbt::encode(leaf, ocdbt::testing::raw_config());
    return node.substr(kBodyOffset, node.size() - kBodyOffset - kChecksumBytes) + 'x';
  }
  Error error_with(const std::string& root_node) {
    test::write_nodes(root(), 0, {std::string(kNodeOffset, 'x'), root_node});
    const Error error = error_of(read_tree(engine_, root()));
    EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
    EXPECT_EQ(error.context().path, root() + "/d/nodes");
    return error;
  }
};
CAIRN_ON_EVERY_BACKEND(DatabaseErrors);

TEST_P(DatabaseErrors, AFieldOfAStoredBodyHasItsOffsetInTheFile) {
  const std::string body = faulty_body();
  const Error error = error_with(ocdbt::testing::sealed(ocdbt::kBtreeMagic, body));
  EXPECT_THAT(error.what(), HasSubstr("1 bytes after the last field"));
  EXPECT_EQ(error.context().offset, kNodeOffset + kBodyOffset + body.size() - 1);
}

TEST_P(DatabaseErrors, AFieldOfACompressedBodyHasItsOffsetThereAndThatOfTheNodeInTheFile) {
  const std::string body = faulty_body();
  const Error error =
      error_with(ocdbt::testing::sealed(ocdbt::kBtreeMagic, stored_zstd_frame(body), 1));
  EXPECT_THAT(error.what(), HasSubstr("decompressed body: end at byte " +
                                      std::to_string(body.size() - 1) + ": found 1 bytes"));
  EXPECT_EQ(error.context().offset, kNodeOffset);
}

TEST_P(DatabaseErrors, WhatIsOfNoSingleFieldHasTheOffsetOfTheNode) {
  std::string node = ocdbt::testing::sealed(ocdbt::kBtreeMagic, faulty_body());
  node.back() = static_cast<char>(node.back() ^ 1);
  const Error error = error_with(node);
  EXPECT_THAT(error.what(), HasSubstr("checksum"));
  EXPECT_EQ(error.context().offset, kNodeOffset);
}

TEST_P(DatabaseErrors, ARootThatCannotBeReadIsOneFault) {
  test::write_nodes(root(), 0, {ocdbt::testing::sealed(ocdbt::kBtreeMagic, faulty_body())});
  const VerifyReport report = verify_item(engine_, root()).get();
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_EQ(report.damages[0].file, root() + "/d/nodes");
}

}  // namespace
}  // namespace cairn
