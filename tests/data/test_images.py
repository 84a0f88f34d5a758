"""What is decoded is what the picture shows, whole, upright and opaque; what cannot be is refused in one line."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from jaxsoft import errors
from jaxsoft.data.formats import images

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 7, 3), np.uint8)
EXACT = {"WEBP": {"lossless": True}, "ICO": {"sizes": [(7, 6)]}}  # else a format is exact as it is
KINDS = ("PNG", "WEBP", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "QOI", "SGI", "TGA", "ICO")


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **{**EXACT.get(kind, {}), **options})
    return buffer.getvalue()


def png(depth, colour, row):
    """A PNG of one row of pixels, put together by hand."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    width = len(row) * 8 // depth // channels
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" + row)),
        (b"IEND", b""),
    )
    parts = (struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(bits, samples, content, photometric=2, extra=(), sign=1):
    """A TIFF of one pixel, put together by hand; every list of values lies behind the directory."""
    short = lambda *values: struct.pack(f"<{len(values)}H", *values)  # noqa: E731
    entries = [
        (256, (1,)),
        (257, (1,)),
        (258, bits),
        (259, (1,)),
        (262, (photometric,)),
        (273, None),
        (277, (samples,)),
    ]
    entries += [(278, (1,)), (279, (len(content),))] + [(338, extra)] * bool(extra) + [(339, (sign,) * samples)]
    at = 8 + 2 + 12 * len(entries) + 4
    directory, behind = b"", b""
    for tag, values in entries:
        packed = short(*(values or (8,)))
        if values is None:
            packed = b"\0\0"  # set below, once it is known
        if len(packed) > 4:
            pointer, behind = struct.pack("<I", at + len(behind)), behind + packed
        else:
            pointer = packed.ljust(4, b"\0")
        directory += struct.pack("<HHI", tag, 3, len(values or (8,))) + pointer
    start = struct.pack("<H", at + len(behind)) + b"\0\0"
    where = [tag for tag, _ in entries].index(273) * 12 + 8
    directory = directory[:where] + start + directory[where + 4 :]
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + b"\0\0\0\0" + behind + content


@pytest.mark.parametrize("kind", KINDS)
def test_a_lossless_file_gives_its_pixels(kind):
    np.testing.assert_array_equal(images.decode(saved(Image.fromarray(PIXELS), kind), "x"), PIXELS)


def test_every_format_of_the_list_is_there_and_gives_a_picture():
    assert set(images.FORMATS) <= set(Image.OPEN)
    assert {".webp", ".bmp", ".jpe", ".jfif", ".gif", ".tif", ".pgm", ".avif", ".jp2"} <= images.ENDINGS
    assert not images.ENDINGS & images.UNREAD
    for kind in sorted(set(images.FORMATS) & set(Image.SAVE)):
        mode = "1" if kind == "XBM" else "RGB"
        assert images.decode(saved(Image.fromarray(PIXELS).convert(mode), kind), "x").shape == (6, 7, 3)


@pytest.mark.parametrize("kind", sorted(set(images.FORMATS) & set(Image.SAVE)))
def test_a_cut_file_is_refused_or_whole(kind):
    """JPEG2000 missed its last byte, and decoded to other pixels."""
    for mode in ("1",) if kind == "XBM" else ("P", "RGB"):
        try:
            content = saved(Image.fromarray(PIXELS).convert(mode), kind)
        except (OSError, ValueError):  # a format without palettes
            continue
        whole = images.decode(content, "x")
        for end in (*range(0, len(content), max(1, len(content) // 40)), *range(len(content) - 5, len(content))):
            try:
                np.testing.assert_array_equal(images.decode(content[:end], "x"), whole)
            except errors.DataError as refusal:
                assert "\n" not in str(refusal)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_turns_the_picture(kind):
    turns = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, -1),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, 1),
    }
    exif = Image.Exif()
    upright = images.decode(saved(Image.fromarray(PIXELS), kind), "x")
    for orientation, turn in turns.items():
        exif[0x0112] = orientation
        content = saved(Image.fromarray(PIXELS), kind, exif=exif)
        np.testing.assert_array_equal(images.decode(content, "x"), turn(upright))


def test_a_damaged_exif_is_told_and_the_picture_stays():
    said = []
    content = saved(Image.fromarray(PIXELS), "PNG", exif=b"Exif\0\0nonsense that is no TIFF")
    np.testing.assert_array_equal(images.decode(content, "x", told=said.append), PIXELS)
    assert said == ["images whose EXIF cannot be read; they are taken as upright"]


def test_what_is_transparent_shows_white():
    row = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], np.uint8)
    wanted = [[200, 100, 0], [255, 255, 255], [244, 224, 204]]  # 51 is a fifth of 255
    for kind in ("PNG", "TIFF", "TGA"):
        assert images.decode(saved(Image.fromarray(row), kind), "x")[0].tolist() == wanted
    grey = Image.fromarray(row[..., [0, 3]])
    assert images.decode(saved(grey, "PNG"), "x", mode="L").tolist() == [[[200], [255], [244]]]
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert images.decode(saved(palette, "PNG", transparency=0), "x").tolist() == [[[255] * 3, [40, 50, 60]]]
    assert images.decode(saved(palette, "GIF", transparency=1), "x").tolist() == [[[10, 20, 30], [255] * 3]]
    colour = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert images.decode(saved(colour, "PNG", transparency=(1, 2, 3)), "x").tolist() == [[[255] * 3, [4, 5, 6]]]


def test_what_is_opaque_stays_as_it_is():
    opaque = Image.fromarray(PIXELS)
    opaque.putalpha(255)
    np.testing.assert_array_equal(images.decode(saved(opaque, "PNG"), "x"), PIXELS)


def sgi16():
    return saved(Image.fromarray(PIXELS), "SGI", bpc=2)


def bent(kind, marker, offset, change):
    content = bytearray(saved(Image.fromarray(PIXELS), kind))
    content[content.index(marker) + offset] ^= change
    return bytes(content)


def avif10():
    content = bytearray(bent("AVIF", b"av1C", 6, 0x40))
    depths = content.index(b"pixi") + 9
    content[depths : depths + 3] = (10, 10, 10)
    return bytes(content)


DEEP = {
    "png16": lambda: png(16, 2, bytes(range(12))),
    "png16 grey": lambda: png(16, 0, bytes(range(12))),
    "png16 alpha": lambda: png(16, 6, bytes(range(16))),
    "png16 grey alpha": lambda: png(16, 4, bytes(range(16))),
    "tiff16": lambda: tiff((16, 16, 16), 3, bytes(range(6))),
    "tiff16 grey": lambda: saved(Image.fromarray(np.ones((2, 2), np.uint16)), "TIFF"),
    "tiff float": lambda: saved(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"),
    "ppm16": lambda: b"P6 1 1 65535 " + bytes(range(6)),
    "ppm12": lambda: b"P3 1 1 4095 1 2 3\n",
    "pfm": lambda: saved(Image.fromarray(np.ones((2, 2), np.float32)), "PPM"),
    "sgi16": sgi16,
    "jp2 16": lambda: bent("JPEG2000", b"\xff\x4f\xff\x51", 42, 8),  # 7 + 1 bits are 15 + 1
    "avif10": avif10,
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_eight_bits_are_refused_not_cut(name):
    with pytest.raises(errors.DataError, match="^deep cannot be read as an image: more than 8 bits per channel$"):
        images.decode(DEEP[name](), "deep")


def test_eight_bits_by_hand_are_read():
    """The files above are refused for their depth, not for how they are put together."""
    assert images.decode(png(8, 2, bytes(range(6))), "x").tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert images.decode(tiff((8, 8, 8), 3, b"\1\2\3"), "x").tolist() == [[[1, 2, 3]]]
    assert images.decode(b"P6 1 1 15 " + bytes((0, 3, 15)), "x").tolist() == [[[0, 51, 255]]]  # by the declared range


def test_channels_of_unknown_meaning_are_refused():
    for content in (tiff((8,) * 4, 4, b"\1\2\3\4", extra=(0,)), tiff((8,) * 5, 5, b"\1\2\3\4\5", extra=(2, 0))):
        with pytest.raises(errors.DataError, match="channels beyond its colours"):
            images.decode(content, "x")
    with pytest.raises(errors.DataError, match="not unsigned integers|no image of a kind"):
        images.decode(tiff((8,), 1, b"\1", photometric=1, sign=2), "x")
    with pytest.raises(errors.DataError, match="its colours are LAB, which is not read"):
        images.decode(saved(Image.new("LAB", (2, 2)), "TIFF"), "x")


def test_of_several_frames_the_first_is_used_and_that_is_told():
    frames = [Image.fromarray(np.full((4, 4, 3), level, np.uint8)) for level in (10, 200)]
    for kind in ("GIF", "TIFF", "WEBP", "PNG"):
        said = []
        content = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert (images.decode(content, "x", told=said.append) == 10).all()
        assert said == ["images with several frames, of which the first is used"]
        images.decode(saved(frames[0], kind), "x", told=said.append)
        assert len(said) == 1


def test_a_global_switch_that_hides_damage_is_refused(monkeypatch):
    content = saved(Image.fromarray(PIXELS), "PNG")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(errors.DataError, match="LOAD_TRUNCATED_IMAGES is set"):
        images.decode(content, "x")


def test_the_content_counts_not_the_ending():
    np.testing.assert_array_equal(images.decode(saved(Image.fromarray(PIXELS), "BMP"), "photo.jpg"), PIXELS)


def test_what_is_transparent_throughout_is_told():
    seen = []
    picture = Image.fromarray(np.dstack([np.full((4, 4, 3), 9, np.uint8), np.zeros((4, 4, 1), np.uint8)]))
    assert images.decode(saved(picture, "PNG"), "x", told=seen.append).min() == 255
    assert seen == ["images that are transparent throughout, and so plain white"]


def test_grey_and_palettes():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    content = saved(Image.fromarray(grey), "PNG")
    np.testing.assert_array_equal(images.decode(content, "x", mode="L"), grey[..., None])
    np.testing.assert_array_equal(images.decode(content, "x"), np.repeat(grey[..., None], 3, -1))
    palette = Image.fromarray(np.full((2, 2, 3), (255, 0, 0), np.uint8)).convert("P")
    assert images.decode(saved(palette, "PNG"), "x").tolist() == [[[255, 0, 0]] * 2] * 2


@pytest.mark.parametrize("wide", [True, False])
def test_resize_cuts_the_centre_of_the_longer_side(wide):
    pixels = np.repeat(np.arange(10, dtype=np.uint8)[None, :, None], 6, 0) * np.ones(3, np.uint8)
    centre = pixels[:, 2:8]
    if not wide:
        pixels, centre = pixels.transpose(1, 0, 2), centre.transpose(1, 0, 2)
    np.testing.assert_array_equal(images.decode(saved(Image.fromarray(pixels), "PNG"), "x", resize=6), centre)


def test_resize_averages_when_it_shrinks():
    board = (np.indices((8, 8)).sum(0) % 2 * 200).astype(np.uint8)
    shrunk = images.decode(saved(Image.fromarray(board), "PNG"), "x", resize=2)
    assert shrunk.shape == (2, 2, 3)
    assert np.abs(shrunk.astype(int) - 100).max() <= 2


def test_cut_and_bent_images_are_refused_or_decoded_but_nothing_else():
    rng = np.random.default_rng(0)
    for kind in ("PNG", "JPEG"):
        whole = saved(Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)), kind)
        for end in range(0, len(whole) - 20, 7):
            with pytest.raises(errors.DataError, match="photo.x cannot be read as an image"):
                images.decode(whole[:end], "photo.x")
        for _ in range(100):
            bent = bytearray(whole)
            bent[rng.integers(len(bent))] ^= 1 << rng.integers(8)
            try:
                assert images.decode(bytes(bent), "photo.x").dtype == np.uint8
            except errors.DataError as refusal:
                assert "\n" not in str(refusal)


def test_images_that_would_fill_the_memory_or_are_of_no_kind_that_is_read_are_refused():
    with pytest.raises(errors.DataError, match="large.png.*9000x9000"):
        images.decode(saved(Image.new("1", (9_000, 9_000)), "PNG"), "large.png")
    with pytest.raises(errors.DataError, match="x.pcx cannot be read as an image: no image of a kind that is read"):
        images.decode(saved(Image.new("L", (2, 2)), "PCX"), "x.pcx")
