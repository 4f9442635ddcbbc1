"""What a peer of the interop matrix refuses of its own files: the proof that a cell asks for where the peer cannot."""

from __future__ import annotations

import pathlib

from patterns import DTYPES
from peers import Peer
from trees import ROWS, compare

ERROR_LENGTH = 300


def text_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:ERROR_LENGTH]


class Ability:
    """Has the peer write a row alone, in one layout and one codec, and read that back; what it raised is kept."""

    def __init__(self, peer: Peer, scratch: pathlib.Path) -> None:
        self.peer = peer
        self.scratch = scratch
        self.suspects: set[str] = set()  # rows that it refused to write in some layout and codec
        self.paths: dict[tuple[str, ...], list[pathlib.Path] | str] = {}  # what it wrote, or its error
        self.reads: dict[tuple[str, ...], str] = {}

    def written(self, layout: str, codec: str, row: str, dtypes: list[str]) -> list[pathlib.Path] | str:
        key = (layout, codec, row, *(dtypes if row == "empty" else ()))
        if key not in self.paths:
            try:
                folder = self.scratch / f"{len(self.paths)}"
                self.paths[key] = self.peer.write(folder, layout, codec, {row: dtypes})
            except Exception as error:
                self.paths[key] = text_of(error)
                self.suspects.add(row)
        return self.paths[key]

    def refused(self, layout: str, codec: str, asked: set[str]) -> dict[str, str]:
        """Its errors by row. Empty arrays of a dtype that it does not know would say nothing of empty arrays."""
        errors: dict[str, str] = {}
        for row in (row for row in ROWS if row in asked):
            tried = self.written(layout, codec, row, [name for name in DTYPES if name not in errors])
            if isinstance(tried, str):
                errors[row] = tried
        return errors

    def read_error(self, layout: str, codec: str, row: str, dtypes: list[str]) -> str:
        """Its error with its own file; empty where it has none, and where it writes nothing at all in the codec: that
        it has no such option says nothing of what it reads."""
        if codec not in self.peer.codecs or isinstance(self.written(layout, codec, "int32", DTYPES), str):
            return ""
        paths = self.written(layout, codec, row, dtypes)
        if isinstance(paths, str):
            return paths
        key = (layout, codec, row, *(dtypes if row == "empty" else ()))
        if key not in self.reads:
            try:
                compare(self.peer.read_own(paths, layout, row, dtypes), row, dtypes, "its own file")
                self.reads[key] = ""
            except Exception as error:
                self.reads[key] = text_of(error)
        return self.reads[key]
