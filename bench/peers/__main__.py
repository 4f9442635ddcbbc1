"""Saves the tensors of a safetensors file with another library, or restores them, and says what it took.

Measures one thing in this process and prints one JSON object as its last line (with --json; otherwise a table):
  save          stall_s: until the caller may change its arrays; durable_s: until the peer says that it is done, as
                shipped; durable_fsync_s: until every file and directory has been synced, too; peak_bytes: the most
                memory above what there was; cpu_s, cpu_s_per_gb: of all its processes; stored_bytes
  restore       cold_s, with none of its files in the page cache; warm_s
  interference  steps of a trainer in the same process: alone and during the saves, and what is lost by a save
Imports, a first save of little, loading the file and making the peer's kind of arrays are not timed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import pathlib
import resource
import sys
import threading
import time
import traceback
import warnings
from typing import Any

CORES = os.cpu_count() or 1


def parsed() -> argparse.Namespace:
    shown_as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="peers", description=__doc__, formatter_class=shown_as_written)
    parser.add_argument("--list", action="store_true", help="print the peers, and what each does about durability")
    parser.add_argument("--peer", help="which")
    parser.add_argument("--workload", type=pathlib.Path, metavar="FILE", help="a safetensors file")
    parser.add_argument("--directory", type=pathlib.Path, metavar="DIR", help="what a save makes, and a restore reads")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--restore", action="store_true", help="restore what an earlier call saved")
    mode.add_argument("--interference", action="store_true", help="a trainer's steps during saves")
    parser.add_argument("--verify", action="store_true", help="with --restore: compare with FILE, untimed")
    parser.add_argument("--no-warm", action="store_true", help="with --restore: the cold one alone")
    parser.add_argument("--saves", type=int, default=3, metavar="N", help="with --interference (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=2, metavar="S",
                        help="with --interference: of steps between saves (default %(default)s)")  # fmt: skip
    parser.add_argument("--deadline", type=float, default=300, metavar="S", help="give up after (default %(default)s)")
    parser.add_argument("--json", action="store_true", help='print an object; of a failure {"error": ...}')
    arguments = parser.parse_args()
    if not arguments.list and None in (arguments.peer, arguments.workload, arguments.directory):
        parser.error("--peer, --workload and --directory are needed (--list prints the peers)")
    return arguments


def set_environment(arguments: argparse.Namespace) -> None:
    """Before the libraries are imported, which read it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # torch's async process needs a descriptor for each tensor
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # its one process talks to nobody
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    if arguments.interference:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(max(1, CORES - 1))
    if arguments.json:  # for a program that wants the object alone; what goes wrong is in it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


def answer(arguments: argparse.Namespace, result: dict[str, Any]) -> None:
    """Prints it and ends this process and those below it; what libraries do at their end is not waited for."""
    import usage

    with contextlib.suppress(OSError):  # a peer may have used up what is needed to look
        usage.kill_descendants()
    if arguments.json:
        print("\n" + json.dumps(result))
    elif "error" in result:
        print(f"peers: {result['error']}", file=sys.stderr)
    else:
        for name, value in result.items():
            print(f"{name:16} {json.dumps(value)}")
    sys.stdout.flush()
    os._exit(2 if "error" in result and not arguments.json else 0)


def save(peer: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    import numpy as np

    import state
    import usage

    directory = arguments.directory
    small = directory.with_name(directory.name + ".first")
    peer.open(small)
    peer.start(small, peer.state_of({"first": np.arange(1 << 18, dtype=np.float32)}))()
    arrays = state.load(arguments.workload)
    total = sum(array.nbytes for array in arrays.values())
    saved = peer.state_of(arrays)
    del arrays
    usage.drop_cached(arguments.workload)
    peer.open(directory)
    used = usage.Usage()
    begin = time.perf_counter()
    wait = peer.start(directory, saved)
    stall = time.perf_counter() - begin
    wait()
    durable = time.perf_counter() - begin
    usage.make_durable(directory)
    synced = time.perf_counter() - begin
    cpu = used.cpu_seconds()
    return {
        "bytes": total,
        "stall_s": stall,
        "durable_s": durable,
        "durable_fsync_s": synced,
        "peak_bytes": used.peak_bytes(),
        "cpu_s": cpu,
        "cpu_s_per_gb": cpu / (total / 1e9),
        "stored_bytes": usage.stored_bytes(directory),
        "durability": peer.durability,
    }


def restore(peer: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    import state
    import usage

    tensors = state.tensors_of(arguments.workload)
    result: dict[str, Any] = {"bytes": sum(tensor.bytes for tensor in tensors.values())}
    usage.drop_cached(arguments.directory)
    for name in ["cold_s"] if arguments.no_warm else ["cold_s", "warm_s"]:
        restored = None  # the one before is gone
        targets = peer.targets(tensors)
        begin = time.perf_counter()
        restored = peer.restore(arguments.directory, targets)
        if peer.maps_files:
            for value in restored.values():
                peer.bytes_of(value)[::4096].max()
        result[name] = time.perf_counter() - begin
        if name == "cold_s":
            for file in usage.files_below(arguments.directory):  # all of it is in the page cache, however it was read
                file.read_bytes()
    if arguments.verify:
        state.check_equal(restored, arguments.workload, peer.bytes_of)
        result["verified"] = True
    return result


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    import savers
    import state
    import trainer

    peers = savers.every_peer()
    if arguments.list:
        return {name: peer.durability for name, peer in peers.items()}
    if arguments.peer not in peers:
        raise ValueError(f"there is no peer {arguments.peer}; there are {', '.join(peers)}")
    if not arguments.workload.is_file():
        raise ValueError(f"{arguments.workload} is no file")
    if arguments.restore != arguments.directory.exists():
        raise ValueError(f"{arguments.directory} is {'not there' if arguments.restore else 'there already'}")
    arguments.directory = arguments.directory.absolute()
    peer = peers[arguments.peer]
    peer.prepare()
    if arguments.restore:
        return restore(peer, arguments)
    if arguments.interference:
        saved = peer.state_of(state.load(arguments.workload))
        return trainer.interference(peer, saved, arguments.directory, arguments.saves, arguments.seconds)
    return save(peer, arguments)


def main() -> None:
    arguments = parsed()
    set_environment(arguments)
    late = {"error": f"not over after {arguments.deadline:g} s"}
    watch = threading.Timer(arguments.deadline, answer, (arguments, late))
    watch.daemon = True
    watch.start()
    try:
        result = measured(arguments)
    except Exception as error:
        if not arguments.json:
            traceback.print_exc()
        result = {"error": f"{type(error).__name__}: {error}"}
    watch.cancel()
    answer(arguments, result)


if __name__ == "__main__":
    main()
