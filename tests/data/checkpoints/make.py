"""Writes the Orbax and TensorStore checkpoints of this folder, and what the same packages read back from them.

Usage: make.py FOLDER [FIXTURES]   with FIXTURES, only expected/golden.json, of Orbax's own test fixtures   (orbax-checkpoint 0.12.8, tensorstore 0.1.86, jax 0.10.2)
"""

import asyncio
import collections
import json
import os
import pathlib
import shutil
import sys

os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp
import orbax.checkpoint.experimental.v1 as v1
import tensorstore as ts
from orbax.checkpoint._src.serialization import ocdbt_utils
from orbax.checkpoint._src.serialization import tensorstore_utils as ts_utils

from expect import describe, write_expected

Pair = collections.namedtuple("Pair", "x y")


def tree():
    return {
        "w": jnp.arange(8, dtype=jnp.float32).reshape(4, 2),
        "layers": [{"b": jnp.asarray([1, -2.5, 3e-3], jnp.bfloat16)}, {"b": jnp.zeros((3,), jnp.bfloat16)}],
        "fp8": np.asarray([0.5, -448, 2], ml_dtypes.float8_e4m3fn),
        "complex": np.asarray([[1 + 2j, -3j]], np.complex64),
        "bools": np.asarray([True, False, True]),
        "scalars": [3, 2.5, True, np.int16(-4), np.float32(0.1)],
        "rank0": np.asarray(7, np.uint8),
        "none": None,
        "empty": {"dict": {}, "list": [], "tuple": ()},
        "tuple": (np.arange(3, dtype=np.int8), None),
        "named": Pair(np.arange(2, dtype=np.uint64), {"z": np.zeros((2,))}),
        "text": "grüße",
        "key": jax.random.key(7),
    }


def orbax_trees(folder):
    for name, options in {
        "ocdbt_zarr2": {"use_ocdbt": True, "use_zarr3": False},
        "ocdbt_zarr3": {"use_ocdbt": True, "use_zarr3": True},
        "files_zarr2": {"use_ocdbt": False, "use_zarr3": False},
        "files_zarr3": {"use_ocdbt": False, "use_zarr3": True},
    }.items():
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(**options)) as checkpointer:
            checkpointer.save(folder / name, tree(), force=True)
            write_expected(folder, name, checkpointer.restore(folder / name))
    with ocp.Checkpointer(ocp.ArrayCheckpointHandler()) as checkpointer:
        checkpointer.save(folder / "array_item", np.arange(6, dtype=np.int32).reshape(2, 3), force=True)
        write_expected(folder, "array_item", checkpointer.restore(folder / "array_item"))


def managed(folder):
    root = folder / "managed"
    shutil.rmtree(root, ignore_errors=True)
    with ocp.CheckpointManager(root, options=ocp.CheckpointManagerOptions(best_fn=lambda m: m["loss"])) as manager:
        manager.save(
            3,
            args=ocp.args.Composite(
                array=ocp.args.ArraySave(jnp.arange(5, dtype=jnp.int16)),
                config=ocp.args.JsonSave({"lr": 0.5, "name": "x"}),
                model=ocp.args.StandardSave({"q": np.arange(3), "r": [jnp.ones((2, 2)), 5]}),
            ),
            metrics={"loss": 0.25},
            custom_metadata={"note": "kept"},
        )
        manager.wait_until_finished()
        restored = manager.restore(3)
    write_expected(folder, "managed_array", restored["array"])
    write_expected(folder, "managed_model", restored["model"])


def v1_checkpoint(folder):
    shutil.rmtree(folder / "v1", ignore_errors=True)
    state = {"a": jnp.arange(8, dtype=jnp.int32), "b": {"c": np.asarray([1.5, -2])}}
    v1.save_checkpointables(folder / "v1", {"state": state, "settings": {"k": 1}})
    loaded = v1.load_checkpointables(folder / "v1")
    write_expected(folder, "v1", loaded["state"])


def two_processes(folder):
    """One checkpoint whose array was written half by each of two processes, merged by Orbax."""
    name = "two_processes"
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        checkpointer.save(folder / name, {"w": np.arange(1024, dtype=np.float32), "small": np.arange(4)}, force=True)
    for path in list((folder / name).glob("ocdbt.process_*")) + [folder / name / "d"]:
        shutil.rmtree(path)
    (folder / name / "manifest.ocdbt").unlink()
    for process in range(2):
        context = ts.Context()
        base = f"file://{folder}/{name}/ocdbt.process_{process}/"
        config = {"max_inline_value_bytes": 1024, "max_decoded_node_bytes": 100_000_000}

        def store(path):
            return {"driver": "ocdbt", "base": base, "config": config, "path": path}

        w = ts.open(
            {"driver": "zarr", "kvstore": store("w/"), "metadata": {"chunks": [512], "compressor": None}},
            dtype=ts.float32, shape=[1024], create=True, open=True, context=context,
        ).result()  # fmt: skip
        half = slice(process * 512, process * 512 + 512)
        w[half] = np.arange(1024, dtype=np.float32)[half]
        if process == 1:
            small = ts.open(
                {"driver": "zarr", "kvstore": store("small/"), "metadata": {"chunks": [4]}},
                dtype=ts.int64, shape=[4], create=True, context=context,
            ).result()  # fmt: skip
            small[...] = np.arange(4)
    asyncio.run(
        ocdbt_utils.merge_ocdbt_per_process_files(folder / name, ts_context=ts_utils.get_ts_context(use_ocdbt=True), use_zarr3=False)
    )
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        write_expected(folder, name, checkpointer.restore(folder / name))


def left_out(folder):
    """Chunks that equal the fill value are not stored."""
    name = "left_out"
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=False, use_zarr3=True)) as checkpointer:
        checkpointer.save(folder / name, {"w": np.zeros((6,), np.int16), "zero": np.zeros((3,))}, force=True)
    for array in ("w", "zero"):
        shutil.rmtree(folder / name / array)
    w = ts.open(
        {"driver": "zarr3", "kvstore": f"file://{folder}/{name}/w/", "metadata": {
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}}, "data_type": "int16", "fill_value": 9}},
        shape=[6], create=True,
    ).result()  # fmt: skip
    w[2:4] = [1, 2]
    ts.open({"driver": "zarr3", "kvstore": f"file://{folder}/{name}/zero/"}, dtype=ts.float64, shape=[3], create=True).result()
    path = folder / name / "_METADATA"
    metadata = json.loads(path.read_text())
    metadata["store_array_data_equal_to_fill_value"] = False
    path.write_text(json.dumps(metadata))
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        write_expected(folder, name, checkpointer.restore(folder / name))


def tensorstore_arrays(folder):
    values = (np.arange(5 * 7 * 3) % 50 - 20).reshape(5, 7, 3)
    shard = {"name": "sharding_indexed", "configuration": {
        "chunk_shape": [2, 3, 3], "index_location": "start",
        "codecs": [{"name": "bytes"}, {"name": "zstd", "configuration": {"level": 1}}, {"name": "crc32c"}]}}  # fmt: skip
    transposed = [{"name": "transpose", "configuration": {"order": [2, 0, 1]}},
                  {"name": "bytes", "configuration": {"endian": "big"}}, {"name": "gzip", "configuration": {"level": 6}}]  # fmt: skip
    blosc = {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 8, "blocksize": 0}}
    v3 = {
        "sharded": ("int16", [4, 6, 3], [shard]),
        "nested/transposed": ("float32", [2, 4, 2], transposed),
        "nested/blosc": ("float64", [3, 3, 3], [{"name": "bytes"}, blosc]),
        "raw": ("bfloat16", [5, 7, 3], [{"name": "bytes"}, {"name": "crc32c"}]),
    }
    v2 = {
        "plain": ("<i4", None, "C", "."),
        "fortran": (">f4", {"id": "zstd", "level": 1}, "F", "/"),
        "group/blosc": ("<u2", {"id": "blosc", "cname": "zstd", "clevel": 3, "shuffle": 1, "blocksize": 0}, "C", "."),
        "group/bz2": ("|i1", {"id": "bz2", "level": 9}, "F", "."),
        "group/zlib": ("<c8", {"id": "zlib", "level": 2}, "C", "/"),
    }
    config = {"max_inline_value_bytes": 64, "max_decoded_node_bytes": 400}
    for layout in ("ts_files", "ts_ocdbt"):
        shutil.rmtree(folder / layout, ignore_errors=True)

        def store(path):
            if layout == "ts_files":
                return f"file://{folder}/{layout}/{path}/"
            return {"driver": "ocdbt", "base": f"file://{folder}/{layout}/", "config": config, "path": path + "/"}

        expected = {}

        def put(name, array):
            array[...] = values.astype(array.dtype.numpy_dtype)
            at = expected
            for part in name.split("/")[:-1]:
                at = at.setdefault(part, {})
            at[name.split("/")[-1]] = array.read().result()

        for name, (dtype, chunk, codecs) in v3.items():
            put(name, ts.open({"driver": "zarr3", "kvstore": store(name), "metadata": {
                "data_type": dtype, "shape": values.shape, "codecs": codecs,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}}}}, create=True).result())  # fmt: skip
        for name, (dtype, compressor, order, separator) in v2.items():
            put(name, ts.open({"driver": "zarr", "kvstore": store(name), "metadata": {
                "dtype": dtype, "shape": values.shape, "chunks": [2, 7, 3], "compressor": compressor,
                "order": order, "dimension_separator": separator}}, create=True).result())  # fmt: skip
        write_expected(folder, layout, expected)
    shutil.rmtree(folder / "ts_bare", ignore_errors=True)
    bare = ts.open({"driver": "zarr3", "kvstore": {"driver": "ocdbt", "base": f"file://{folder}/ts_bare/"}},
                   dtype=ts.int32, shape=[4], create=True).result()  # fmt: skip
    bare[...] = [4, 3, 2, 1]
    write_expected(folder, "ts_bare", bare.read().result())


def golden(folder, fixtures):
    """What Orbax makes of its own public fixtures: the values, or the name of its error."""
    found = {}
    steps = [path for path in sorted(fixtures.glob("v0_direct/*/*")) + sorted(fixtures.glob("v1_composite/*"))]
    for step in steps:
        reads = [v1.load_pytree] if "v1" in str(step) else [ocp.PyTreeCheckpointer().restore, ocp.StandardCheckpointer().restore]
        for read in reads:
            try:
                found[str(step.relative_to(fixtures))] = describe(read(step))
                break
            except Exception as error:
                found[str(step.relative_to(fixtures))] = type(error).__name__
    lines = [json.dumps(k) + ": " + json.dumps(v) for k, v in found.items()]
    (folder / "expected" / "golden.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def numbered_manifests(folder):
    """Each commit makes a manifest of its own; manifest.ocdbt has the configuration alone."""
    name = "ts_numbered"
    shutil.rmtree(folder / name, ignore_errors=True)
    config = {"manifest_kind": "numbered", "max_inline_value_bytes": 64}

    def store(path):
        return {"driver": "ocdbt", "base": f"file://{folder}/{name}/", "config": config, "path": path + "/"}

    v3 = ts.open({"driver": "zarr3", "kvstore": store("v3"), "metadata": {
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [3]}}}},
        dtype=ts.int16, shape=[7], create=True).result()  # fmt: skip
    v3[...] = np.arange(7, dtype=np.int16) * 3 - 5
    v2 = ts.open({"driver": "zarr", "kvstore": store("group/v2"), "metadata": {"chunks": [50], "compressor": None}},
                 dtype=ts.float32, shape=[50], create=True).result()  # fmt: skip
    v2[...] = np.arange(50, dtype=np.float32) / 4
    v3[2:4] = np.asarray([100, -100], np.int16)
    write_expected(folder, name, {"v3": v3.read().result(), "group": {"v2": v2.read().result()}})


def main():
    if len(sys.argv) > 2:
        return golden(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve())
    folder = pathlib.Path(sys.argv[1]).resolve()
    orbax_trees(folder)
    managed(folder)
    v1_checkpoint(folder)
    two_processes(folder)
    left_out(folder)
    tensorstore_arrays(folder)
    numbered_manifests(folder)
    for lock in folder.rglob("*__lock"):
        lock.unlink()
    for marker in folder.rglob("commit_success.txt"):  # Orbax writes absolute paths
        marker.write_text(marker.read_text().replace(f"{folder.parent}/", ""))


if __name__ == "__main__":
    main()
