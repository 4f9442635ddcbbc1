"""Writes the databases of this folder with TensorStore; see README.md. Usage: make.py FOLDER"""

import json
import pathlib
import shutil
import sys

import tensorstore as ts

UUID = "000102030405060708090a0b0c0d0e0f"


def make(folder, name, commits, keys_per_commit=1, value=b"value of %d in commit %d", **config):
    root = folder / name
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    config.setdefault("uuid", UUID)
    config.setdefault("compression", None)
    store = ts.KvStore.open(
        {"driver": "ocdbt", "base": f"file://{root}/", "config": config}
    ).result()
    expected = {}
    for commit in range(commits):
        with ts.Transaction() as transaction:
            for key in range(keys_per_commit):
                name_of_key = b"key/%05d" % (commit * keys_per_commit + key)
                text = value % (key, commit)
                store.with_transaction(transaction)[name_of_key] = text
                expected[name_of_key.decode()] = text.decode()
    (root / "expected.json").write_text(json.dumps(expected, indent=0))
    for lock in root.rglob("*__lock"):
        lock.unlink()


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    make(folder, "arity2_of_11", 11, version_tree_arity_log2=1)
    make(folder, "arity4_of_23", 23, version_tree_arity_log2=2)
    make(folder, "numbered", 3, manifest_kind="numbered", compression={"id": "zstd"})
    make(folder, "interior", 1, keys_per_commit=60, max_decoded_node_bytes=400)
    make(
        folder,
        "interior_zstd",
        2,
        keys_per_commit=200,
        max_decoded_node_bytes=2000,
        max_inline_value_bytes=16,
        compression={"id": "zstd", "level": 3},
    )


if __name__ == "__main__":
    main()
