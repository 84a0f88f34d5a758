"""One image file to pixels of 8-bit colours or grey: upright, opaque, nothing cut.

Read are Pillow's own decoders of still pictures with 8 bits a channel. Left out are those that start another program
or only name one (EPS, WMF, PDF, HDF5, GRIB, BUFR, MPEG), and those that hold something other than a picture with a
range: measurements (FITS), textures (DDS, BLP, FTEX), documents in layers (PSD), films (FLI), cursors; and PCX, whose
palette lies at the end: a file that is cut before it decodes as grey, without an error.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile, ImageOps

from jaxsoft import files
from jaxsoft.data import refusals

FORMATS = (
    *("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF"),
    *("DIB", "ICO", "QOI", "SGI", "SUN", "XBM", "TGA"),  # TGA last: it has no signature
)
ENDINGS = frozenset(e for e, kind in Image.registered_extensions().items() if kind in (*FORMATS, "MPO"))  # MPO: a JPEG
UNREAD = frozenset(
    ".heic .heif .jxl .svg .svgz .eps .ps .pdf .wmf .emf .psd .ai .exr .hdr .dng .cr2 .cr3 .nef .arw .raf .orf .rw2 "
    ".dds .fit .fits .pcx .xpm .icns .cur .dcx .fli .flc .im .msp .pcd .pxr".split()
)
MAX_BYTES = 1 << 26  # of one file
MAX_SIDE = 1 << 13  # of a resized image: as many pixels

_MAX_PIXELS = MAX_SIDE**2
_MODES = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LA", "PA", "RGBA", "La", "RGBa")
_TIFF_BITS, _TIFF_EXTRA, _TIFF_SIGN, _TIFF_CHANNELS = 258, 338, 339, 277


def read(
    path: Path, resize: int | None = None, told: Callable[[str], None] | None = None
) -> UInt8[np.ndarray, "H W C"]:
    """One file, decoded in colour; see `decode`. DataError if it cannot be read."""
    with refusals.naming(f"{path} cannot be read"):
        data = files.read(path, MAX_BYTES)
    return decode(data, str(path), resize, told=told)


def decode(
    data: bytes, name: str, resize: int | None = None, mode: str = "RGB", told: Callable[[str], None] | None = None
) -> UInt8[np.ndarray, "H W C"]:
    """Decode one image of any kind in `FORMATS`: its first frame, turned as its EXIF says, opaque on white.

    Args:
      data: the bytes of the file `name`.
      resize: side in pixels; the shorter side is scaled to it and the centre is cut out. None keeps the size.
      mode: Pillow's name of the channels: RGB, or L for grey.
      told: called with what a user should know of this image, such as that it has further frames.

    Raises:
      DataError: the bytes are not an 8-bit image, are cut short, or claim more than 67 million pixels.
    """
    flat = picture(data, name, mode, told)
    if resize:
        flat = ImageOps.fit(flat, (resize, resize), Image.Resampling.BILINEAR)
    pixels = np.asarray(flat)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def picture(data: bytes, name: str, mode: str = "RGB", told: Callable[[str], None] | None = None) -> Image.Image:
    """Likewise, as a picture of Pillow of its own size."""
    told = told or (lambda what: None)
    with refusals.naming(f"{name} cannot be read as an image"):
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check(image, data)
            if image.format != "MPO" and getattr(image, "is_animated", False):  # MPO: a photo with its preview
                told("images with several frames, of which the first is used")
            image.load()
            try:
                ImageOps.exif_transpose(image, in_place=True)
            except Exception:  # nearly anything, in a damaged block
                told("images whose EXIF cannot be read; they are taken as upright")
            if image.has_transparency_data:
                clear = image.convert("RGBA")
                if not clear.getchannel("A").getbbox():
                    told("images that are transparent throughout, and so plain white")
                return Image.alpha_composite(Image.new("RGBA", image.size, "white"), clear).convert(mode)
            return image if image.mode == mode else image.convert(mode)


def _check(image: Image.Image, data: bytes) -> None:
    """Refuse, before anything is decoded, what is too large or would lose a part of its values."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ValueError("PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set, and files that are cut would go unnoticed")
    if image.width * image.height > _MAX_PIXELS:
        raise ValueError(f"{image.width}x{image.height} pixels are too many")
    if image.mode[0] in "IF" or _bits(image, data) > 8:  # turning those into 8 would clip or cut the values
        raise ValueError("more than 8 bits per channel")
    if image.mode not in _MODES:
        raise ValueError(f"its colours are {image.mode}, which is not read")
    if image.format == "JPEG2000" and b"\xff\xd9" not in data:  # its end; the decoder does not miss it
        raise ValueError("it is cut short")
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    extra = tags.get(_TIFF_EXTRA, ())
    if 0 in extra or len(extra) > 1 or tags.get(_TIFF_CHANNELS, 1) > 5:
        raise ValueError("channels beyond its colours, of unknown meaning")
    if set(tags.get(_TIFF_SIGN, (1,))) != {1}:
        raise ValueError("values that are not unsigned integers")


def _bits(image: Image.Image, data: bytes) -> int:
    """Bits per channel as the file declares them; Pillow makes 8 of 16 bits of colour without a word."""
    kind = image.format
    if kind in ("PNG", "ICO"):
        return _byte(data, b"IHDR", 12)
    if kind == "TIFF":
        return max(image.tag_v2.get(_TIFF_BITS, (1,)))  # pyright: ignore[reportAttributeAccessIssue]
    if kind == "PPM":
        levels = [level for tile in image.tile for level in tile.args if isinstance(level, int)]  # pyright: ignore
        return max(levels, default=255).bit_length()
    if kind == "SGI":
        return 8 * data[3]
    if kind == "JPEG2000":  # the marker of sizes has three bytes for each channel, the first of them its depth
        marker = b"\xff\x4f\xff\x51"
        start = data.find(marker) + 42
        depths = data[start : start + 3 * _byte(data, marker, 41) : 3]
        return 1 + max((depth & 0x7F for depth in depths), default=0)
    if kind == "AVIF":
        return 10 if _byte(data, b"av1C", 6) & 0x40 else 8
    return 8


def _byte(data: bytes, marker: bytes, offset: int) -> int:
    start = data.find(marker)
    return data[start + offset] if start >= 0 else 0
