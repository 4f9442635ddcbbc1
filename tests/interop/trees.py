"""The rows of the interop matrix: what is saved in each, as nested dicts, and as leaves by dotted names."""

from __future__ import annotations

from typing import Any

import numpy as np

from patterns import DTYPES, dtype_of, pattern, same, smooth_pattern

ROWS = [*DTYPES, "scalars", "empty", "strings"]
SCALARS = {"bool": True, "int": -7, "large": 2**40, "float": 0.1}
STRINGS = {"plain": "text", "unicode": 'grüße 😀\n"quoted"\\', "none": "", "list": ["a", "b"]}
SMOOTH_BYTES = 300_000

Leaves = dict[str, Any]


def row_of(row: str, dtypes: list[str] = DTYPES) -> dict[str, Any]:
    """`dtypes`: those of the empty arrays."""
    if row == "scalars":
        return dict(SCALARS)
    if row == "strings":
        return dict(STRINGS)
    if row == "empty":
        return {name: np.zeros((0, 4), dtype_of(name)) for name in dtypes}
    seed = DTYPES.index(row) * 10
    return {
        "rank0": pattern(row, (), seed),
        "small": pattern(row, (3, 5), seed + 1),
        "table": pattern(row, (300, 70), seed + 2),
        "smooth": smooth_pattern(row, (SMOOTH_BYTES // dtype_of(row).itemsize,), seed + 3),
    }


def chunks_of(array: np.ndarray) -> list[int]:
    """What a peer that chooses cuts an array into: several chunks, with padded edges, of the table."""
    return [128, 32] if array.shape == (300, 70) else [max(extent, 1) for extent in array.shape]


def flatten(tree: Any, name: str = "") -> Leaves:
    """Leaves by their keys joined with dots: Orbax's parameter names."""
    if isinstance(tree, (list, tuple)):
        tree = {str(i): value for i, value in enumerate(tree)}
    if not isinstance(tree, dict):
        return {name: tree}
    leaves = {}
    for key, value in tree.items():
        leaves.update(flatten(value, f"{name}.{key}" if name else key))
    return leaves


def arrays_of(row: str, dtypes: list[str] = DTYPES) -> Leaves:
    """The leaves of a row for a peer that has arrays alone."""
    return {name: np.asarray(value) for name, value in flatten(row_of(row, dtypes), row).items()}


def compare(found: Leaves, row: str, dtypes: list[str], where: str, leaves: Leaves | None = None) -> None:
    """Every leaf of the row, or those given, is there and equal: elements byte for byte, numbers with their types, texts."""
    for name, expected in (leaves or flatten(row_of(row, dtypes), row)).items():
        if name not in found:
            raise AssertionError(f"{where}: {name} is missing")
        if isinstance(expected, str):
            if found[name] != expected:
                raise AssertionError(f"{where}: {name}: found {found[name]!r}, expected {expected!r}")
        else:
            same(found[name], np.asarray(expected), f"{where}: {name}")
