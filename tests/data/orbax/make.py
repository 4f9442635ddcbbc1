"""Writes odd_keys_METADATA: what Orbax makes of keys that need quoting, and of every kind of leaf; and
strings.json: where it puts strings.

Run with orbax-checkpoint 0.12.8: python make.py
"""

import pathlib
import shutil
import tempfile

import numpy as np
import orbax.checkpoint as ocp

HERE = pathlib.Path(__file__).parent
TREE = {
    "a b": np.ones((2, 3), np.float32),
    "big": 2**40,
    "emoji\U0001f600": 1,
    "int keys": {1: np.int32(4), 10: 2, 2: 3},
    "q'x": {
        "\u00e9\u200b\"'": [1, 2.5, None, {}, [], (), True],
        "tab\t\x01\\\x7f\xad": True,
    },
    "text": "hello",
    'say "hi"': ({"x": np.zeros((), np.int8)},),
}

with tempfile.TemporaryDirectory() as scratch:
    root = pathlib.Path(scratch) / "checkpoint"
    ocp.PyTreeCheckpointer().save(root, TREE)
    shutil.copy(root / "_METADATA", HERE / "odd_keys_METADATA")
    strings = {
        "z": "last",
        "a": {"s": "gr\u00fc\u00dfe \x01\x1f\b\f\n\r\t \"q\" \\ / \x7f \u2028 \U0001f600 \0.", "e": ""},
        "l": ["one", "two"],
        "a/b": "below",
        "a/c/d": "further below",
        "t~0x": "a tilde",
        "t~1x": "a slash",
        "": "no name",
    }
    ocp.PyTreeCheckpointer().save(root / "strings", strings)
    shutil.copy(root / "strings" / "_strings.json", HERE / "strings.json")
