"""Reads what interop_writer wrote with the real TensorStore and Orbax; prints a table and "N passed, N failed"."""

from __future__ import annotations

import importlib.metadata
import json
import pathlib
import shutil
import subprocess
import sys
import traceback
from typing import Any, Callable

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts

from incremental_steps import incremental_steps
from layouts import restores_in_every_layout
from patterns import DTYPES, dtype_of, equal, pattern, same, same_tree, smooth_pattern
from records import record_disturbs_nobody, records_of_files_disturb_nobody

SHAPES: list[tuple[int, ...]] = [(), (7,), (3, 5), (2, 3, 4), (0, 4), (300, 70)]
STEPS_MANY = 20_000


def expected_every_dtype() -> dict[str, Any]:
    return {
        name: {f"s{s}": pattern(name, shape, d * 10 + s) for s, shape in enumerate(SHAPES)}
        for d, name in enumerate(DTYPES)
    }


def expected_large() -> dict[str, Any]:
    return {
        "rows": pattern("float32", (5001, 1003), 1),
        "wide": pattern("bfloat16", (3, 9_000_001), 2),
        "packed": pattern("int16", (50_000,), 3),
        "cube": pattern("uint8", (301, 302, 303), 4),
    }


def expected_many() -> dict[str, Any]:
    return {"layers": {f"p{i}": pattern("float32", (i % 7 + 1,), i) for i in range(STEPS_MANY)}}


STRUCTURE = {
    "true": True, "int": -7, "float": 0.1, "none": None, "empty_dict": {}, "empty_list": [],
    "list": [1, None, pattern("float32", (4,), 1)], "tuple": (1, 2.5), "long_list": list(range(11)),
    "names": {"with space": 1, "it's": 2, '"quoted"': 3, "päth": 4, "a/b": 5, "back\\slash": 6},
}  # fmt: skip


# ---- TensorStore ---------------------------------------------------------------------------------


def open_database(item: pathlib.Path) -> Any:
    return ts.KvStore.open({"driver": "ocdbt", "base": f"file://{item}/"}).result()


def read_array(item: pathlib.Path, name: str) -> np.ndarray:
    spec = {"driver": "zarr3", "kvstore": {"driver": "ocdbt", "base": f"file://{item}/", "path": f"{name}/"}}
    return ts.open(spec, open=True, read=True).result().read().result()


def tensorstore_every_dtype(root: pathlib.Path) -> None:
    for name, arrays in expected_every_dtype().items():
        for leaf, expected in arrays.items():
            same(read_array(root / "single/0/default", f"{name}.{leaf}"), expected, f"{name}.{leaf}")


def tensorstore_large(root: pathlib.Path) -> None:
    for name, expected in expected_large().items():
        same(read_array(root / "single/2/default", name), expected, name)


def tensorstore_many(root: pathlib.Path) -> None:
    item = root / "single/3/default"
    keys = open_database(item).list().result()
    equal(len(keys), 2 * STEPS_MANY, "keys in the database")
    for i in range(0, STEPS_MANY, 997):
        same(read_array(item, f"layers.p{i}"), pattern("float32", (i % 7 + 1,), i), f"layers.p{i}")


EXPECTED_TOGETHER = {
    "rows": pattern("float32", (5001, 1003), 1), "columns": pattern("int16", (40, 70), 2),
    "smooth": smooth_pattern("bfloat16", (300, 2000), 3), "all": pattern("float64", (500,), 4), "list": [1, None, 2.5],
}  # fmt: skip


def tensorstore_together(root: pathlib.Path) -> None:
    for step in (0, 1):
        item = root / f"together/{step}/params"
        for name in ("rows", "columns", "smooth", "all"):
            same(read_array(item, name), EXPECTED_TOGETHER[name], f"step {step}: {name}")
    equal(len(list((root / "together/0/params/d").iterdir())), 4, "files: one of each process, and the nodes")


def tensorstore_bare(root: pathlib.Path) -> None:
    spec = {"driver": "zarr3", "kvstore": {"driver": "ocdbt", "base": f"file://{root}/single/4/default/"}}
    same(ts.open(spec, open=True, read=True).result().read().result(), pattern("float32", (6,), 9), "bare leaf")


# ---- Orbax ---------------------------------------------------------------------------------------


def standard_restore(root: pathlib.Path, step: int) -> Any:
    with ocp.CheckpointManager(root / "single") as manager:
        return manager.restore(step, args=ocp.args.StandardRestore())


def orbax_standard_dtypes(root: pathlib.Path) -> None:
    same_tree(standard_restore(root, 0), expected_every_dtype())


def orbax_standard_structure(root: pathlib.Path) -> None:
    same_tree(standard_restore(root, 1), STRUCTURE)


def orbax_standard_large(root: pathlib.Path) -> None:
    same_tree(standard_restore(root, 2), expected_large())


def orbax_standard_many(root: pathlib.Path) -> None:
    same_tree(standard_restore(root, 3), expected_many())


def orbax_without_arguments(root: pathlib.Path) -> None:
    with ocp.CheckpointManager(root / "single") as manager:
        same_tree(manager.restore(1), STRUCTURE)
        same_tree(manager.restore(0), expected_every_dtype())


def orbax_without_arguments_metrics(root: pathlib.Path) -> None:
    with ocp.CheckpointManager(root / "single") as manager:
        same_tree(manager.restore(2), expected_large())


def orbax_target(root: pathlib.Path) -> None:
    target = {name: np.zeros(array.shape, array.dtype) for name, array in expected_large().items()}
    with ocp.CheckpointManager(root / "single") as manager:
        same_tree(manager.restore(2, args=ocp.args.StandardRestore(target)), expected_large())


def orbax_jax_target(root: pathlib.Path) -> None:
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = {
        name: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)
        for name, array in expected_large().items()
    }
    with ocp.CheckpointManager(root / "single") as manager:
        restored = manager.restore(2, args=ocp.args.StandardRestore(target))
    for leaf in restored.values():
        if not isinstance(leaf, jax.Array):
            raise AssertionError(f"found a {type(leaf)}, expected a jax.Array")
    same_tree(restored, expected_large())


def orbax_composite(root: pathlib.Path) -> None:
    with ocp.CheckpointManager(root / "several") as manager:
        restored = manager.restore(
            0, args=ocp.args.Composite(params=ocp.args.StandardRestore(), data=ocp.args.JsonRestore())
        )
        same_tree(restored["params"], {"w": pattern("float32", (4, 2), 5)})
        equal(restored["data"], {"epoch": 3, "file": "a.txt"}, "data")
    with ocp.CheckpointManager(root / "several") as manager:
        restored = manager.restore(0)
        same_tree(restored["params"], {"w": pattern("float32", (4, 2), 5)})
        equal(restored["data"], {"epoch": 3, "file": "a.txt"}, "data without arguments")
        same_tree(restored["notes"], {"text": "grüße"}, "notes")


def orbax_together(root: pathlib.Path) -> None:
    arguments = ocp.args.Composite(params=ocp.args.StandardRestore(), data=ocp.args.JsonRestore())
    with ocp.CheckpointManager(root / "together") as manager:
        equal(sorted(manager.all_steps()), [0, 1], "all_steps")
        for step in (0, 1):
            restored = manager.restore(step, args=arguments)
            same_tree(restored["params"], EXPECTED_TOGETHER, f"step {step}")
            equal(restored["data"], {"epoch": 3}, f"step {step}: data")


def orbax_kinds(root: pathlib.Path) -> None:
    """Array, Proto and random key items; numpy goes on where std::mt19937 has stopped."""
    from google.protobuf import struct_pb2

    items = {
        "arr": ocp.args.ArrayRestore(), "num": ocp.args.ArrayRestore(), "proto": ocp.args.ProtoRestore(struct_pb2.Value),
        "typed": ocp.args.JaxRandomKeyRestore(), "untyped": ocp.args.JaxRandomKeyRestore(),
        "rng": ocp.args.NumpyRandomKeyRestore(), "other_rng": ocp.args.NumpyRandomKeyRestore(),
    }  # fmt: skip
    with ocp.CheckpointManager(root / "kinds") as manager:
        restored = manager.restore(0, args=ocp.args.Composite(**items))
    same(np.asarray(restored["arr"]), pattern("float32", (50, 3), 11), "arr")
    equal(int(restored["num"]), -7, "num")
    equal(restored["proto"].string_value, "hi", "proto")
    equal(bool(restored["typed"] == jax.random.key(42)), True, "typed key")
    same(np.asarray(restored["untyped"]), np.asarray(jax.random.PRNGKey(42)), "untyped key")
    generator = np.random.MT19937()
    generator.state = restored["rng"]
    equal(int(generator.random_raw()), 4123659995, "the 10000th number of a default std::mt19937")
    equal(restored["other_rng"], {"bit_generator": "std::minstd_rand", "state": {"text": "3"}}, "another engine")


def ours_of_orbax_kinds(root: pathlib.Path, writer: str) -> None:
    """The same items the other way round."""
    from google.protobuf import struct_pb2

    numpy_state = np.random.RandomState(5)
    numpy_state.random_sample(7)
    other = np.random.MT19937(9)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    items = {
        "arr": ocp.args.ArraySave(array), "num": ocp.args.ArraySave(12),
        "proto": ocp.args.ProtoSave(struct_pb2.Value(number_value=1.5)),
        "typed": ocp.args.JaxRandomKeySave(jax.random.key(3)), "untyped": ocp.args.JaxRandomKeySave(jax.random.PRNGKey(4)),
        "legacy": ocp.args.NumpyRandomKeySave(numpy_state.get_state()),
        "rng": ocp.args.NumpyRandomKeySave({**other.state, "has_gauss": 0, "gauss": 0.0}),
    }  # fmt: skip
    with ocp.CheckpointManager(root / "kinds_of_orbax") as manager:
        manager.save(0, args=ocp.args.Composite(**items))
        manager.wait_until_finished()
    lines = subprocess.run([writer, "kinds", str(root / "kinds_of_orbax")], check=True, capture_output=True, text=True).stdout
    found = dict(line.split(" ", 1) for line in lines.splitlines())
    numbers = lambda values: " ".join(str(int(value)) for value in values)
    equal(found["num"], "12", "num")
    equal(found["arr"], numbers(array.ravel()), "arr")
    equal(found["proto"], "number_value: 1.5", "proto")
    equal(found["typed"], "1 " + numbers(np.asarray(jax.random.key_data(jax.random.key(3)))), "typed")
    equal(found["untyped"], "0 " + numbers(np.asarray(jax.random.PRNGKey(4))), "untyped")
    equal(found["legacy"], numbers(numpy_state._bit_generator.random_raw(700)), "legacy")
    equal(found["rng"], numbers(other.random_raw(700)), "rng")


def unmerged_is_refused(root: pathlib.Path, writer: str) -> None:
    """A save that ended before Orbax merged the processes' databases: Orbax reads none of it, and we say what is missing."""
    for name, zarr3 in (("unmerged2", False), ("unmerged3", True)):
        item = root / name
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_zarr3=zarr3)) as checkpointer:
            checkpointer.save(item, {"w": np.arange(4, dtype=np.float32)})
            shutil.rmtree(item / "d")
            (item / "manifest.ocdbt").unlink()
            try:
                checkpointer.restore(item)
            except ValueError as error:
                equal("NOT_FOUND" in str(error), True, f"{name}: Orbax's error")
            else:
                raise AssertionError(f"{name}: Orbax restores it after all: what is in the processes' databases must be read")
        subprocess.run([writer, "dump", str(root / "dump" / name), str(item), str(item / "ocdbt.process_0")], check=True)
        found, alone = (json.loads((root / "dump" / name / str(i) / "index.json").read_text()) for i in range(2))
        equal("the database's manifest is missing" in found["error"], True, f"{name}: our error: {found['error']}")
        equal([leaf["path"] for leaf in alone["leaves"]], [["w"]], f"{name}: leaves of the process's own database")


def orbax_strings(root: pathlib.Path) -> None:
    """As PyTreeSave leaves them: a key with a slash among others, and nothing but strings."""
    for step, expected in enumerate([{"a/b": "below", "c": ["x", 1], "d": ""}, {"all": "text"}]):
        for arguments in (None, ocp.args.PyTreeRestore()):
            with ocp.CheckpointManager(root / "texts") as manager:
                same_tree(manager.restore(step, args=arguments), expected, f"step {step}, {arguments}")
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            same_tree(checkpointer.restore(root / "texts" / str(step) / "default"), expected, f"item of step {step}")
        from orbax.checkpoint import v1

        same_tree(v1.load(root / "texts" / str(step)), expected, f"step {step}, v1")


def orbax_metadata(root: pathlib.Path) -> None:
    options = ocp.CheckpointManagerOptions(best_fn=lambda metrics: metrics["loss"], best_mode="min")
    with ocp.CheckpointManager(root / "single", options=options) as manager:
        equal(sorted(manager.all_steps()), [0, 1, 2, 3, 4], "all_steps")
        equal(manager.latest_step(), 4, "latest_step")
        equal(manager.best_step(), 2, "best_step")
        equal(dict(manager.metrics(2)), {"loss": 0.5, "accuracy": 1}, "metrics")
        metadata = manager.metadata(2)
        equal(dict(metadata.custom_metadata), {"lr": 0.1, "note": "päth"}, "custom metadata")


def orbax_item_metadata(root: pathlib.Path) -> None:
    with ocp.CheckpointManager(root / "single", item_handlers=ocp.StandardCheckpointHandler()) as manager:
        metadata = manager.item_metadata(2)
        tree = getattr(metadata, "tree", metadata)
        equal(tuple(tree["rows"].shape), (5001, 1003), "shape")
        equal(np.dtype(tree["wide"].dtype), dtype_of("bfloat16"), "dtype")


def orbax_v1(root: pathlib.Path) -> None:
    from orbax.checkpoint import v1

    same_tree(v1.load(root / "single/2"), expected_large())


def orbax_bare_leaf(root: pathlib.Path) -> None:
    same(standard_restore(root, 4), pattern("float32", (6,), 9), "bare leaf")


def both_write_one_root(root: pathlib.Path, writer: str) -> None:
    """Orbax adds a step beside ours; it keeps listing ours, and we give its step as any other."""
    with ocp.CheckpointManager(root / "single") as manager:
        manager.save(10, args=ocp.args.StandardSave({"w": np.arange(4, dtype=np.float32)}))
        manager.wait_until_finished()
        equal(sorted(manager.all_steps()), [0, 1, 2, 3, 4, 10], "all_steps")
    lines = subprocess.run([writer, "list", str(root / "single")], check=True, capture_output=True, text=True).stdout
    by_step = dict(line.split(" ", 1) for line in lines.splitlines())
    equal(sorted(map(int, by_step)), [0, 1, 2, 3, 4, 10], "steps that we list")
    for step in ("0", "1", "2", "3", "4", "10"):
        equal(by_step[step], "restored", f"step {step}")


def import_and_export(cairn: str, given: pathlib.Path, steps: pathlib.Path, back: pathlib.Path, *options: str) -> None:
    for command in (["import", given, steps, "--step", "0"], ["verify", steps],
                    ["export", steps, "--step", "0", back, *options]):  # fmt: skip
        done = subprocess.run([cairn, *map(str, command)], capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"cairn {command[0]} failed: {done.stderr or done.stdout}")


def read_index(folder: pathlib.Path) -> list[pathlib.Path]:
    """The shards that an index names, which says what is in them and no more."""
    import safetensors

    index = json.loads((folder / "model.safetensors.index.json").read_text())
    files = sorted(folder.glob("*.safetensors"))
    equal(len(files) > 1, True, "several shards")
    weight_map, total_size = {}, 0
    for file in files:
        tensors = dict(safetensors.deserialize(file.read_bytes()))
        equal(sorted(set(tensors) & set(weight_map)), [], f"tensors of {file.name} that are in another shard, too")
        weight_map.update(dict.fromkeys(tensors, file.name))
        total_size += sum(len(tensor["data"]) for tensor in tensors.values())
    equal(index["weight_map"], weight_map, "weight_map")
    equal(index["metadata"]["total_size"], total_size, "total_size")
    return files


def safetensors_round_trip(root: pathlib.Path, cairn: str) -> None:
    """Every dtype that safetensors and numpy share. Read back raw: the numpy reader of safetensors lacks float8."""
    import safetensors
    from safetensors.numpy import save_file

    names = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
             "float16", "bfloat16", "float32", "float64", "complex64",
             "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float8_e4m3fnuz", "float8_e5m2fnuz"]  # fmt: skip
    tensors = {}
    for i, name in enumerate(names):
        for j, shape in enumerate([(), (3, 5), (0, 2), (70, 31)]):
            tensors[f"{name}.{j}"] = pattern(name, shape, i * 7 + j)
    given, back = root / "given.safetensors", root / "back.safetensors"
    save_file(tensors, given, metadata={"format": "pt", "note": "päth"})
    import_and_export(cairn, given, root / "imported", back)
    before, after = (dict(safetensors.deserialize(path.read_bytes())) for path in (given, back))
    equal(sorted(after), sorted(tensors), "tensor names")
    for name, tensor in tensors.items():
        equal((after[name]["dtype"], after[name]["shape"]), (before[name]["dtype"], before[name]["shape"]), name)
        equal(bytes(after[name]["data"]), tensor.tobytes(), f"{name}: bytes")
    with safetensors.safe_open(back, framework="np") as file:
        equal(file.metadata(), {"format": "pt", "note": "päth"}, "metadata")
    shards = root / "shards"
    shards.mkdir()
    import_and_export(cairn, given, root / "imported_for_shards", shards / "model.safetensors", "--max-shard-size", "50KB")
    found = {}
    for path in read_index(shards):
        found.update(dict(safetensors.deserialize(path.read_bytes())))
    for name, tensor in tensors.items():
        equal(bytes(found[name]["data"]), tensor.tobytes(), f"{name} of a shard: bytes")


def safetensors_float4(root: pathlib.Path, cairn: str) -> None:
    """F4 has two elements in a byte, and so has torch's float4_e2m1fn_x2; TensorStore's float4_e2m1fn has one."""
    import safetensors
    import torch
    from safetensors.torch import save_file
    from torch.onnx._internal.exporter._type_casting import unpack_float4x2_as_uint8

    raw = {f"t{i}": torch.from_numpy(pattern("uint8", shape, i)) for i, shape in enumerate([(1,), (3, 5), (0, 2), (70, 31), (3, 2_000_001)])}
    tensors = {name: tensor.view(torch.float4_e2m1fn_x2) for name, tensor in raw.items()}
    given, back = root / "given4.safetensors", root / "back4.safetensors"
    save_file(tensors, given)
    import_and_export(cairn, given, root / "imported4", back)
    with safetensors.safe_open(given, framework="pt") as file:
        equal({file.get_slice(name).get_dtype() for name in tensors}, {"F4"}, "dtypes that torch wrote")
    shards = root / "shards4"
    shards.mkdir()
    import_and_export(cairn, back, root / "imported4_again", shards / "model.safetensors", "--max-shard-size", "2MB")
    for paths in ([back], read_index(shards)):
        found = {}
        for path in paths:
            with safetensors.safe_open(path, framework="pt") as file:
                found.update({name: file.get_tensor(name) for name in file.keys()})
        equal(sorted(found), sorted(tensors), "tensor names")
        for name, tensor in tensors.items():
            equal((found[name].dtype, found[name].shape), (tensor.dtype, tensor.shape), name)
            equal(bool((found[name].view(torch.uint8) == raw[name]).all()), True, f"{name}: bytes")
    for name, tensor in tensors.items():
        expected = unpack_float4x2_as_uint8(tensor).view(dtype_of("float4_e2m1fn"))
        same(read_array(root / "imported4/0/default", name), expected, f"{name}: elements")


def safetensors_float4_refused(root: pathlib.Path, cairn: str) -> None:
    """What is no whole number of bytes, or not that of the shape: safetensors refuses it, and so do we."""
    import safetensors

    for shape, size, sound in (((2, 3), 3, True), ((3,), 1, False), ((3,), 2, False), ((), 1, False), ((4,), 4, False)):
        header = json.dumps({"a": {"dtype": "F4", "shape": shape, "data_offsets": [0, size]}}).encode()
        data = len(header).to_bytes(8, "little") + header + b"\x21" * size
        path = root / "f4.safetensors"
        path.write_bytes(data)
        try:
            safetensors.deserialize(data)
            theirs = True
        except safetensors.SafetensorError:
            theirs = False
        ours = subprocess.run([cairn, "verify", str(path)], capture_output=True, text=True).returncode
        equal((theirs, ours), (sound, 0 if sound else 1), f"F4 of shape {shape} in {size} bytes")


def main() -> int:
    root, writer, cairn = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    checks: list[tuple[str, str, Callable[[], None]]] = [
        ("TensorStore", "every dtype and shape", lambda: tensorstore_every_dtype(root)),
        ("TensorStore", "chunks, padding, packed values", lambda: tensorstore_large(root)),
        ("TensorStore", "20,000 leaves, interior nodes", lambda: tensorstore_many(root)),
        ("TensorStore", "what three processes saved together", lambda: tensorstore_together(root)),
        ("TensorStore", "a bare leaf", lambda: tensorstore_bare(root)),
        ("both", "incremental steps, the first of them deleted", lambda: incremental_steps(root, writer)),
        ("Orbax v0", "StandardRestore: every dtype and shape", lambda: orbax_standard_dtypes(root)),
        ("Orbax v0", "StandardRestore: structure and scalars", lambda: orbax_standard_structure(root)),
        ("Orbax v0", "StandardRestore: chunks, padding", lambda: orbax_standard_large(root)),
        ("Orbax v0", "StandardRestore: 20,000 leaves", lambda: orbax_standard_many(root)),
        ("Orbax v0", "StandardRestore: a bare leaf", lambda: orbax_bare_leaf(root)),
        ("Orbax v0", "restore without arguments", lambda: orbax_without_arguments(root)),
        ("Orbax v0", "the same, a step with metrics", lambda: orbax_without_arguments_metrics(root)),
        ("Orbax v0", "StandardRestore into numpy targets", lambda: orbax_target(root)),
        ("Orbax v0", "StandardRestore as jax.Array", lambda: orbax_jax_target(root)),
        ("Orbax v0, v1", "each layout as numpy's and as jax.Array", lambda: restores_in_every_layout(root, cairn)),
        ("all", "each layout with _CAIRN as without", lambda: record_disturbs_nobody(root, cairn)),
        ("Orbax v0, v1", "JSON, metrics, keys with _CAIRN as without", lambda: records_of_files_disturb_nobody(root)),
        ("Orbax v0", "Composite with a JSON item", lambda: orbax_composite(root)),
        ("Orbax v0", "what three processes saved together", lambda: orbax_together(root)),
        ("Orbax v0", "array, proto and random key items", lambda: orbax_kinds(root)),
        ("Orbax v0", "the same, written by it and read by us", lambda: ours_of_orbax_kinds(root, writer)),
        ("Orbax v0", "databases of processes, not merged", lambda: unmerged_is_refused(root, writer)),
        ("Orbax v0, v1", "strings, by PyTreeRestore and without arguments", lambda: orbax_strings(root)),
        ("Orbax v0", "steps, metrics, custom metadata", lambda: orbax_metadata(root)),
        ("Orbax v0", "item_metadata", lambda: orbax_item_metadata(root)),
        ("Orbax v1", "load", lambda: orbax_v1(root)),
        ("safetensors", "write, import, verify, export, read", lambda: safetensors_round_trip(root, cairn)),
        ("safetensors", "F4 of torch, by the same way, and in shards", lambda: safetensors_float4(root, cairn)),
        ("safetensors", "F4 that it refuses, and we do", lambda: safetensors_float4_refused(root, cairn)),
        ("Orbax v0", "saves beside our steps", lambda: both_write_one_root(root, writer)),
    ]
    failed = 0
    rows = []
    for peer, what, check in checks:
        try:
            check()
            rows.append((peer, what, "equal"))
        except Exception as error:  # every cell is tried, whatever became of the others
            failed += 1
            rows.append((peer, what, f"FAILED: {error}".splitlines()[0][:200]))
            traceback.print_exc(file=sys.stderr)
    versions = {"orbax-checkpoint": ocp.__version__, "tensorstore": importlib.metadata.version("tensorstore"), "jax": jax.__version__}
    print(json.dumps(versions))
    for peer, what, result in rows:
        print(f"{peer:<12} {what:<48} {result}")
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
