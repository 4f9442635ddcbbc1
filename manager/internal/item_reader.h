#pragma once
// How the manager asks a handler for what it does: see ItemHandler.

#include <cairn/manager/handler_registry.h>
#include <cairn/manager/internal/chunk_plan.h>
#include <cairn/manager/internal/item_saver.h>
#include <cairn/manager/internal/step_reader.h>
#include <cairn/manager/step_metadata.h>

#include <any>
#include <memory>
#include <string>

namespace cairn::internal {

/// What a handler makes the saver of an item from.
struct SaverRequest {
  SaverRequest(std::string i, std::any a, TreeSettings t, std::shared_ptr<SaveState> s)
      : item(std::move(i)), args(std::move(a)), tree(std::move(t)), state(std::move(s)) {}
  std::string item;
  std::any args;  ///< of a type that the handler takes
  TreeSettings tree;
  std::shared_ptr<SaveState> state;
};

/// Reads items of one kind; without a state of its own. Coroutines hold it by what called them.
class ItemReader {
 public:
  virtual ~ItemReader() = default;
  /// The value; `args` of a type that the handler takes, or empty.
  virtual Task<std::any> restore(OpenStepPtr step, std::string item,
                                 args::ItemRestore args) const = 0;
  /// What there is to say but name, directory and handler.
  virtual Task<ItemMetadata> describe(OpenStepPtr step, std::string item) const = 0;
  /// Checks what is stored; `values`: every byte of arrays too. What is wrong with single arrays
  /// goes to `damage`, counts to `report`; the rest is thrown.
  virtual Task<void> verify(OpenStepPtr step, std::string item, bool values, DamageSink damage,
                            VerifyReport* report) const = 0;
};

struct HandlerAccess {
  [[nodiscard]] static std::shared_ptr<ItemSaver> make_saver(const ItemHandler& handler,
                                                             SaverRequest request) {
    return handler.make_saver(std::move(request));
  }
  [[nodiscard]] static std::shared_ptr<const ItemReader> make_reader(const ItemHandler& handler) {
    return handler.make_reader();
  }
};

/// Reads `folder` as a tree, which an item is or has in it.
Task<Tree> load_tree(FolderPtr folder, std::string item, ItemForm form);
Task<ItemMetadata> describe_tree(FolderPtr folder, std::string item, ItemForm form);
Task<void> verify_tree(FolderPtr folder, std::string item, ItemForm form, bool values,
                       DamageSink damage, VerifyReport* report);

/// The saver of an array item. Throws Error(invalid_argument) where `array` is no array or number.
std::shared_ptr<ItemSaver> make_array_saver(std::string item, Tree array,
                                            std::optional<Codec> codec, TreeSettings settings,
                                            std::shared_ptr<SaveState> state);
/// Several savers as one item, each in a directory of its own below it.
std::shared_ptr<ItemSaver> make_group_saver(std::string item, std::string handler,
                                            std::vector<std::shared_ptr<ItemSaver>> parts,
                                            std::shared_ptr<SaveState> state);

}  // namespace cairn::internal
