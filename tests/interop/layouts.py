"""Every layout that Cairn writes: Orbax restores it into numpy's and into JAX's arrays, byte for byte."""

from __future__ import annotations

import pathlib
import subprocess
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import v1
from safetensors.numpy import save_file

from patterns import pattern, same_tree, smooth_pattern
from peers import LAYOUTS, abstract_of, checked_jax, checked_numpy

# Those of safetensors, which `cairn import` reads: the matrix has every dtype, but no item for StandardRestore.
DTYPES = ["bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float32", "int16"]


def arrays_of(dtypes: list[str]) -> dict[str, np.ndarray]:
    """A small array, one whose chunks are coded, and one without a number in it."""
    arrays = {}
    for i, name in enumerate(dtypes):
        arrays[f"{name}.small"] = pattern(name, (3, 5), i)
        arrays[f"{name}.smooth"] = smooth_pattern(name, (400, 1000), i)
        arrays[f"{name}.empty"] = pattern(name, (0, 2), i)
    return arrays


def save(root: pathlib.Path, cairn: str, layout: str, arrays: dict[str, np.ndarray]) -> pathlib.Path:
    """A root whose step 0 holds the arrays as an item for StandardRestore."""
    root.mkdir(parents=True, exist_ok=True)
    file = root / "given.safetensors"
    save_file(arrays, file)
    command = [cairn, "import", file, root / layout, "--step", 0, "--layout", layout, "--codec", "auto"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"cairn import failed: {done.stderr or done.stdout}")
    return root / layout


def restore(root: pathlib.Path, *arguments: Any) -> Any:
    with ocp.CheckpointManager(root) as manager:
        return manager.restore(0, args=ocp.args.StandardRestore(*arguments))


def restores_in_every_layout(root: pathlib.Path, cairn: str) -> None:
    expected = arrays_of(DTYPES)
    empty = {name: np.zeros(array.shape, array.dtype) for name, array in expected.items()}
    target = jax.tree.map(abstract_of, expected)
    for layout in LAYOUTS:
        step = save(root / "layouts", cairn, layout, expected)
        with ocp.CheckpointManager(step) as manager:
            same_tree(checked_numpy(manager.restore(0)), expected, f"{layout}, without arguments")
        same_tree(checked_numpy(restore(step)), expected, f"{layout}, StandardRestore")
        same_tree(checked_numpy(restore(step, empty)), expected, f"{layout}, into numpy's")
        same_tree(checked_jax(restore(step, target), expected), expected, f"{layout}, into JAX's")
        same_tree(checked_jax(v1.load(step / "0", target), expected), expected, f"{layout}, v1, into JAX's")
