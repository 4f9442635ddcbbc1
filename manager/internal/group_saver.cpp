// Saves an item that has directories of its own, each as an item would be, as Orbax's handlers of
// random keys do.

#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/item_reader.h>
#include <cairn/manager/internal/marker.h>

#include <vector>

namespace cairn::internal {
namespace {

class GroupSaver final : public ItemSaver {
 public:
  GroupSaver(std::string item, std::string handler, std::vector<std::shared_ptr<ItemSaver>> parts,
             std::shared_ptr<SaveState> state)
      : item_(std::move(item)),
        handler_(std::move(handler)),
        parts_(std::move(parts)),
        state_(std::move(state)) {}

  void plan(double disk_rate) override {
    for (const auto& part : parts_) part->plan(disk_rate);
  }
  [[nodiscard]] std::uint64_t staging_bytes() const override {
    std::uint64_t bytes = 0;
    for (const auto& part : parts_) bytes += part->staging_bytes();
    return bytes;
  }
  [[nodiscard]] std::uint64_t element_bytes() const override {
    std::uint64_t bytes = 0;
    for (const auto& part : parts_) bytes += part->element_bytes();
    return bytes;
  }
  Task<void> capture(engine::Nursery* nursery) override {
    for (const auto& part : parts_) co_await part->capture(nursery);
  }
  Task<void> open(FolderPtr root, FolderPtr step) override {
    folder_ = co_await make_subfolder(step, item_);
    for (const auto& part : parts_) co_await part->open(root, folder_);
  }
  Task<void> finish_data() override {
    engine::Nursery data(state_->engine->executor());
    for (const auto& part : parts_) data.spawn(part->finish_data());
    co_await data.join();
  }
  Task<void> finish_metadata() override {
    engine::Nursery metadata(state_->engine->executor());
    for (const auto& part : parts_) metadata.spawn(part->finish_metadata());
    co_await metadata.join();
    co_await write_file(folder_, std::string(orbax::kCommitMarkerFile), commit_marker_text());
    co_await sync_folder(folder_);
  }
  [[nodiscard]] std::string_view handler() const override { return handler_; }

 private:
  std::string item_;
  std::string handler_;
  std::vector<std::shared_ptr<ItemSaver>> parts_;
  std::shared_ptr<SaveState> state_;
  FolderPtr folder_;
};

}  // namespace

std::shared_ptr<ItemSaver> make_group_saver(std::string item, std::string handler,
                                            std::vector<std::shared_ptr<ItemSaver>> parts,
                                            std::shared_ptr<SaveState> state) {
  return std::make_shared<GroupSaver>(std::move(item), std::move(handler), std::move(parts),
                                      std::move(state));
}

}  // namespace cairn::internal
