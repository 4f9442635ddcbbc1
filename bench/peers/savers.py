"""The peers, each as its users call it.

A peer turns arrays into what it saves with state_of(), untimed, and open() gets ready as a trainer does once, untimed.
start() returns when the caller may change its arrays, with what waits until the peer says that it is done. restore()
gives the values by name; targets(), untimed, makes what they go into where a peer wants that.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from state import Arrays, Tensor, flat_bytes

Wait = Callable[[], Any]


def nothing() -> None:
    """What is left to wait for after a save that blocks."""


class Peer:
    name = ""
    durability = ""  # what it does about it as shipped
    maps_files = False  # what restore() gives is read when it is touched

    def prepare(self) -> None:
        """Imports, and what a process does once."""

    def state_of(self, arrays: Arrays) -> Any:
        return arrays

    def open(self, directory: pathlib.Path) -> None:
        directory.mkdir(parents=True)

    def start(self, directory: pathlib.Path, state: Any) -> Wait:
        raise NotImplementedError

    def targets(self, tensors: dict[str, Tensor]) -> Any:
        return list(tensors)

    def restore(self, directory: pathlib.Path, targets: Any) -> dict[str, Any]:
        raise NotImplementedError

    def bytes_of(self, value: Any) -> np.ndarray:
        return flat_bytes(value)


class Torch(Peer):
    def prepare(self) -> None:
        import torch

        self.torch = torch

    def dtype(self, dtype: np.dtype) -> Any:
        return getattr(self.torch, dtype.name)

    def state_of(self, arrays: Arrays) -> Any:
        return {
            name: self.torch.from_numpy(flat_bytes(array)).view(self.dtype(array.dtype)).reshape(array.shape)
            for name, array in arrays.items()
        }

    def bytes_of(self, value: Any) -> np.ndarray:
        return value.reshape(-1).view(self.torch.uint8).numpy()


class TorchSave(Torch):
    name = "torch_save"
    durability = "no fsync"

    def start(self, directory: pathlib.Path, state: Any) -> Wait:
        self.torch.save(state, directory / "state.pt")
        return nothing

    def restore(self, directory: pathlib.Path, targets: Any) -> dict[str, Any]:
        return self.torch.load(directory / "state.pt", weights_only=True)


class TorchDcp(Torch):
    """torch.distributed.checkpoint with one process."""

    name = "torch_dcp"
    durability = "fsync of its files; not of the directory, nor after the rename of .metadata"

    def __init__(self, name: str = name, threads: int = 1) -> None:
        self.name = name
        self.threads = threads

    def prepare(self) -> None:
        super().prepare()
        import torch.distributed.checkpoint as dcp

        self.dcp = dcp

    def start(self, directory: pathlib.Path, state: Any) -> Wait:
        writer = self.dcp.FileSystemWriter(directory, thread_count=self.threads)
        self.dcp.save(state, storage_writer=writer, no_dist=True)
        return nothing

    def targets(self, tensors: dict[str, Tensor]) -> Any:
        """It restores into a model that is there: memory that has been touched."""
        return {name: self.torch.ones(tensor.shape, dtype=self.dtype(tensor.dtype)) for name, tensor in tensors.items()}

    def restore(self, directory: pathlib.Path, targets: Any) -> dict[str, Any]:
        self.dcp.load(targets, checkpoint_id=directory, no_dist=True)
        return targets


class TorchDcpAsync(TorchDcp):
    """async_save with the stager that it makes itself, which copies before it returns."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"torch_dcp_async_{kind}")
        self.kind = kind

    def prepare(self) -> None:
        super().prepare()
        if self.kind == "process":  # which asks its group for its rank
            import torch.distributed as dist

            dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)

    def start(self, directory: pathlib.Path, state: Any) -> Wait:
        from torch.distributed.checkpoint.state_dict_saver import AsyncCheckpointerType

        kind = AsyncCheckpointerType(self.kind)
        alone = self.kind != "process"
        return self.dcp.async_save(state, checkpoint_id=directory, async_checkpointer_type=kind, no_dist=alone).result


class Safetensors(Torch):
    """Its torch interface; numpy's writes the same way."""

    name = "safetensors"
    durability = "no fsync"
    maps_files = True

    def prepare(self) -> None:
        super().prepare()
        import safetensors.torch

        self.safetensors = safetensors.torch

    def start(self, directory: pathlib.Path, state: Any) -> Wait:
        self.safetensors.save_file(state, directory / "state.safetensors")
        return nothing

    def restore(self, directory: pathlib.Path, targets: Any) -> dict[str, Any]:
        return self.safetensors.load_file(directory / "state.safetensors")


class NumpyArchive(Peer):
    name = "numpy_npz"
    durability = "no fsync"

    def start(self, directory: pathlib.Path, state: Any) -> Wait:
        np.savez(directory / "state.npz", **state)
        return nothing

    def restore(self, directory: pathlib.Path, targets: Any) -> dict[str, Any]:
        with np.load(directory / "state.npz") as archive:
            return {name: archive[name] for name in targets}


class NumpyFiles(Peer):
    """A file for each array."""

    name = "numpy_npy"
    durability = "no fsync"

    def start(self, directory: pathlib.Path, state: Any) -> Wait:
        for name, array in state.items():
            np.save(directory / f"{name}.npy", array)
        return nothing

    def restore(self, directory: pathlib.Path, targets: Any) -> dict[str, Any]:
        return {name: np.load(directory / f"{name}.npy") for name in targets}


def every_peer() -> dict[str, Peer]:
    from stores import Orbax, TensorStore

    peers = [
        TorchSave(),
        TorchDcp(),
        TorchDcp("torch_dcp_threads", threads=2),
        TorchDcpAsync("thread"),
        TorchDcpAsync("process"),
        Safetensors(),
        Orbax("orbax"),
        Orbax("orbax_files", use_ocdbt=False),
        Orbax("orbax_raw", use_compression=False),
        Orbax("orbax_numpy", as_jax=False),
        Orbax("orbax_async", asynchronous=True),
        Orbax("orbax_async_files", asynchronous=True, use_ocdbt=False),
        TensorStore(),
        NumpyArchive(),
        NumpyFiles(),
    ]
    return {peer.name: peer for peer in peers}
