"""Numbers of labels whose structure is known: by hand, from SciPy, or from the population that they were drawn from."""

import doctest

import numpy as np
import pytest
import scipy.stats
import synthetic

from jaxsoft.analysis.statistics import structure
from jaxsoft.analysis.statistics.inference import Estimate


def test_docstring_examples():
    assert doctest.testmod(structure).failed == 0


def test_entropy_mass_and_brier_by_hand():
    p = np.array([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.25, 0.25, 0.0]])
    np.testing.assert_allclose(structure.entropies(p), [0, np.log(4), 1.5 * np.log(2)])
    np.testing.assert_allclose(structure.top_mass(p, 1), [1, 0.25, 0.5])
    np.testing.assert_allclose(structure.top_mass(p, 3), [1, 0.75, 1])
    np.testing.assert_allclose(structure.brier(p, np.array([0, 1, 3])), [0, 0.75, 0.25 + 2 * 0.0625 + 1])


def test_effective_rank_of_known_spectra():
    assert structure.effective_rank(np.full((50, 4), 0.25)) == 0  # nothing varies
    assert structure.effective_rank(np.eye(10)[np.arange(400) % 10]) == pytest.approx(9)  # nine equal directions
    one = np.linspace(-0.2, 0.2, 41)[:, None] * np.array([1.0, -1.0, 0.0, 0.0]) + 0.25
    assert structure.effective_rank(one) == pytest.approx(1, abs=1e-6)
    singular = np.array([3.0, 1.0])  # shares 3/4 and 1/4, along columns that sum to nothing
    u = scipy.stats.ortho_group.rvs(8, random_state=0)
    u = np.linalg.qr(u - u.mean(0))[0][:, :2]
    rows = 0.25 + (u * singular) @ np.linalg.qr(np.random.default_rng(0).normal(size=(4, 2)))[0].T
    assert structure.effective_rank(rows) == pytest.approx(np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25))))


def test_rounding_is_no_structure():
    rng = np.random.default_rng(0)
    logits = 0.003 * rng.normal(size=(2000, 3)) @ rng.normal(size=(3, 200))
    labels = scipy.special.softmax(logits, -1)
    exact = structure.effective_rank(labels)
    assert 2 < exact < 4
    assert structure.effective_rank(labels.astype(np.float16)) == pytest.approx(exact, rel=0.02)  # 15 if it were


def test_class_matrices_by_hand():
    p = np.array([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5], [0.0, 0.75, 0.25]])
    labels = np.array([0, 0, 1])
    wanted = [[0.375, 0.375, 0.25], [0.0, 0.75, 0.25], [np.nan] * 3]
    np.testing.assert_allclose(structure.class_means(p, labels), wanted)
    confusion = structure.class_means(structure.predictions(p), labels)
    np.testing.assert_allclose(confusion, [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0], [np.nan] * 3])


def test_alignment_without_noise_is_pearsons_correlation():
    rng = np.random.default_rng(0)
    a, b = rng.dirichlet(np.ones(6), (2, 6))
    labels, off = np.repeat(np.arange(6), 3), structure.off_diagonal(6)
    found = structure.alignment(np.repeat(a, 3, 0), labels, np.repeat(b, 3, 0), labels)
    assert found == pytest.approx(scipy.stats.pearsonr(a[off], b[off])[0])
    assert np.isnan(
        structure.alignment(np.repeat(a, 3, 0), labels, np.eye(6)[labels], labels)
    )  # no error to align with


def drawn(rng, soft, confused, n, m, concentration=20.0):
    """Labels around the rows of one class-by-class matrix, predictions from those of another."""
    classes = len(soft)
    labels, others = np.arange(n) % classes, np.arange(m) % classes
    weights = rng.gamma(concentration * soft[labels])
    hits = (confused[others].cumsum(1) > rng.random((m, 1))).argmax(1)
    return weights / weights.sum(1, keepdims=True), labels, np.eye(classes)[hits], others


def population(rng, correlation, classes=10):
    a, b = rng.normal(size=(2, classes, classes))
    b = correlation * a + np.sqrt(1 - correlation**2) * b
    np.fill_diagonal(a, 3.0)
    np.fill_diagonal(b, 4.0)
    a, b = (scipy.special.softmax(m, -1) for m in (a, b))
    off = structure.off_diagonal(classes)
    return a, b, scipy.stats.pearsonr(a[off], b[off])[0]


@pytest.mark.parametrize("correlation, n, m", [(0.8, 400, 1000), (0.0, 400, 1000)])
def test_alignment_finds_the_populations_correlation_and_its_interval_covers_it(correlation, n, m):
    rng, errors, covered = np.random.default_rng(0), [], 0
    for _ in range(40):
        soft, confused, truth = population(rng, correlation)
        a, labels, b, others = drawn(rng, soft, confused, n, m)
        found = structure.jackknife(structure.alignment, (a, labels), (b, others))
        errors.append(found.mean - truth)
        covered += found.low <= truth <= found.high
    assert abs(np.mean(errors)) < 0.03  # the plain correlation is too low by a tenth here
    assert covered >= 35


def test_calibration_error_by_hand_and_of_a_calibrated_teacher():
    confidence = np.array([0.6, 0.7, 0.8, 0.9])
    p = np.stack([confidence, 1 - confidence], 1)
    # Two bins: (0.6, 0.7) both right, gap 0.35; (0.8, 0.9) one of two right, gap -0.35.
    assert structure.calibration_error(p, np.array([0, 0, 1, 0]), bins=2) == pytest.approx(0.35)
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(10, 0.5), 4000)
    truth = (p.cumsum(1) > rng.random((4000, 1))).argmax(1)
    assert structure.calibration_error(p, truth) < 0.4 * np.sqrt(structure.BINS / 4000)
    sharper = p**2 / (p**2).sum(1, keepdims=True)
    wanted = sharper.max(1).mean() - (p.argmax(1) == truth).mean()  # overconfident throughout
    assert structure.calibration_error(sharper, truth) == pytest.approx(wanted, abs=0.01)


def test_jackknife_of_single_images_is_the_standard_error_of_the_mean():
    p, labels = synthetic.label_sample(40, (1.0,))
    found = structure.jackknife(lambda p, _: float(structure.entropies(p).mean()), (p[0], labels), groups=40)
    entropies = structure.entropies(p[0])
    sem = scipy.stats.sem(entropies)
    low, high = scipy.stats.t.interval(0.95, 39, entropies.mean(), sem)
    np.testing.assert_allclose(found, (entropies.mean(), sem, low, high, 40))


def test_groups_take_their_share_of_every_class():
    seen = []
    labels = np.repeat(np.arange(4), 40)
    structure.jackknife(lambda p, y: float(seen.append(np.bincount(y)) or 0), (np.eye(4)[labels], labels), groups=20)
    np.testing.assert_array_equal(seen[1:], np.full((20, 4), 38))


@pytest.mark.parametrize("statistic", ["calibration", "rank"])
def test_intervals_of_curved_statistics_cover_the_population(statistic):
    def measure(p, y):
        return structure.effective_rank(p) if statistic == "rank" else structure.calibration_error(p, y)

    def images(seed, n):
        (p,), labels = synthetic.label_sample(n, (6.0,), noise=1.2, seed=seed)
        return p, labels

    truth, covered = measure(*images(1, 100_000)), 0
    for trial in range(40):
        found: Estimate = structure.jackknife(measure, images(10 + trial, 1500))
        covered += found.low <= truth <= found.high
    assert covered >= 35
