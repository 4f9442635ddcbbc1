"""Interference: how long a trainer's steps take while a peer saves, against its steps without a save.

A step is a matrix product and a copy, of about 5 ms, in the process that saves. The step in which a save is called has
what the call blocks in it, so that a peer that only blocks has one step during each save. It saves as shipped.
"""

from __future__ import annotations

import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from savers import Peer

PART_SECONDS = 0.0025  # of a step, each half


class Trainer:
    def __init__(self) -> None:
        random = np.random.default_rng(1)
        size = 256
        self.matrices = [random.standard_normal((size, size), np.float32) for _ in range(2)]
        product = median_seconds(self.multiply)
        size = max(32, int(size * (PART_SECONDS / product) ** (1 / 3)) // 16 * 16)
        self.matrices = [random.standard_normal((size, size), np.float32) for _ in range(2)]
        self.memory = [random.standard_normal(4 << 20, np.float32) for _ in range(2)]
        copied = max(1024, int(self.memory[0].size * PART_SECONDS / median_seconds(self.copy)))
        self.memory = [random.standard_normal(copied, np.float32) for _ in range(2)]

    def multiply(self) -> None:
        np.matmul(self.matrices[0], self.matrices[1])

    def copy(self) -> None:
        np.copyto(self.memory[0], self.memory[1])

    def steps(self, going: Callable[[], bool], first: Callable[[], None] | None = None) -> list[float]:
        """Seconds of each until going() is false; `first` is called in the first one."""
        taken = []
        while first is not None or going():
            begin = time.perf_counter()
            self.multiply()
            self.copy()
            if first is not None:
                first()
                first = None
            taken.append(time.perf_counter() - begin)
        return taken

    def steps_for(self, seconds: float) -> list[float]:
        end = time.perf_counter() + seconds
        return self.steps(lambda: time.perf_counter() < end)


def median_seconds(call: Callable[[], None]) -> float:
    taken = []
    for _ in range(30):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken))


def summary(taken: list[float]) -> dict[str, float]:
    milliseconds = np.array(taken) * 1e3
    p50, p99, p99_9 = np.percentile(milliseconds, [50, 99, 99.9], method="inverted_cdf").tolist()
    return {"steps": len(taken), "mean_ms": float(milliseconds.mean()), "p50_ms": p50, "p99_ms": p99, "p99_9_ms": p99_9}


def steps_during_save(trainer: Trainer, peer: Peer, directory: pathlib.Path, state: Any) -> list[float]:
    waiters: list[threading.Thread] = []
    errors: list[BaseException] = []

    def run(wait: Callable[[], Any]) -> None:
        try:
            wait()
        except BaseException as error:
            errors.append(error)

    def call() -> None:
        waiters.append(threading.Thread(target=run, args=(peer.start(directory, state),)))
        waiters[0].start()

    peer.open(directory)
    taken = trainer.steps(lambda: waiters[0].is_alive(), first=call)
    if errors:
        raise errors[0]
    return taken


def interference(peer: Peer, state: Any, directory: pathlib.Path, saves: int, seconds: float) -> dict[str, Any]:
    """`seconds` of steps without a save before each save and after the last."""
    trainer = Trainer()
    trainer.steps_for(0.5)
    alone: list[float] = []
    during: list[float] = []
    for save in range(saves):
        alone += trainer.steps_for(seconds)
        during += steps_during_save(trainer, peer, directory / f"save.{save}", state)
    alone += trainer.steps_for(seconds)
    lost = sum(during) - len(during) * float(np.median(alone))
    return {
        "alone": summary(alone),
        "during": summary(during),
        "saves": saves,
        "lost_s": lost / saves,
        "lost_steps": lost / float(np.median(alone)) / saves,
    }
