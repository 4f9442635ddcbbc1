// cairn export: a step becomes a safetensors file.

#include <cairn/codecs/safetensors.h>
#include <cairn/manager/checkpoint_manager.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <stdexcept>

#include "common.h"
#include "output_file.h"
#include "table.h"

namespace cairn::cli {
namespace {

/// A tensor with its elements, which the tree owns; a number's are kept here.
struct Tensor {
  safetensors::TensorInfo info;
  const Array* array = nullptr;
  Array scalar;
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return array != nullptr ? array->bytes() : scalar.bytes();
  }
};

/// The item asked for, or the only tree of the step.
std::string pick_item(const StepInfo& step, const std::string& asked) {
  std::vector<std::string> trees;
  std::string all;
  for (const ItemInfo& item : step.items) {
    all += fmt::format("{}{} ({})", all.empty() ? "" : ", ", item.name, item.kind);
    if (item.kind == "tree") trees.push_back(item.name);
  }
  if (asked.empty() && trees.size() == 1) return trees[0];
  if (!asked.empty() && std::ranges::count(trees, asked) > 0) return asked;
  std::string reason = !asked.empty()  ? fmt::format("there is no tree '{}'", asked)
                       : trees.empty() ? "there is no tree of arrays"
                                       : "there are several trees";
  reason += fmt::format("; items: {}", all.empty() ? "none" : all);
  throw make_error(ErrorCode::not_found, std::move(reason), step.path,
                   trees.empty() ? "" : "Name a tree with --item");
}

[[noreturn]] void refuse(const KeyPath& path, std::string reason, std::string remedy) {
  ErrorContext context;
  context.key_path = to_string(path);
  context.remedy = std::move(remedy);
  throw Error(ErrorCode::not_supported, std::move(reason), context);
}

/// Whether `entry` has elements; fills `tensor` with them.
bool take_elements(const FlatEntry& entry, Tensor& tensor) {
  const Tree::Value& value = entry.node->value();
  if (const auto* array = std::get_if<Array>(&value)) {
    tensor.array = array;
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    tensor.scalar = Array::scalar(*flag);
  } else if (const auto* number = std::get_if<std::int64_t>(&value)) {
    tensor.scalar = Array::scalar(*number);
  } else if (const auto* unsigned_number = std::get_if<std::uint64_t>(&value)) {
    tensor.scalar = Array::scalar(*unsigned_number);
  } else if (const auto* real = std::get_if<double>(&value)) {
    tensor.scalar = Array::scalar(*real);
  } else {
    return false;
  }
  const Array& elements = tensor.array != nullptr ? *tensor.array : tensor.scalar;
  tensor.info.dtype = elements.dtype();
  tensor.info.shape = elements.shape();
  return true;
}

std::vector<Tensor> collect(const Tree& tree, const std::string& item, bool drop_empty) {
  std::vector<Tensor> tensors;
  for (const FlatEntry& entry : flatten(tree)) {
    Tensor tensor;
    // A tree that is one array has no name of its own.
    tensor.info.name = entry.path.empty() ? item : dotted_name(entry.path);
    if (take_elements(entry, tensor)) {
      if (!safetensors::safetensors_name(tensor.info.dtype)) {
        refuse(entry.path, fmt::format("safetensors has no {}", name_of(tensor.info.dtype)),
               "Save the array as another dtype");
      }
      tensors.push_back(std::move(tensor));
    } else if (!drop_empty) {
      refuse(entry.path, fmt::format("safetensors has tensors only, not a {}", entry.node->kind()),
             "Give --drop-empty to leave nulls and empty containers out");
    }
  }
  // Wide elements first, in the tree's order otherwise: so every tensor starts at a multiple of its
  // element's size, which readers that map the file rely on.
  std::ranges::stable_sort(tensors, std::ranges::greater(),
                           [](const Tensor& t) { return size_of(t.info.dtype); });
  return tensors;
}

safetensors::Header make_header(const std::vector<Tensor>& tensors,
                                const boost::json::object& metadata) {
  safetensors::Header header;
  for (const Tensor& tensor : tensors) header.tensors.push_back(tensor.info);
  // safetensors has strings only: what is none goes as JSON text.
  for (const auto& [key, value] : metadata) {
    header.metadata.emplace_back(std::string(key), value.is_string()
                                                       ? std::string(value.get_string())
                                                       : boost::json::serialize(value));
  }
  return header;
}

std::uint64_t write_file(const ExportOptions& options, const std::vector<Tensor>& tensors,
                         const boost::json::object& metadata) {
  safetensors::Header header = make_header(tensors, metadata);
  std::string start;
  try {
    start = safetensors::encode_header(header);
  } catch (const std::invalid_argument& error) {
    throw make_error(ErrorCode::not_supported, error.what(), options.file);
  }
  OutputFile out(options.file, options.force);
  out.write(std::as_bytes(std::span(start)));
  std::uint64_t bytes = 0;
  for (const Tensor& tensor : tensors) {
    out.write(tensor.bytes());
    bytes += tensor.bytes().size();
  }
  out.commit();
  return bytes;
}

}  // namespace

int run_export(const Settings& settings, const ExportOptions& options) {
  // Tried before anything is read: a large step takes long.
  { const OutputFile probe(options.file, options.force); }
  const auto engine = make_engine(settings);
  const Step step = pick_step(engine, options.root, options.step);
  const StepInfo info = inspect_step(engine, step_path(options.root, step)).get();
  const std::string item = pick_item(info, options.item);

  ManagerOptions manager_options;
  manager_options.engine = engine;
  manager_options.create = false;
  const CheckpointManager manager(options.root, std::move(manager_options));
  args::CompositeRestore wanted;
  wanted.items.emplace_back(item, args::StandardRestore());
  Restored restored = manager.restore(step, std::move(wanted)).get();
  const Tree& tree = restored.tree(item);

  const std::vector<Tensor> tensors = collect(tree, item, options.drop_empty);
  const std::uint64_t bytes = write_file(options, tensors, info.custom_metadata);
  if (settings.json) {
    boost::json::object out;
    out["root"] = options.root;
    out["step"] = step;
    out["item"] = item;
    out["file"] = options.file;
    out["tensors"] = tensors.size();
    out["bytes"] = bytes;
    print_json(out);
  } else {
    print(fmt::format("{}: {}, {} of step {}\n", printable(options.file),
                      counted(tensors.size(), "tensor"), human_bytes(bytes), step));
  }
  return kGood;
}

}  // namespace cairn::cli
