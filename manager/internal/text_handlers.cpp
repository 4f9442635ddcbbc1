// The handlers of items that are one text: JSON and protocol buffers.

#include <cairn/codecs/format_error.h>
#include <cairn/codecs/orbax.h>
#include <cairn/manager/args.h>
#include <cairn/manager/error.h>
#include <cairn/manager/handler_registry.h>
#include <cairn/manager/internal/handler_lookup.h>
#include <cairn/manager/proto_item.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <span>

namespace cairn {
namespace internal {
namespace {

/// The item's document; throws where it has none. `names`: what it may be called, the first first.
[[nodiscard]] const std::pair<const std::string, std::string>& document_of(
    const ItemFiles& files, std::span<const std::string_view> names, const char* missing) {
  for (const std::string_view name : names) {
    for (const auto& file : files) {
      if (file.first == name) return file;
    }
  }
  throw Error(ErrorCode::not_found, missing);
}

class JsonItemHandler final
    : public Handler<args::JsonSave, args::JsonRestore, boost::json::value> {
 public:
  [[nodiscard]] std::string_view name() const override { return orbax::kJsonHandler; }
  [[nodiscard]] bool reads(std::string_view recorded) const override {
    return kind_by_handler(recorded) == ItemKind::json;
  }
  [[nodiscard]] bool needs(std::string_view file) const override {
    return std::ranges::count(kJsonFiles, file) > 0;
  }
  [[nodiscard]] ItemFiles encode(const args::JsonSave& args) const override {
    return {{std::string(kJsonFiles[0]), boost::json::serialize(args.value)}};
  }
  [[nodiscard]] boost::json::value decode(const ItemFiles& files,
                                          const args::JsonRestore&) const override {
    const auto& [name, text] = document_of(files, kJsonFiles, "the item has no JSON document");
    try {
      return orbax::parse_json(text, "JSON item");
    } catch (const FormatError& error) {
      throw format_failure(error, name);
    }
  }
};

class ProtoItemHandler final : public Handler<args::ProtoSave, args::ProtoRestore, TextProto> {
 public:
  [[nodiscard]] std::string_view name() const override { return orbax::kProtoHandler; }
  [[nodiscard]] bool reads(std::string_view recorded) const override {
    return kind_by_handler(recorded) == ItemKind::proto;
  }
  [[nodiscard]] bool needs(std::string_view file) const override {
    return file == orbax::kProtoFile;
  }
  [[nodiscard]] ItemFiles encode(const args::ProtoSave& args) const override {
    return {{std::string(orbax::kProtoFile), args.proto.text}};
  }
  [[nodiscard]] TextProto decode(const ItemFiles& files, const args::ProtoRestore&) const override {
    constexpr std::string_view kNames[] = {orbax::kProtoFile};
    return TextProto(document_of(files, kNames, "the item has no proto.pbtxt").second);
  }
};

}  // namespace
}  // namespace internal

HandlerPtr handlers::json() {
  static const HandlerPtr handler = std::make_shared<internal::JsonItemHandler>();
  return handler;
}
HandlerPtr handlers::proto() {
  static const HandlerPtr handler = std::make_shared<internal::ProtoItemHandler>();
  return handler;
}

}  // namespace cairn
