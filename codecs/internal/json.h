#pragma once
// JSON text, strictly: what the metadata decoders share.

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

/// Takes members out of an object and throws the FormatErrors of a decoder.
class JsonMembers {
 public:
  /// `object` must outlive this. `where` is the field that errors name, "" for the top.
  JsonMembers(const boost::json::object& object, std::string structure, std::string where)
      : object_(object), structure_(std::move(structure)), where_(std::move(where)) {}
  /// As above, from any value; throws when it is not an object.
  static JsonMembers of(const boost::json::value& value, std::string structure, std::string where);

  [[nodiscard]] const boost::json::object& object() const noexcept { return object_; }
  [[nodiscard]] const boost::json::value* find(std::string_view name) const noexcept;
  [[nodiscard]] const boost::json::value& require(std::string_view name,
                                                  std::string_view allowed) const;
  /// Throws: `name` was `found`, which is not `allowed`.
  [[noreturn]] void fail(std::string_view name, std::string found, std::string allowed) const;
  /// The same about text that may be sound but that this version cannot read.
  [[noreturn]] void unsupported(std::string_view name, std::string found,
                                std::string allowed) const;

  /// These throw when the member is there and of another type; the first two when it is missing.
  [[nodiscard]] std::string_view string(std::string_view name) const;
  [[nodiscard]] JsonMembers members(std::string_view name) const;
  [[nodiscard]] bool boolean_or(std::string_view name, bool missing) const;

  /// "codecs[0]/name" for the member `name` of "codecs[0]".
  [[nodiscard]] std::string field(std::string_view name) const;

 private:
  const boost::json::object& object_;
  std::string structure_;
  std::string where_;
};

}  // namespace cairn::internal
