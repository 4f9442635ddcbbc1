#pragma once
// JSON text, strictly: what the metadata decoders share.

#include <cairn/codecs/format_error.h>

#include <boost/json/object.hpp>
#include <boost/json/storage_ptr.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace cairn::internal {

inline constexpr std::size_t kMaxJsonBytes = std::size_t{1}
                                             << 30;  ///< a _METADATA of 4 million leaves
inline constexpr std::size_t kMaxJsonDepth = 256;

/// The value of `text`. Members keep their order; integers are int64 where they fit, else uint64,
/// else double; doubles are rounded correctly. The bare words NaN, Infinity and -Infinity are
/// doubles, as Python writes them. Throws FormatError, naming `structure` and where: on other text,
/// a member given twice, a text above kMaxJsonBytes or a nesting above kMaxJsonDepth.
[[nodiscard]] boost::json::value parse_json(std::string_view text, std::string_view structure,
                                            boost::json::storage_ptr storage = {});

/// Appends a quoted string, in ASCII. Throws std::invalid_argument when `utf8` is not UTF-8.
void append_json_string(std::string& out, std::string_view utf8);
/// Appends a number so that it reads back as the same double: as Python's repr, or NaN, Infinity,
/// -Infinity.
void append_json_double(std::string& out, double value);
/// Appends `value` as Python's json.dumps does by default. Throws std::invalid_argument as above,
/// and at a nesting above kMaxJsonDepth, to which the `around` objects and arrays that the text
/// stands in count: parse_json() would refuse the whole.
void append_json(std::string& out, const boost::json::value& value, std::size_t around = 0);
void append_json(std::string& out, const boost::json::object& object, std::size_t around = 0);

/// A value in words for an error, cut to a readable length.
[[nodiscard]] std::string describe(const boost::json::value& value);

/// A JSON text and what it says. Errors name the byte where the value in question begins.
class JsonDocument {
 public:
  /// Borrows both texts; throws as parse_json() does.
  JsonDocument(std::string_view text, std::string_view structure,
               boost::json::storage_ptr storage = {});
  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;

  [[nodiscard]] const boost::json::value& value() const noexcept { return value_; }
  /// The byte where `value`, one of the document's, begins. Goes through the whole text.
  [[nodiscard]] std::size_t place(const boost::json::value& value) const noexcept;
  /// Throws: `field`, which is at `value`, was `found`, which is not `allowed`.
  [[noreturn]] void fail(const boost::json::value& value, std::string field, std::string found,
                         std::string allowed,
                         FormatError::Kind kind = FormatError::Kind::damaged) const;

 private:
  std::string_view text_;
  std::string_view structure_;
  boost::json::value value_;
};

/// Takes members out of an object and throws the FormatErrors of a decoder.
class JsonMembers {
 public:
  /// Of the whole document, which must outlive this; throws when it is not an object.
  explicit JsonMembers(const JsonDocument& document);

  [[nodiscard]] const boost::json::object& object() const noexcept { return value_->get_object(); }
  [[nodiscard]] const boost::json::value* find(std::string_view name) const noexcept;
  [[nodiscard]] const boost::json::value& require(std::string_view name,
                                                  std::string_view allowed) const;
  /// Throws: `name` was `found`, which is not `allowed`. `name` may lead further, as in
  /// "codecs[1]/name"; where something on the way is missing, what it is missing from is the place.
  [[noreturn]] void fail(std::string_view name, std::string found, std::string allowed) const;
  /// The same about text that may be sound but that this version cannot read.
  [[noreturn]] void unsupported(std::string_view name, std::string found,
                                std::string allowed) const;

  /// These throw when the member is there and of another type; the first two when it is missing.
  [[nodiscard]] std::string_view string(std::string_view name) const;
  [[nodiscard]] JsonMembers members(std::string_view name) const;
  [[nodiscard]] bool boolean_or(std::string_view name, bool missing) const;
  /// Those of `value`, which was found at `name`; throws when it is not an object.
  [[nodiscard]] JsonMembers members(std::string_view name, const boost::json::value& value) const;

  /// "codecs[0]/name" for the member `name` of "codecs[0]".
  [[nodiscard]] std::string field(std::string_view name) const;
  [[nodiscard]] const JsonDocument& document() const noexcept { return *document_; }
  [[nodiscard]] const boost::json::value& value() const noexcept { return *value_; }

 private:
  JsonMembers(const JsonDocument& document, const boost::json::value& value, std::string where);

  const JsonDocument* document_;
  const boost::json::value* value_;  // an object
  std::string where_;                // the field that errors name, "" for the top
};

}  // namespace cairn::internal
