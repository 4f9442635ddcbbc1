#pragma once
// States of random number generators as items: C++'s engines, numpy's generators (Orbax's
// NumpyRandomKeySave) and JAX's keys (JaxRandomKeySave).
//
//     std::mt19937 engine(seed);
//     items.add("rng", cairn::args::RandomKeySave(engine));
//     ...
//     restored.get<cairn::RandomState>("rng").set(engine);   // goes on where it was

#include <cairn/codecs/tree.h>
#include <cairn/export.h>

#include <istream>
#include <locale>
#include <ostream>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

namespace cairn {

/// An engine of the standard library, or one like them: its state can be written and read as text.
template <class E>
concept RandomEngine = std::uniform_random_bit_generator<E> &&
    requires(E& e, const E& c, std::istream& in, std::ostream& out) {
  out << c;
  in >> e;
};

/// The state of a generator, as numpy's get_state() gives one: {"bit_generator": name, "state":
/// ...}. That of std::mt19937 is numpy's MT19937 in numpy's own words, so that either goes on where
/// the other has stopped; other engines' is {"text": what operator<< writes}, under their C++ name,
/// which the standard library that wrote it can read. A regular value.
class CAIRN_EXPORT RandomState {
 public:
  /// Of an engine of the standard library's.
  template <RandomEngine E>
  explicit RandomState(const E& engine) : RandomState(engine, name_of<E>()) {}
  /// Of an engine of your own: `name` is what set() must find.
  template <RandomEngine E>
  RandomState(const E& engine, std::string name)
      : RandomState(from_text(std::move(name), text_of(engine))) {}
  /// What numpy's RandomState.get_state() or BitGenerator.state gave: a dict with "bit_generator",
  /// or the legacy list or tuple that begins with the name. Throws Error(invalid_argument) on
  /// anything else.
  explicit RandomState(Tree numpy);

  /// "MT19937", "PCG64", "std::mt19937_64", ...
  [[nodiscard]] const std::string& bit_generator() const noexcept { return bit_generator_; }
  /// The state as numpy has it.
  [[nodiscard]] const Tree& numpy() const noexcept { return numpy_; }
  /// Makes the engine go on from here. Throws Error(invalid_argument) naming both generators where
  /// they differ, data_loss where the state is none of that generator's; the engine is then as
  /// before.
  template <RandomEngine E>
  void set(E& engine) const {
    set(engine, name_of<E>());
  }
  template <RandomEngine E>
  void set(E& engine, std::string_view name) const {
    std::istringstream in(to_text(name));
    in.imbue(std::locale::classic());
    E read;
    if (!(in >> read)) refuse_text(name);
    engine = std::move(read);
  }

 private:
  template <class E>
  static constexpr std::string_view standard_name();
  template <class E>
  static std::string name_of() {
    constexpr std::string_view kName = standard_name<E>();
    static_assert(!kName.empty(), "give the name of an engine that is not the standard library's");
    return std::string(kName);
  }
  template <class E>
  static std::string text_of(const E& engine) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out << engine;
    return std::move(out).str();
  }
  static RandomState from_text(std::string name, const std::string& text);
  [[nodiscard]] std::string to_text(std::string_view name) const;
  [[noreturn]] void refuse_text(std::string_view name) const;

  std::string bit_generator_;
  Tree numpy_;
};

/// A key of JAX's threefry generator, which is the one that Orbax restores.
struct JaxRandomKey {
  JaxRandomKey() = default;
  explicit JaxRandomKey(Array d, bool t = true) : data(std::move(d)), typed(t) {}
  Array data;         ///< uint32, the last dimension 2: what jax.random.key_data() gives
  bool typed = true;  ///< jax.random.key(), or the untyped array of jax.random.PRNGKey()
};

namespace args {

/// Orbax: NumpyRandomKeySave.
struct RandomKeySave {
  explicit RandomKeySave(RandomState s) : state(std::move(s)) {}
  template <RandomEngine E>
  explicit RandomKeySave(const E& engine) : state(engine) {}
  RandomState state;
};
/// Comes back as a RandomState.
struct RandomKeyRestore {
  RandomKeyRestore() = default;
};

/// An item that is a key of JAX.
struct JaxRandomKeySave {
  explicit JaxRandomKeySave(JaxRandomKey k) : key(std::move(k)) {}
  JaxRandomKey key;
};
/// Comes back as a JaxRandomKey.
struct JaxRandomKeyRestore {
  JaxRandomKeyRestore() = default;
};

}  // namespace args

template <class E>
constexpr std::string_view RandomState::standard_name() {
  if constexpr (std::same_as<E, std::mt19937>) return "MT19937";
  if constexpr (std::same_as<E, std::mt19937_64>) return "std::mt19937_64";
  if constexpr (std::same_as<E, std::minstd_rand0>) return "std::minstd_rand0";
  if constexpr (std::same_as<E, std::minstd_rand>) return "std::minstd_rand";
  if constexpr (std::same_as<E, std::ranlux24_base>) return "std::ranlux24_base";
  if constexpr (std::same_as<E, std::ranlux48_base>) return "std::ranlux48_base";
  if constexpr (std::same_as<E, std::ranlux24>) return "std::ranlux24";
  if constexpr (std::same_as<E, std::ranlux48>) return "std::ranlux48";
  if constexpr (std::same_as<E, std::knuth_b>) return "std::knuth_b";
  return "";
}

}  // namespace cairn
