"""Photo files that no library at hand writes, byte by byte."""

import struct
import zlib

import cv2
import numpy as np


def heic(width: int = 64, height: int = 48) -> bytes:
    """A HEIC file with the header of one HEVC image, without its pixels."""

    def box(kind: bytes, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return struct.pack(">I4s", 8 + len(body), kind) + body

    def full(kind: bytes, *parts: bytes, version: int = 0) -> bytes:
        return box(kind, struct.pack(">I", version << 24), *parts)

    def meta(at: int) -> bytes:
        item = full(b"infe", struct.pack(">HH4s", 1, 0, b"hvc1"), b"\0", version=2)
        configured = bytes.fromhex("0101600000009000000000005df000fcfdf8f800000f00")
        properties = box(
            b"ipco",
            box(b"hvcC", configured),
            full(b"ispe", struct.pack(">II", width, height)),
        )
        return full(
            b"meta",
            full(b"hdlr", bytes(4), b"pict", bytes(13)),
            full(b"pitm", struct.pack(">H", 1)),
            full(b"iinf", struct.pack(">H", 1), item),
            full(b"iloc", struct.pack(">BBHHHHII", 0x44, 0, 1, 1, 0, 1, at, 16)),
            box(b"iprp", properties, full(b"ipma", struct.pack(">IHB", 1, 1, 2), b"\x81\x02")),
        )

    kind = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    return kind + meta(len(kind) + len(meta(0)) + 8) + box(b"mdat", bytes(16))


def ycbcr_tiff(rgb: np.ndarray, subsampling: int) -> bytes:
    """RGB (H, W, 3) as an uncompressed TIFF of YCbCr; ``subsampling`` is 1 or 2."""
    height, width = rgb.shape[:2]
    luma, red, blue = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb))
    step = subsampling
    pixels = b"".join(
        luma[top : top + step, left : left + step].tobytes()
        + bytes([blue[top, left], red[top, left]])
        for top in range(0, height, step)
        for left in range(0, width, step)
    )
    tags = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [8, 8, 8]),
        259: (3, [1]),
        262: (3, [6]),
        273: (4, [0]),
        277: (3, [3]),
        278: (4, [height]),
        279: (4, [len(pixels)]),
        529: (5, [299, 1000, 587, 1000, 114, 1000]),
        530: (3, [step, step]),
        531: (3, [1]),
        532: (5, [0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1]),
    }
    return tiff_of(tags, pixels)


def tiff_of(tags: dict[int, tuple[int, list[int]]], pixels: bytes) -> bytes:
    """A TIFF of one image in one strip: type and values of each tag; 273 is set here."""
    entries, beside = b"", b""
    start = 8 + 2 + 12 * len(tags) + 4
    end = start + sum(
        len(packed) for kind, values in tags.values() if len(packed := _packed(kind, values)) > 4
    )
    for tag, (kind, values) in sorted(tags.items()):
        packed = _packed(kind, [end] if tag == 273 else values)
        count = len(values) // 2 if kind == 5 else len(values)
        if len(packed) > 4:
            beside += packed
            packed = struct.pack("<I", start + len(beside) - len(packed))
        entries += struct.pack("<HHI", tag, kind, count) + packed.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + entries + bytes(4) + beside + pixels


def _packed(kind: int, values: list[int]) -> bytes:
    return struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)


def jpeg_of_planes(*planes: np.ndarray) -> bytes:
    """A JPEG of any number of components without colours, grey (H, W) each, one after the other."""
    parts = [cv2.imencode(".jpg", plane, [cv2.IMWRITE_JPEG_QUALITY, 100])[1] for plane in planes]
    parts = [part.tobytes() for part in parts]
    content, at = b"\xff\xd8", 2
    while (marker := parts[0][at + 1]) != 0xDA:
        segment = parts[0][at : at + 2 + int.from_bytes(parts[0][at + 2 : at + 4], "big")]
        at += len(segment)
        if marker == 0xC0:
            kinds = b"".join(bytes([index + 1, 0x11, 0]) for index in range(len(planes)))
            body = segment[4:9] + bytes([len(planes)]) + kinds
            segment = b"\xff\xc0" + (len(body) + 2).to_bytes(2, "big") + body
        content += b"" if marker == 0xE0 else segment
    for index, part in enumerate(parts):
        scan = part[part.index(b"\xff\xda") + 10 : -2]
        content += b"\xff\xda\x00\x08\x01" + bytes([index + 1, 0, 0, 63, 0]) + scan
    return content + b"\xff\xd9"


def packed_tiff(values: np.ndarray, bits: int) -> bytes:
    """Grey (H, W) or RGB (H, W, 3) as an uncompressed TIFF of 10, 12 or 14 bits, without gaps."""
    height, width = values.shape[:2]
    samples = values.size // (height * width)
    ones = values.reshape(height, -1, 1) >> np.arange(bits - 1, -1, -1) & 1
    pixels = np.packbits(ones.astype(np.uint8).reshape(height, -1), axis=1).tobytes()
    tags = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * samples),
        259: (3, [1]),
        262: (3, [2 if samples == 3 else 1]),
        273: (4, [0]),
        277: (3, [samples]),
        278: (4, [height]),
        279: (4, [len(pixels)]),
    }
    return tiff_of(tags, pixels)


def with_chunk(png: bytes, name: bytes, content: bytes) -> bytes:
    """A PNG with one chunk more, after its header."""
    chunk = name + content
    checked = struct.pack(">I", len(content)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:33] + checked + png[33:]
