"""Bits of images by what is kept of them, and what architectures say of the same sets."""

import io

import numpy as np
import pytest
import scipy.stats
from PIL import Image

from jaxsoft.analysis.statistics import sizes, transfer


def test_bits_of_pixels_places_and_fields():
    assert sizes.of_pixels(10, (32, 32, 3)) == 8 * 10 * 3072
    assert [sizes.of_places(1, n) for n in (1, 2, 3, 1024, 1025)] == [0, 1, 2, 10, 11]
    # DDiF spends on fields of 81 numbers what 1 image of 32x32 takes as float32: 37 of them.
    assert [sizes.of_fields(n, 81) <= 4 * sizes.of_pixels(1, (32, 32, 3)) for n in (37, 38)] == [True, False]
    assert sizes.of_fields(2, 81) == 2 * 81 * 32


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_png_is_lossless_and_smaller_where_there_is_little_to_say(channels):
    shape = 4, 24, 16, channels
    flat, noise = np.full(shape, 7, np.uint8), np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert sizes.of_png(flat) < sizes.of_pixels(4, shape[1:]) < sizes.of_png(noise)
    assert sizes.of_png(noise[:1]) + sizes.of_png(noise[1:]) == sizes.of_png(noise)


def test_png_bits_are_those_of_files():
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    files = [io.BytesIO() for _ in images]
    for image, file in zip(images, files):
        Image.fromarray(image).save(file, "PNG", optimize=True)
    assert sizes.of_png(images) == 8 * sum(len(file.getvalue()) for file in files)


def accuracies(units=8, sets=5, architectures=3, noise=0.01, seed=0):
    rng = np.random.default_rng(seed)
    good = np.linspace(0.4, 0.6, sets)[None, :, None]
    return good + noise * rng.standard_normal((units, sets, architectures))


def test_architectures_that_rank_alike_agree():
    values = accuracies()
    values[:, :, 0] = 1 - values[:, :, 0]
    found = transfer.agreement(values)
    assert list(found) == [(0, 1), (0, 2), (1, 2)]
    assert [tau.mean for tau in found.values()] == [-1, -1, 1] and found[1, 2].low > 0 > found[0, 2].high


def test_agreement_is_kendalls_tau_and_its_interval_holds_it_where_sets_are_hard_to_tell():
    values = accuracies(noise=0.2, seed=1)
    tau = transfer.agreement(values)[0, 1]
    wanted, _ = scipy.stats.kendalltau(*values.mean(0)[:, :2].T)
    assert tau.mean == pytest.approx(wanted) and tau.low < tau.mean < tau.high and tau.n == 8


def test_of_one_set_there_is_no_ranking():
    assert np.isnan(transfer.agreement(accuracies(sets=1))[0, 1].mean)


def test_what_is_lost_on_the_way_is_paired():
    base = accuracies(noise=0.1)[:, :, :1]
    values = np.concatenate([base, base - 0.05, base - 0.07], 2)
    for lost in transfer.losses(values, home=0):
        assert lost.mean == pytest.approx(-0.06) and lost.sem < 1e-9
    from_second = transfer.losses(values[:2], home=1)
    assert [(one.n, round(one.mean, 9)) for one in from_second] == [(2, 0.015)] * 5
