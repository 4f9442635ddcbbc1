"""Writes the zarr-python groups of this folder, and what zarr-python reads back. Usage: make_zarr.py FOLDER   (zarr 3.1.6)"""

import pathlib
import shutil
import sys

import numcodecs
import numpy as np
import zarr
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from expect import write_expected


def read(group):
    return {name: read(node) if isinstance(node, zarr.Group) else np.asarray(node[...]) for name, node in group.members()}


def version3(folder):
    root = zarr.open_group(folder / "zarr3_python", mode="w", zarr_format=3)
    values = np.arange(35).reshape(5, 7)
    root.create_array("plain", data=values.astype("int64"), chunks=(2, 4), compressors=None)
    root.create_array("default", data=values.astype("float32"), chunks=(3, 3))
    root.create_array("sharded", data=values.astype("uint16"), chunks=(2, 2), shards=(4, 4))
    a = root.create_group("a")
    a.create_array("gzip", data=values.astype("float16"), chunks=(5, 7), compressors=GzipCodec(level=3))
    a.create_array(
        "blosc", data=values.astype("int32"), chunks=(4, 4), compressors=BloscCodec(cname="zstd", shuffle="bitshuffle")
    )
    a.create_array(
        "dots", data=values.astype("int8"), chunks=(2, 7), compressors=ZstdCodec(level=0, checksum=True),
        chunk_key_encoding={"name": "v2", "separator": "."},
    )  # fmt: skip
    a.create_group("empty")
    scalar = root.create_array("rank0", shape=(), dtype="float64", fill_value=-1.5)
    assert scalar[...] == -1.5
    sparse = root.create_array("sparse", shape=(9,), chunks=(2,), dtype="complex128", fill_value=1 + 2j)
    sparse[3] = 5
    write_expected(folder, "zarr3_python", read(root))


def version2(folder):
    root = zarr.open_group(folder / "zarr2_python", mode="w", zarr_format=2)
    values = np.arange(35).reshape(5, 7)
    compressors = {
        "none": None,
        "zstd": numcodecs.Zstd(level=1),
        "zlib": numcodecs.Zlib(level=1),
        "gzip": numcodecs.GZip(level=1),
        "bz2": numcodecs.BZ2(level=1),
        "blosc": numcodecs.Blosc(cname="lz4", clevel=5, shuffle=1),
    }
    group = root.create_group("compressors")
    for name, compressor in compressors.items():
        group.create_array(name, data=values.astype("<f8"), chunks=(2, 4), compressors=compressor)
    root.create_array("big", data=values.astype(">i4"), chunks=(3, 3), order="F", compressors=None)
    root.create_array("slash", data=values.astype("u1"), chunks=(2, 2), chunk_key_encoding={"name": "v2", "separator": "/"})
    root.create_array("flags", data=values % 2 == 0, chunks=(5, 7))
    sparse = root.create_array("sparse", shape=(9,), chunks=(2,), dtype="float32", fill_value=np.nan)
    sparse[3] = 5
    expected = read(root)
    expected["big"] = expected["big"].astype("<i4")
    write_expected(folder, "zarr2_python", expected)


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    for name in ("zarr3_python", "zarr2_python"):
        shutil.rmtree(folder / name, ignore_errors=True)
    version3(folder)
    version2(folder)


if __name__ == "__main__":
    main()
