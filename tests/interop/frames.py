"""Which of auto's encoders made a Blosc frame: codecs/blosc_format.md has the bytes."""

from __future__ import annotations

import struct

STORED, PLANES, MATCHES = "stored", "planes", "matches"
FLAG_STORED, FLAG_NO_SPLIT, CODEC_SHIFT, CODEC_ZSTD = 0x02, 0x10, 5, 4
ZSTD_MAGIC, SINGLE_SEGMENT = 0xFD2FB528, 0x20
BLOCK_COMPRESSED, LITERALS_CODED = 2, (2, 3)


def has_literals_alone(stream: bytes) -> bool:
    """Every block of the zstd frame that is coded has literals and no sequence, which is what a match is."""
    magic, descriptor = struct.unpack_from("<IB", stream)
    if magic != ZSTD_MAGIC or not descriptor & SINGLE_SEGMENT:
        raise AssertionError(f"no zstd frame of one segment: {stream[:8].hex()}")
    at = 5 + (1, 2, 4, 8)[descriptor >> 6]
    last = 0
    while not last:
        header = int.from_bytes(stream[at : at + 3], "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        at += 3
        if kind == BLOCK_COMPRESSED:
            bits = (10, 10, 14, 18)[stream[at] >> 2 & 3]
            length = (4 + 2 * bits) // 8
            coded = int.from_bytes(stream[at : at + length], "little") >> (4 + bits)
            if stream[at] & 3 not in LITERALS_CODED or size != length + coded + 1 or stream[at + length + coded] != 0:
                return False
        at += 1 if kind == 1 else size
    return True


def kind_of(chunk: bytes) -> str:
    """Of the frame that the chunk begins with. PLANES: some streams are coded, and those of literals alone."""
    _, _, flags, typesize, content, blocksize, size = struct.unpack_from("<BBBBIII", chunk)
    if flags & FLAG_STORED:
        return STORED
    if flags >> CODEC_SHIFT != CODEC_ZSTD or size > len(chunk) or size >= content:
        raise AssertionError(f"flags {flags:#x}, {size} bytes in a chunk of {len(chunk)} for {content}")
    count = -(-content // blocksize)
    coded, literals = 0, True
    for i, start in enumerate(struct.unpack_from(f"<{count}I", chunk, 16)):
        bytes_of_block = min(blocksize, content - i * blocksize)
        split = not flags & FLAG_NO_SPLIT and typesize <= 16 and bytes_of_block == blocksize
        streams = typesize if split else 1
        for _ in range(streams):
            length = struct.unpack_from("<I", chunk, start)[0]
            start += 4
            if length < bytes_of_block // streams:
                coded += 1
                literals = literals and has_literals_alone(chunk[start : start + length])
            start += length
    return PLANES if coded > 0 and literals else MATCHES
