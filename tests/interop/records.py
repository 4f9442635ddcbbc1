"""`_CAIRN`, the file that Cairn has beside Orbax's in items of every layout and kind, disturbs none of the peers."""

from __future__ import annotations

import hashlib
import pathlib
import shutil
import warnings
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts
import zarr
from google.protobuf import struct_pb2
from orbax.checkpoint import v1

from layouts import arrays_of, save
from patterns import equal
from peers import LAYOUTS, TensorStore

DTYPES = ["float16", "float32", "int16", "bool"]  # zarr-python lists no group that holds one that it does not know


def frozen(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (str(array.dtype), array.shape, hashlib.sha256(np.asarray(array).tobytes()).hexdigest())
        for name, array in tree.items()
    }


def seen_by_orbax(root: pathlib.Path) -> dict[str, Any]:
    with ocp.CheckpointManager(root, item_handlers=ocp.StandardCheckpointHandler()) as manager:
        seen = {
            "v0 steps": (sorted(manager.all_steps()), manager.latest_step()),
            "v0 metadata": str(manager.item_metadata(0)),
            "v0 restores": frozen(manager.restore(0)),
        }
    with ocp.CheckpointManager(root) as manager:
        seen["v0 restores without a handler"] = frozen(manager.restore(0))
        seen["v0 metadata of the step"] = str(manager.metadata(0))
    seen["v1 loads"] = frozen(v1.load(root / "0"))
    seen["v1 metadata"] = str(v1.metadata(root / "0"))
    return seen


def seen_by_tensorstore(item: pathlib.Path, layout: str, names: list[str]) -> dict[str, Any]:
    """Its key-value store of files lists every file, ours too, which is right."""
    reader = TensorStore("", [layout])
    keys = ts.KvStore.open(reader.kvstore(item, layout, "")).result().list().result()
    driver = "zarr3" if layout.endswith("3") else "zarr"
    arrays = {}
    for name in names:
        spec = {"driver": driver, "kvstore": reader.kvstore(item, layout, name + "/")}
        arrays[name] = ts.open(spec, open=True, read=True).result().read().result()
    return {"TensorStore keys": sorted(set(keys) - {b"_CAIRN"}), "TensorStore reads": frozen(arrays)}


def seen_by_zarr(item: pathlib.Path) -> dict[str, Any]:
    """It warns of each file that is none of zarr's, and of Orbax's as of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group = zarr.open_group(item, mode="r")
        arrays = {name: array for name, array in group.arrays()}
        members = sorted(name for name, _ in group.members(max_depth=None))
    return {
        "zarr-python members": members,
        "zarr-python attributes": (dict(group.attrs), str(group.metadata)),
        "zarr-python reads": frozen({name: np.asarray(array[...]) for name, array in arrays.items()}),
    }


def everything_seen(root: pathlib.Path, layout: str, names: list[str]) -> dict[str, Any]:
    item = root / "0" / "default"
    seen = {**seen_by_orbax(root), **seen_by_tensorstore(item, layout, names)}
    return seen if layout.startswith("ocdbt") else {**seen, **seen_by_zarr(item)}


def record_disturbs_nobody(root: pathlib.Path, cairn: str) -> None:
    """Peers see the same with `_CAIRN` and without; Orbax deletes a step that has one."""
    arrays = arrays_of(DTYPES)
    for layout in LAYOUTS:
        saved = save(root / "records", cairn, layout, arrays)
        record = saved / "0" / "default" / "_CAIRN"
        equal(record.is_file(), True, f"{layout}: {record} is there")
        with_record = everything_seen(saved, layout, list(arrays))
        equal(with_record["v0 restores"], frozen(arrays), f"{layout}: what Orbax restores")
        if "zarr-python members" in with_record:
            equal(with_record["zarr-python members"], sorted(arrays), f"{layout}: members")
        aside = shutil.move(record, saved / "aside")
        without = everything_seen(saved, layout, list(arrays))
        for what, seen in without.items():
            equal(with_record[what], seen, f"{layout}: {what}, with _CAIRN instead of without")
        shutil.move(aside, record)
        with ocp.CheckpointManager(saved) as manager:
            manager.delete(0)
            equal(manager.all_steps(), [], f"{layout}: steps after Orbax deleted ours")
        equal((saved / "0").exists(), False, f"{layout}: the step that Orbax deleted is there")


# Items that are a few files, as interop_writer saved them: where their records are.
RECORDS_OF_FILES = [
    "several/0/data", "single/2/metrics", "kinds/0/proto", "kinds/0/typed/jax_random_key_metadata",
    "kinds/0/untyped/jax_random_key_metadata", "kinds/0/rng/np_random_key_metadata",
]  # fmt: skip


def files_seen_by_orbax(root: pathlib.Path) -> dict[str, Any]:
    with ocp.CheckpointManager(root / "several") as manager:
        seen = {"v0 JSON": manager.restore(0, args=ocp.args.Composite(data=ocp.args.JsonRestore()))["data"]}
    options = ocp.CheckpointManagerOptions(best_fn=lambda metrics: metrics["loss"])
    with ocp.CheckpointManager(root / "single", options=options) as manager:
        seen["v0 metrics"] = dict(manager.metrics(2))
    items = {
        "proto": ocp.args.ProtoRestore(struct_pb2.Value), "typed": ocp.args.JaxRandomKeyRestore(),
        "untyped": ocp.args.JaxRandomKeyRestore(), "rng": ocp.args.NumpyRandomKeyRestore(),
    }  # fmt: skip
    with ocp.CheckpointManager(root / "kinds") as manager:
        restored = manager.restore(0, args=ocp.args.Composite(**items))
    seen["v0 message"] = restored["proto"].string_value
    seen["v0 typed key"] = np.asarray(jax.random.key_data(restored["typed"])).tolist()
    seen["v0 untyped key"] = np.asarray(restored["untyped"]).tolist()
    seen["v0 random state"] = np.asarray(restored["rng"]["state"]["key"]).tolist()
    seen["v1 JSON"] = v1.load_checkpointables(root / "several/0", {"data": None})["data"]
    return seen


def records_of_files_disturb_nobody(root: pathlib.Path) -> None:
    """Orbax reads JSON, metrics, messages and random keys by their files' names, and sees no record beside them."""
    records = [root / folder / "_CAIRN" for folder in RECORDS_OF_FILES]
    for record in records:
        equal(record.is_file(), True, f"{record} is there")
    with_records = files_seen_by_orbax(root)
    equal(with_records["v0 JSON"], {"epoch": 3, "file": "a.txt"}, "what Orbax reads of a JSON item")
    asides = [record.rename(root / f"aside{i}") for i, record in enumerate(records)]
    try:
        without = files_seen_by_orbax(root)
    finally:
        for aside, record in zip(asides, records):
            aside.rename(record)
    for what, seen in without.items():
        equal(with_records[what], seen, f"{what}, with _CAIRN instead of without")
