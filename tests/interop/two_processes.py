"""Orbax saving from two processes: run as a program it is one of them; TwoProcesses starts both."""

from __future__ import annotations

import dataclasses
import pathlib
import socket
import subprocess
import sys

LAYOUTS = ["ocdbt_zarr3", "ocdbt_zarr2", "zarr3", "zarr2"]
TIMEOUT_S = 180


@dataclasses.dataclass(frozen=True)
class Form:
    """One of the ways in which Orbax saves from several processes."""

    name: str
    codec: str = "zstd"
    item: str = ""  # where in the form's folder the leaves are
    sign: str = ""  # what must be there for the item to be what the form says; the number of such files is more than one
    strings: bool = True

    @property
    def layout(self) -> str:
        return self.name.split(" ")[0]

    @property
    def options(self) -> dict[str, bool]:
        return {"use_ocdbt": self.layout.startswith("ocdbt"), "use_zarr3": self.layout.endswith("3"),
                "use_compression": self.codec == "zstd"}  # fmt: skip

    @property
    def folder(self) -> str:
        return f"{self.name}-{self.codec}".replace(" ", "-")


PARTS = "ocdbt.process_[01]"  # each process's database, which the item's refers to
FORMS = [
    *(Form(layout, codec, sign=PARTS if layout.startswith("ocdbt") else "") for layout in LAYOUTS for codec in ("zstd", "raw")),
    # What both processes have is cut between them, and goes into databases of its own.
    *(Form(f"{layout} replicas", item="state", sign="ocdbt.process_replica_[01]") for layout in LAYOUTS[:2]),
    # Several chunks in each process, and files of the database; with zarr v3 each is a shard.
    Form("ocdbt_zarr3 chunks", item="state", sign="ocdbt.process_1/d/*"),
    Form("ocdbt_zarr2 chunks", sign=PARTS),
    Form("ocdbt_zarr2 manager", item="0/state", sign=PARTS, strings=False),
]


class TwoProcesses:
    """Starts them; they work beside the caller until wait()."""

    def __init__(self, root: pathlib.Path) -> None:
        root.mkdir(parents=True)
        self.root = root
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        self.log = open(root / "log", "wb")
        self.processes = [
            subprocess.Popen([sys.executable, __file__, str(number), port, str(root)], stdout=self.log, stderr=self.log)
            for number in range(2)
        ]

    def wait(self) -> dict[Form, pathlib.Path]:
        """The checkpoints by form."""
        try:
            failed = [process.wait(TIMEOUT_S) != 0 for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
            self.log.close()
        if any(failed):
            raise RuntimeError(f"a process failed: {(self.root / 'log').read_text(errors='replace')[-2000:]}")
        paths = {form: self.root / form.folder / form.item for form in FORMS}
        for form, path in paths.items():
            below = path if form.item or not (path / "state").exists() else path / "state"
            if form.sign and len(list(below.glob(form.sign))) < 2:
                raise AssertionError(f"{form.name}: there are not several {form.sign} in {below}: Orbax saved in another form")
        return paths


def save(number: int, port: str, root: pathlib.Path) -> None:
    import jax
    import numpy as np

    from trees import ROWS, row_of

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=number)
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("process",))
    halves, replicated = jax.sharding.PartitionSpec("process"), jax.sharding.PartitionSpec()

    def shared(array: np.ndarray, spec: jax.sharding.PartitionSpec) -> jax.Array:
        sharding = jax.sharding.NamedSharding(mesh, spec)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    def tree_of(form: Form) -> dict[str, dict[str, object]]:
        tree = {row: row_of(row) for row in ROWS if row != "empty" and (form.strings or row != "strings")}
        for leaves in tree.values():
            if "table" in leaves:
                leaves["table"] = shared(leaves["table"], replicated if "replicas" in form.name else halves)
                leaves["smooth"] = shared(leaves["smooth"], halves)
                leaves["small"] = shared(leaves["small"], replicated)
        return tree

    for form in FORMS:
        save_form(form, root / form.folder, tree_of(form))


def save_form(form: Form, path: pathlib.Path, tree: dict[str, dict[str, object]]) -> None:
    import orbax.checkpoint as ocp
    from orbax.checkpoint import v1

    saving = v1.options.ArrayOptions.Saving
    kind = form.name.removeprefix(form.layout).strip()
    if kind == "":
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(**form.options)) as checkpointer:
            checkpointer.save(path, tree)
    elif kind == "manager":
        items = ocp.args.Composite(state=ocp.args.StandardSave(tree), data=ocp.args.JsonSave({"epoch": 3}))
        with ocp.CheckpointManager(path) as manager:
            manager.save(0, args=items)
            manager.wait_until_finished()
    else:
        more = {
            "replicas": {"use_replica_parallel": True, "enable_replica_parallel_separate_folder": True,
                         "min_slice_bytes_for_replica_parallel": 1},
            "chunks": {"storage_options": saving.StorageOptions(chunk_byte_size=16 << 10),
                       "ocdbt_target_data_file_size": 64 << 10 if form.layout.endswith("3") else None},
        }[kind]  # fmt: skip
        with v1.Context(array_options=v1.options.ArrayOptions(saving=saving(**form.options, **more))):
            v1.save(path, tree)


if __name__ == "__main__":
    save(int(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]))
