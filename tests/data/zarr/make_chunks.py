"""Writes chunks.txt: small arrays as TensorStore and zarr-python store them.

A line is: a name (it begins with the writer), zarr.json or .zarray, the array's elements in hex (C order,
little-endian), and then the key and the bytes in hex of every chunk; tabs between. Run with TensorStore 0.1.86,
zarr 3.1.6, numcodecs 0.16.6 and ml_dtypes 0.6.0: python make_chunks.py > chunks.txt
"""

import json
import warnings

import ml_dtypes
import numpy as np
import tensorstore as ts
import zarr
import zarr.codecs as zc
import numcodecs

warnings.simplefilter("ignore")
random = np.random.default_rng(20240601)

PLAIN = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
         "complex64", "complex128"]
OTHERS = ["int2", "int4", "float4_e2m1fn", "float8_e3m4", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz",
          "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "bfloat16"]


def values(dtype, shape):
    """Any bits that are an element of the type."""
    size = np.dtype(dtype).itemsize
    bits = random.integers(0, 256, (int(np.prod(shape)), size), dtype=np.uint8)
    if dtype == "bool":
        bits &= 1
    if dtype == "float4_e2m1fn":
        bits &= 15
    if dtype in ("int2", "int4"):
        width = int(dtype[3:])
        bits = ((bits.view(np.int8) << (8 - width)) >> (8 - width)).view(np.uint8)
    return bits.reshape(-1).view(dtype).reshape(shape)


def smooth(dtype, shape):
    """Elements that every compressor finds something in."""
    return (np.arange(np.prod(shape)) // 7 % 50).astype(dtype).reshape(shape)


def line(name, file, entries, array):
    array = np.asarray(array)
    assert array.dtype.byteorder != ">"
    text = entries.pop(file).decode()
    if name.startswith("zarr-python"):
        text = json.dumps(json.loads(text), separators=(",", ":"))
    cells = [name, text, array.tobytes().hex()]
    for key in sorted(entries):
        cells += [key, entries[key].hex()]
    print("\t".join(cells))


def by_tensorstore(name, driver, metadata, array, part=Ellipsis):
    context = ts.Context()
    spec = {"driver": driver, "kvstore": "memory://", "metadata": metadata, "create": True,
            "store_data_equal_to_fill_value": True}
    store = ts.open(spec, context=context).result()
    store[part].write(array[part]).result()
    kvstore = ts.KvStore.open("memory://", context=context).result()
    entries = {key.decode(): bytes(kvstore.read(key).result().value) for key in kvstore.list().result()}
    line("tensorstore " + name, "zarr.json" if driver == "zarr3" else ".zarray", entries, store.read().result())


def by_zarr(name, array, **options):
    store = zarr.storage.MemoryStore()
    made = zarr.create_array(store, shape=array.shape, dtype=array.dtype, **options)
    made[...] = array
    entries = {key: value.to_bytes() for key, value in store._store_dict.items() if key != ".zattrs"}
    file = "zarr.json" if "zarr.json" in entries else ".zarray"
    line("zarr-python " + name, file, entries, made[...].astype(array.dtype.newbyteorder("<")))


# ---- TensorStore's metadata ----

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}
CRC32C = {"name": "crc32c"}
ZSTD = {"name": "zstd", "configuration": {"level": 3}}
ZSTD_CHECKED = {"name": "zstd", "configuration": {"level": -5, "checksum": True}}
GZIP = {"name": "gzip", "configuration": {"level": 6}}


def transpose(*order):
    return {"name": "transpose", "configuration": {"order": list(order)}}


def blosc(cname, shuffle, level=5, typesize=2, blocksize=0):
    return {"name": "blosc", "configuration": {"cname": cname, "clevel": level, "shuffle": shuffle, "typesize": typesize,
                                               "blocksize": blocksize}}


def shards(chunk, codecs, index=(BYTES, CRC32C), location=None):
    configuration = {"chunk_shape": list(chunk), "codecs": list(codecs), "index_codecs": list(index)}
    if location:
        configuration["index_location"] = location
    return {"name": "sharding_indexed", "configuration": configuration}


def v3(name, array, chunk, codecs, fill=0, keys=None, part=Ellipsis):
    metadata = {"data_type": array.dtype.name, "shape": list(array.shape), "codecs": list(codecs), "fill_value": fill,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}}}
    if keys:
        metadata["chunk_key_encoding"] = keys
    by_tensorstore("v3 " + name, "zarr3", metadata, array, part)


def v2(name, array, chunk, dtype, compressor=None, order="C", separator=".", fill=None, part=Ellipsis):
    metadata = {"shape": list(array.shape), "chunks": list(chunk), "dtype": dtype, "compressor": compressor, "order": order,
                "filters": None, "fill_value": fill, "dimension_separator": separator}
    by_tensorstore("v2 " + name, "zarr", metadata, array, part)


# ---- every type, in both formats ----

for dtype in PLAIN + OTHERS:
    array = values(dtype, (5, 3))
    fill = False if dtype == "bool" else [0, 0] if dtype.startswith("complex") else 0
    v3(f"{dtype} crc32c", array, (2, 3), [BYTES, CRC32C], fill)
    v3(f"{dtype} shards", array, (4, 4), [shards((2, 2), [transpose(1, 0), BYTES, ZSTD, CRC32C])], fill)
    v2_dtype = dtype if dtype in OTHERS else array.dtype.str
    v2(f"{dtype} zstd", array, (2, 2), v2_dtype, {"id": "zstd", "level": 1})
    v2(f"{dtype} F", array, (3, 2), v2_dtype, None, "F", "/")
for dtype in PLAIN[2:5] + PLAIN[6:]:
    array = values(dtype, (3, 4))
    fill = [0, 0] if dtype.startswith("complex") else 0
    v3(f"{dtype} big", array, (2, 4), [BIG, CRC32C], fill)
    v2(f"{dtype} big", array, (3, 4), ">" + array.dtype.str[1:], {"id": "zlib", "level": 1}, "F")
    by_zarr(f"v2 {dtype} big", array.astype(array.dtype.newbyteorder(">")), chunks=(2, 3), zarr_format=2,
            compressors=None, order="C")
for dtype in PLAIN:
    by_zarr(f"v2 {dtype}", values(dtype, (3, 5)), chunks=(2, 3), zarr_format=2)
    by_zarr(f"v3 {dtype}", values(dtype, (3, 5)), chunks=(2, 3), zarr_format=3)

# ---- every codec ----

array = smooth("int16", (16, 16))
for compressor in [{"id": "zstd", "level": 22}, {"id": "zlib", "level": 9}, {"id": "gzip", "level": 0}, {"id": "bz2", "level": 9}]:
    v2("codec " + compressor["id"], array, (16, 16), "<i2", compressor)
for cname in ["blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"]:
    for shuffle, text in enumerate(["noshuffle", "shuffle", "bitshuffle"]):
        compressor = {"id": "blosc", "cname": cname, "clevel": 5, "shuffle": shuffle, "blocksize": 0}
        v2(f"codec blosc {cname} {text}", array, (16, 16), "<i2", compressor)
        v3(f"codec blosc {cname} {text}", array, (16, 16), [BYTES, blosc(cname, text)])
        if cname != "snappy":  # numcodecs is built without it
            by_zarr(f"v2 codec blosc {cname} {text}", array, chunks=(16, 16), zarr_format=2,
                    compressors=numcodecs.Blosc(cname, 5, shuffle))
v3("codec blosc level 0", array, (16, 16), [BYTES, blosc("zstd", "shuffle", 0)])
v3("codec blosc blocks", array, (16, 16), [BYTES, blosc("lz4", "shuffle", 9, 2, 128)])
for compressor in [numcodecs.Zstd(5, True), numcodecs.Zlib(3), numcodecs.GZip(3), numcodecs.BZ2(3)]:
    by_zarr(f"v2 codec {compressor.codec_id}", array, chunks=(8, 16), zarr_format=2, compressors=compressor)
v3("codec zstd", array, (16, 16), [BYTES, ZSTD])
v3("codec zstd checked", array, (16, 16), [BYTES, ZSTD_CHECKED])
v3("codec gzip", array, (16, 16), [BYTES, GZIP])
v3("codecs in a row", array, (16, 16), [BYTES, CRC32C, ZSTD, GZIP, CRC32C, blosc("lz4", "noshuffle"), CRC32C])
v3("crc32c inside", array, (16, 16), [BYTES, CRC32C, CRC32C, ZSTD])
by_zarr("v3 codec gzip", array, chunks=(8, 8), zarr_format=3, compressors=zc.GzipCodec(level=2))
by_zarr("v3 codec blosc", array, chunks=(8, 8), zarr_format=3, compressors=zc.BloscCodec(cname="zstd", clevel=3))
by_zarr("v3 shards", array, chunks=(4, 8), shards=(8, 16), zarr_format=3,
        filters=[zc.TransposeCodec(order=(1, 0))], compressors=[zc.ZstdCodec(level=3, checksum=True), zc.Crc32cCodec()])

# ---- axes, keys, missing chunks, shards ----

cube = smooth("uint16", (4, 3, 5))
for order in [(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]:
    v3(f"transpose {order}", cube, (2, 3, 5), [transpose(*order), BYTES])
v3("transposes in a row", cube, (2, 3, 5), [transpose(1, 2, 0), transpose(2, 1, 0), BYTES, GZIP])
v3("transpose to shards", cube, (4, 3, 5), [transpose(2, 0, 1), shards((1, 2, 3), [transpose(0, 2, 1), BYTES])])
v2("F cube", cube, (2, 2, 5), "<u2", {"id": "zstd", "level": 1}, "F")
scalar = values("float64", ())
v3("scalar", scalar, (), [BYTES])
v3("scalar v2 keys", scalar, (), [BYTES], keys={"name": "v2"})
v3("scalar shards", scalar, (), [shards((), [BYTES, ZSTD])])
v2("scalar", scalar, (), "<f8")
v3("empty", smooth("int8", (0, 3)), (1, 3), [BYTES])
for keys in [{"name": "v2"}, {"name": "v2", "configuration": {"separator": "/"}},
             {"name": "default", "configuration": {"separator": "."}}]:
    v3(f"keys {keys}", array, (16, 8), [BYTES], keys=keys)
v3("missing chunks", values("float32", (6, 4)), (2, 4), [BYTES], "0x7fc00001", part=slice(2, 4))
v2("missing chunks", values("float32", (6, 4)), (2, 4), "<f4", None, fill="-Infinity", part=slice(2, 4))
v2("missing chunks null", values("float32", (6, 4)), (2, 4), "<f4", None, part=slice(2, 4))
v3("missing cells", smooth("int32", (8, 4)), (8, 4), [shards((2, 2), [BYTES])], -7, part=slice(2, 4))
v3("index at start", array, (8, 16), [shards((4, 4), [BYTES, GZIP], location="start")])
v3("index big", array, (8, 16), [shards((4, 8), [BIG], [BIG, CRC32C, CRC32C])])
v3("index unchecked", array, (8, 16), [shards((2, 16), [BYTES], [BYTES], "start")])
v3("shards in shards", array, (16, 16), [shards((8, 16), [shards((4, 8), [BYTES, CRC32C], location="start")])])
v3("one cell", array, (16, 8), [shards((16, 8), [BYTES, ZSTD])])
