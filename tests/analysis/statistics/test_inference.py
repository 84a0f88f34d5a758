"""The rule of inference against SciPy, NumPy, hand calculation and simulation."""

import math

import numpy as np
import pytest
import scipy.stats

from jaxsoft.analysis.statistics import inference
from jaxsoft.analysis.statistics.inference import Estimate, Side

NAN = math.nan


def side(test, selection=None, **other):
    """Units and arms at one budget."""
    test = np.array(test, float)[:, None]
    return Side(test, test if selection is None else np.array(selection, float)[:, None], **other)


def random_side(rng, units=5, budgets=2, arms=3, gaps=0.0, **other):
    """Arms that are so alike that draws disagree, with members that were not run."""
    run = rng.random((units, budgets, arms)) >= gaps
    return Side(*np.where(run, rng.normal(size=(2, units, budgets, arms)), NAN), **other)


def test_one_arm_a_side_has_students_t_interval_as_scipy_has_it():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(0.6, 0.1, (2, 7, 1))
    for values, found in (
        (ours[:, 0], inference.contrast(side(ours))),
        ((ours - theirs)[:, 0], inference.contrast(side(ours), side(theirs, weight=-1.0))),
    ):
        expected = scipy.stats.ttest_1samp(values, 0)
        low, high = expected.confidence_interval(0.95)
        assert (found.mean, found.sem, found.n) == (pytest.approx(values.mean()), scipy.stats.sem(values), 7)
        assert (found.low, found.high, found.p) == pytest.approx((low, high, expected.pvalue))


def test_a_mean_and_its_error_by_hand():
    found = inference.estimate(np.array([0.1, NAN, 0.2, 0.6, 0.7]))
    assert (found.mean, found.n) == (pytest.approx(0.4), 4)
    assert found.sem == pytest.approx(math.sqrt((0.09 + 0.04 + 0.04 + 0.09) / 3 / 4))
    assert found.high - 0.4 == pytest.approx(3.182446 * found.sem)


@pytest.mark.parametrize(
    "values, mean, low, p",
    [
        ([], NAN, NAN, 1),
        ([0.3], 0.3, NAN, 1),
        ([0.3, 0.5], 0.4, NAN, 1),
        ([0.3] * 3, 0.3, 0.3, 0),
        ([0.0] * 3, 0, 0, 1),
    ],
)
def test_below_three_units_there_is_no_interval_and_equal_values_have_none_to_doubt(values, mean, low, p):
    found = inference.estimate(np.array(values, float))
    assert (found.mean, found.low, found.high) == pytest.approx((mean, low, low), nan_ok=True)
    assert (found.n, found.p, found.sign) == (len(values), p, int(low > 0))


def test_intervals_of_five_seeds_cover_the_truth_in_95_of_100_draws():
    rng = np.random.default_rng(0)
    found = [inference.estimate(rng.normal(0.5, 0.1, 5)) for _ in range(400)]
    assert 0.92 < np.mean([e.low <= 0.5 <= e.high for e in found]) < 0.98


def plain_holm(p):
    """Rejections of Holm's procedure, as the paper words it: the i-th smallest of m beside 0.05 / (m - i)."""
    order, told = np.argsort(p), np.zeros(len(p), bool)
    for i, at in enumerate(order):
        if p[at] > 0.05 / (len(p) - i):
            break
        told[at] = True
    return told


def test_holm_agrees_with_a_plain_implementation():
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = {i: inference.estimate(rng.normal(rng.choice([-1, 0, 1]), 0.7, 6)) for i in range(rng.integers(1, 6))}
        expected = plain_holm(np.array([e.p for e in values.values()]))
        assert inference.told(values) == {i: int(expected[i] * np.sign(e.mean)) for i, e in values.items()}


def test_holm_by_hand():
    # Five units, t = mean / sem with 4 degrees of freedom: p = 0.0074, 0.0161, 0.0474, 0.9251.
    sure, lost, near, none = (Estimate(t, 1.0, t - 2.776, t + 2.776, 5) for t in (5.0, -4.0, 2.82, 0.1))
    assert [round(e.p, 3) for e in (sure, lost, near, none)] == [0.007, 0.016, 0.048, 0.925]
    assert inference.told({1: sure, 2: lost, 5: near}) == {1: 1, 2: -1, 5: 1}  # times 3, 2 and 1
    assert inference.told({5: near, 1: sure, 2: lost, 9: none}) == {5: 0, 1: 1, 2: -1, 9: 0}  # 0.0074 * 4, 0.0161 * 3
    assert inference.told({1: near, 2: none}) == {1: 0, 2: 0} and near.sign == 1
    assert inference.told({1: sure, 2: inference.NOTHING}) == {1: 1, 2: 0}  # nothing is no test, either


def test_means_of_draws_keep_pairs_and_skip_what_was_not_run():
    base = np.random.default_rng(1).normal(size=6)
    values = np.stack([base, base + 0.25, np.where(np.arange(6) == 2, NAN, 0.5), np.full(6, NAN)], 1)
    draws = inference.resampled_means(values)
    np.testing.assert_allclose(draws[:, 1] - draws[:, 0], 0.25)
    assert draws[:, 0].std() > 0.1
    np.testing.assert_allclose(draws[:, 2][np.isfinite(draws[:, 2])], 0.5)
    np.testing.assert_allclose(inference.means(values), [base.mean(), base.mean() + 0.25, 0.5, NAN])
    np.testing.assert_allclose(inference.resampled_means(values[:, :2]), draws[:, :2])  # a gap changes no neighbour
    np.testing.assert_array_equal(inference.curves(values)[1:], inference.resampled_means(values))


def test_draws_repeat_units_as_a_plain_bootstrap_does():
    values = np.random.default_rng(3).normal(size=(4, 2))
    times = inference.counts(4).astype(int)
    for draw, own in zip(inference.resampled_means(values)[:30], times):
        np.testing.assert_allclose(draw, np.repeat(values, own, axis=0).mean(0))
    assert (times.sum(1) == 4).all()


def test_intervals_of_draws_are_expanded_percentiles():
    values = np.random.default_rng(3).gamma(2.0, 0.1, 8)
    draws = values[np.random.default_rng(9).integers(0, 8, (200_000, 8))].mean(1)
    # t(7, 0.975) = 2.36462; Phi(-sqrt(8/7) 2.36462) = 0.00573; plain percentiles, 0.025, lie 0.02 further in.
    ends = np.quantile(draws, [0.00573, 1 - 0.00573])
    assert inference.interval(inference.resampled_means(values), 8) == pytest.approx(tuple(ends), abs=0.012)


def test_intervals_of_draws_take_infinity_leave_out_nan_and_are_refused_below_five_units():
    draws = np.concatenate([np.full(500, -np.inf), np.arange(1000.0), np.full(500, np.inf), np.full(50, NAN)])
    assert inference.interval(draws, 10) == (-np.inf, np.inf)
    assert inference.interval(np.arange(1000.0), 10_000) == pytest.approx((25, 975), abs=2)
    for n, refused in ((2, True), (4, True), (5, False)):
        assert [math.isnan(end) for end in inference.interval(np.arange(10.0), n)] == [refused] * 2
        assert math.isnan(inference.drawn(np.arange(10.0), n).low) == refused
    assert all(map(math.isnan, inference.interval(np.full(9, NAN), 8)))
    assert inference.drawn(np.array([NAN, 1.0]), 8).n == 0


def test_ties_go_to_the_first_and_nothing_has_no_best():
    assert inference.best(np.array([[0.1, 0.3, 0.1 + 0.2], [NAN, 0.1, 0.2], [NAN, NAN, NAN]])).tolist() == [1, 2, -1]


def test_the_others_choose_and_one_alone_chooses_itself():
    def chosen(selection):
        return inference.choices(side(selection), np.ones((1, len(selection))))[0, :, 0].tolist()

    assert chosen([[0.9, 0.5], [0.1, 0.2], [0.1, 0.2]]) == [1, 0, 0]
    assert chosen([[0.9, 0.5]]) == [0]
    assert chosen([[0.9, 0.5], [NAN, NAN], [NAN, 0.6]]) == [1, 0, 0]
    assert chosen([[0.2, 0.5], [NAN, NAN]]) == [1, 1]
    assert chosen([[NAN], [NAN]]) == [-1, -1]


def plain_draws(sides, times):
    """Choosing by the others and judging, draw by draw, unit by unit, as one would do it by hand."""
    for own in times.astype(int):
        budgets = []
        for t in range(sides[0].test.shape[1]):
            units = []
            for u in np.repeat(np.arange(len(own)), own):
                value = 0.0
                for one in sides:
                    drawn = [(v, one.selection[v, t]) for v in range(len(own)) for _ in range(own[v])]
                    others = [line for v, line in drawn if v != u or one.together]
                    found = inference.means(np.stack(others)) if others else np.full(one.test.shape[-1], NAN)
                    if not np.isfinite(found).any():
                        found = inference.means(np.stack([line for _, line in drawn]))
                    pick = int(np.nanargmax(found)) if np.isfinite(found).any() else None
                    value += one.weight * (NAN if pick is None else one.test[u, t, pick])
                units.append(value)
            budgets.append(inference.means(np.array(units)))
        yield float(inference.means(np.array(budgets)))


@pytest.mark.parametrize("gaps", [0.0, 0.25], ids=["complete", "gaps"])
@pytest.mark.parametrize("together", [False, True], ids=["others", "together"])
def test_every_draw_chooses_and_judges_anew_as_a_plain_loop_does(gaps, together):
    rng = np.random.default_rng(1)
    sides = random_side(rng, gaps=gaps, together=together), random_side(rng, arms=2, gaps=gaps, weight=-1.0)
    for own in (sides[:1], sides):
        found = inference._means_of_draws(own)
        times = inference.counts(5, inference.CHOICES)
        alone = np.flatnonzero(times.max(1) == 5)[:2]  # one unit is all there is
        some = np.concatenate([np.arange(60), alone])
        np.testing.assert_allclose(found[some], [*plain_draws(own, times[some])], rtol=1e-12)


def test_an_unsure_choice_widens_the_interval_by_the_spread_of_choosing_anew():
    rng = np.random.default_rng(0)
    one = random_side(rng, units=6, budgets=1, arms=4)
    values = inference.by_unit(one)[:, 0]
    np.testing.assert_array_equal(  # by hand: the best of the means of all other units
        values, [one.test[u, 0, np.delete(one.selection[:, 0], u, 0).mean(0).argmax()] for u in range(6)]
    )
    found, plain = inference.contrast(one), inference.estimate(values)
    spread = np.std([*plain_draws([one], inference.counts(6, inference.CHOICES))])
    assert (found.mean, found.n) == (plain.mean, 6)
    assert found.sem == pytest.approx(max(plain.sem, math.sqrt((plain.sem**2 + 2 * spread**2) / 3)))
    assert found.high - found.mean == pytest.approx(scipy.stats.t.ppf(0.975, 5) * found.sem)


def test_where_all_draws_choose_alike_it_is_the_interval_of_that_arm():
    values = [[0.5, 0.1], [0.6, 0.2], [0.7, 0.1], [0.5, 0.3]]
    assert inference.contrast(side(values)) == inference.estimate(np.array(values)[:, 0])


def test_luck_of_equal_arms_is_no_gain():
    rng, found = np.random.default_rng(0), []
    for _ in range(60):
        luck = rng.normal(0, 0.05, (6, 12))
        own = inference.contrast(side(luck))  # validation has the luck of test
        plain = inference.estimate(luck[:, luck.mean(0).argmax()])
        found.append((own.mean, own.low > 0, plain.mean, plain.low > 0))
    mean, told, plain_mean, plain_told = np.mean(found, 0)
    assert abs(mean) < 0.01 < plain_mean and told < 0.05 < plain_told


def test_what_some_unit_lacks_is_no_part_of_a_difference():
    ours = side([[0.6], [0.8], [0.1], [NAN]])
    theirs = side([[0.5], [0.7], [NAN], [0.9]], weight=-1.0)
    assert inference.contrast(ours, theirs)[:5:4] == (pytest.approx(0.1), 2)
    assert inference.contrast(side([[NAN]])) == inference.contrast(ours, side([[NAN]] * 4)) == inference.NOTHING
    budgets = Side(*[np.array([[[0.1], [0.3]], [[0.2], [NAN]], [[0.3], [0.5]]])] * 2)
    assert inference.contrast(budgets)[:5:4] == (pytest.approx(0.3), 2)  # units with all budgets


def test_all_choose_at_once_where_a_published_table_does():
    luck = [[0.9, 0.5], [0.4, 0.45], [0.4, 0.45]]
    assert inference.contrast(side(luck, together=True)).mean == pytest.approx((0.9 + 0.4 + 0.4) / 3)
    assert inference.contrast(side(luck)).mean == pytest.approx((0.5 + 0.4 + 0.4) / 3)


def test_a_curve_chooses_anew_in_every_draw_and_is_centred_on_what_others_chose():
    rng = np.random.default_rng(0)
    one = random_side(rng, units=6, budgets=3, arms=4)
    draws = inference.redrawn(one)
    np.testing.assert_allclose(draws[0], inference.means(inference.by_unit(one)))
    np.testing.assert_allclose(draws[1:].mean(0), draws[0])
    times, raw = inference.counts(6).astype(int), []
    for own in times[:50]:
        test, selection = (np.repeat(part, own, axis=0).mean(0) for part in one[:2])
        raw.append(test[np.arange(3), selection.argmax(1)])
    shift = draws[1:51] - raw
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-12)


def test_equal_input_gives_equal_output():
    one = random_side(np.random.default_rng(0))
    assert inference.contrast(one) == inference.contrast(Side(*(part.copy() for part in one[:2])))
    with pytest.raises(ValueError, match="read-only"):
        inference.counts(5)[0] = 0
