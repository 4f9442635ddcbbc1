#pragma once
// A protocol buffer in text format as an item: Orbax's ProtoSave and ProtoRestore. Cairn knows
// nothing of protobuf; a message says by ProtoText how it becomes text and comes back.

#include <concepts>
#include <string>
#include <utility>

namespace cairn {

/// Specialize it for your messages, with two static members: `std::string print(const M&)` and
/// `M parse(const std::string&)`, which throws on text that is no M. For all of protobuf's:
///
///     template <std::derived_from<google::protobuf::Message> M>
///     struct cairn::ProtoText<M> {
///       static std::string print(const M& message) {
///         std::string text;
///         if (!google::protobuf::TextFormat::PrintToString(message, &text)) throw ...;
///         return text;
///       }
///       static M parse(const std::string& text) {
///         M message;
///         if (!google::protobuf::TextFormat::ParseFromString(text, &message)) throw ...;
///         return message;
///       }
///     };
template <class M>
struct ProtoText;

template <class M>
concept TextMessage = requires(const M& message, const std::string& text) {
  { ProtoText<M>::print(message) } -> std::convertible_to<std::string>;
  { ProtoText<M>::parse(text) } -> std::convertible_to<M>;
};

/// What an item of this kind holds: restored.get<cairn::TextProto>("config").as<Config>().
struct TextProto {
  TextProto() = default;
  explicit TextProto(std::string t) : text(std::move(t)) {}
  /// Throws what ProtoText<M>::parse does.
  template <TextMessage M>
  [[nodiscard]] M as() const {
    return ProtoText<M>::parse(text);
  }
  std::string text;
  friend bool operator==(const TextProto&, const TextProto&) = default;
};

namespace args {

/// The message is printed at the call.
struct ProtoSave {
  explicit ProtoSave(TextProto p) : proto(std::move(p)) {}
  template <TextMessage M>
  explicit ProtoSave(const M& message) : proto(ProtoText<M>::print(message)) {}
  TextProto proto;
};

/// Comes back as a TextProto.
struct ProtoRestore {
  ProtoRestore() = default;
};

}  // namespace args
}  // namespace cairn
