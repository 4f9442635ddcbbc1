"""The peers that are built on TensorStore: Orbax, and TensorStore alone."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from savers import Peer, Wait, nothing
from state import Arrays, Tensor, flat_bytes, flattened, nested


class Orbax(Peer):
    """Its CheckpointManager, with arrays of JAX's or numpy's. `storage`: options of the handler of trees."""

    durability = (
        "TensorStore's fsync of arrays; none of _METADATA, _CHECKPOINT_METADATA, array_metadatas, "
        "nor after the last renames"
    )

    def __init__(self, name: str, asynchronous: bool = False, as_jax: bool = True, **storage: bool) -> None:
        self.name = name
        self.asynchronous = asynchronous
        self.as_jax = as_jax
        self.storage = storage
        self.manager: Any = None

    def prepare(self) -> None:
        import jax
        import orbax.checkpoint as ocp

        jax.config.update("jax_enable_x64", True)  # otherwise it has no 64-bit dtypes
        self.jax = jax
        self.ocp = ocp

    def state_of(self, arrays: Arrays) -> Any:
        return nested({name: self.jax.numpy.asarray(array) if self.as_jax else array for name, array in arrays.items()})

    def manager_of(self, directory: pathlib.Path) -> Any:
        return self.ocp.CheckpointManager(
            directory,
            options=self.ocp.CheckpointManagerOptions(enable_async_checkpointing=self.asynchronous),
            item_handlers=self.ocp.PyTreeCheckpointHandler(**self.storage),
        )

    def open(self, directory: pathlib.Path) -> None:
        if self.manager is not None:
            self.manager.close()
        self.manager = self.manager_of(directory)

    def start(self, directory: pathlib.Path, state: Any) -> Wait:
        self.manager.save(0, args=self.ocp.args.PyTreeSave(state))
        return self.manager.wait_until_finished if self.asynchronous else nothing

    def targets(self, tensors: dict[str, Tensor]) -> Any:
        """Shapes, dtypes and the device, as JAX's users give; numpy's arrays come without."""
        if not self.as_jax:
            return None
        device = self.jax.sharding.SingleDeviceSharding(self.jax.devices()[0])
        struct = self.jax.ShapeDtypeStruct
        return nested({name: struct(t.shape, t.dtype, sharding=device) for name, t in tensors.items()})

    def restore(self, directory: pathlib.Path, targets: Any) -> dict[str, Any]:
        with self.manager_of(directory) as manager:
            if targets is None:
                return flattened(manager.restore(0))
            restore_args = self.ocp.checkpoint_utils.construct_restore_args(targets)
            arguments = self.ocp.args.PyTreeRestore(item=targets, restore_args=restore_args)
            return flattened(self.jax.block_until_ready(manager.restore(0, args=arguments)))

    def bytes_of(self, value: Any) -> np.ndarray:
        return flat_bytes(np.asarray(value))


class TensorStore(Peer):
    """zarr3 in OCDBT: all arrays at once, in one transaction."""

    name = "tensorstore"
    durability = "fsync of its files and directories"

    def prepare(self) -> None:
        import tensorstore

        self.ts = tensorstore

    def spec(self, directory: pathlib.Path, name: str) -> dict[str, Any]:
        return {"driver": "zarr3", "kvstore": {"driver": "ocdbt", "base": f"file://{directory}/", "path": name + "/"}}

    def start(self, directory: pathlib.Path, state: Any) -> Wait:
        ts = self.ts
        transaction = ts.Transaction()
        context = ts.Context()
        opened = [
            ts.open(self.spec(directory, name), dtype=ts.dtype(array.dtype), shape=array.shape, create=True,
                    transaction=transaction, context=context)
            for name, array in state.items()
        ]  # fmt: skip
        writes = [store.result().write(array) for store, array in zip(opened, state.values(), strict=True)]
        for write in writes:
            write.copy.result()

        def wait() -> None:
            for write in writes:
                write.result()
            transaction.commit_sync()

        return wait

    def restore(self, directory: pathlib.Path, targets: Any) -> dict[str, Any]:
        context = self.ts.Context()
        opened = {name: self.ts.open(self.spec(directory, name), open=True, context=context) for name in targets}
        reads = {name: store.result().read() for name, store in opened.items()}
        return {name: read.result() for name, read in reads.items()}
