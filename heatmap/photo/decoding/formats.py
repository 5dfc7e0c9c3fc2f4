"""The formats of files: which are read and by what, and what the others are called.

Files are recognised by their first bytes, whatever their names; formats without a signature by
their suffix. This table is the only place that knows formats.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

# How much of a file tells its format: DICOM's signature stands at 128, SVG after a comment.
HEAD_BYTES = 4096

FailOn = Literal["none", "error"]


@dataclass(frozen=True)
class Format:
    """A format that is read.

    Attributes:
        name: what it is called.
        signature: matches the first bytes of its files.
        suffixes: the usual ends of names.
        loader: the operation of libvips that reads it; "" is OpenCV.
        by_rows: whether rows are decoded one after the other, in memory for a few of them; the
            decoders of the others hold the whole image.
        intact: what libvips is told to fail on, so that no damage passes for a photo.
        mends: whether a damaged file can be read as far as it goes.
        most_px_per_byte: the most pixels that a byte of such a file can stand for.
    """

    name: str
    signature: re.Pattern[bytes]
    suffixes: str
    loader: str = ""
    by_rows: bool = False
    intact: FailOn = "error"
    mends: bool = False
    most_px_per_byte: int = 0


@dataclass(frozen=True)
class Unread:
    """A format that is known but not read: what it is, and the way out.

    Attributes:
        name: what it is, "a PDF document".
        way: what the user can do.
        signature: matches the first bytes of its files; None where only the suffix tells.
        suffixes: the usual ends of names.
        is_photo: whether such files are photos: then a folder's are told as failed, not left out.
    """

    name: str
    way: str
    signature: re.Pattern[bytes] | None = None
    suffixes: str = ""
    is_photo: bool = False


def _starts(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


# Blocks of 8 x 8 px take two codes of at least one bit each in a JPEG: 256 px a byte. Deflate
# packs at most 1032 bytes into one: 8256 px of one bit. TIFF is bounded alike: its fax codes pack
# blank pages better, but not of a size at which the bound counts (:mod:`limits`).
FORMATS = (
    Format(
        "JPEG",
        _starts(rb"\xff\xd8\xff"),
        ".jpg .jpeg .jpe .jfif .mpo",
        "jpegload_source",
        by_rows=True,
        mends=True,
        most_px_per_byte=256,
    ),
    Format(
        "PNG",
        _starts(rb"\x89PNG\r\n\x1a\n"),
        ".png .apng",
        "pngload_source",
        by_rows=True,
        mends=True,
        most_px_per_byte=8256,
    ),
    Format(
        "TIFF",
        _starts(rb"II[*+]\0|MM\0[*+]"),
        ".tif .tiff .btf .tf8 .svs",
        "tiffload_source",
        by_rows=True,
        # Sparse files are whole; what cannot be read is known by its messages.
        intact="none",
        mends=True,
        most_px_per_byte=8256,
    ),
    Format("WebP", _starts(rb"RIFF....WEBP"), ".webp", "webpload_source"),
    Format("GIF", _starts(rb"GIF8[79]a"), ".gif", "gifload_source"),
    Format(
        "HEIF",
        _starts(rb"....ftyp(heic|heix|hei[ms]|hev[cxms]|mif1|mif2|msf1|miaf|avif|avis)"),
        ".heic .heif .hif .avif",
        "heifload_source",
    ),
    Format("BMP", _starts(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"), ".bmp .dib"),
    Format("PNM", _starts(rb"P[1-6]\s"), ".ppm .pgm .pbm .pnm"),
    Format(
        "JPEG 2000",
        _starts(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
        ".jp2 .j2k .j2c .jpc .jpf",
    ),
)
BY_NAME = {form.name: form for form in FORMATS}

_CONVERT = "convert it to JPEG, PNG or TIFF"
_DEVELOP = "develop it to JPEG or TIFF"
_FRAMES = "save a frame of it as JPEG or PNG"

UNREAD = (
    # Before TIFF and HEIF, of which these are kinds.
    Unread(
        "camera raw",
        _DEVELOP,
        _starts(
            rb"II\*\0.{4}CR|....ftypcrx |IIRO|IIRS|MMOR|IIU\0|FUJIFILMCCD-RAW|FOVb|\0MRM"
            rb"|.{6}HEAPCCDR"
        ),
        ".cr2 .cr3 .crw .orf .rw2 .raf .x3f .mrw",
        is_photo=True,
    ),
    Unread("JPEG XL", _CONVERT, _starts(rb"\xff\n|\0\0\0\x0cJXL \r\n\x87\n"), ".jxl", True),
    Unread("JPEG XR", _CONVERT, _starts(rb"II\xbc"), ".jxr .wdp .hdp", True),
    Unread("a Photoshop document", _CONVERT, _starts(rb"8BPS"), ".psd .psb", True),
    Unread("a GIMP document", _CONVERT, _starts(rb"gimp xcf"), ".xcf", True),
    Unread("OpenEXR", _CONVERT, _starts(rb"v/1\x01"), ".exr", True),
    Unread("Radiance HDR", _CONVERT, _starts(rb"#\?(RADIANCE|RGBE)"), ".hdr .rgbe", True),
    Unread("PAM or PFM", _CONVERT, _starts(rb"P[7Ff]\s"), ".pam .pfm", True),
    Unread("FITS", _CONVERT, _starts(rb"SIMPLE  ="), ".fits .fit .fts", True),
    Unread("DICOM", _CONVERT, _starts(rb".{128}DICM"), ".dcm .dicom", True),
    Unread("an icon", _CONVERT, _starts(rb"\0\0[\x01\x02]\0[^\0]\0"), ".ico .cur"),
    Unread("DDS", _CONVERT, _starts(rb"DDS "), ".dds", True),
    Unread("HDF5 or NetCDF", "save it as TIFF", _starts(rb"\x89HDF\r\n|CDF[\x01-\x05]")),
    Unread("a PDF document", "save its photo as JPEG", _starts(rb"%PDF"), ".pdf"),
    Unread("an EPS document", _CONVERT, _starts(rb"%!PS|\xc5\xd0\xd3\xc6"), ".eps .ps"),
    Unread(
        "a video",
        _FRAMES,
        _starts(
            rb"....ftyp(isom|iso[2-9]|mp4[12]|M4V |qt  |3g|avc1|dash|MSNV|f4v )"
            rb"|....(moov|mdat|wide)|\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01[\xba\xb3]|FLV\x01"
            rb"|0&\xb2u\x8ef\xcf\x11|OggS"
        ),
        ".mp4 .mov .m4v .avi .mkv .webm .mpg .mpeg .wmv .flv .3gp .mts .m2ts",
    ),
    Unread("an archive", "unpack it", _starts(rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!"), ".zip .gz"),
    Unread("XMP metadata", "give the photo that it belongs to", _starts(rb"\s*<(\?xpacket|x:xmp)")),
    Unread("an SVG drawing", _CONVERT, _starts(rb"\s*(<\?xml.*|<!--.*|<!DOCTYPE.*)?<svg"), ".svg"),
    Unread("a web page", "fetch the photo itself", _starts(rb"(?i)\s*(<!doctype html|<html)")),
    Unread("a Git LFS pointer", "fetch the photo itself", _starts(rb"version https://git-lfs")),
)
# Formats that begin as TIFF, or with nothing of their own.
_BY_SUFFIX = (
    Unread(
        "camera raw",
        _DEVELOP,
        suffixes=".arw .srf .sr2 .pef .srw .3fr .erf .kdc .dcr .mos .iiq .rwl .nrw",
        is_photo=True,
    ),
    Unread("TGA", _CONVERT, suffixes=".tga .icb .vda .vst", is_photo=True),
    Unread("PCX", _CONVERT, suffixes=".pcx", is_photo=True),
    Unread("XMP metadata", "give the photo that it belongs to", suffixes=".xmp"),
    Unread(
        "a slide of many files", "export it as tiled TIFF", suffixes=".mrxs .vsi .czi .nd2 .lif"
    ),
)
_RAW_TIFF = ".dng .nef"  # camera raw whose full image may be in it in another form

# Suffixes of photo files, those that are not read among them: a folder's are named as such, not
# left out. Files with other suffixes are only tried if named explicitly.
SUFFIXES = frozenset(
    " ".join(
        [
            *(form.suffixes for form in FORMATS),
            *(form.suffixes for form in (*UNREAD, *_BY_SUFFIX) if form.is_photo),
            _RAW_TIFF,
        ]
    ).split()
)


def recognised(head: bytes, suffix: str) -> Format | Unread | None:
    """The format of a file by its first ``HEAD_BYTES`` bytes, else by its suffix, or None."""
    for unread in UNREAD:
        if unread.signature is not None and unread.signature.match(head):
            return unread
    form = next((form for form in FORMATS if form.signature.match(head)), None)
    if form is not None and form.name != "TIFF":
        return form
    named = (unread for unread in _BY_SUFFIX if suffix.lower() in unread.suffixes.split())
    return next(named, form)
