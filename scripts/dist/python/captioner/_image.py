"""Images as the bytes of files, which captioner reads: paths, images of Pillow, arrays, and bytes that are files."""

from __future__ import annotations

import io
import os
import struct
import zlib
from typing import Any, Union

# What PNG holds as it is, by Pillow's names of modes. captioner scales some of these before it makes RGB of them, as
# clip-text-decoder does, so they are not converted here.
_PNG_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I", "I;16")
_TIFF_MODES = ("CMYK",)


def encode(image: Any) -> bytes:
    """The bytes of an image file.

    ``image`` is a path, an image of Pillow, an array of shape [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] of uint8, or
    the bytes of a file.
    """
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if isinstance(image, (str, os.PathLike)):
        with open(image, "rb") as f:
            return f.read()
    if hasattr(image, "save") and hasattr(image, "mode"):
        return _pillow(image)
    if hasattr(image, "__array_interface__") or hasattr(image, "__array__"):
        return _array(image)
    raise TypeError(f"image is {type(image).__name__}, want a path, an image of Pillow, an array or bytes")


def _pillow(image: Any) -> bytes:
    out = io.BytesIO()
    if image.mode in _TIFF_MODES:
        image.save(out, "TIFF")
    else:
        if image.mode not in _PNG_MODES:
            image = image.convert("RGB")
        image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _array(array: Any) -> bytes:
    import numpy

    a = numpy.asarray(array)
    shape = f"shape {list(a.shape)} of {a.dtype}"
    if a.ndim == 2:
        a = a[:, :, None]
    if a.ndim != 3 or a.shape[2] not in (1, 3, 4) or a.dtype != numpy.uint8 or 0 in a.shape:
        raise ValueError(f"array has {shape}, want [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] of uint8")
    height, width, channels = a.shape
    rows = numpy.zeros((height, 1 + width * channels), numpy.uint8)  # each begins with its filter, none
    rows[:, 1:] = a.reshape(height, -1)
    return _png(width, height, {1: 0, 3: 2, 4: 6}[channels], rows.tobytes())


def _png(width: int, height: int, kind: int, rows: bytes) -> bytes:
    """A PNG file of 8 bits a channel; kind is its color type."""

    def chunk(name: bytes, data: Union[bytes, bytearray]) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
