"""Writes tensorstore.txt: zarr.json as TensorStore writes it, for every data type and many fill values.

A line is: data type, the fill value's element in hex, zarr.json; tabs between. Run with TensorStore 0.1.86:
python make.py > tensorstore.txt
"""

import tensorstore as ts

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
CRC32C = {"name": "crc32c"}
INTEGERS = {
    "int2": [0, 1, -2],
    "int4": [0, 7, -8],
    "int8": [0, 127, -128],
    "int16": [0, 32767, -32768],
    "int32": [0, 2**31 - 1, -(2**31)],
    "int64": [0, 2**63 - 1, -(2**63)],
    "uint8": [0, 255],
    "uint16": [0, 65535],
    "uint32": [0, 2**32 - 1],
    "uint64": [0, 2**63, 2**64 - 1],
}
FLOATS = [
    0.0, -0.0, 1.0, 0.1, -1.5, 3.0, 6.5, 100.0, 1e-3, 1e-4, 1e-5, 1e-30, 464.0, 465.0, 65519.0, 65520.0,
    1e6, 1e15, 123456789012345.6, 1234567890123456.7, 1e16, 1e20, 1.5e300, -1e300, 5e-324,
    "NaN", "Infinity", "-Infinity",
]
HEX = {
    "float8_e3m4": ["0x79", "0xf8"], "float8_e4m3fn": ["0xff"], "float8_e5m2": ["0x7d", "0xfe"],
    "float8_e8m0fnu": ["0x00"],
    "float16": ["0x7e01", "0xfe00", "0x1"], "bfloat16": ["0x7fc1", "0xffc0"],
    "float32": ["0x7fc00001", "0xffc00000", "0x00000001"],
    "float64": ["0x7ff8000000000001", "0xfff8000000000000", "0x0000000000000001"],
}
SMALL = ["float4_e2m1fn", "float8_e3m4", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz",
         "float8_e5m2", "float8_e5m2fnuz", "float16", "bfloat16"]


def line(dtype, fill, shape=(5, 3), chunk=(2, 3), codecs=(BYTES, CRC32C), separator=None):
    metadata = {
        "data_type": dtype,
        "shape": list(shape),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "codecs": list(codecs),
        "fill_value": fill,
    }
    if separator:
        metadata["chunk_key_encoding"] = {"name": "default", "configuration": {"separator": separator}}
    context = ts.Context()
    array = ts.open({"driver": "zarr3", "kvstore": "memory://", "metadata": metadata, "create": True},
                    context=context).result()
    text = ts.KvStore.open("memory://", context=context).result().read("zarr.json").result().value.decode()
    size = array.dtype.numpy_dtype.itemsize
    element = array.read().result().tobytes()[:size] or bytes(size)
    print(dtype, element.hex(), text, sep="\t")


for value in [False, True]:
    line("bool", value)
for dtype, values in INTEGERS.items():
    for value in values:
        line(dtype, value)
for dtype in SMALL + ["float32", "float64"]:
    for value in FLOATS + HEX.get(dtype, []):
        line(dtype, value)
for value in [0.0, "NaN"]:
    line("float8_e8m0fnu", value)
for dtype in ["complex64", "complex128"]:
    for value in [[0, 0], [0.1, "NaN"], ["-Infinity", 1e15]]:
        line(dtype, value)
line("float32", 0, shape=(), chunk=())
line("float32", 0, shape=(0, 4), chunk=(1, 4))
line("float32", 0, codecs=(BYTES,))
line("int8", 0, codecs=(BYTES, CRC32C, CRC32C))
line("float32", 0, separator=".")
