"""The peers of the interop matrix: how each writes what Cairn is to read, and reads what Cairn wrote.

A peer has a name, the layouts it knows, and the codecs that it writes. write() puts rows into a folder and gives the
paths that Cairn is to read; read() gives the leaves of a row of an item that Cairn saved; read_own() the same of what
write() gave. What a peer raises is for the caller: it says what the peer cannot do.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numcodecs
import numpy as np
import orbax.checkpoint as ocp
import safetensors
import safetensors.numpy
import safetensors.torch
import tensorstore as ts
import torch
import zarr
from orbax.checkpoint import v1

from patterns import DTYPES
from trees import ROWS, Leaves, arrays_of, chunks_of, flatten, row_of

jax.config.update("jax_enable_x64", True)  # otherwise it has no 64-bit dtypes
jax.config.update("jax_num_cpu_devices", 4)  # to have arrays in parts

LAYOUTS = ["ocdbt_zarr3", "ocdbt_zarr2", "zarr3", "zarr2"]
Rows = dict[str, list[str]]  # row -> the dtypes of its empty arrays


def item_of(root: pathlib.Path) -> pathlib.Path:
    return root / "0" / "default"


class Peer:
    name = ""
    layouts = LAYOUTS
    codecs = ["raw", "zstd", "blosc", "gzip"]
    codecs_read = ["raw", "zstd", "auto", "blosc", "gzip"]
    rows_read = ROWS

    def ours(self, layout: str, word: str) -> str:
        """Where Cairn wrote what the peer reads, below the folder of all that."""
        return f"{layout}-{word}"

    def write(self, folder: pathlib.Path, layout: str, codec: str, rows: Rows) -> list[pathlib.Path]:
        raise NotImplementedError

    def read(self, root: pathlib.Path, layout: str, row: str, dtypes: list[str]) -> Leaves:
        raise NotImplementedError

    def read_own(self, paths: list[pathlib.Path], layout: str, row: str, dtypes: list[str]) -> Leaves:
        raise NotImplementedError


class Orbax(Peer):
    """Reads a whole checkpoint at once, and keeps it for the other rows."""

    def __init__(self) -> None:
        self.kept: tuple[pathlib.Path, Leaves | Exception] | None = None

    def load_step(self, root: pathlib.Path) -> Any:
        """Step 0 of a manager's root."""
        raise NotImplementedError

    def load_own(self, path: pathlib.Path) -> Any:
        raise NotImplementedError

    def kept_leaves(self, load: Callable[[pathlib.Path], Any], path: pathlib.Path) -> Leaves:
        if self.kept is None or self.kept[0] != path:
            try:
                self.kept = (path, flatten(load(path)))
            except Exception as error:  # that of each of its rows
                self.kept = (path, error)
        if isinstance(self.kept[1], Exception):
            raise self.kept[1]
        return self.kept[1]

    def read(self, root: pathlib.Path, layout: str, row: str, dtypes: list[str]) -> Leaves:
        return self.kept_leaves(self.load_step, root)

    def read_own(self, paths: list[pathlib.Path], layout: str, row: str, dtypes: list[str]) -> Leaves:
        return self.kept_leaves(self.load_own, paths[0])

    @staticmethod
    def tree(rows: Rows) -> dict[str, Any]:
        """Numpy's arrays and JAX's: Orbax has a handler for each."""
        tree = {row: row_of(row, dtypes) for row, dtypes in rows.items()}
        for leaves in tree.values():
            if "table" in leaves:
                leaves["table"] = jnp.asarray(leaves["table"])
        return tree

    @staticmethod
    def storage(layout: str, codec: str) -> dict[str, Any]:
        """Orbax's options. It has none that names a codec: what it says to one is its answer."""
        options = {"use_compression": codec == "zstd"} if codec in ("raw", "zstd") else {"compressor": codec}
        return {"use_ocdbt": layout.startswith("ocdbt"), "use_zarr3": layout.endswith("3"), **options}


def sharding_of(array: np.ndarray) -> jax.sharding.Sharding:
    """Over all devices where the rows go round, which cuts chunks of ours; otherwise on the last one."""
    devices = jax.devices()
    if array.ndim == 0 or array.shape[0] == 0 or array.shape[0] % len(devices) != 0:
        return jax.sharding.SingleDeviceSharding(devices[-1])
    mesh = jax.sharding.Mesh(np.array(devices), ("rows",))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))


def abstract_of(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    return jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=sharding_of(value))


def checked_jax(restored: Any, expected: Any) -> Any:
    """That arrays are JAX's, and where they were to be."""
    found = flatten(restored)
    for name, array in flatten(expected).items():
        if isinstance(array, np.ndarray):
            if not isinstance(found[name], jax.Array):
                raise AssertionError(f"{name} is a {type(found[name])}, not a jax.Array")
            if found[name].sharding != sharding_of(array):
                raise AssertionError(f"{name} is in {found[name].sharding}, not in {sharding_of(array)}")
    return restored


def checked_numpy(restored: Any) -> Any:
    for name, leaf in flatten(restored).items():
        if not isinstance(leaf, (np.ndarray, bool, int, float, str)):
            raise AssertionError(f"{name} is a {type(leaf)}, not numpy's")
    return restored


class OrbaxV0(Orbax):
    name = "Orbax v0"

    def write(self, folder: pathlib.Path, layout: str, codec: str, rows: Rows) -> list[pathlib.Path]:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(**self.storage(layout, codec))) as checkpointer:
            checkpointer.save(folder, self.tree(rows))
        return [folder]

    def load_step(self, root: pathlib.Path) -> Any:
        with ocp.CheckpointManager(root) as manager:  # without arguments: by what the step's metadata says
            return checked_numpy(manager.restore(0))

    def load_own(self, path: pathlib.Path) -> Any:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            return checkpointer.restore(path)


class OrbaxV0AsJax(OrbaxV0):
    """Restores arrays as JAX's, on a device or in parts on several, which needs to be told of each."""

    name = "v0 as jax"
    codecs: list[str] = []
    codecs_read = ["raw", "auto"]
    rows_read = [*DTYPES, "empty"]

    def load_step(self, root: pathlib.Path) -> Any:
        arrays = {row: row_of(row) for row in self.rows_read}
        restore_args = jax.tree.map(
            lambda array: ocp.ArrayRestoreArgs(restore_type=jax.Array, sharding=sharding_of(array), dtype=array.dtype), arrays
        )
        arguments = ocp.args.PyTreeRestore(item=arrays, restore_args=restore_args, partial_restore=True)
        with ocp.CheckpointManager(root) as manager:
            return checked_jax(manager.restore(0, args=arguments), arrays)


class OrbaxV1(Orbax):
    name = "Orbax v1"

    def write(self, folder: pathlib.Path, layout: str, codec: str, rows: Rows) -> list[pathlib.Path]:
        saving = v1.options.ArrayOptions.Saving(**self.storage(layout, codec))
        with v1.Context(array_options=v1.options.ArrayOptions(saving=saving)):
            v1.save(folder, self.tree(rows))
        return [folder]

    def load_step(self, root: pathlib.Path) -> Any:
        return checked_numpy(v1.load(root / "0"))

    def load_own(self, path: pathlib.Path) -> Any:
        return v1.load(path)


class OrbaxV1AsJax(OrbaxV1):
    """The same with abstract arrays, in a tree that has all leaves."""

    name = "v1 as jax"
    codecs: list[str] = []
    codecs_read = ["raw", "auto"]

    def load_step(self, root: pathlib.Path) -> Any:
        tree = {row: row_of(row) for row in ROWS}
        target = jax.tree.map(abstract_of, tree)
        return checked_jax(v1.load(root / "0", target), tree)


class TensorStore(Peer):
    """Arrays without a tree's metadata; strings as Orbax has it write them, under metadata that names them."""

    def __init__(self, name: str, layouts: list[str]) -> None:
        self.name = name
        self.layouts = layouts

    @staticmethod
    def kvstore(folder: pathlib.Path, layout: str, path: str) -> dict[str, Any]:
        if layout.startswith("ocdbt"):
            return {"driver": "ocdbt", "base": f"file://{folder}/", "path": path}
        return {"driver": "file", "path": f"{folder}/{path}"}

    @staticmethod
    def metadata(layout: str, codec: str, array: np.ndarray) -> dict[str, Any]:
        chunks = chunks_of(array)
        if layout.endswith("2"):
            compressors = {"raw": None, "zstd": {"id": "zstd", "level": 3}, "gzip": {"id": "gzip", "level": 5},
                           "blosc": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1}}  # fmt: skip
            return {"chunks": chunks, "compressor": compressors[codec]}
        blosc = {"cname": "zstd", "clevel": 5, "shuffle": "shuffle"}
        codecs = {"raw": [], "zstd": [{"name": "zstd", "configuration": {"level": 3}}],
                  "gzip": [{"name": "gzip", "configuration": {"level": 5}}],
                  "blosc": [{"name": "blosc", "configuration": blosc}]}  # fmt: skip
        grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
        return {"chunk_grid": grid, "codecs": [{"name": "bytes"}, *codecs[codec]]}

    def write(self, folder: pathlib.Path, layout: str, codec: str, rows: Rows) -> list[pathlib.Path]:
        driver = "zarr3" if layout.endswith("3") else "zarr"
        transaction = ts.Transaction()
        context = ts.Context()
        writes = []
        for row, dtypes in rows.items():
            for name, array in arrays_of(row, dtypes).items() if row != "strings" else ():
                spec = {"driver": driver, "kvstore": self.kvstore(folder / "arrays", layout, name + "/"),
                        "metadata": self.metadata(layout, codec, array)}  # fmt: skip
                opened = ts.open(spec, dtype=ts.dtype(array.dtype), shape=array.shape, create=True,
                                 transaction=transaction, context=context).result()  # fmt: skip
                writes.append(opened.write(array))
        for write in writes:
            write.result()
        transaction.commit_sync()
        paths = [folder / "arrays"] if writes else []
        if "strings" in rows:
            paths.append(folder / "strings")
            self.write_strings(paths[-1])
        return paths

    @staticmethod
    def write_strings(item: pathlib.Path) -> None:
        item.mkdir(parents=True)
        entries = {}
        transaction = ts.Transaction()
        for name, text in flatten(row_of("strings"), "strings").items():
            keys = name.split(".")
            entries[str(tuple(keys))] = {
                "key_metadata": [{"key": key, "key_type": 1 if key.isdigit() else 2} for key in keys],
                "value_metadata": {"value_type": "string", "skip_deserialize": False},
            }
            spec = {"driver": "json", "kvstore": f"file://{item}/_strings.json", "json_pointer": "/" + name}
            ts.open(spec, transaction=transaction).result().write(text).result()
        transaction.commit_sync()
        (item / "_METADATA").write_text(json.dumps({"tree_metadata": entries, "use_ocdbt": False}))

    def read(self, root: pathlib.Path, layout: str, row: str, dtypes: list[str]) -> Leaves:
        return self.read_item(item_of(root), layout, row, dtypes)

    def read_own(self, paths: list[pathlib.Path], layout: str, row: str, dtypes: list[str]) -> Leaves:
        return self.read_item(paths[-1], layout, row, dtypes)

    def read_item(self, item: pathlib.Path, layout: str, row: str, dtypes: list[str]) -> Leaves:
        reads = {}
        context = ts.Context()
        for name in flatten(row_of(row, dtypes), row):
            if row == "strings":
                spec = {"driver": "json", "kvstore": f"file://{item}/_strings.json", "json_pointer": "/" + name}
            else:
                driver = "zarr3" if layout.endswith("3") else "zarr"
                spec = {"driver": driver, "kvstore": self.kvstore(item, layout, name + "/")}
            reads[name] = ts.open(spec, open=True, read=True, context=context).result().read()
        found = {name: read.result() for name, read in reads.items()}
        return {name: value.item() if row == "strings" else value for name, value in found.items()}


def leaves_of_database(folder: pathlib.Path, layout: str) -> dict[str, Leaves]:
    """What TensorStore finds in a database that nothing says the tree of, by row."""
    file = "/zarr.json" if layout.endswith("3") else "/.zarray"
    keys = ts.KvStore.open(TensorStore.kvstore(folder, layout, "")).result().list().result()
    names = [key.decode().removesuffix(file) for key in keys if key.decode().endswith(file)]
    found: dict[str, Leaves] = {}
    for name in names:
        spec = {"driver": "zarr3" if layout.endswith("3") else "zarr", "kvstore": TensorStore.kvstore(folder, layout, name + "/")}
        found.setdefault(name.split(".")[0], {})[name] = ts.open(spec, open=True, read=True).result().read().result()
    return found


def chunk_of(item: pathlib.Path, layout: str, name: str) -> bytes:
    """The bytes that are stored for the first chunk of an array of one dimension."""
    values = ts.KvStore.open(TensorStore.kvstore(item, layout, name + "/")).result()
    return values.read("c/0" if layout.endswith("3") else "0").result().value


class ZarrPython(Peer):
    name = "zarr-py"
    layouts = ["zarr3", "zarr2"]

    @staticmethod
    def compressor(layout: str, codec: str) -> Any:
        if codec == "raw":
            return None
        if layout == "zarr2":
            blosc = numcodecs.Blosc(cname="zstd", clevel=5, shuffle=1)
            return {"zstd": numcodecs.Zstd(level=3), "blosc": blosc, "gzip": numcodecs.GZip(level=5)}[codec]
        blosc = zarr.codecs.BloscCodec(cname="zstd", clevel=5)
        return {"zstd": zarr.codecs.ZstdCodec(level=3), "blosc": blosc, "gzip": zarr.codecs.GzipCodec(level=5)}[codec]

    def write(self, folder: pathlib.Path, layout: str, codec: str, rows: Rows) -> list[pathlib.Path]:
        group = zarr.open_group(folder, mode="w", zarr_format=int(layout[-1]))
        for row, dtypes in rows.items():
            leaves = flatten(row_of(row, dtypes), row) if row == "strings" else arrays_of(row, dtypes)
            for name, value in leaves.items():
                chunks = chunks_of(value) if isinstance(value, np.ndarray) else "auto"
                group.create_array(name.replace(".", "/"), data=value, chunks=chunks if chunks == "auto" else tuple(chunks),
                                   compressors=self.compressor(layout, codec), filters=None)  # fmt: skip
        return [folder]

    def read(self, root: pathlib.Path, layout: str, row: str, dtypes: list[str]) -> Leaves:
        return self.read_group(item_of(root), row, dtypes, ".")

    def read_own(self, paths: list[pathlib.Path], layout: str, row: str, dtypes: list[str]) -> Leaves:
        return self.read_group(paths[0], row, dtypes, "/")

    def read_group(self, path: pathlib.Path, row: str, dtypes: list[str], separator: str) -> Leaves:
        group = zarr.open_group(path, mode="r")
        names = flatten(row_of(row, dtypes), row)
        return {name: np.asarray(group[name.replace(".", separator)][...]) for name in names}


class SafetensorsNumpy(Peer):
    name = "st numpy"
    layouts = ["safetensors"]
    codecs = ["raw"]
    codecs_read = ["raw"]
    framework = "np"

    def ours(self, layout: str, word: str) -> str:
        return f"{self.name.split()[1]}.safetensors"

    def tensor(self, value: Any) -> Any:
        return value

    def array(self, tensor: Any, dtype: np.dtype) -> np.ndarray:
        return tensor

    def save_file(self, tensors: dict[str, Any], file: pathlib.Path) -> None:
        safetensors.numpy.save_file(tensors, file)

    def write(self, folder: pathlib.Path, layout: str, codec: str, rows: Rows) -> list[pathlib.Path]:
        folder.mkdir(parents=True)
        tensors = {}
        for row, dtypes in rows.items():
            leaves = flatten(row_of(row, dtypes), row) if row == "strings" else arrays_of(row, dtypes)
            tensors.update({name: self.tensor(value) for name, value in leaves.items()})
        self.save_file(tensors, folder / "model.safetensors")
        return [folder / "model.safetensors"]

    def read(self, root: pathlib.Path, layout: str, row: str, dtypes: list[str]) -> Leaves:
        expected = arrays_of(row, dtypes)
        with safetensors.safe_open(root, framework=self.framework) as file:
            return {name: self.array(file.get_tensor(name), array.dtype) for name, array in expected.items()}

    def read_own(self, paths: list[pathlib.Path], layout: str, row: str, dtypes: list[str]) -> Leaves:
        return self.read(paths[0], layout, row, dtypes)


class SafetensorsTorch(SafetensorsNumpy):
    name = "st torch"
    framework = "pt"

    def tensor(self, value: Any) -> Any:
        if isinstance(value, str):
            return value
        dtype = getattr(torch, value.dtype.name)
        if value.size == 0:
            return torch.empty(value.shape, dtype=dtype)
        flat = np.ascontiguousarray(value).reshape(-1).view(np.uint8).copy()
        return torch.from_numpy(flat).view(dtype).reshape(value.shape)

    def array(self, tensor: Any, dtype: np.dtype) -> np.ndarray:
        if tensor.dtype != getattr(torch, dtype.name):
            raise AssertionError(f"found {tensor.dtype}, expected {dtype}")
        if tensor.numel() == 0:
            return np.empty(tuple(tensor.shape), dtype)
        return tensor.reshape(-1).view(torch.uint8).numpy().view(dtype).reshape(tuple(tensor.shape))

    def save_file(self, tensors: dict[str, Any], file: pathlib.Path) -> None:
        safetensors.torch.save_file(tensors, file)


def every_peer() -> list[Peer]:
    return [
        OrbaxV0(),
        OrbaxV0AsJax(),
        OrbaxV1(),
        OrbaxV1AsJax(),
        TensorStore("TS OCDBT", LAYOUTS[:2]),
        TensorStore("TS files", LAYOUTS[2:]),
        ZarrPython(),
        SafetensorsNumpy(),
        SafetensorsTorch(),
    ]
