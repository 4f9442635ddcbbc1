#include <cairn/manager/internal/coordination_message.h>

#include <fmt/format.h>

#include <bit>
#include <concepts>
#include <cstring>
#include <limits>

namespace cairn::internal {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t kMagic = 0x31'6f'63'6e'72'69'61'63;  // "cairnco1"

/// Writer and Reader have the same calls: a message's fields are listed once, for both directions.
class Writer {
 public:
  explicit Writer(Frame& frame) : frame_(frame) {}

  template <std::integral T>
  void number(const T& value, const char* /*field*/, T /*max*/ = std::numeric_limits<T>::max()) {
    frame_.head.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  template <class E>
  requires std::is_enum_v<E>
  void choice(const E& value, const char* field, E /*last*/) {
    number(static_cast<std::uint8_t>(value), field);
  }
  void text(const std::string& value, const char* field, std::size_t /*max*/) {
    number(static_cast<std::uint32_t>(value.size()), field);
    frame_.head += value;
  }
  void indices(const std::vector<ProcessIndex>& values, const char* field) {
    number(static_cast<std::uint32_t>(values.size()), field);
    for (const ProcessIndex value : values) number(value, field);
  }
  void payload(const Payload& value, const char* field) {
    number(static_cast<std::uint32_t>(value ? value->size() : 0), field);
    if (value && !value->empty()) frame_.payloads.push_back(value);
  }
  void payloads(const std::vector<Payload>& values, const char* field) {
    number(static_cast<std::uint32_t>(values.size()), field);
    for (const Payload& value : values) payload(value, field);
  }

 private:
  Frame& frame_;
};

class Reader {
 public:
  explicit Reader(std::string_view body) : rest_(body) {}

  template <std::integral T>
  void number(T& value, const char* field, T max = std::numeric_limits<T>::max()) {
    std::memcpy(&value, take(sizeof(T), field).data(), sizeof(T));
    if (value > max) {
      throw BadMessage(fmt::format("{} is {}, above {}", field, value, max));
    }
  }
  template <class E>
  requires std::is_enum_v<E>
  void choice(E& value, const char* field, E last) {
    std::uint8_t byte = 0;
    number(byte, field, static_cast<std::uint8_t>(last));
    value = static_cast<E>(byte);
  }
  void text(std::string& value, const char* field, std::size_t max) {
    std::uint32_t size = 0;
    number(size, field, static_cast<std::uint32_t>(max));
    value = take(size, field);
  }
  void indices(std::vector<ProcessIndex>& values, const char* field) {
    std::uint32_t count = 0;
    number(count, field, std::uint32_t{Coordinator::kProcessesMax});
    values.resize(count);
    for (ProcessIndex& value : values) number(value, field);
  }
  void payload(Payload& value, const char* field) {
    std::uint32_t size = 0;
    number(size, field);
    value = nullptr;
    if (size == 0) return;
    // The bytes come after all fields; not more is promised than there is.
    promised_ += size;
    if (promised_ > rest_.size()) {
      throw BadMessage(fmt::format("{} has {} bytes, of which {} came", field, size, rest_.size()));
    }
    value = std::make_shared<std::string>();
    awaited_.push_back(Awaited{value, size});
  }
  void payloads(std::vector<Payload>& values, const char* field) {
    std::uint32_t count = 0;
    number(count, field, std::uint32_t{Coordinator::kProcessesMax});
    values.resize(count);
    for (Payload& value : values) payload(value, field);
  }
  /// After the last field.
  void finish() {
    for (const auto& [value, size] : awaited_) *value = take(size, "payload");
    if (!rest_.empty()) {
      throw BadMessage(fmt::format("{} bytes too many at the end", rest_.size()));
    }
  }

 private:
  struct Awaited {
    Payload value;
    std::uint32_t size;
  };

  std::string_view take(std::size_t count, const char* field) {
    if (count > rest_.size()) {
      throw BadMessage(
          fmt::format("{} needs {} bytes, of which {} came", field, count, rest_.size()));
    }
    const std::string_view part = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return part;
  }

  std::string_view rest_;
  std::uint64_t promised_ = 0;
  std::vector<Awaited> awaited_;
};

constexpr auto kCodeLast = ErrorCode::internal;

template <class Archive, class M>
void name_field(Archive& archive, M& name) {
  archive.text(name, "name", Coordinator::kNameBytesMax);
}

// One overload per message. M is const where it is written.
template <class Archive, class M>
requires std::same_as<std::remove_const_t<M>, Hello>
void fields(Archive& archive, M& message) {
  archive.number(message.version, "version");
  archive.number(message.index, "process index");
  archive.number(message.count, "process count");
}
template <class Archive, class M>
requires std::same_as<std::remove_const_t<M>, Arrive>
void fields(Archive& archive, M& message) {
  archive.number(message.sequence, "sequence");
  name_field(archive, message.name);
  archive.choice(message.form.kind, "kind", impl::CollectiveKind::agree);
  archive.number(message.form.root, "root");
  archive.choice(message.form.agreement, "agreement", Agreement::minimum);
  archive.indices(message.form.processes, "processes");
  archive.number(message.proposal, "proposal");
  archive.payload(message.contribution, "contribution");
}
template <class Archive, class M>
requires std::same_as<std::remove_const_t<M>, Withdraw>
void fields(Archive& archive, M& message) {
  archive.number(message.sequence, "sequence");
  name_field(archive, message.name);
  archive.choice(message.code, "code", kCodeLast);
  archive.text(message.text, "text", kTextBytesMax);
}
template <class Archive, class M>
requires std::same_as<std::remove_const_t<M>, Fail>
void fields(Archive& archive, M& message) {
  name_field(archive, message.scope);
  archive.choice(message.code, "code", kCodeLast);
  archive.text(message.text, "text", kTextBytesMax);
}
template <class Archive, class M>
requires std::same_as<std::remove_const_t<M>, Announce> ||
    std::same_as<std::remove_const_t<M>, Announced>
void fields(Archive& archive, M& message) {
  name_field(archive, message.name);
}
template <class Archive, class M>
requires std::same_as<std::remove_const_t<M>, Leave>
void fields(Archive& /*archive*/, M& /*message*/) {}
template <class Archive, class M>
requires std::same_as<std::remove_const_t<M>, Done>
void fields(Archive& archive, M& message) {
  archive.number(message.sequence, "sequence");
  archive.number(message.agreed, "agreed value");
  archive.payloads(message.parts, "part");
}
template <class Archive, class M>
requires std::same_as<std::remove_const_t<M>, Failed>
void fields(Archive& archive, M& message) {
  archive.number(message.sequence, "sequence");
  archive.choice(message.code, "code", kCodeLast);
  archive.text(message.text, "text", kTextBytesMax);
}
template <class Archive, class M>
requires std::same_as<std::remove_const_t<M>, Gone>
void fields(Archive& archive, M& message) {
  archive.choice(message.code, "code", kCodeLast);
  archive.text(message.text, "text", kTextBytesMax);
}

/// Room for the length, and the length when all is there.
template <class Fill>
Frame framed(Fill&& fill) {
  Frame frame;
  frame.head.resize(sizeof(std::uint32_t));
  Writer writer(frame);
  fill(writer);
  std::uint64_t size = frame.head.size() - sizeof(std::uint32_t);
  for (const Payload& payload : frame.payloads) size += payload->size();
  const auto length = static_cast<std::uint32_t>(size);
  std::memcpy(frame.head.data(), &length, sizeof(length));
  return frame;
}

/// A variant travels as the number of its alternative, then that one's fields.
template <class Variant>
Frame frame_of_variant(const Variant& message) {
  return framed([&message](Writer& writer) {
    writer.number(static_cast<std::uint8_t>(message.index()), "type");
    std::visit([&writer](const auto& m) { fields(writer, m); }, message);
  });
}

template <class Variant, std::size_t I = 0>
Variant make_alternative(std::size_t type) {
  if constexpr (I + 1 < std::variant_size_v<Variant>) {
    if (type != I) return make_alternative<Variant, I + 1>(type);
  }
  return Variant(std::in_place_index<I>);
}

template <class Variant>
Variant decode_variant(std::string_view body) {
  Reader reader(body);
  std::uint8_t type = 0;
  reader.number(type, "type", static_cast<std::uint8_t>(std::variant_size_v<Variant> - 1));
  Variant message = make_alternative<Variant>(type);
  std::visit([&reader](auto& m) { fields(reader, m); }, message);
  reader.finish();
  return message;
}

}  // namespace

Frame frame_of(const Hello& message) {
  return framed([&message](Writer& writer) {
    writer.number(kMagic, "magic");
    fields(writer, message);
  });
}

Frame frame_of(const ToHub& message) {
  return frame_of_variant(message);
}

Frame frame_of(const FromHub& message) {
  return frame_of_variant(message);
}

Hello decode_hello(std::string_view body) {
  Reader reader(body);
  std::uint64_t magic = 0;
  reader.number(magic, "magic");
  if (magic != kMagic) throw BadMessage("these are not the first bytes of Cairn's coordination");
  Hello hello;
  fields(reader, hello);
  reader.finish();
  return hello;
}

ToHub decode_to_hub(std::string_view body) {
  return decode_variant<ToHub>(body);
}

FromHub decode_from_hub(std::string_view body) {
  return decode_variant<FromHub>(body);
}

std::string bounded_text(std::string text) {
  constexpr std::string_view kCut = " ...";
  if (text.size() > kTextBytesMax) {
    text.resize(kTextBytesMax - kCut.size());
    text += kCut;
  }
  return text;
}

}  // namespace cairn::internal
