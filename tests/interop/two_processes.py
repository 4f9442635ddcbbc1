"""Orbax saving from two processes: run as a program it is one of them; TwoProcesses starts both."""

from __future__ import annotations

import pathlib
import socket
import subprocess
import sys

LAYOUTS = ["ocdbt_zarr3", "ocdbt_zarr2", "zarr3", "zarr2"]
TIMEOUT_S = 180


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

    def wait(self) -> dict[str, pathlib.Path]:
        """The checkpoints by layout."""
        try:
            failed = [process.wait(TIMEOUT_S) != 0 for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
            self.log.close()
        if any(failed):
            raise RuntimeError(f"a process failed: {(self.root / 'log').read_text(errors='replace')[-2000:]}")
        return {layout: self.root / layout for layout in LAYOUTS}


def save(number: int, port: str, root: pathlib.Path) -> None:
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    from trees import ROWS, row_of

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=number)
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("process",))
    halves, replicated = jax.sharding.PartitionSpec("process"), jax.sharding.PartitionSpec()

    def shared(array: np.ndarray, spec: jax.sharding.PartitionSpec) -> jax.Array:
        sharding = jax.sharding.NamedSharding(mesh, spec)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    tree = {row: row_of(row) for row in ROWS if row != "empty"}
    for leaves in tree.values():
        if "table" in leaves:
            leaves["table"] = shared(leaves["table"], halves)
            leaves["smooth"] = shared(leaves["smooth"], halves)
            leaves["small"] = shared(leaves["small"], replicated)
    for layout in LAYOUTS:
        options = {"use_ocdbt": layout.startswith("ocdbt"), "use_zarr3": layout.endswith("3")}
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(**options)) as checkpointer:
            checkpointer.save(root / layout, tree)


if __name__ == "__main__":
    save(int(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]))
