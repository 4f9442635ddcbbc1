"""The state that every peer saves: the tensors of a safetensors file, read by hand so that all start from the same."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Callable, Mapping

import ml_dtypes
import numpy as np

Arrays = dict[str, np.ndarray]

DTYPES = {
    "BOOL": np.bool_, "I8": np.int8, "U8": np.uint8, "I16": np.int16, "U16": np.uint16, "F16": np.float16,
    "BF16": ml_dtypes.bfloat16, "I32": np.int32, "U32": np.uint32, "F32": np.float32, "I64": np.int64, "U64": np.uint64,
    "F64": np.float64, "C64": np.complex64, "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Tensor:
    """What the header of a safetensors file says of one, with its place in the file."""

    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)


def tensors_of(file: pathlib.Path) -> dict[str, Tensor]:
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = Tensor(np.dtype(DTYPES[entry["dtype"]]), tuple(entry["shape"]), begin, end)
    return tensors


def load(file: pathlib.Path) -> Arrays:
    """Each in memory of its own, as a trainer has them."""
    arrays = {}
    with file.open("rb") as stream:
        for name, tensor in sorted(tensors_of(file).items(), key=lambda entry: entry[1].begin):
            flat = np.empty(tensor.bytes, np.uint8)
            stream.seek(tensor.begin)
            if stream.readinto(memoryview(flat)) != tensor.bytes:
                raise ValueError(f"{file} ends within {name}")
            arrays[name] = flat.view(tensor.dtype).reshape(tensor.shape)
    return arrays


def flat_bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def check_equal(found: Mapping[str, object], file: pathlib.Path, bytes_of: Callable[[object], np.ndarray]) -> None:
    """Every tensor of the file is there, byte for byte, and nothing else."""
    expected = tensors_of(file)
    if found.keys() != expected.keys():
        wrong = sorted(found.keys() ^ expected.keys())
        raise ValueError(f"restored {len(found)} arrays of {len(expected)}; one of those that differ is {wrong[0]}")
    content = np.memmap(file, np.uint8, "r")
    for name, tensor in expected.items():
        if not np.array_equal(bytes_of(found[name]), content[tensor.begin : tensor.end]):
            raise ValueError(f"{name} came back with other bytes")


def nested(arrays: Mapping[str, object]) -> dict:
    """The tree whose keys the names join with dots."""
    tree: dict = {}
    for name, value in arrays.items():
        *keys, last = name.split(".")
        node = tree
        for key in keys:
            node = node.setdefault(key, {})
        node[last] = value
    return tree


def flattened(tree: Mapping, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flattened(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
