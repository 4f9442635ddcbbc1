"""Writes casts.txt: what numpy's and ml_dtypes' astype make of numbers.

Lines, with tabs between:
  refused FROM TO           astype has no such cast
  all FROM TO HASH          of every bit pattern of a type of at most 16 bits, in order
  mixed FROM TO HASH        of the 65,536 patterns that mixed() gives for a wider type
  inputs FROM HEX           chosen values of a wider type
  chosen FROM TO HEX        what becomes of them
HEX is memory, little-endian; HASH is the XXH3-128 of the results' memory, hexadecimal. int2 and int4 are a byte each, which
ml_dtypes keeps as 0..15 and TensorStore and this table as -8..7. Of most floats that uint32 cannot hold numpy makes one thing
or another by where they lie in their array: such inputs are taken as 0, see hold_in_uint32().

The numbers are arithmetic, so there is nothing to license beyond this repository.
Made with CPython 3.11, numpy 2.4.6, ml_dtypes 0.6.0 and xxhash on x86-64: python make.py
"""

import pathlib
import warnings

import ml_dtypes
import numpy as np
import xxhash

warnings.filterwarnings("ignore")  # of what overflows

HERE = pathlib.Path(__file__).parent
NARROW = ["bool", "int2", "int4", "int8", "int16", "uint8", "uint16", "float4_e2m1fn", "float8_e3m4", "float8_e4m3fn",
          "float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float16", "bfloat16"]
WIDE = ["int32", "int64", "uint32", "uint64", "float32", "float64", "complex64", "complex128"]
PARTS = {"complex64": "float32", "complex128": "float64"}
PATTERNS = {"bool": [0, 1], "int2": [0, 1, 0xFE, 0xFF], "int4": [*range(8), *range(0xF8, 0x100)], "float4_e2m1fn": range(16)}
UNSTEADY = ["bfloat16", "float32", "float64", "complex64", "complex128"]
MIXED = 1 << 16


def dtype(name):
    return np.dtype(getattr(ml_dtypes, name, name))


def word(name):
    """The unsigned integer that a number's bits are held in; a complex number is two."""
    return np.dtype(f"u{dtype(PARTS.get(name, name)).itemsize}")


def all_patterns(name):
    size = word(name).itemsize
    return np.array(PATTERNS.get(name, range(256**size)), word(name))


def split_mix(count):
    """SplitMix64 from 0: the words that the test makes too."""
    z = (np.arange(1, count + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def mixed(name):
    """Integers of all sizes; floats of all exponents, every second with few bits, so that many lie between two others."""
    count = MIXED * (2 if name in PARTS else 1)
    bits = split_mix(count)
    index = np.arange(count, dtype=np.uint64)
    if "int" in name:
        width = np.uint64(dtype(name).itemsize * 8)
        return (bits >> (np.uint64(64) - width) >> (index % width)).astype(word(name))
    part = PARTS.get(name, name)
    if part == "float32":
        bits >>= np.uint64(32)
        mantissa = np.uint64(23)
    else:
        # Most of float64's exponents are far from any other type's.
        mantissa = np.uint64(52)
        near = np.uint64(1023 - 160) + bits % np.uint64(320)
        close = (bits & np.uint64(0x800FFFFFFFFFFFFF)) | (near << mantissa)
        bits = np.where(index % np.uint64(4) == 0, bits, close)
    dropped = (index // np.uint64(2)) % mantissa
    few = bits >> dropped << dropped
    return np.where(index % np.uint64(2) == 1, few, bits).astype(word(name))


def chosen_floats():
    tiny = [2.0**-24, 2.0**-25, 1.5 * 2.0**-25, 2.0**-14, 1.5 * 2.0**-7, 2.0**-9, 2.0**-10, 2.0**-17, 2.0**-18, 1e-30, 5e-39, 1e-45]
    # Between two numbers of float16, bfloat16, fp8 and fp4, just above, and again close to float32's own middle.
    ties = [1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-4, 1 + 3 * 2.0**-4, 1 + 2.0**-3, 1 + 2.0**-2,
            1 + 2.0**-11 + 2.0**-40, 1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-4 + 2.0**-40, 1 + 2.0**-3 + 2.0**-40, 1 + 2.0**-5 + 2.0**-40,
            1 + 2.0**-24, 1 + 3 * 2.0**-24, 2.0**-25 * (1 + 2.0**-40), 2.5, 3.5, 5.0]
    large = [6.0, 7.0, 15.5, 15.75, 30.0, 31.0, 240.0, 248.0, 256.0, 448.0, 464.0, 465.0, 480.0, 57344.0, 61440.0, 65504.0, 65519.0,
             65520.0, 3.3895313892515355e38, 3.39e38, 3.4028234663852886e38, 3.4028235677973366e38, 1e39, 1.7976931348623157e308]
    whole = [0.5, 1.0, 1.5, 126.9, 127.0, 128.0, 255.0, 300.0, 32767.0, 32768.0, 65535.0, 65536.0, 2.0**31 - 1, 2.0**31, 2.0**32 - 1,
             2.0**32, 2.0**53, 2.0**63 - 1024, 2.0**63, 2.0**63 + 4096, 2.0**64 - 4096, 2.0**64]
    values = [0.0, *tiny, *ties, *large, *whole, np.inf]
    return [*values, *(-v for v in values)]


def chosen(name):
    if name in PARTS:
        parts = [0.0, -0.0, 1.0, -1.5, 1e-45, 65520.0, 1 + 2.0**-8 + 2.0**-40, 1e39, np.inf, -np.inf, np.nan]
        return np.array([complex(a, b) for a in parts for b in (0.0, -0.0, 2.5, np.nan)], dtype(name)).view(word(name))
    if name == "float32":
        nans = [0x7F800001, 0x7F802000, 0x7FC00000, 0x7FFFFFFF, 0xFF800001, 0xFFC00000, 0xFFFFFFFF, 1, 0x80000001, 0x00400001]
        return np.concatenate([np.unique(np.array(chosen_floats(), "f4").view("u4")), np.array(nans, "u4")])
    if name == "float64":
        nans = [0x7FF0000000000001, 0x7FF0040000000000, 0x7FF0000020000000, 0x7FF8000000000000, 0xFFF0000000000001,
                0xFFF8000000000000, 0xFFFFFFFFFFFFFFFF, 1, 0x8000000000000001]
        return np.concatenate([np.array(chosen_floats(), "f8").view("u8"), np.array(nans, "u8")])
    width = dtype(name).itemsize * 8
    ends = [s + d for s in (0, 1 << 3, 1 << 7, 1 << 8, 1 << 11, 1 << 15, 1 << 16, 1 << 24, 1 << 31, 1 << 32, 1 << 53, 1 << 63, 1 << 64)
            for d in (-1, 0, 1)]
    ties = [257, 259, 65519, 65520, (1 << 24) + (1 << 15) + 1, (1 << 31) + (1 << 23) + 1, (1 << 40) + (1 << 32) + 1, (1 << 62) + (1 << 38) + 1]
    values = {v % (1 << width) for v in [*ends, *ties, *(-v for v in ends)]}
    return np.array(sorted(values), word(name))


def hold_in_uint32(name, bits):
    values = bits.view(dtype(name))
    real = (values.real if name in PARTS else values).astype("f8")
    values = values.copy()
    values[~((real >= -(2.0**31)) & (real < 2.0**32))] = 0
    return values.view(word(name))


def cast(source, target, bits):
    """The results' memory."""
    if target == "uint32" and source in UNSTEADY:
        bits = hold_in_uint32(source, bits)
    result = bits.view(dtype(source)).astype(dtype(target))
    if target in ("int2", "int4"):
        result = result.astype("i1")
    return result.tobytes()


def main():
    with open(HERE / "casts.txt", "w") as out:
        for source in NARROW + WIDE:
            if source in WIDE:
                print("inputs", source, chosen(source).tobytes().hex(), sep="\t", file=out)
            for target in NARROW + WIDE:
                try:
                    np.ones(1, dtype(source)).astype(dtype(target))
                except TypeError:
                    print("refused", source, target, sep="\t", file=out)
                    continue
                many = all_patterns(source) if source in NARROW else mixed(source)
                digest = xxhash.xxh3_128_hexdigest(cast(source, target, many))
                print("all" if source in NARROW else "mixed", source, target, digest, sep="\t", file=out)
                if source in WIDE:
                    print("chosen", source, target, cast(source, target, chosen(source)).hex(), sep="\t", file=out)


if __name__ == "__main__":
    main()
