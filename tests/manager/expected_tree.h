#pragma once
// What another program says is in a checkpoint: tests/data/checkpoints/expected, made by the
// scripts beside it.

#include <cairn/codecs/tree.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

namespace cairn::test {

inline std::string checkpoint(const std::string& name) {
  return std::string(CAIRN_TEST_DATA) + "/checkpoints/" + name;
}

inline boost::json::object expected(const std::string& name) {
  std::ifstream in(checkpoint("expected/" + name + ".json"));
  EXPECT_TRUE(in) << name;
  return boost::json::parse(std::string(std::istreambuf_iterator<char>(in), {})).as_object();
}

inline std::string hex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) / 16];
    text += kDigits[std::to_integer<unsigned>(byte) % 16];
  }
  return text;
}

/// A leaf as the expectation's JSON has it.
inline boost::json::value described(const Tree& node) {
  if (const auto* array = std::get_if<Array>(&node.value())) {
    boost::json::array shape;
    for (const Index extent : array->shape()) shape.emplace_back(extent);
    return {{"dtype", name_of(array->dtype())}, {"shape", shape}, {"hex", hex(array->bytes())}};
  }
  if (node.is<Null>()) return "null";
  if (node.is<Dict>()) return "empty dict";
  if (node.is<List>()) return "empty list";
  if (node.is<Tuple>()) return "empty tuple";
  if (node.is<bool>()) return {{"value", node.as<bool>()}};
  if (node.is<std::int64_t>()) return {{"value", node.as<std::int64_t>()}};
  if (node.is<std::uint64_t>()) return {{"value", node.as<std::uint64_t>()}};
  if (node.is<double>()) return {{"value", node.as<double>()}};
  return {{"value", node.as<std::string>()}};
}

inline boost::json::object described_tree(const Tree& tree) {
  boost::json::object out;
  for (const FlatEntry& entry : flatten(tree)) out[to_string(entry.path)] = described(*entry.node);
  return out;
}

/// Whole numbers, whatever kind JSON gave them.
inline bool same_value(const boost::json::value& a, const boost::json::value& b) {
  if (a == b) return true;
  const auto* left = a.if_object();
  const auto* right = b.if_object();
  if (left == nullptr || right == nullptr || !left->contains("value") || !right->contains("value"))
    return false;
  const boost::json::value& x = left->at("value");
  const boost::json::value& y = right->at("value");
  return x.is_number() && y.is_number() && x.to_number<double>() == y.to_number<double>();
}

inline void expect_tree(const Tree& tree, const boost::json::object& wanted) {
  const boost::json::object found = described_tree(tree);
  for (const auto& [path, value] : wanted) {
    const boost::json::value* here = found.if_contains(path);
    if (here == nullptr) {
      ADD_FAILURE() << "nothing at " << path;
    } else {
      EXPECT_TRUE(same_value(*here, value))
          << path << ": found " << *here << ", expected " << value;
    }
  }
  EXPECT_EQ(found.size(), wanted.size());
}

}  // namespace cairn::test
