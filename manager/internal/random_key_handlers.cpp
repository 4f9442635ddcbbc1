// The handlers of random keys. Orbax keeps the state as an item in the item, and beside it a JSON
// item that says what the state is.

#include <cairn/codecs/format_error.h>
#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/file_record.h>
#include <cairn/manager/internal/handler_lookup.h>
#include <cairn/manager/internal/item_reader.h>
#include <cairn/manager/random_key.h>

namespace cairn {
namespace internal {
namespace {

constexpr std::uint64_t kKeyMetadataBytesMax = 1u << 20;
constexpr std::string_view kTypedKey = "typed";    // of JAX's
constexpr std::string_view kLegacyKey = "legacy";  // of numpy's

[[nodiscard]] std::string metadata_folder(std::string_view folder) {
  return std::string(folder) + std::string(orbax::kKeyMetadataSuffix);
}

/// The saver of what is beside the state: {"typed": true}.
[[nodiscard]] std::shared_ptr<ItemSaver> make_flag_saver(std::string_view folder,
                                                         std::string_view key, bool value,
                                                         std::shared_ptr<SaveState> state) {
  boost::json::object flag;
  flag[key] = value;
  ItemFiles files{{std::string(kJsonFiles[0]), orbax::to_json(flag)}};
  auto encode = [files = std::move(files)] { return files; };
  return make_file_saver(metadata_folder(folder), std::string(orbax::kJsonHandler),
                         std::move(encode), std::move(state));
}

/// Throws data_loss where the file says neither true nor false.
[[nodiscard]] bool read_flag(const std::string& text, std::string_view key,
                             const std::string& path) {
  try {
    const boost::json::value value = orbax::parse_json(text, "random key's metadata");
    const boost::json::object* object = value.if_object();
    const boost::json::value* flag = object != nullptr ? object->if_contains(key) : nullptr;
    if (flag != nullptr && flag->is_bool()) return flag->get_bool();
  } catch (const FormatError& error) {
    throw format_failure(error, path);
  }
  throw step_error(
      ErrorCode::data_loss,
      "the metadata of the random key has no '" + std::string(key) + "' that is true or false",
      path);
}

/// Where the parts of an item are, and what they are.
struct KeyParts {
  KeyParts(std::string_view f, std::string_view k, ItemForm i) : folder(f), flag(k), form(i) {}
  std::string_view folder;
  std::string_view flag;
  ItemForm form;
};

class KeyReader : public ItemReader {
 public:
  explicit KeyReader(KeyParts parts) : parts_(parts) {}

  Task<ItemMetadata> describe(OpenStepPtr step, std::string item) const override {
    FolderPtr folder = co_await state_folder(step, item);
    co_return co_await describe_tree(folder, item, parts_.form);
  }
  Task<void> verify(OpenStepPtr step, std::string item, bool values, DamageSink damage,
                    VerifyReport* report) const override {
    FolderPtr folder = co_await state_folder(step, item);
    co_await verify_tree(folder, item, parts_.form, values, std::move(damage), report);
    const bool flag = co_await flag_of(step, item);
    static_cast<void>(flag);
  }

 protected:
  Task<FolderPtr> state_folder(OpenStepPtr step, std::string item) const {
    FolderPtr folder = co_await item_folder(step, item);
    co_return co_await open_subfolder(folder, std::string(parts_.folder));
  }
  Task<Tree> state_of(OpenStepPtr step, std::string item) const {
    FolderPtr folder = co_await state_folder(step, item);
    co_return co_await load_tree(folder, item, parts_.form);
  }
  Task<bool> flag_of(OpenStepPtr step, std::string item) const {
    FolderPtr whole = co_await item_folder(step, item);
    FolderPtr folder = co_await open_subfolder(whole, metadata_folder(parts_.folder));
    const std::string name(kJsonFiles[0]);
    std::string text = co_await read_file(folder, name, kKeyMetadataBytesMax);
    ItemFiles files;
    files.set(name, std::move(text));
    FileChooser none_else;
    co_await check_files(folder, item, &files, std::move(none_else), throw_damage());
    co_return read_flag(files.at(name), parts_.flag, join_path(folder->path, name));
  }

 private:
  KeyParts parts_;
};

class JaxKeyReader final : public KeyReader {
 public:
  JaxKeyReader()
      : KeyReader(KeyParts(orbax::kJaxRandomKeyFolder, kTypedKey, ItemForm::single_array)) {}

  Task<std::any> restore(OpenStepPtr step, std::string item, args::ItemRestore) const override {
    Tree state = co_await state_of(step, item);
    const bool typed = co_await flag_of(step, item);
    if (!state.is<Array>()) {
      throw step_error(ErrorCode::data_loss,
                       "the random key is not an array, but a " + std::string(state.kind()),
                       step->folder->path, item);
    }
    co_return std::any(JaxRandomKey(std::move(state.as<Array>()), typed));
  }
};

class NumpyKeyReader final : public KeyReader {
 public:
  NumpyKeyReader()
      : KeyReader(KeyParts(orbax::kNumpyRandomKeyFolder, kLegacyKey, ItemForm::tree)) {}

  Task<std::any> restore(OpenStepPtr step, std::string item, args::ItemRestore) const override {
    Tree state = co_await state_of(step, item);
    const bool legacy = co_await flag_of(step, item);
    // A tuple is stored as a list.
    if (auto* list = std::get_if<List>(&state.value()); legacy && list != nullptr)
      state = Tree(Tuple(std::vector<Tree>(std::move(*list))));
    try {
      co_return std::any(RandomState(std::move(state)));
    } catch (const Error& error) {
      throw step_error(ErrorCode::data_loss, error.reason(), step->folder->path, item);
    }
  }
};

class JaxRandomKeyHandler final : public ItemHandler {
 public:
  [[nodiscard]] std::string_view name() const override { return orbax::kJaxRandomKeyHandler; }
  [[nodiscard]] bool reads(std::string_view recorded) const override {
    return kind_by_handler(recorded) == ItemKind::jax_random_key;
  }
  [[nodiscard]] std::vector<std::type_index> save_args() const override {
    return {typeid(args::JaxRandomKeySave)};
  }
  [[nodiscard]] std::vector<std::type_index> restore_args() const override {
    return {typeid(args::JaxRandomKeyRestore)};
  }

 private:
  [[nodiscard]] std::shared_ptr<ItemSaver> make_saver(SaverRequest request) const override {
    JaxRandomKey key = std::move(std::any_cast<args::JaxRandomKeySave>(&request.args)->key);
    const Shape& shape = key.data.shape();
    if (key.data.dtype() != DType::uint32 || shape.empty() || shape.back() != 2) {
      ErrorContext context;
      context.item = request.item;
      context.remedy = "Give what jax.random.key_data() gives for a key of the threefry generator";
      throw Error(ErrorCode::invalid_argument,
                  "the data of a random key is uint32[..., 2], this is " +
                      to_string(LeafSpec(key.data.dtype(), shape)),
                  context);
    }
    std::vector<std::shared_ptr<ItemSaver>> parts;
    parts.push_back(make_array_saver(std::string(orbax::kJaxRandomKeyFolder),
                                     Tree(std::move(key.data)), std::nullopt,
                                     std::move(request.tree), request.state));
    parts.push_back(
        make_flag_saver(orbax::kJaxRandomKeyFolder, kTypedKey, key.typed, request.state));
    return make_group_saver(std::move(request.item), std::string(name()), std::move(parts),
                            std::move(request.state));
  }
  [[nodiscard]] std::shared_ptr<const ItemReader> make_reader() const override {
    return std::make_shared<JaxKeyReader>();
  }
};

class RandomKeyHandler final : public ItemHandler {
 public:
  [[nodiscard]] std::string_view name() const override { return orbax::kNumpyRandomKeyHandler; }
  [[nodiscard]] bool reads(std::string_view recorded) const override {
    return kind_by_handler(recorded) == ItemKind::random_key;
  }
  [[nodiscard]] std::vector<std::type_index> save_args() const override {
    return {typeid(args::RandomKeySave)};
  }
  [[nodiscard]] std::vector<std::type_index> restore_args() const override {
    return {typeid(args::RandomKeyRestore)};
  }

 private:
  [[nodiscard]] std::shared_ptr<ItemSaver> make_saver(SaverRequest request) const override {
    const RandomState& given = std::any_cast<args::RandomKeySave>(&request.args)->state;
    request.tree.handler = orbax::kPyTreeHandler;
    request.tree.strings = true;
    request.tree.incremental = false;
    const bool legacy = !given.numpy().is<Dict>();
    std::vector<std::shared_ptr<ItemSaver>> parts;
    parts.push_back(make_tree_saver(std::string(orbax::kNumpyRandomKeyFolder),
                                    args::PyTreeSave(given.numpy()), std::move(request.tree),
                                    request.state));
    parts.push_back(
        make_flag_saver(orbax::kNumpyRandomKeyFolder, kLegacyKey, legacy, request.state));
    return make_group_saver(std::move(request.item), std::string(name()), std::move(parts),
                            std::move(request.state));
  }
  [[nodiscard]] std::shared_ptr<const ItemReader> make_reader() const override {
    return std::make_shared<NumpyKeyReader>();
  }
};

}  // namespace
}  // namespace internal

HandlerPtr handlers::jax_random_key() {
  static const HandlerPtr handler = std::make_shared<internal::JaxRandomKeyHandler>();
  return handler;
}
HandlerPtr handlers::random_key() {
  static const HandlerPtr handler = std::make_shared<internal::RandomKeyHandler>();
  return handler;
}

}  // namespace cairn
