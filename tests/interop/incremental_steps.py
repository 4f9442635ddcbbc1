"""Steps that Cairn saved incrementally, read by the real TensorStore and Orbax."""

from __future__ import annotations

import pathlib
import subprocess
from typing import Any

import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts
from orbax.checkpoint import v1

from patterns import equal, pattern, same, same_tree, smooth_pattern


def expected_incremental(step: int) -> dict[str, Any]:
    rows = smooth_pattern("float32", (3000, 300), 1)
    if step == 1:
        rows = rows.copy()
        rows[1500] = smooth_pattern("float32", (300,), 2)
    return {"rows": rows, "packed": pattern("int16", (50_000,), 3), "step": step}


def read_array(root: pathlib.Path, step: int, name: str) -> np.ndarray:
    database = {"driver": "ocdbt", "base": f"file://{root / str(step)}/default/", "path": name + "/"}
    driver = "zarr3" if root.name.startswith("zarr3") else "zarr"
    return ts.open({"driver": driver, "kvstore": database}, open=True, read=True).result().read().result()


def read_incremental(root: pathlib.Path, step: int) -> None:
    """By TensorStore, and by both Orbaxes."""
    expected = expected_incremental(step)
    where = f"{root.name}, step {step}"
    for name, value in expected.items():
        same(read_array(root, step, name), np.asarray(value), f"{where}: {name}")
    with ocp.CheckpointManager(root) as manager:
        same_tree(manager.restore(step, args=ocp.args.StandardRestore()), expected, where)
    same_tree(v1.load(root / str(step)), expected, f"{where}, v1")


def incremental_steps(root: pathlib.Path, writer: str) -> None:
    """The second step is whole without the first, whose files it shares."""
    roots = sorted((root / "incremental").iterdir())
    equal(len(roots), 4, "two layouts, with and without a codec")
    for one in roots:
        files = [{file.stat().st_ino for file in (one / step / "default/d").iterdir()} for step in ("0", "1")]
        equal(len(files[0] & files[1]) > 0, True, f"{one.name}: files of both steps")
        for step in (0, 1):
            read_incremental(one, step)
        subprocess.run([writer, "delete", str(one), "0"], check=True)
        equal((one / "0").exists(), False, f"{one.name}: step 0 is there")
        read_incremental(one, 1)
