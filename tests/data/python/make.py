"""Writes repr.txt and json.txt: what CPython makes of strings and of doubles.

repr.txt: a key in UTF-8 as hex, json.dumps(str((key,))). json.txt: a double's bits in hex, json.dumps of it.
Tabs between. Run with CPython 3.11: python make.py
"""

import json
import pathlib
import random
import struct

HERE = pathlib.Path(__file__).parent
random.seed(20240601)

keys = ["", "w", "it's", 'say "hi"', "it's \"hi\"", "back\\slash", "a/b", "a.b", "\n\r\t\0\x7f", "\xa0\xad\xe9",
        "\u0300\u200b\u2028\u3000", "\ud7ff\ufeff\ufffd\uffff", "\U0001f600\U000e0001\U0010ffff", "0", "\u4e2d"]
printable = [c for c in range(0x500) if chr(c).isprintable()]
keys += ["".join(chr(random.choice(printable + list(range(0xB0)) + [0x27, 0x22, 0x5C]))
                 for _ in range(random.randrange(1, 9))) for _ in range(200)]
with open(HERE / "repr.txt", "w") as out:
    for key in keys:
        print(key.encode().hex(), json.dumps(str((key,))), sep="\t", file=out)

doubles = [0.0, -0.0, 1.0, -3.0, 0.1, 1e15, 1e16, 1e17, 1e22, 1e-4, 1e-5, 5e-324, 1.7976931348623157e308,
           float("nan"), float("inf"), float("-inf"), 123456789.123456789, 2.0**53, 2.0**63]
doubles += [random.uniform(-1, 1) * 10.0 ** random.randrange(-20, 25) for _ in range(200)]
doubles += [struct.unpack("<d", random.randbytes(8))[0] for _ in range(300)]
with open(HERE / "json.txt", "w") as out:
    for double in doubles:
        bits = struct.pack(">d", double).hex()
        print(bits, json.dumps(double), sep="\t", file=out)
