"""Ways to mix two images: what the published code makes of the same numbers, and how the numbers are drawn."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import beta, kstest

from jaxsoft import errors
from jaxsoft.training import mixing

KEPT = pathlib.Path(__file__).parents[1] / "golden" / "mixing.npz"
WHOLE = pathlib.Path(__file__).resolve().parents[3] / "shared" / "golden" / "systems_parity.npz"
FKD = [f"epoch{e}/batch{b}" for e in range(3) for b in range(2)]


@pytest.fixture(scope="module")
def systems():
    if not WHOLE.exists():
        pytest.skip(f"larger inputs than tests/golden/ keeps; looked for {WHOLE.name} beside the checkout")
    with np.load(WHOLE, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name.startswith("fkd/")}


def pasted(images, index, rows_and_columns):
    """CutMix of a batch by its partners and one box, top, left, bottom and right."""
    top, left, bottom, right = rows_and_columns
    box = jnp.array([top, left, bottom - top, right - left], jnp.float32)
    return jax.vmap(mixing.paste, (0, 0, None))(jnp.asarray(images), jnp.asarray(images[index]), box)


def test_cutmix_of_a_recorded_box_is_that_of_cv_dd():
    """One array, `mixed_input`: x[:, r0:r1, c0:c1] = x[index, r0:r1, c0:c1], of normalised images."""
    with np.load(KEPT, allow_pickle=False) as kept:
        found = pasted(kept["input"], kept["index"], kept["bbox_r0_c0_r1_c1"])
        np.testing.assert_array_equal(found, kept["mixed_input"])
        assert (kept["mixed_input"] != kept["input"]).any()


@pytest.mark.parametrize("name", FKD)
def test_cutmix_of_stored_views_is_that_of_fkd(name, systems):
    """Six arrays, `after_cutmix`: the same formula on crops, by the index and the box that a label file stores."""
    stored = {part: systems[f"fkd/{name}/{part}"] for part in ("crops_normalised", "mix_index", "mix_bbox")}
    np.testing.assert_array_equal(pasted(*stored.values()), systems[f"fkd/{name}/after_cutmix"])


@pytest.mark.parametrize("alpha", [0.2, 0.8, 1.0, 8.0])
def test_mixup_shares_are_of_a_beta_distribution(alpha):
    u = np.random.default_rng(0).random((4000, 3), np.float32)
    first, second = jnp.ones((2, 2, 1)), jnp.zeros((2, 2, 1))
    mixed = np.asarray(jax.vmap(lambda u: mixing.mixup(first, second, u, alpha))(u))
    np.testing.assert_allclose(mixed[:, 0, 0, 0], beta(alpha, alpha).ppf(u[:, 0].astype(float)), atol=2e-4)
    assert kstest(mixed[:, 0, 0, 0], beta(alpha, alpha).cdf).pvalue > 0.01 and np.ptp(mixed, (1, 2, 3)).max() == 0


def test_ways_to_mix_have_one_spelling_and_bad_ones_are_refused():
    assert [mixing.canonical(text) for text in ("mixup(0.8)", "mixup(alpha=0.4)", "cutmix()")] == [
        "mixup",
        "mixup(alpha=0.4)",
        "cutmix",
    ]
    for text, message in (
        ("cutmx", r"unknown way to mix 'cutmx'.*cutmix, mixup, none"),
        ("mixup(0)", r"mixup: alpha must be in \[0.01, 100\], got 0.0"),
        ("mixup(alpha=high)", r"alpha expects float, got 'high'"),
        ("none(1)", r"usage: none\(\)"),
    ):
        with pytest.raises(errors.ConfigError, match=message):
            mixing.canonical(text)
