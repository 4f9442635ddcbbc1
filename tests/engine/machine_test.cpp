#include <cairn/engine/internal/machine.h>
#include <gtest/gtest.h>
#include <support/temp_directory.h>

#include <filesystem>
#include <fstream>

namespace cairn::engine::internal {
namespace {

class CgroupTest : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const auto full = directory_.path() / path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  [[nodiscard]] CgroupFiles files(std::string membership) const {
    return {directory_.path().string(), std::move(membership)};
  }
  test::TempDirectory directory_;
};

TEST_F(CgroupTest, NoFilesMeanNoLimit) {
  EXPECT_EQ(cgroup_cpus(files("0::/\n")), std::nullopt);
  EXPECT_EQ(cgroup_memory(files("")), std::nullopt);
}

TEST_F(CgroupTest, VersionTwoTakesTheLeastOfGroupAndAncestors) {
  write("job/task/cpu.max", "max 100000\n");
  write("job/cpu.max", "150000 100000\n");
  write("job/task/memory.max", "max\n");
  write("job/memory.max", "1073741824\n");
  write("memory.max", "2147483648\n");
  EXPECT_DOUBLE_EQ(cgroup_cpus(files("0::/job/task\n")).value(), 1.5);
  EXPECT_EQ(cgroup_memory(files("0::/job/task\n")).value(), 1u << 30);
}

TEST_F(CgroupTest, VersionOneIsFoundByItsController) {
  write("cpu/job/cpu.cfs_quota_us", "50000\n");
  write("cpu/job/cpu.cfs_period_us", "100000\n");
  write("cpu/cpu.cfs_quota_us", "-1\n");
  write("cpu/cpu.cfs_period_us", "100000\n");
  write("memory/job/memory.limit_in_bytes", "4096000\n");
  write("memory/memory.limit_in_bytes", "9223372036854771712\n");
  const std::string membership = "9:name=systemd:/x\n5:cpu,cpuacct:/job\n4:memory:/job\n0::/\n";
  EXPECT_DOUBLE_EQ(cgroup_cpus(files(membership)).value(), 0.5);
  EXPECT_EQ(cgroup_memory(files(membership)).value(), 4096000u);
  EXPECT_EQ(cgroup_memory(files("4:memory:/\n")), std::nullopt)
      << "9223372036854771712 is no limit";
}

TEST_F(CgroupTest, AGroupThatIsNotVisibleFallsBackToTheMount) {
  write("cpu.max", "200000 100000\n");
  EXPECT_DOUBLE_EQ(cgroup_cpus(files("0::/docker/0123abcd\n")).value(), 2.0);
}

TEST_F(CgroupTest, NonsenseIsNoLimit) {
  write("cpu.max", "100000\n");
  write("memory.max", "lots\n");
  EXPECT_EQ(cgroup_cpus(files("nonsense\n0::/\n")), std::nullopt);
  EXPECT_EQ(cgroup_memory(files("0::/\n")), std::nullopt);
  write("cpu.max", "100000 0\n");
  EXPECT_EQ(cgroup_cpus(files("0::/\n")), std::nullopt);
}

TEST(Machine, HasSomeCpuAndMemory) {
  EXPECT_GE(affinity_cpus(), 1u);
  EXPECT_GE(available_memory(), 16u << 20);
}

}  // namespace
}  // namespace cairn::engine::internal
