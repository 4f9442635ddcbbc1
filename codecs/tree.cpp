#include <cairn/codecs/tree.h>
#include <fmt/format.h>

#include <cassert>
#include <cmath>
#include <stdexcept>

namespace cairn {
namespace {

bool is_container(const Tree& tree) noexcept {
  return tree.is<Dict>() || tree.is<List>() || tree.is<Tuple>();
}

// Calls `visit` with each child of a container.
template <class Visit>
void for_each_child(Tree& tree, const Visit& visit) {
  if (auto* dict = std::get_if<Dict>(&tree.value())) {
    for (auto& entry : *dict) visit(entry.second);
  } else if (auto* list = std::get_if<List>(&tree.value())) {
    for (Tree& child : *list) visit(child);
  } else if (auto* tuple = std::get_if<Tuple>(&tree.value())) {
    for (Tree& child : *tuple) visit(child);
  }
}

// Moves the containers within `tree` into one flat list before they are destroyed, so that
// destruction does not recurse. Where no memory is left for that list, it recurses after all.
void dismantle(Tree& tree) noexcept {
  std::vector<Tree> waiting;
  const auto take_containers = [&waiting](Tree& parent) {
    for_each_child(parent, [&waiting](Tree& child) {
      if (is_container(child)) waiting.push_back(std::move(child));
    });
  };
  try {
    take_containers(tree);
    while (!waiting.empty()) {
      Tree next = std::move(waiting.back());
      waiting.pop_back();
      take_containers(next);
    }
  } catch (const std::bad_alloc&) {
    return;
  }
}

bool leaves_equal(const Leaf& a, const Leaf& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  return std::equal(a.parts().begin(), a.parts().end(), b.parts().begin(), b.parts().end(),
                    [](const LeafPart& x, const LeafPart& y) {
                      return x.range == y.range && x.source == y.source;
                    });
}

}  // namespace

Tree::Tree(std::string v) : value_(std::move(v)) {}
Tree::Tree(std::string_view v) : value_(std::string(v)) {}
Tree::Tree(const char* v) : value_(std::string(v)) {}
Tree::Tree(Array v) : value_(std::move(v)) {}
Tree::Tree(ArrayView v) : value_(std::move(v)) {}
Tree::Tree(MutableArrayView v) : value_(std::move(v)) {}
Tree::Tree(Leaf v) : value_(std::move(v)) {}
Tree::Tree(LeafSpec v) : value_(std::move(v)) {}
Tree::Tree(Placeholder v) : value_(LeafSpec(v)) {}
Tree::Tree(Dict v) : value_(std::move(v)) {}
Tree::Tree(List v) : value_(std::move(v)) {}
Tree::Tree(Tuple v) : value_(std::move(v)) {}
Tree::Tree(const Tree&) = default;
Tree::Tree(Tree&&) noexcept = default;
Tree& Tree::operator=(const Tree& other) {
  // `other` may be a child of this: it must outlive what it is copied from.
  if (this != &other) *this = Tree(other);
  return *this;
}
Tree& Tree::operator=(Tree&& other) noexcept {
  // The old value may be deep: let the destructor that knows how take it away.
  Tree old(std::move(*this));
  value_ = std::move(other.value_);
  return *this;
}
Tree::~Tree() {
  if (is_container(*this)) dismantle(*this);
}

std::optional<ArrayView> view_of(const Tree& node) {
  if (const auto* array = std::get_if<Array>(&node.value())) return ArrayView(*array);
  if (const auto* view = std::get_if<ArrayView>(&node.value())) return *view;
  const auto* memory = std::get_if<MutableArrayView>(&node.value());
  return memory == nullptr ? std::nullopt : std::optional(memory->view());
}

std::string_view Tree::kind() const noexcept {
  return detail::kTreeKinds[value_.index()];
}

const Tree& Tree::at(std::string_view key) const& {
  if (const auto* dict = std::get_if<Dict>(&value_)) return dict->at(key);
  detail::throw_wrong_kind("dict", kind());
}

Tree& Tree::at(std::string_view key) & {
  return const_cast<Tree&>(std::as_const(*this).at(key));
}

Tree Tree::at(std::string_view key) && {
  return std::move(at(key));
}

const Tree& Tree::at(std::size_t index) const& {
  const std::vector<Tree>* children = std::get_if<List>(&value_);
  if (children == nullptr) children = std::get_if<Tuple>(&value_);
  if (children == nullptr) detail::throw_wrong_kind("list or tuple", kind());
  if (index >= children->size()) {
    throw std::out_of_range(
        fmt::format("index {} of a {} with {} elements", index, kind(), children->size()));
  }
  return (*children)[index];
}

Tree& Tree::at(std::size_t index) & {
  return const_cast<Tree&>(std::as_const(*this).at(index));
}

Tree Tree::at(std::size_t index) && {
  return std::move(at(index));
}

bool operator==(const Tree& a, const Tree& b) {
  // By their elements, wherever they lie: a view equals an array.
  if (const auto view = view_of(a)) {
    const auto other = view_of(b);
    return other && *view == *other;
  }
  if (a.value_.index() != b.value_.index()) return false;
  return std::visit(
      [&b](const auto& left) -> bool {
        using T = std::decay_t<decltype(left)>;
        const T& right = *std::get_if<T>(&b.value_);
        if constexpr (std::same_as<T, double>) {
          return left == right || (std::isnan(left) && std::isnan(right));
        } else if constexpr (std::same_as<T, Leaf>) {
          return leaves_equal(left, right);
        } else {
          return left == right;
        }
      },
      a.value_);
}

List::List(std::vector<Tree> elements) noexcept : vector(std::move(elements)) {}
List::List(std::size_t size) : vector(size) {}
List::List(std::initializer_list<detail::ListInit> elements) {
  reserve(elements.size());
  for (const auto& element : elements) push_back(std::move(element.value));
}

Tuple::Tuple(std::vector<Tree> elements) noexcept : vector(std::move(elements)) {}
Tuple::Tuple(std::size_t size) : vector(size) {}
Tuple::Tuple(std::initializer_list<detail::ListInit> elements) {
  reserve(elements.size());
  for (const auto& element : elements) push_back(std::move(element.value));
}

namespace detail {

void throw_wrong_kind(std::string_view asked, std::string_view held) {
  throw std::invalid_argument(fmt::format("tree node is a {}, not a {}", held, asked));
}

}  // namespace detail
}  // namespace cairn
