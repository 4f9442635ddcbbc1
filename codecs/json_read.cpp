// parse_json(): Boost.JSON's parser with a handler of our own, because boost::json::parse() keeps
// the last of equal members, rounds doubles by up to one unit, and refuses the words that Python
// writes for NaN.

#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/json.h>
#include <cairn/codecs/internal/json_place.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace cairn::internal {
namespace {

namespace json = boost::json;

// One of Python's words for a double that JSON has no number for. `string` counts the strings and
// keys that end before it: the parser is given a string of the same length in its place, and that
// is how it is found.
struct Word {
  std::size_t string;
  double value;
};

struct Substitution {
  std::string_view word;
  std::string_view stand_in;
  double value;
};
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Substitution kSubstitutions[] = {
    {"NaN", "\"N\"", std::numeric_limits<double>::quiet_NaN()},
    {"-Infinity", "\"-Infini\"", -kInfinity},
    {"Infinity", "\"Infini\"", kInfinity},
};
static_assert(std::all_of(std::begin(kSubstitutions), std::end(kSubstitutions),
                          [](const Substitution& s) { return s.word.size() == s.stand_in.size(); }),
              "offsets in errors must stay true");

// Replaces the words outside strings in `text` by their stand-ins.
std::vector<Word> substitute_words(std::string& text) {
  std::vector<Word> words;
  std::size_t strings = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\') ++i;
      }
      ++strings;
      continue;
    }
    if (text[i] != 'N' && text[i] != '-' && text[i] != 'I') continue;
    for (const Substitution& s : kSubstitutions) {
      if (text.compare(i, s.word.size(), s.word) != 0) continue;
      text.replace(i, s.word.size(), s.stand_in);
      words.push_back({strings++, s.value});
      i += s.word.size() - 1;
      break;
    }
  }
  return words;
}

// Builds the value from the parser's events. Members have the names that Boost.JSON prescribes.
struct Handler {
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = kMaxJsonBytes;
  static constexpr std::size_t max_key_size = kMaxJsonBytes;

  struct Frame {
    json::value container;
    json::value* member = nullptr;  // of an object: the last one, whose value is being read
  };

  std::string_view structure;
  std::string_view document;
  json::storage_ptr storage;
  std::vector<Word> words;
  std::vector<Frame> frames;
  std::optional<json::value> result;  // constructed late, so that it takes over the storage
  std::string text;                   // the parts of a string, key or number so far
  std::size_t strings = 0;
  std::size_t next_word = 0;

  // An empty name is one, too.
  static std::string shown(json::string_view name) {
    return name.empty() ? "\"\"" : std::string(name.data(), name.size());
  }

  // Where the parser is: the path of `frames`, each with its current element or member.
  static std::string path_of(std::span<const Frame> frames) {
    std::string path;
    for (const Frame& frame : frames) {
      if (const auto* array = frame.container.if_array()) {
        path += '[' + std::to_string(array->size()) + ']';
      } else {
        const auto key = std::prev(frame.container.get_object().end())->key();
        if (!path.empty()) path += '/';
        path += shown(key);
      }
    }
    return path;
  }

  bool put(json::value&& value) {
    if (frames.empty()) {
      result.emplace(std::move(value));
    } else if (auto* array = frames.back().container.if_array()) {
      array->push_back(std::move(value));
    } else {
      *frames.back().member = std::move(value);
    }
    return true;
  }

  const Word* word_here() {
    const std::size_t string = strings++;
    if (next_word == words.size() || words[next_word].string != string) return nullptr;
    return &words[next_word++];
  }

  std::string_view complete(json::string_view last) {
    text.append(last.data(), last.size());
    return text;
  }

  bool end_container() {
    json::value done = std::move(frames.back().container);
    frames.pop_back();
    return put(std::move(done));
  }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_array_begin(json::error_code&) {
    frames.push_back({json::array(storage)});
    return true;
  }
  bool on_array_end(std::size_t, json::error_code&) { return end_container(); }
  bool on_object_begin(json::error_code&) {
    frames.push_back({json::object(storage)});
    return true;
  }
  bool on_object_end(std::size_t, json::error_code&) { return end_container(); }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_string(json::string_view last, std::size_t, json::error_code&) {
    const std::string_view whole = complete(last);
    if (const Word* word = word_here()) {
      put(json::value(word->value, storage));
    } else {
      put(json::value(json::string(json::string_view(whole.data(), whole.size()), storage)));
    }
    text.clear();
    return true;
  }
  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view last, std::size_t, json::error_code&) {
    auto& object = frames.back().container.as_object();
    const std::string_view key = complete(last);
    const std::size_t number = strings;
    const Word* const word = word_here();
    const auto [member, is_new] =
        object.emplace(json::string_view(key.data(), key.size()), nullptr);
    if (!is_new) {
      const std::string parent = path_of(std::span(frames).first(frames.size() - 1));
      throw FormatError(std::string(structure),
                        (parent.empty() ? parent : parent + '/') + shown(json::string_view(text)),
                        "the same member twice", "every member once",
                        place_of_string(document, number));
    }
    frames.back().member = &member->value();
    text.clear();
    if (word != nullptr) {
      throw FormatError(std::string(structure), path_of(frames),
                        "a number where a member's name belongs", "a string",
                        place_of_string(document, number));
    }
    return true;
  }
  bool on_number_part(json::string_view part, json::error_code&) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_int64(std::int64_t value, json::string_view, json::error_code&) {
    text.clear();
    return put(json::value(value, storage));
  }
  bool on_uint64(std::uint64_t value, json::string_view, json::error_code&) {
    text.clear();
    return put(json::value(value, storage));
  }
  bool on_double(double value, json::string_view last, json::error_code&) {
    const std::string_view whole = complete(last);
    // Boost 1.81 is up to one unit off; out of range, its infinity or zero is what Python reads
    // too.
    double exact = 0;
    const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), exact);
    if (error == std::errc() && end == whole.data() + whole.size()) value = exact;
    text.clear();
    return put(json::value(value, storage));
  }
  bool on_bool(bool value, json::error_code&) { return put(json::value(value, storage)); }
  bool on_null(json::error_code&) { return put(json::value(nullptr, storage)); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }
};

}  // namespace

json::value parse_json(std::string_view text, std::string_view structure,
                       json::storage_ptr storage) {
  if (text.size() > kMaxJsonBytes) {
    throw FormatError(std::string(structure), "text", std::to_string(text.size()) + " bytes",
                      "at most " + std::to_string(kMaxJsonBytes), kMaxJsonBytes);
  }
  std::string substituted;
  std::vector<Word> words;
  if (text.find("NaN") != text.npos || text.find("Infinity") != text.npos) {
    substituted = text;
    words = substitute_words(substituted);
    text = substituted;
  }
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  json::basic_parser<Handler> parser(options);
  parser.handler().structure = structure;
  parser.handler().document = text;
  parser.handler().storage = storage;
  parser.handler().words = std::move(words);
  json::error_code error;
  const std::size_t parsed = parser.write_some(false, text.data(), text.size(), error);
  if (!error && parsed < text.size()) error = json::error::extra_data;
  if (!error) return std::move(*parser.handler().result);
  const auto line =
      1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(parsed), '\n');
  throw FormatError(std::string(structure), "line " + std::to_string(line), error.message(),
                    "JSON text, nested at most " + std::to_string(kMaxJsonDepth) + " deep", parsed);
}

}  // namespace cairn::internal
