"""What a save uses of the machine, and the page cache before and after it. Linux alone."""

from __future__ import annotations

import contextlib
import os
import pathlib
import resource
import signal
from collections.abc import Iterator

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def descendants() -> list[int]:
    """Processes below this one that live."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry)] = int(stat_fields(int(entry))[1])
    found = [os.getpid()]
    for parent in found:
        found.extend(pid for pid, its_parent in parents.items() if its_parent == parent)
    return found[1:]


def stat_fields(pid: int) -> list[str]:
    """Of /proc/PID/stat from the third on: the second, the name, may have spaces."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def kill_descendants() -> None:
    for pid in descendants():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def status_bytes(pid: int, field: str) -> int:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


class Usage:
    """From its construction on, of this process and those below it."""

    def __init__(self) -> None:
        self.resident: dict[int, int] = {}
        for pid in [os.getpid(), *descendants()]:
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak is what there is now
            self.resident[pid] = status_bytes(pid, "VmRSS")
        self.cpu = self.cpu_now()

    @staticmethod
    def cpu_now() -> float:
        used = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        for pid in descendants():
            with contextlib.suppress(OSError):
                user, system = stat_fields(pid)[11:13]
                used += (int(user) + int(system)) / TICKS_PER_SECOND
        return used

    def cpu_seconds(self) -> float:
        return self.cpu_now() - self.cpu

    def peak_bytes(self) -> int:
        """Above what there was. Pages that two processes share count in both."""
        peak = 0
        for pid in [os.getpid(), *descendants()]:
            with contextlib.suppress(OSError):
                peak += status_bytes(pid, "VmHWM") - self.resident.get(pid, 0)
        return peak


def files_below(path: pathlib.Path) -> Iterator[pathlib.Path]:
    for directory, _, names in os.walk(path):
        for name in names:
            yield pathlib.Path(directory, name)


def make_durable(path: pathlib.Path) -> None:
    """fsync of every file and directory, and of the directory that has the new name."""
    for directory, _, names in os.walk(path, topdown=False):
        for name in names:
            sync_path(os.path.join(directory, name))
        sync_path(directory)
    sync_path(path.parent)


def sync_path(path: str | pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def drop_cached(path: pathlib.Path) -> None:
    """Takes a file, or all below a directory, out of the page cache, once nothing waits to be written."""
    os.sync()
    for file in files_below(path) if path.is_dir() else [path]:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def stored_bytes(path: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in files_below(path))
