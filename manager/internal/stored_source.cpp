#include <cairn/manager/internal/layout.h>
#include <cairn/manager/internal/stored_source.h>
#include <cairn/manager/internal/target_reader.h>

#include <boost/asio/co_spawn.hpp>
#include <cassert>

namespace cairn::internal {
namespace {

using OpenItemPtr = std::shared_ptr<OpenItem>;

Task<void> read_box(OpenItemPtr item, std::size_t leaf, IndexRange box, std::byte* to) {
  const FolderPtr folder = item->step->folder;
  std::exception_ptr failure;
  try {
    std::vector<StoredLeaf> narrowed(1, item->reader.leaves()[leaf]);
    const LoadTarget target = LoadTarget::dense(narrowed[0].array->metadata.dtype, to, box.shape);
    narrowed[0].range = std::move(box);
    co_await read_leaves(&item->reader.index(), std::move(narrowed),
                         std::vector<LoadTarget>(1, target));
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return;
  failure = co_await explain_failure(folder, failure);
  std::rethrow_exception(as_error(failure, "read", folder->path));
}

class StoredSource final : public Source {
 public:
  StoredSource(OpenItemPtr item, std::size_t leaf) : item_(std::move(item)), leaf_(leaf) {}

  void read(const IndexRange& range, std::span<std::byte> to,
            std::function<void(std::exception_ptr)> done) override {
    IndexRange box = range;
    const IndexRange wanted = stored().wanted();
    for (std::size_t d = 0; d < box.origin.size(); ++d) box.origin[d] += wanted.origin[d];
    assert(to.size() == byte_count(stored().array->metadata.dtype, box.shape));
    asio::co_spawn(item_->step->folder->engine->executor(),
                   read_box(item_, leaf_, std::move(box), to.data()), std::move(done));
  }

  [[nodiscard]] Shape natural_box() const override {
    const StoredArray& array = *stored().array;
    const Shape& chunk =
        array.inner ? array.inner->metadata.chunk_shape : array.metadata.chunk_shape;
    // Of a part that begins within a chunk, no boxes from its first element on are chunks.
    const Shape origin = stored().wanted().origin;
    for (std::size_t d = 0; d < origin.size(); ++d) {
      if (origin[d] % chunk[d] != 0) return {};
    }
    return chunk;
  }

 private:
  [[nodiscard]] const StoredLeaf& stored() const { return item_->reader.leaves()[leaf_]; }
  OpenItemPtr item_;
  std::size_t leaf_;
};

/// What would cost more as a leaf than it holds, or is a number and no array.
bool is_read_at_once(const StoredLeaf& leaf) {
  return leaf.type == orbax::ValueType::scalar ||
         byte_count(leaf.array->metadata.dtype, leaf.wanted().shape) <= kInlineBytes;
}

}  // namespace

Task<Tree> open_leaves(OpenItemPtr item) {
  const std::vector<StoredLeaf>& leaves = item->reader.leaves();
  std::vector<Tree> values(leaves.size());
  std::vector<StoredLeaf> small;
  std::vector<LoadTarget> targets;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (!leaves[i].array) continue;
    const DType dtype = leaves[i].array->metadata.dtype;
    const Shape shape = leaves[i].wanted().shape;
    if (is_read_at_once(leaves[i])) {
      values[i] = Tree(Array::uninitialized(dtype, shape));
      small.push_back(leaves[i]);
      targets.push_back(LoadTarget::dense(dtype, values[i].as<Array>().bytes().data(), shape));
    } else {
      values[i] = Tree(Leaf(dtype, shape, std::make_shared<StoredSource>(item, i)));
    }
  }
  co_await read_leaves(&item->reader.index(), std::move(small), std::move(targets));
  co_return item->reader.assemble(std::move(values));
}

}  // namespace cairn::internal
