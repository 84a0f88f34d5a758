import io

import numpy as np
import published
import pytest
from PIL import Image

from jaxsoft import errors
from jaxsoft.data import raw
from jaxsoft.data.formats import images


def test_decode_returns_the_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(images.decode(published.encoded(pixels), "x.png"), pixels)


def test_decode_grey_and_palette():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(images.decode(published.encoded(grey), "x", mode="L"), grey[..., None])
    np.testing.assert_array_equal(images.decode(published.encoded(grey), "x"), np.repeat(grey[..., None], 3, -1))
    buffer = io.BytesIO()
    Image.fromarray(np.full((2, 2, 3), (255, 0, 0), np.uint8)).convert("P").save(buffer, "PNG")
    assert images.decode(buffer.getvalue(), "x").tolist() == [[[255, 0, 0]] * 2] * 2


@pytest.mark.parametrize("wide", [True, False])
def test_resize_cuts_the_centre_of_the_longer_side(wide):
    pixels = np.repeat(np.arange(10, dtype=np.uint8)[None, :, None], 6, 0) * np.ones(3, np.uint8)
    centre = pixels[:, 2:8]
    if not wide:
        pixels, centre = pixels.transpose(1, 0, 2), centre.transpose(1, 0, 2)
    np.testing.assert_array_equal(images.decode(published.encoded(pixels), "x", resize=6), centre)


def test_resize_averages_when_it_shrinks():
    board = (np.indices((8, 8)).sum(0) % 2 * 200).astype(np.uint8)
    shrunk = images.decode(published.encoded(board), "x", resize=2)
    assert shrunk.shape == (2, 2, 3)
    assert np.abs(shrunk.astype(int) - 100).max() <= 2


def test_cut_and_bent_images_are_refused_or_decoded_but_nothing_else():
    rng = np.random.default_rng(0)
    for kind in ("PNG", "JPEG"):
        whole = published.encoded(rng.integers(0, 256, (9, 9, 3), np.uint8), kind)
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


def test_images_that_would_lose_their_values_or_fill_the_memory_are_refused():
    buffer = io.BytesIO()
    Image.fromarray(np.full((2, 2), 40_000, np.uint16)).save(buffer, "PNG")
    with pytest.raises(errors.DataError, match="deep.png.*more than 8 bits"):
        images.decode(buffer.getvalue(), "deep.png")
    large = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(large, "PNG")
    with pytest.raises(errors.DataError, match="large.png.*9000x9000"):
        images.decode(large.getvalue(), "large.png")
    with pytest.raises(errors.DataError, match="x.pcx cannot be read as an image: no image of a kind that is read"):
        images.decode(published.encoded(np.zeros((2, 2), np.uint8), "PCX"), "x.pcx")


def test_carve_takes_the_asked_number_of_each_class_and_keeps_pairs():
    labels = np.repeat([0, 1, 2], [7, 5, 2]).astype(np.int32)
    part = raw.Part(labels, [f"{k}-{n}" for n, k in enumerate(labels)], lambda item: np.zeros((1, 1, 1), np.uint8))
    stay, out = raw.carve(part, np.array([3, 0, 1]))
    assert np.bincount(out.labels).tolist() == [3, 0, 1]
    assert sorted([*stay.items, *out.items]) == sorted(part.items)
    for split in (stay, out):
        assert [int(item[0]) for item in split.items] == split.labels.tolist()
        numbers = [int(item.split("-")[1]) for item in split.items]
        assert numbers == sorted(numbers)
