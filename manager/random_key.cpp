#include <cairn/manager/error.h>
#include <cairn/manager/internal/argument_check.h>
#include <cairn/manager/random_key.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <span>
#include <vector>

namespace cairn {
namespace {

constexpr const char* kWhere = "random state";
constexpr std::string_view kMersenne = "MT19937";  // numpy's name of std::mt19937
constexpr std::size_t kMersenneWords = std::mt19937::state_size;

[[noreturn]] void refuse_state(std::string reason) {
  ErrorContext context;
  context.operation = kWhere;
  throw Error(ErrorCode::data_loss, std::move(reason), context);
}

/// Where a dict with "bit_generator", or a sequence that begins with it, has the generator's name.
[[nodiscard]] const std::string* find_name(const Tree& state) {
  const Tree* name = nullptr;
  if (const auto* dict = std::get_if<Dict>(&state.value())) {
    name = dict->find("bit_generator");
  } else if (const auto* tuple = std::get_if<Tuple>(&state.value())) {
    if (!tuple->empty()) name = &tuple->front();
  } else if (const auto* list = std::get_if<List>(&state.value())) {
    if (!list->empty()) name = &list->front();
  }
  return name == nullptr ? nullptr : std::get_if<std::string>(&name->value());
}

[[nodiscard]] const Tree* child(const Tree* node, std::string_view key) {
  const auto* dict = node == nullptr ? nullptr : std::get_if<Dict>(&node->value());
  return dict == nullptr ? nullptr : dict->find(key);
}

[[nodiscard]] const Tree* child(const Tree& node, std::size_t index) {
  if (const auto* tuple = std::get_if<Tuple>(&node.value()))
    return index < tuple->size() ? &(*tuple)[index] : nullptr;
  const auto* list = std::get_if<List>(&node.value());
  return list != nullptr && index < list->size() ? &(*list)[index] : nullptr;
}

/// The words and the position that libstdc++ writes.
[[nodiscard]] std::vector<std::uint32_t> parse_words(const std::string& text) {
  std::vector<std::uint32_t> words;
  const char* next = text.data();
  const char* const end = next + text.size();
  while (next != end) {
    if (*next == ' ') {
      ++next;
      continue;
    }
    std::uint32_t word = 0;
    const auto [after, error] = std::from_chars(next, end, word);
    if (error != std::errc() || after == next) break;
    words.push_back(word);
    next = after;
  }
  return words;
}

[[nodiscard]] Tree mersenne_to_numpy(const std::string& text) {
  const std::vector<std::uint32_t> words = parse_words(text);
  if (words.size() != kMersenneWords + 1 || words.back() > kMersenneWords) {
    ErrorContext context;
    context.operation = kWhere;
    throw Error(ErrorCode::not_supported,
                "this standard library writes std::mt19937 in another way than as " +
                    std::to_string(kMersenneWords) + " words and a position",
                context);
  }
  Array key(DType::uint32, {static_cast<Index>(kMersenneWords)});
  std::ranges::copy(std::span(words).first(kMersenneWords), key.values<std::uint32_t>().begin());
  Dict state{{"key", Tree(std::move(key))}, {"pos", Tree(std::int64_t{words.back()})}};
  return Tree(Dict{{"bit_generator", Tree(kMersenne)},
                   {"state", Tree(std::move(state))},
                   {"has_gauss", Tree(0)},
                   {"gauss", Tree(0.0)}});
}

[[nodiscard]] std::string mersenne_to_text(const Tree& numpy) {
  const bool legacy = !numpy.is<Dict>();
  const Tree* const state = child(&numpy, "state");
  const Tree* const key = legacy ? child(numpy, 1) : child(state, "key");
  const Tree* const pos = legacy ? child(numpy, 2) : child(state, "pos");
  const bool words = key != nullptr && key->is<Array>() &&
                     key->as<Array>().dtype() == DType::uint32 &&
                     key->as<Array>().shape() == Shape{static_cast<Index>(kMersenneWords)};
  const bool position = pos != nullptr && pos->is<std::int64_t>() && pos->as<std::int64_t>() >= 0 &&
                        pos->as<std::int64_t>() <= static_cast<std::int64_t>(kMersenneWords);
  if (!words || !position) {
    refuse_state("the state of MT19937 is not a key of uint32[" + std::to_string(kMersenneWords) +
                 "] and a position in it");
  }
  std::string text;
  for (const std::uint32_t word : key->as<Array>().values<std::uint32_t>())
    text += std::to_string(word) + " ";
  return text + std::to_string(pos->as<std::int64_t>());
}

}  // namespace

RandomState::RandomState(Tree numpy) : numpy_(std::move(numpy)) {
  const std::string* name = find_name(numpy_);
  if (name == nullptr || name->empty()) {
    internal::refuse_argument(
        kWhere, "a " + std::string(numpy_.kind()) +
                    " is no generator's state: a dict with 'bit_generator', or numpy's tuple that "
                    "begins with the generator's name, is one");
  }
  bit_generator_ = *name;
}

RandomState RandomState::from_text(std::string name, const std::string& text) {
  if (name == kMersenne) return RandomState(mersenne_to_numpy(text));
  Dict state{{"text", Tree(text)}};
  return RandomState(
      Tree(Dict{{"bit_generator", Tree(std::move(name))}, {"state", Tree(std::move(state))}}));
}

std::string RandomState::to_text(std::string_view name) const {
  if (name != bit_generator_) {
    internal::refuse_argument(
        kWhere, "it is of " + bit_generator_ + ", and the engine is " + std::string(name));
  }
  if (name == kMersenne) return mersenne_to_text(numpy_);
  const Tree* const text = child(child(&numpy_, "state"), "text");
  if (text == nullptr || !text->is<std::string>()) refuse_text(name);
  return text->as<std::string>();
}

void RandomState::refuse_text(std::string_view name) const {
  refuse_state("the state of " + std::string(name) + " is none that this engine can read");
}

}  // namespace cairn
