"""Writes tensorstore_v2.txt: .zarray as TensorStore writes it, for every data type and many fill values.

A line is: data type, the fill value's element in hex ("null" for none), .zarray; tabs between. Run with TensorStore
0.1.86: python make_v2.py > tensorstore_v2.txt
"""

import base64

import tensorstore as ts

INTEGERS = {
    "|i1": [0, 127, -128], "|u1": [0, 255], "<i2": [-32768], "<u2": [65535], "<i4": [2**31 - 1], "<u4": [2**32 - 1],
    "<i8": [2**63 - 1, -(2**63)], "<u8": [0, 2**64 - 1], "int2": [0, 1, -2], "int4": [0, 7, -8],
}
FLOATS = [0.0, -0.0, 1.0, 0.1, -1.5, 6.5, 1e-5, 1e15, 1e20, "1.5", "NaN", "Infinity", "-Infinity"]
FLOAT_TYPES = ["float8_e3m4", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2", "float8_e5m2fnuz",
               "bfloat16", "<f2", "<f4", "<f8"]


def line(dtype, fill, compressor=None, order="C", separator=".", shape=(5, 3), chunks=(2, 3)):
    metadata = {"dtype": dtype, "fill_value": fill, "compressor": compressor, "order": order, "shape": list(shape),
                "chunks": list(chunks), "filters": None, "dimension_separator": separator}
    context = ts.Context()
    store = ts.open({"driver": "zarr", "kvstore": "memory://", "metadata": metadata, "create": True}, context=context).result()
    text = ts.KvStore.open("memory://", context=context).result().read(".zarray").result().value.decode()
    array = store.read().result()
    size = array.dtype.itemsize
    element = "null" if fill is None else (array.tobytes()[:size] or bytes(size)).hex()
    print(store.dtype.name, element, text, sep="\t")


for fill in [None, False, True]:
    line("|b1", fill)
for dtype, values in INTEGERS.items():
    for fill in [None] + values:
        line(dtype, fill)
for dtype in FLOAT_TYPES:
    for fill in [None] + FLOATS:
        line(dtype, fill)
for fill in [None, "NaN", 0.0]:
    line("float8_e8m0fnu", fill)
for byte in [0, 1, 7, 8, 15]:
    line("float4_e2m1fn", base64.b64encode(bytes([byte])).decode())
line("float4_e2m1fn", None)
for dtype in ["<c8", "<c16"]:
    for fill in [None, [0, 0], [0.1, "NaN"], ["-Infinity", 1e15]]:
        line(dtype, fill)
line("<c8", base64.b64encode(bytes([0, 0, 192, 63, 0, 0, 0, 192])).decode())
for compressor in [{"id": "zstd"}, {"id": "zstd", "level": -3}, {"id": "zlib"}, {"id": "gzip", "level": 9}, {"id": "bz2", "level": 2},
                   {"id": "blosc", "shuffle": 1}, {"id": "blosc", "shuffle": 0, "cname": "zstd", "clevel": 9, "blocksize": 4096}]:
    line("<f4", None, compressor)
line("<f4", None, None, "F", "/")
line("<f4", 0, None, shape=(0, 4), chunks=(1, 4))
