"""The interop matrix: {peer} x {they write and we read, we write and they read} x {codec} x {dtype or kind of leaf}.

A cell is equal when every layout that the peer knows gave every leaf back, byte for byte. "The peer cannot" stands only
where the peer, alone and with its own files, cannot either; its error is printed. All else is a failure. Many arrays are
in one checkpoint, so that a cell costs some arrays and not a process.

Usage: matrix.py FOLDER INTEROP_WRITER
"""

from __future__ import annotations

import collections
import dataclasses
import json
import logging
import pathlib
import re
import subprocess
import sys
import time
from typing import Any

import numpy as np

from patterns import DTYPES, dtype_of
from peers import LAYOUTS, Peer, Rows, every_peer, item_of
from trees import ROWS, Leaves, compare
from two_processes import TwoProcesses

# A column that we write: raw; zstd; auto, encoding every chunk and then none; libblosc's frames; gzip.
OUR_CODECS = {"raw": ["raw"], "zstd": ["zstd:3"], "auto": ["auto", "auto-stored"], "blosc": ["blosc:5"], "gzip": ["gzip:6"]}
EQUAL, CANNOT, FAILED = "=", "-", "F"
SEVERITY = [EQUAL, CANNOT, FAILED]
ERROR_LENGTH = 300


@dataclasses.dataclass(frozen=True)
class Column:
    peer: str
    direction: str
    codec: str


@dataclasses.dataclass
class Cell:
    state: str
    text: str = ""


def text_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:ERROR_LENGTH]


class Ability:
    """What a peer refuses, found by having it write each row alone and read that back."""

    def __init__(self, peer: Peer, scratch: pathlib.Path) -> None:
        self.writes: dict[str, str] = {}  # row -> its error
        self.reads: dict[str, str] = {}
        self.dtypes = self.readable = DTYPES
        if not peer.codecs:
            return
        for row in (row for row in ROWS if row != "empty"):
            self.probe(peer, scratch / row, row, DTYPES)
        # Empty arrays of a dtype that the peer does not know would say nothing of empty arrays.
        self.dtypes = [name for name in DTYPES if name not in self.writes]
        self.readable = [name for name in DTYPES if name not in self.reads]
        self.probe(peer, scratch / "empty", "empty", self.readable)

    def probe(self, peer: Peer, folder: pathlib.Path, row: str, dtypes: list[str]) -> None:
        layout = peer.layouts[-1]
        try:
            paths = peer.write(folder, layout, "raw", {row: dtypes})
        except Exception as error:
            self.writes[row] = self.reads[row] = text_of(error)
            return
        try:
            compare(peer.read_own(paths, layout, row, dtypes), row, dtypes, "its own file")
        except Exception as error:
            self.reads[row] = text_of(error)


def read_dump(folder: pathlib.Path) -> Leaves:
    """What interop_writer dump wrote."""
    index = json.loads((folder / "index.json").read_text())
    if "error" in index:
        raise RuntimeError(index["error"])
    data = (folder / "data.bin").read_bytes()
    leaves: Leaves = {}
    for leaf in index["leaves"]:
        name = ".".join(leaf["path"])
        if leaf["kind"] == "array":
            end = leaf["offset"] + leaf["bytes"]
            leaves[name] = np.frombuffer(data[leaf["offset"] : end], dtype_of(leaf["dtype"])).reshape(leaf["shape"])
        else:
            leaves[name] = leaf.get("value")
    return leaves


class Matrix:
    def __init__(self, root: pathlib.Path, writer: str) -> None:
        self.root = root
        self.writer = writer
        self.cells: dict[Column, dict[str, Cell]] = {}
        self.theirs: list[tuple[Column, str, list[pathlib.Path], Rows]] = []  # what Cairn is to read

    def run_writer(self, *arguments: Any) -> str:
        done = subprocess.run([self.writer, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip() or done.stdout)
        return done.stdout

    def put(self, column: Column, row: str, state: str, text: str = "") -> None:
        """A cell is as bad as the worst of its layouts."""
        cells = self.cells.setdefault(column, {})
        if row not in cells or SEVERITY.index(state) > SEVERITY.index(cells[row].state):
            cells[row] = Cell(state, text)

    # ---- they write, we read ---------------------------------------------------------------------

    def they_write(self, peer: Peer, ability: Ability) -> None:
        for codec in peer.codecs:
            column = Column(peer.name, "they", codec)
            for row, error in ability.writes.items():
                self.put(column, row, CANNOT, error)
            rows = {row: ability.dtypes for row in ROWS if row not in ability.writes}
            for layout in peer.layouts:
                try:
                    paths = peer.write(self.folder(peer, layout, codec), layout, codec, rows)
                except Exception as error:
                    for row in rows:
                        self.put(column, row, FAILED, f"{layout}: {text_of(error)}")
                else:
                    self.theirs.append((column, layout, paths, rows))
        for codec in peer.codecs_refused:
            self.expect_refusal(peer, Column(peer.name, "they", codec))

    def folder(self, peer: Peer, layout: str, codec: str) -> pathlib.Path:
        return self.root / "theirs" / peer.name.replace(" ", "-") / f"{layout}-{codec}"

    def expect_refusal(self, peer: Peer, column: Column) -> None:
        try:
            peer.write(self.folder(peer, peer.layouts[0], column.codec), peer.layouts[0], column.codec, {"int32": DTYPES})
        except Exception as error:
            state, text = CANNOT, text_of(error)
        else:
            state, text = FAILED, f"{peer.name} takes {column.codec} after all: have it write all rows"
        for row in ROWS:
            self.put(column, row, state, text)

    def we_read(self) -> None:
        """Everything that they wrote, in one run of our reader."""
        places = [path for _, _, paths, _ in self.theirs for path in paths]
        self.run_writer("dump", self.root / "dump", *places)
        number = 0
        for column, layout, paths, rows in self.theirs:
            leaves: Leaves = {}
            trouble = ""
            for _ in paths:
                try:
                    leaves.update(read_dump(self.root / "dump" / str(number)))
                except Exception as error:
                    trouble = text_of(error)
                number += 1
            for row, dtypes in rows.items():
                try:
                    compare(leaves, row, dtypes, layout)
                    self.put(column, row, EQUAL)
                except Exception as error:
                    self.put(column, row, FAILED, trouble or text_of(error))

    # ---- we write, they read ---------------------------------------------------------------------

    def we_write(self, abilities: dict[str, Ability]) -> None:
        for layout in LAYOUTS:
            for word in (word for words in OUR_CODECS.values() for word in words):
                root = self.root / "ours" / f"{layout}-{word}"
                self.check_encoding(word, self.run_writer("save", root, layout, word, "all"))
                if not (item_of(root) / "_CAIRN").exists():
                    raise AssertionError(f"{root} has no _CAIRN, which was to be there for the peers to find")
        for name in ("st numpy", "st torch"):
            file = self.root / "ours" / f"{name.split()[1]}.safetensors"
            self.run_writer("safetensors", file, ",".join(abilities[name].dtypes))

    @staticmethod
    def check_encoding(word: str, summary: str) -> None:
        """That the column is what it says: encoded where it is to be."""
        chunks = collections.Counter()
        stored = 0
        for line in summary.splitlines():
            _, of_kind, as_they_are, codec = line.split(" ", 3)
            chunks[codec.split("(")[0]] += int(of_kind)
            stored += int(as_they_are)
        # auto has two coders: of planes, and of matches.
        named = {"raw": ["raw"], "zstd:3": ["zstd"], "blosc:5": ["blosc"], "gzip:6": ["gzip"]}
        expected = named.get(word, ["blosc planes", "blosc matches"])
        enough = sum(chunks[kind] for kind in expected) >= len(DTYPES) and (stored >= len(DTYPES) if word == "auto-stored" else stored == 0)
        if not enough:
            raise AssertionError(f"{word} did not encode what it was to: {summary!r}")

    def they_read(self, peer: Peer, ability: Ability) -> None:
        for codec in peer.codecs_read:
            column = Column(peer.name, "we", codec)
            for layout in peer.layouts:
                for word in OUR_CODECS[codec]:
                    for row in peer.rows_read:
                        self.put(column, row, *self.read_cell(peer, ability, layout, word, row))

    def read_cell(self, peer: Peer, ability: Ability, layout: str, word: str, row: str) -> tuple[str, str]:
        dtypes = ability.readable
        try:
            compare(peer.read(self.root / "ours" / peer.ours(layout, word), layout, row, dtypes), row, dtypes, f"{layout} {word}")
        except Exception as error:
            if row in ability.reads:
                return CANNOT, ability.reads[row]
            return FAILED, f"{layout} {word}: {text_of(error)}"
        return EQUAL, ""

    # ---- the table -------------------------------------------------------------------------------

    def print_table(self) -> None:
        peers = list(dict.fromkeys(column.peer for column in self.cells))
        width = max(len("rzb rzabg"), *map(len, peers)) + 2

        def line(title: str, texts: list[str]) -> None:
            print((title.ljust(21) + "".join(text.ljust(width) for text in texts)).rstrip())

        line("", peers)
        line("they write, we write", ["rzb rzabg"] * len(peers))
        for row in ROWS:
            line(row, [self.states(peer, row) for peer in peers])
        print("\nr raw, z zstd, b blosc, a auto, g gzip; TS TensorStore, st safetensors, 2 procs: Orbax v0 in two processes")
        print(f"{EQUAL} equal, byte for byte, in every layout; {CANNOT} the peer cannot; {FAILED} failed")

    def states(self, peer: str, row: str) -> str:
        def state(direction: str, codec: str) -> str:
            cell = self.cells.get(Column(peer, direction, codec), {}).get(row)
            return cell.state if cell else " "

        they = "".join(state("they", codec) for codec in ("raw", "zstd", "blosc"))
        return they + " " + "".join(state("we", codec) for codec in OUR_CODECS)

    def print_cells(self, state: str, title: str) -> None:
        """Cells of one state, those of a peer with the same text together."""
        places: dict[tuple[str, str], dict[str, set[str]]] = collections.defaultdict(lambda: {"rows": set(), "directions": set()})
        for column, cells in self.cells.items():
            for row, cell in cells.items():
                if cell.state == state:
                    text = re.sub(rf"\b{row}\b", "<dtype>", cell.text) if row in DTYPES else cell.text
                    place = places[column.peer, text]
                    place["rows"].add(row)
                    place["directions"].add(column.direction)
        if places:
            print(f"\n{title}")
        for (peer, text), place in places.items():
            rows = [row for row in ROWS if row in place["rows"]]
            shown = "every row" if len(rows) == len(ROWS) else ", ".join(rows)
            print(f"  {peer}, {' and '.join(sorted(place['directions'], reverse=True))} write: {shown}\n      {text}")

    def count(self, state: str) -> int:
        return sum(cell.state == state for cells in self.cells.values() for cell in cells.values())


def run(root: pathlib.Path, writer: str) -> Matrix:
    times = {"start": time.monotonic()}
    pair = TwoProcesses(root / "theirs" / "two-processes")
    matrix = Matrix(root, writer)
    peers = every_peer()
    abilities = {peer.name: Ability(peer, root / "probes" / peer.name.replace(" ", "-")) for peer in peers}
    times["probes"] = time.monotonic()
    matrix.we_write(abilities)
    times["we write"] = time.monotonic()
    for peer in peers:
        matrix.they_write(peer, abilities[peer.name])
        matrix.they_read(peer, abilities[peer.name])
        times[peer.name] = time.monotonic()
    column = Column("2 procs", "they", "zstd")
    for layout, path in pair.wait().items():
        matrix.theirs.append((column, layout, [path], {row: DTYPES for row in ROWS if row != "empty"}))
    times["two processes"] = time.monotonic()
    matrix.we_read()
    times["we read"] = time.monotonic()
    names = list(times)
    print("seconds:", ", ".join(f"{b} {times[b] - times[a]:.1f}" for a, b in zip(names, names[1:])), file=sys.stderr)
    return matrix


def main() -> int:
    logging.disable(logging.CRITICAL)  # what a peer refuses is printed once, below
    matrix = run(pathlib.Path(sys.argv[1]), sys.argv[2])
    matrix.print_table()
    matrix.print_cells(CANNOT, "Peer cannot (its own error, alone with its own files):")
    matrix.print_cells(FAILED, "Failed:")
    failed = matrix.count(FAILED)
    print(f"\n{matrix.count(EQUAL)} cells equal, {matrix.count(CANNOT)} where the peer cannot")
    print(f"{matrix.count(EQUAL) + matrix.count(CANNOT)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
