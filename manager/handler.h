#pragma once
// Items of a type of your own: how a value becomes files, and comes back.
//
//     struct VocabularySave { std::vector<std::string> words; };
//     struct VocabularyRestore {};
//     class VocabularyHandler final
//         : public cairn::Handler<VocabularySave, VocabularyRestore, std::vector<std::string>> {
//       std::string_view name() const override { return "my_app.VocabularyHandler"; }
//       cairn::ItemFiles encode(const VocabularySave& args) const override { ... }
//       std::vector<std::string> decode(const cairn::ItemFiles& files,
//                                       const VocabularyRestore&) const override { ... }
//     };
//     options.handlers.add(std::make_shared<VocabularyHandler>());
//     manager.save(step, cairn::args::Composite{{"words", VocabularySave{words}}});
//     manager.restore(step).get().get<std::vector<std::string>>("words");

#include <cairn/export.h>
#include <cairn/manager/item_files.h>

#include <any>
#include <boost/json/value.hpp>
#include <concepts>
#include <memory>
#include <string_view>
#include <typeindex>
#include <vector>

namespace cairn {
namespace internal {
struct HandlerAccess;
class ItemReader;
class ItemSaver;
struct SaverRequest;
}  // namespace internal

/// What saves and restores one kind of item. Those of Cairn are in manager/handler_registry.h; your
/// own derive from Handler, below. Always owned by a shared_ptr.
class CAIRN_EXPORT ItemHandler : public std::enable_shared_from_this<ItemHandler> {
 public:
  virtual ~ItemHandler() = default;
  /// What the metadata of a step says of its items, by which a later restore finds the handler: the
  /// same in every release of your program.
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// Whether it reads items that the handler of this name has saved. For handlers whose name has
  /// changed.
  [[nodiscard]] virtual bool reads(std::string_view recorded_name) const {
    return recorded_name == name();
  }
  /// The types of arguments that it takes for saves.
  [[nodiscard]] virtual std::vector<std::type_index> save_args() const = 0;
  /// The same for restores.
  [[nodiscard]] virtual std::vector<std::type_index> restore_args() const = 0;

 private:
  friend struct internal::HandlerAccess;
  [[nodiscard]] virtual std::shared_ptr<internal::ItemSaver> make_saver(
      internal::SaverRequest request) const = 0;
  [[nodiscard]] virtual std::shared_ptr<const internal::ItemReader> make_reader() const = 0;
};

namespace detail {

/// What is the same for all Handlers: their arguments and values lose their types here.
class CAIRN_EXPORT FileHandler : public ItemHandler {
 public:
  [[nodiscard]] virtual ItemFiles encode_any(const std::any& args) const = 0;
  /// `args` may be empty.
  [[nodiscard]] virtual std::any decode_any(const ItemFiles& files, const std::any& args) const = 0;
  [[nodiscard]] virtual boost::json::value describe(const ItemFiles& files) const;
  /// Whether a file of the item is among those that it is given.
  [[nodiscard]] virtual bool needs(std::string_view file) const;

 private:
  [[nodiscard]] std::shared_ptr<internal::ItemSaver> make_saver(
      internal::SaverRequest request) const override;
  [[nodiscard]] std::shared_ptr<const internal::ItemReader> make_reader() const override;
};

}  // namespace detail

/// A handler whose items are a few files that fit into memory. Their commit is that of everything
/// in the step: written and synced before the step can be seen, there whole or not at all.
/// The members run on worker threads, several at a time.
template <std::copyable SaveArgs, std::copyable RestoreArgs, std::copyable Value>
requires std::default_initializable<RestoreArgs>
class Handler : public detail::FileHandler {
 public:
  /// The item's files. `args` was moved into save() or copied there. What it throws fails the save:
  /// an Error as it is, any other exception as invalid_argument with its text.
  [[nodiscard]] virtual ItemFiles encode(const SaveArgs& args) const = 0;
  /// The value, from the item's files. Where these are not those of the save, by the hashes that
  /// `_CAIRN` has, the restore fails as data_loss instead. Restores without arguments give
  /// RestoreArgs(). What it throws fails the restore: an Error as it is, any other exception as
  /// data_loss with its text.
  [[nodiscard]] virtual Value decode(const ItemFiles& files, const RestoreArgs& args) const = 0;
  /// What item_metadata() says of the item, as ItemMetadata::description; the files are read for
  /// it.
  [[nodiscard]] boost::json::value describe(const ItemFiles&) const override { return nullptr; }

  [[nodiscard]] std::vector<std::type_index> save_args() const override {
    return {typeid(SaveArgs)};
  }
  [[nodiscard]] std::vector<std::type_index> restore_args() const override {
    return {typeid(RestoreArgs)};
  }

 private:
  [[nodiscard]] ItemFiles encode_any(const std::any& args) const final {
    return encode(std::any_cast<const SaveArgs&>(args));
  }
  [[nodiscard]] std::any decode_any(const ItemFiles& files, const std::any& args) const final {
    if (!args.has_value()) return std::any(decode(files, RestoreArgs()));
    return std::any(decode(files, std::any_cast<const RestoreArgs&>(args)));
  }
};

}  // namespace cairn
