"""The interop matrix: {peer} x {they write and we read, we write and they read} x {codec} x {dtype or kind of leaf}.

A cell is equal when every layout that the peer knows gave every leaf back, byte for byte. "The peer cannot" stands only
where the peer, alone and with its own files of the same layout and codec, cannot either; its error is printed. All else
is a failure. Many arrays are in one checkpoint, so that a cell costs some arrays and not a process.

Usage: matrix.py FOLDER INTEROP_WRITER
"""

from __future__ import annotations

import collections
import dataclasses
import json
import logging
import pathlib
import re
import shutil
import subprocess
import sys
import time
from typing import Any

import numpy as np

from ability import Ability, text_of
from frames import MATCHES, PLANES, STORED, kind_of
from patterns import DTYPES, SCATTERED, dtype_of
from peers import LAYOUTS, Peer, Rows, chunk_of, every_peer, item_of, leaves_of_database
from trees import ROWS, Leaves, compare
from two_processes import Form, TwoProcesses

# A column that we write: raw; zstd; auto, encoding every chunk and then none; libblosc's frames; gzip.
OUR_CODECS = {"raw": ["raw"], "zstd": ["zstd:3"], "auto": ["auto", "auto-stored"], "blosc": ["blosc:5"], "gzip": ["gzip:6"]}
THEIR_CODECS = ["raw", "zstd", "blosc", "gzip"]
EQUAL, PARTLY, CANNOT, FAILED = "=", "~", "-", "F"
TWO_PROCESSES = "2 procs"
Place = tuple[str, str]  # a layout, and a codec in our words


@dataclasses.dataclass(frozen=True)
class Column:
    peer: str
    direction: str
    codec: str


@dataclasses.dataclass
class Cell:
    state: str
    text: str = ""


def state_of(places: dict[Place, Cell]) -> str:
    """That of a row of a column by its layouts: one that failed is enough, the others must be all of a kind."""
    states = {cell.state for cell in places.values()}
    if FAILED in states:
        return FAILED
    return states.pop() if len(states) == 1 else PARTLY


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
        self.cells: dict[Column, dict[str, dict[Place, Cell]]] = {}
        self.theirs: list[tuple[Column, str, list[pathlib.Path], Rows]] = []  # what Cairn is to read
        self.expected: dict[pathlib.Path, dict[str, Leaves]] = {}  # by row, where a path has not all that ROWS have

    def run_writer(self, *arguments: Any) -> str:
        done = subprocess.run([self.writer, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip() or done.stdout)
        return done.stdout

    def put(self, column: Column, row: str, place: Place, state: str, text: str = "") -> None:
        self.cells.setdefault(column, {}).setdefault(row, {})[place] = Cell(state, text)

    # ---- they write, we read ---------------------------------------------------------------------

    def they_write(self, peer: Peer, ability: Ability) -> None:
        for codec in peer.codecs:
            for layout in peer.layouts:
                self.they_write_in(peer, ability, layout, codec)

    def they_write_in(self, peer: Peer, ability: Ability, layout: str, codec: str) -> None:
        """All rows that it does not refuse in one checkpoint; which it refuses is asked where it refuses one."""
        column = Column(peer.name, "they", codec)
        folder = self.root / "theirs" / peer.name.replace(" ", "-") / f"{layout}-{codec}"
        trouble = ""
        for asked in (set(ability.suspects), set(ROWS)):
            refused = ability.refused(layout, codec, asked)
            dtypes = [name for name in DTYPES if name not in refused]
            rows = {row: dtypes for row in ROWS if row not in refused}
            try:
                if rows:
                    self.theirs.append((column, layout, peer.write(folder, layout, codec, rows), rows))
                break
            except Exception as error:
                trouble = text_of(error)
                shutil.rmtree(folder, ignore_errors=True)
        else:  # each of them goes alone, and together they do not
            for row in rows:
                self.put(column, row, (layout, codec), FAILED, trouble)
        for row, error in refused.items():
            self.put(column, row, (layout, codec), CANNOT, error)

    def two_processes_wrote(self, forms: dict[Form, pathlib.Path]) -> None:
        """Each form; and the database of the process that had the arrays' metadata, before it is merged with the other's:
        half of a sharded array."""
        for form, path in forms.items():
            column = Column(TWO_PROCESSES, "they", form.codec)
            rows = {row: DTYPES for row in ROWS if row != "empty" and (form.strings or row != "strings")}
            self.theirs.append((column, form.name, [path], rows))
            if form.name in LAYOUTS and form.layout.startswith("ocdbt"):
                part = path / "ocdbt.process_0"
                self.expected[part] = leaves_of_database(part, form.layout)
                self.theirs.append((column, f"{form.name} of process 0", [part], {row: DTYPES for row in self.expected[part]}))

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
                    compare(leaves, row, dtypes, layout, self.expected.get(paths[0], {}).get(row))
                    self.put(column, row, (layout, column.codec), EQUAL)
                except Exception as error:
                    self.put(column, row, (layout, column.codec), FAILED, trouble or text_of(error))

    # ---- we write, they read ---------------------------------------------------------------------

    def we_write(self, abilities: dict[str, Ability]) -> None:
        for layout in LAYOUTS:
            for word in (word for words in OUR_CODECS.values() for word in words):
                root = self.root / "ours" / f"{layout}-{word}"
                self.check_encoding(word, self.run_writer("save", root, layout, word, "all"))
                if word.startswith("auto"):
                    self.check_frames(item_of(root), layout, word)
                if not (item_of(root) / "_CAIRN").exists():
                    raise AssertionError(f"{root} has no _CAIRN, which was to be there for the peers to find")
        for name in ("st numpy", "st torch"):
            file = self.root / "ours" / f"{name.split()[1]}.safetensors"
            refused = abilities[name].refused("safetensors", "raw", set(DTYPES))
            self.run_writer("safetensors", file, ",".join(dtype for dtype in DTYPES if dtype not in refused))

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

    @staticmethod
    def check_frames(item: pathlib.Path, layout: str, word: str) -> None:
        """That auto's column has the planes of each float coded; of the rest it may have found that matches pay, which it
        times, but not of all the integers in which nothing repeats. Or else that all are stored."""
        by_planes_alone = 0
        for name in DTYPES:
            by_planes = "float" in name or "complex" in name
            expected = [STORED] if word == "auto-stored" else [PLANES] if by_planes else [PLANES, MATCHES]
            found = kind_of(chunk_of(item, layout, f"{name}.smooth"))
            if found not in expected:
                raise AssertionError(f"{item}: the chunk of {name}.smooth is {found}, not {' or '.join(expected)}")
            by_planes_alone += name in SCATTERED and found == PLANES
        if word != "auto-stored" and by_planes_alone == 0:
            raise AssertionError(f"{item}: auto coded no integer by planes")

    def they_read(self, peer: Peer, ability: Ability) -> None:
        for codec in peer.codecs_read:
            column = Column(peer.name, "we", codec)
            for layout in peer.layouts:
                for word in OUR_CODECS[codec]:
                    readable = list(DTYPES)
                    for row in peer.rows_read:
                        state, text = self.read_cell(peer, ability, (layout, word), row, readable)
                        self.put(column, row, (layout, word), state, text)
                        if state == CANNOT and row in readable:
                            readable.remove(row)  # its empty array would say nothing of empty arrays

    def read_cell(self, peer: Peer, ability: Ability, place: Place, row: str, dtypes: list[str]) -> tuple[str, str]:
        layout, word = place
        try:
            compare(peer.read(self.root / "ours" / peer.ours(layout, word), layout, row, dtypes), row, dtypes, "ours")
        except Exception as error:
            # Chunks that auto coded are Blosc's frames.
            codec = "blosc" if word.startswith("auto") else word.split(":")[0]
            proof = ability.read_error(layout, codec, row, list(dtypes))
            return (CANNOT, proof) if proof else (FAILED, text_of(error))
        return EQUAL, ""

    # ---- the table -------------------------------------------------------------------------------

    def print_table(self) -> None:
        peers = [peer.name for peer in every_peer()] + [TWO_PROCESSES]
        width = max(len("rzbg rzabg"), *map(len, peers)) + 2

        def line(title: str, texts: list[str]) -> None:
            print((title.ljust(21) + "".join(text.ljust(width) for text in texts)).rstrip())

        line("", peers)
        line("they write, we write", ["rzbg rzabg"] * len(peers))
        for row in ROWS:
            line(row, [self.states(peer, row) for peer in peers])
        print("\nr raw, z zstd, b blosc, a auto, g gzip; TS TensorStore, st safetensors, 2 procs: Orbax v0 in two processes")
        print(f"{EQUAL} equal, byte for byte, in every layout; {CANNOT} the peer cannot; {PARTLY} it cannot in some; {FAILED} failed")

    def states(self, peer: str, row: str) -> str:
        def state(direction: str, codec: str) -> str:
            places = self.cells.get(Column(peer, direction, codec), {}).get(row)
            return state_of(places) if places else " "

        they = "".join(state("they", codec) for codec in THEIR_CODECS)
        return they + " " + "".join(state("we", codec) for codec in OUR_CODECS)

    def print_places(self, state: str, title: str) -> None:
        """Where a row is in one state: those of a peer with the same text together."""
        found: dict[tuple[str, str, str], dict[Place, set[str]]] = collections.defaultdict(lambda: collections.defaultdict(set))
        for column, cells in self.cells.items():
            for row, places in cells.items():
                for place, cell in places.items():
                    if cell.state == state:
                        text = re.sub(rf"\b{row}\b", "<dtype>", cell.text) if row in DTYPES else cell.text
                        found[column.peer, column.direction, text][place].add(row)
        if found:
            print(f"\n{title}")
        for (peer, direction, text), places in found.items():
            print(f"  {peer}, {direction} write: {text}")
            together: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
            for (layout, word), rows in places.items():
                shown = "every row" if len(rows) == len(ROWS) else ", ".join(row for row in ROWS if row in rows)
                together[shown, layout].append(word)
            by_rows: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
            for (shown, layout), words in together.items():
                by_rows[shown, ", ".join(words)].append(layout)
            for (shown, words), layouts in by_rows.items():
                print(f"      {', '.join(layouts)} with {words}: {shown}")

    def count(self, state: str) -> int:
        return sum(state_of(places) == state for cells in self.cells.values() for places in cells.values())

    def count_places(self, state: str) -> int:
        every = (cell for cells in self.cells.values() for places in cells.values() for cell in places.values())
        return sum(cell.state == state for cell in every)


def run(root: pathlib.Path, writer: str) -> Matrix:
    times = {"start": time.monotonic()}
    pair = TwoProcesses(root / "theirs" / "two-processes")
    matrix = Matrix(root, writer)
    peers = every_peer()
    abilities = {peer.name: Ability(peer, root / "probes" / peer.name.replace(" ", "-")) for peer in peers}
    for peer in peers:
        matrix.they_write(peer, abilities[peer.name])
        times[f"{peer.name} writes"] = time.monotonic()
    matrix.we_write(abilities)
    times["we write"] = time.monotonic()
    for peer in peers:
        matrix.they_read(peer, abilities[peer.name])
        times[f"{peer.name} reads"] = time.monotonic()
    matrix.two_processes_wrote(pair.wait())
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
    matrix.print_places(CANNOT, "Peer cannot (its own error, alone with its own files of that layout and codec):")
    matrix.print_places(FAILED, "Failed:")
    failed, equal, partly, cannot = (matrix.count(state) for state in (FAILED, EQUAL, PARTLY, CANNOT))
    print(f"\n{equal} cells equal, {cannot} where the peer cannot, {partly} where it cannot in some layouts; by layouts and codecs:")
    print(f"{matrix.count_places(EQUAL)} equal, {matrix.count_places(CANNOT)} where the peer cannot")
    print(f"{equal + partly + cannot} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
