"""What the arrays of the interop tests hold: a formula over an array's number, here and in patterns.h, so that neither
side trusts the other's reader."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

# codecs/dtype.h, in its order: the position is part of the pattern.
DTYPES = [
    "bool", "int2", "int4", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float4_e2m1fn", "float8_e3m4", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz",
    "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
    "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
]  # fmt: skip

# Integers in which auto finds no repetition, so that it codes them plane by plane as it does floats.
SCATTERED = ["int16", "int32", "int64"]


def dtype_of(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name)) if hasattr(ml_dtypes, name) else np.dtype(name)


def mixed(seed: int, k: np.ndarray) -> np.ndarray:
    return ((k * 131 + seed * 17 + (k >> np.uint64(8)) * 7) & 0xFF).astype(np.uint8)


def scattered(seed: int, k: np.ndarray) -> np.ndarray:
    """The same without repetitions."""
    h = (k + np.uint64(seed * 1_000_003 + 1)) * np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return ((h ^ (h >> np.uint64(32))) & np.uint64(0xFF)).astype(np.uint8)


def valid(name: str, raw: np.ndarray) -> np.ndarray:
    """Bits that a dtype allows in a byte."""
    if name == "bool":
        return raw & 1
    if name == "int2":
        return (((raw & 3) ^ 2).astype(np.int8) - 2).view(np.uint8)
    if name == "int4":
        return (((raw & 15) ^ 8).astype(np.int8) - 8).view(np.uint8)
    return raw & 15 if name == "float4_e2m1fn" else raw


def bytes_of(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(int(np.prod(shape, dtype=np.int64)) * dtype_of(name).itemsize, dtype=np.uint64)


def pattern(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The array that patterns.h's make() makes."""
    return valid(name, mixed(seed, bytes_of(name, shape))).view(dtype_of(name)).reshape(shape)


def smooth_pattern(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The same of its smooth_pattern(): an array that pays to encode."""
    k = bytes_of(name, shape)
    raw = scattered(seed, k) if name in SCATTERED else mixed(seed, k)
    size = dtype_of(name).itemsize // (2 if name.startswith("complex") else 1)
    raw = valid(name, raw & 15) if size == 1 else np.where(k % size == size - 1, 0x3C + (raw & 1), raw)
    return raw.astype(np.uint8).view(dtype_of(name)).reshape(shape)


def element_bytes(array: np.ndarray) -> bytes:
    """Of an int2 or int4 the bits of the byte above the element belong to nobody, and JAX and ml_dtypes clear them:
    np.array([-1], ml_dtypes.int4).tobytes() is 0f. They count as Cairn and TensorStore have them, as the sign."""
    if array.dtype in (np.dtype(ml_dtypes.int2), np.dtype(ml_dtypes.int4)):
        array = array.astype(np.int8)
    return array.tobytes()


def same(found: Any, expected: np.ndarray, where: str) -> None:
    found = np.asarray(found)
    if found.dtype != expected.dtype or found.shape != expected.shape:
        raise AssertionError(f"{where}: {found.dtype}{found.shape} instead of {expected.dtype}{expected.shape}")
    if element_bytes(found) != element_bytes(expected):
        raise AssertionError(f"{where}: values differ")


def equal(found: Any, expected: Any, where: str) -> None:
    if found != expected:
        raise AssertionError(f"{where}: found {found!r}, expected {expected!r}")


def same_tree(found: Any, expected: Any, where: str = "", tuples_as_lists: bool = True) -> None:
    """Orbax restores a tuple as a list when it gets no target."""
    if isinstance(expected, dict):
        equal(sorted(found), sorted(expected), f"{where}: keys")
        for key, value in expected.items():
            same_tree(found[key], value, f"{where}/{key}")
    elif isinstance(expected, (list, tuple)):
        if not isinstance(found, (list, tuple)) or len(found) != len(expected):
            raise AssertionError(f"{where}: found {found!r}, expected {expected!r}")
        for i, value in enumerate(expected):
            same_tree(found[i], value, f"{where}[{i}]")
    elif isinstance(expected, np.ndarray):
        same(found, expected, where)
    else:
        equal(found, expected, where)
        if expected is not None and not isinstance(found, (type(expected), np.ndarray, np.generic)):
            raise AssertionError(f"{where}: found a {type(found)}, expected a {type(expected)}")
