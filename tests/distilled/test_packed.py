"""Images that hold several: decoded as NCFM's own code did it (tests/golden/packed.npz), and told by their seams."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from jaxsoft import errors
from jaxsoft.distilled.reading import packed

KEPT = Path(__file__).parents[1] / "golden" / "packed.npz"
WHOLE = Path(__file__).resolve().parents[3] / "shared" / "golden" / "systems_parity.npz"
WAYS = {"single": "single", "multi": "multi", "bound": "bound(9)"}
CASES = [(size, factor, way) for size, factor in ((7, 2), (8, 2), (8, 3), (9, 2)) for way in WAYS]


@pytest.mark.parametrize("size, factor, way", CASES)
def test_decoding_gives_what_ncfm_gave(size, factor, way):
    file = KEPT if (size, factor) in ((7, 2), (8, 3)) else WHOLE
    if not file.exists():
        pytest.skip(f"more cases than tests/golden/ keeps; looked for {WHOLE.name} beside the checkout")
    with np.load(file) as recorded:
        part = f"ncfm/decode/{size}px_factor{factor}"
        images, target = recorded[f"{part}/input"], recorded[f"{part}/target"]
        wanted, classes = recorded[f"{part}/{way}/output"], recorded[f"{part}/{way}/target"]
    found, of = packed.decode(images, factor, WAYS[way])
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(target[of], classes)


def test_factor_and_way_are_checked_before_anything_is_decoded():
    images = np.zeros((2, 4, 4, 1), np.float32)
    for factor, way, told in ((0, "single", "factor=0"), (17, "single", "1 to 16"), (2, "bound", "choices: single")):
        with pytest.raises(errors.ConfigError, match=told):
            packed.decode(images, factor, way)
    many = np.broadcast_to(np.float32(0), (1 << 20, 32, 32, 3))
    with pytest.raises(errors.DataError, match="more than 8 GiB"):
        packed.decode(many, 2)


def collage(images, factor):
    """Images in the place of one, thinned out."""
    small = images[:, ::factor, ::factor]
    rows = [np.concatenate(small[i :: factor**2][: len(images) // factor**2], 0)[None] for i in range(factor**2)]
    cells = np.stack([row.reshape(-1, *small.shape[1:]) for row in rows], 1)
    lines = [np.concatenate([cells[:, i * factor + j] for j in range(factor)], 2) for i in range(factor)]
    return np.concatenate(lines, 1)


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("noise, is_told", [(0, True), (0.05, True), (10, False)])
def test_seams_tell_how_many_images_meet_and_noise_tells_nothing(factor, noise, is_told):
    rng = np.random.default_rng(0)
    fields = gaussian_filter(rng.normal(size=(256, 32, 32, 3)), (0, 4, 4, 0))
    images = collage((fields / fields.std() / 5 + 0.5), factor)
    seen = packed.seen_factor((images + noise * rng.normal(size=images.shape)).astype(np.float32))
    assert seen == (factor if is_told else 0)
