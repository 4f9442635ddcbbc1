#pragma once
// Where in a JSON text something stands, for errors. It is found by going through the text again,
// which text without errors is spared.

#include <boost/json/basic_parser.hpp>
#include <boost/json/value.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace cairn::internal {

/// Where string number `number`, from 0 and keys among them, begins. Here and below: the text's
/// size where there are fewer; the text is sound up to the place.
[[nodiscard]] std::size_t place_of_string(std::string_view text, std::size_t number) noexcept;
/// The same of a token: a key or a value, of which an object or array comes before what is in it.
[[nodiscard]] std::size_t place_of_token(std::string_view text, std::size_t number) noexcept;
/// The same of `value`, which is `root` or in it; `text` is what `root` was parsed from.
[[nodiscard]] std::size_t place_of(std::string_view text, const boost::json::value& root,
                                   const boost::json::value& value) noexcept;

/// A handler of boost::json::basic_parser that knows the number of the token it is at.
template <class Handler>
class Counted : public Handler {
 public:
  using error = boost::json::error_code;
  using view = boost::json::string_view;

  /// Of the last event's token; of an end, the token that began it.
  [[nodiscard]] std::size_t token() const noexcept { return token_; }

  bool on_object_begin(error& e) { return open(), Handler::on_object_begin(e); }
  bool on_object_end(std::size_t size, error& e) {
    return close(), Handler::on_object_end(size, e);
  }
  bool on_array_begin(error& e) { return open(), Handler::on_array_begin(e); }
  bool on_array_end(std::size_t size, error& e) { return close(), Handler::on_array_end(size, e); }
  bool on_key(view part, std::size_t size, error& e) {
    return next(), Handler::on_key(part, size, e);
  }
  bool on_string(view part, std::size_t size, error& e) {
    return next(), Handler::on_string(part, size, e);
  }
  bool on_int64(std::int64_t value, view text, error& e) {
    return next(), Handler::on_int64(value, text, e);
  }
  bool on_uint64(std::uint64_t value, view text, error& e) {
    return next(), Handler::on_uint64(value, text, e);
  }
  bool on_double(double value, view text, error& e) {
    return next(), Handler::on_double(value, text, e);
  }
  bool on_bool(bool value, error& e) { return next(), Handler::on_bool(value, e); }
  bool on_null(error& e) { return next(), Handler::on_null(e); }

 private:
  void next() noexcept { token_ = tokens_++; }
  void open() {
    next();
    open_.push_back(token_);
  }
  void close() {
    token_ = open_.back();
    open_.pop_back();
  }

  std::size_t tokens_ = 0;
  std::size_t token_ = 0;
  std::vector<std::size_t> open_;  // objects and arrays
};

}  // namespace cairn::internal
