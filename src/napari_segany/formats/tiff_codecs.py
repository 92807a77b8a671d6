"""What a TIFF is compressed with, and whether tifffile decodes that here. Knows no pixels.

Without the library imagecodecs (extra `tiff`) tifffile decodes what Python's standard library does: nothing, Deflate,
LZMA, PackBits. Pillow decodes LZW, JPEG and some others, whole files only.
"""

from __future__ import annotations

from importlib.util import find_spec

import tifffile

_ZSTD = (34926, 50000)  # tifffile says that it decodes them, and then asks for a module of Python 3.14
_REMEDY = '`pip install "napari-segany[tiff]"`'


class CodecMissingError(ValueError):
    """A TIFF whose compression nothing that is installed decodes."""


class ReadAsWholeWarning(RuntimeWarning):
    """A large TIFF that is read as a whole, for want of a library that decodes its tiles."""


def missing_codec(page: tifffile.TiffPage | tifffile.TiffFrame) -> str | None:
    """Return the compression or predictor of a page that tifffile does not decode here; None if it does."""
    asked = (page.compression, tifffile.TIFF.DECOMPRESSORS), (page.predictor, tifffile.TIFF.UNPREDICTORS)
    for number, decoders in asked:
        try:
            decoders[number]
        except (KeyError, ImportError):
            return str(getattr(number, "name", f"number {number}"))
    has_zstd = find_spec("imagecodecs") is not None or find_spec("compression") is not None
    return "ZSTD" if page.compression in _ZSTD and not has_zstd else None


def codec_missing(name: str, codec: str) -> CodecMissingError:
    """Return the error of a file that cannot be read, with the remedy."""
    return CodecMissingError(f"{name} is compressed with {codec}, which nothing here reads; {_REMEDY} does")


def read_as_whole(name: str, codec: str) -> ReadAsWholeWarning:
    """Return the warning of a large file whose tiles cannot be read one by one, with the remedy."""
    return ReadAsWholeWarning(
        f"{name} is compressed with {codec} and is read as a whole; with {_REMEDY} only the parts that are needed are"
    )
