// Saves an item that is a few files in memory.

#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/file_record.h>
#include <cairn/manager/internal/item_saver.h>
#include <cairn/manager/internal/marker.h>

namespace cairn::internal {
namespace {

constexpr std::size_t kNameBytesMax = 255;  // of every Linux file system

class FileSaver final : public ItemSaver {
 public:
  FileSaver(std::string item, std::string handler, FileEncoder encode,
            std::shared_ptr<SaveState> state)
      : item_(std::move(item)),
        handler_(std::move(handler)),
        encode_(std::move(encode)),
        state_(std::move(state)) {}

  void plan(double) override {
    files_ = encode_();
    encode_ = nullptr;  // with what it holds
    for (const auto& [name, bytes] : files_) {
      check_name(name);
      check_size(name, bytes.size());
    }
    record_ = encode_file_record(files_);
  }
  [[nodiscard]] std::uint64_t staging_bytes() const override { return 0; }
  [[nodiscard]] std::uint64_t element_bytes() const override { return 0; }
  Task<void> capture(engine::Nursery*) override { co_return; }

  Task<void> open(FolderPtr, FolderPtr step) override {
    folder_ = co_await make_subfolder(step, item_);
  }

  Task<void> finish_data() override {
    state_->stored += files_.bytes() + record_.size();
    engine::Nursery files(state_->engine->executor());
    for (const auto& [name, text] : files_) files.spawn(write_file(folder_, name, text));
    files.spawn(write_file(folder_, std::string(kRecordFile), std::move(record_)));
    files_ = ItemFiles();
    co_await files.join();
  }

  Task<void> finish_metadata() override {
    co_await write_file(folder_, std::string(orbax::kCommitMarkerFile), commit_marker_text());
    co_await sync_folder(folder_);
  }

  [[nodiscard]] std::string_view handler() const override { return handler_; }

 private:
  void check_name(const std::string& name) const {
    const bool usable = !name.empty() && name.size() <= kNameBytesMax && name[0] != '.' &&
                        name.find('/') == std::string::npos &&
                        name.find('\0') == std::string::npos && name != orbax::kCommitMarkerFile &&
                        name != kRecordFile;
    if (usable) return;
    ErrorContext context;
    context.item = item_;
    throw Error(ErrorCode::invalid_argument,
                "its handler, " + handler_ + ", gave a file the name '" + name +
                    "', which a file of an item cannot have",
                context);
  }

  void check_size(const std::string& name, std::uint64_t bytes) const {
    if (bytes <= kItemFileBytesMax) return;
    ErrorContext context;
    context.item = item_;
    context.remedy = "Save large data as arrays of a tree";
    throw Error(ErrorCode::invalid_argument,
                "its file '" + name + "' has " + std::to_string(bytes) + " bytes; at most " +
                    std::to_string(kItemFileBytesMax) + " could be read again",
                context);
  }

  std::string item_;
  std::string handler_;
  FileEncoder encode_;
  std::shared_ptr<SaveState> state_;
  ItemFiles files_;
  std::string record_;  ///< `_CAIRN`
  FolderPtr folder_;
};

}  // namespace

std::shared_ptr<ItemSaver> make_file_saver(std::string item, std::string handler,
                                           FileEncoder encode, std::shared_ptr<SaveState> state) {
  return std::make_shared<FileSaver>(std::move(item), std::move(handler), std::move(encode),
                                     std::move(state));
}

}  // namespace cairn::internal
