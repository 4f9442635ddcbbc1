// Saves a JSON document as an item: one file, captured at the call.

#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/item_saver.h>
#include <cairn/manager/internal/marker.h>

#include <boost/json/serialize.hpp>

namespace cairn::internal {
namespace {

class JsonSaver final : public ItemSaver {
 public:
  JsonSaver(std::string item, std::string file, boost::json::value value,
            std::shared_ptr<SaveState> state)
      : item_(std::move(item)),
        file_(std::move(file)),
        value_(std::move(value)),
        state_(std::move(state)) {}

  void plan(double) override { text_ = boost::json::serialize(value_); }
  [[nodiscard]] std::uint64_t staging_bytes() const override { return 0; }
  [[nodiscard]] std::uint64_t element_bytes() const override { return 0; }
  Task<void> capture(engine::Nursery*) override { co_return; }

  Task<void> open(FolderPtr, FolderPtr step) override {
    folder_ = co_await make_subfolder(step, item_);
  }

  Task<void> finish_data() override {
    state_->stored += text_.size();
    co_await write_file(folder_, file_, std::move(text_));
  }

  Task<void> finish_metadata() override {
    co_await write_file(folder_, std::string(orbax::kCommitMarkerFile), commit_marker_text());
    co_await sync_folder(folder_);
  }

  [[nodiscard]] std::string_view handler() const override { return orbax::kJsonHandler; }

 private:
  std::string item_;
  std::string file_;
  boost::json::value value_;
  std::shared_ptr<SaveState> state_;
  std::string text_;
  FolderPtr folder_;
};

}  // namespace

std::shared_ptr<ItemSaver> make_json_saver(std::string item, std::string file,
                                           boost::json::value value,
                                           std::shared_ptr<SaveState> state) {
  return std::make_shared<JsonSaver>(std::move(item), std::move(file), std::move(value),
                                     std::move(state));
}

}  // namespace cairn::internal
