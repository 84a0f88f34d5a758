"""Laws fitted to curves: intervals that cover the truth, the choice of a form, extrapolation, and honesty about the rest."""

import dataclasses
import math

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis import overview, tables
from jaxsoft.analysis.questions.joint_law import cut_families
from jaxsoft.analysis.statistics import fits, inference, laws
from jaxsoft.analysis.statistics.groups import groups, tidy

IPC = np.array([1.0, 2.0, 5.0, 10.0, 20.0, 50.0])
K = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 100.0])
TRUTHS = [(laws.POWER, (0.0, 0.7, 0.4)), (laws.FLOOR, (0.08, 0.5, 0.7)), (laws.SATURATING, (0.2, 0.1, 12.0))]
JOINT = (0.1, 0.4, 0.5, 0.3, 0.8)
FORMS = pytest.mark.parametrize("form, truth", TRUTHS, ids=[form.name for form, _ in TRUTHS])


def curve_of(values, *x, resamples=0):
    """A curve of accuracies [U, T] with its draws."""
    weight, known = fits.weights(values, x[0])
    n = int(np.isfinite(values).sum(0).min())
    draws = inference.curves(values, resamples) if resamples else inference.means(values)[None]
    return fits.Curve("hard", np.array(x), draws, weight, known, n)


def published(ipc, accuracy):
    """A curve of which no seeds are known."""
    return fits.Curve("published", np.array([ipc], float), np.array([accuracy]), np.ones(len(ipc)), False, 0)


def told(fit, *x):
    """Test accuracy that a law expects."""
    values = [0.0] * (not fit.form.floor) + [part.value for part in fit.parameters.values()]
    return 1 - laws.error_at(fit.form, np.array(values)[:, None], np.array(x, float))[0]


def scattered(form, truth, draw=0, spread=0.02, seeds=20, ipc=IPC, resamples=0):
    """Seeds around a known law, more widely where images are few."""
    accuracy = 1 - laws.error_at(form, np.array(truth)[:, None], ipc[None])
    noise = np.random.default_rng(draw).normal(0, spread, (seeds, len(ipc))) / ipc**0.25
    return curve_of(accuracy + noise, ipc, resamples=resamples)


def members(accuracies, spread=0.0, seeds=8, draw=0):
    """A group of (IPC, labels) with seeds around an accuracy."""
    rng = np.random.default_rng(draw)
    rows = [
        synthetic.row(int(ipc), labels, seed, float(accuracy + rng.normal(0, spread)), epoch=5)
        for (ipc, labels), accuracy in accuracies.items()
        for seed in range(seeds)
    ]
    (group,) = groups(tidy(rows))
    return group


def hard(c, a, b, ipc=IPC, **other):
    group = members({(n, "hard"): 1 - c - a * n**-b for n in ipc}, **other)
    return fits.curve(group, group.hard, "hard")


@FORMS
def test_intervals_cover_known_parameters_in_90_of_100_draws(form, truth):
    found = [fits.fit(form, scattered(form, truth, draw, resamples=500)) for draw in range(100)]
    for name, value in zip(form.parameters, truth[3 - len(form.parameters) :]):
        inside = [fit.parameters[name].low <= value <= fit.parameters[name].high for fit in found]
        assert 90 <= np.sum(inside)
        assert np.mean([fit.parameters[name].value for fit in found]) == pytest.approx(value, rel=0.03)
        assert np.mean([fit.parameters[name].identified for fit in found]) > 0.95
    assert {fit.note for fit in found if all(p.identified for p in fit.parameters.values())} == {""}
    assert np.mean([fit.excess for fit in found]) == pytest.approx(1, abs=0.2)


@FORMS
def test_aicc_chooses_the_form_that_made_the_data(form, truth):
    ipc, chosen = np.array([1.0, 2, 3, 5, 10, 20, 30, 50]), []
    for draw in range(20):
        curve = scattered(form, truth, draw, spread=0.01, ipc=ipc)
        best = fits.law(curve).best
        chosen.append(best and best.form)
    assert chosen.count(form) >= 16


def test_the_largest_ipc_is_predicted_from_the_others():
    curve = scattered(laws.FLOOR, (0.08, 0.5, 0.7), spread=0.0)
    assert fits.fit(laws.FLOOR, curve).unseen == pytest.approx(0, abs=1e-3)
    curve.draws[:, -1] -= 0.05  # a fit that saw it would follow
    assert fits.fit(laws.FLOOR, curve).unseen == pytest.approx(0.05, abs=1e-3)


def test_distribution_matching_is_extrapolated_from_its_first_four_points():
    ipc, accuracy = (100, 200, 500, 1000, 1250), (0.670, 0.712, 0.761, 0.798, 0.808)
    law = fits.law(published(ipc, accuracy))
    for fit in law.rivals:
        assert abs(fit.unseen) < 0.015
        np.testing.assert_allclose(told(fit, ipc), accuracy, atol=0.005)
        assert fit.note == "fewer than 5 seeds, no interval"
    assert law.best is None  # five points


@pytest.mark.parametrize("form", laws.FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("accuracy", [np.full(6, 0.4), 0.6 - 0.01 * np.arange(6.0)], ids=["flat", "falling"])
def test_without_growth_nothing_is_identified(form, accuracy):
    for spread in (0.0, 0.01):
        values = accuracy + np.random.default_rng(0).normal(0, spread, (6, 6))
        fit = fits.fit(form, curve_of(values, IPC, resamples=300))
        # Without a floor, no growth is an exponent of nearly none.
        assert ("no growth with images can be told from none" if form.floor else "its interval reaches") in fit.note
        assert not fit.parameters[form.bases[0].shape].identified


def test_members_become_a_curve_whose_law_covers_the_truth():
    truth = {"floor": 0.08, "scale": 0.5, "exponent": 0.7}
    found = [fits.fit(laws.FLOOR, hard(*truth.values(), spread=0.05 / 3, draw=draw)) for draw in range(12)]
    inside = [[f.parameters[k].low <= v <= f.parameters[k].high for k, v in truth.items()] for f in found]
    assert 0.8 <= np.mean(inside)
    assert {(f.x.shape, f.n) for f in found} == {((1, 6), 8)}
    np.testing.assert_allclose(told(found[0], IPC), 1 - 0.08 - 0.5 * IPC**-0.7, atol=0.03)


def test_noisy_budgets_weigh_less():
    weighted, plain = [], []
    for draw in range(8):
        noise = np.random.default_rng(draw).normal(0, 0.12, (8, 6)) / IPC
        curve = curve_of(1 - 0.05 - 0.5 * IPC**-0.6 + noise, IPC)
        for errs, weight in ((weighted, curve.weight), (plain, np.ones(6))):
            errs.append(fits.fit(laws.FLOOR, curve._replace(weight=weight)).parameters["floor"].value - 0.05)
    assert np.std(weighted) < 0.6 * np.std(plain)


def test_a_floor_of_none_cannot_be_told_from_zero():
    pure = fits.fit(laws.FLOOR, hard(0.0, 0.6, 0.4, spread=0.01))
    assert not pure.parameters["floor"].identified and pure.parameters["exponent"].identified
    assert "floor cannot be told from zero" in pure.note


@pytest.mark.parametrize(
    "count, said", [(1, "1 point cannot fix three"), (2, "2 points cannot"), (3, "3, an exact fit")]
)
def test_too_few_budgets_are_said(count, said):
    law = fits.law(hard(0.1, 0.5, 0.6, IPC[:count], spread=0.01))
    best = law.fit
    assert said in best.note and best.form is laws.FLOOR and law.best is None and len(law.rivals) == 3
    assert not any(part.identified for part in best.parameters.values())
    assert math.isnan(best.parameters["exponent"].value) == (count < 3)


@pytest.mark.parametrize("seeds", [1, 4])
def test_few_seeds_give_a_law_without_intervals(seeds):
    found = fits.fit(laws.FLOOR, hard(0.1, 0.5, 0.6, seeds=seeds))
    assert found.parameters["exponent"].value == pytest.approx(0.6, abs=0.01)
    assert math.isnan(found.parameters["exponent"].low) and not found.parameters["exponent"].identified
    assert found.note == "fewer than 5 seeds, no interval"


def test_draws_without_a_budget_are_left_out():
    values = np.tile(1 - 0.08 - 0.5 * IPC**-0.7, (20, 1))
    values[1:, 2] = np.nan
    fit = fits.fit(laws.FLOOR, curve_of(values, IPC, resamples=300))
    assert fit.n == 1 and fit.note == "fewer than 5 seeds, no interval"
    assert fit.parameters["exponent"].value == pytest.approx(0.7, abs=0.002)


def test_the_curve_of_the_best_labels_takes_those_of_each_budget():
    best = {1: 5, 2: 5, 5: 5, 10: 50, 20: 50, 50: 50}
    cells = {
        (ipc, f"teacher(epoch={epoch})"): 1 - 0.05 - 0.5 * ipc**-0.6 - 0.1 * (best[int(ipc)] != epoch)
        for ipc in IPC
        for epoch in (5, 50)
    }
    group = members(cells, seeds=5)
    found = fits.fit(laws.FLOOR, fits.curve(group, group.soft, fits.BEST))
    assert [found.parameters[name].value for name in ("floor", "exponent")] == pytest.approx([0.05, 0.6], abs=0.01)


def test_every_form_is_compared_and_all_curves_are_told_in_one():
    law = fits.law(hard(0.2, 0.5, 1.0, spread=0.01, draw=1))
    assert {fit.form.name for fit in law.rivals} == {form.name for form in laws.FORMS}
    assert [fit.aicc for fit in law.rivals] == sorted(fit.aicc for fit in law.rivals)
    assert law.fit.form is law.rivals[0].form is laws.FLOOR
    told, bare = (fit.parameters["exponent"] for fit in (law.fit, law.rivals[0]))
    assert told.value == bare.value and told.low < 1.0 < told.high and math.isnan(bare.low)
    power = fits.law(hard(0.0, 0.5, 0.5, spread=0.01))
    assert power.best is power.rivals[0] and power.rivals[0].form is laws.POWER
    assert (
        power.fit.form is laws.FLOOR
        and power.fit.parameters["exponent"].low < 0.5 < power.fit.parameters["exponent"].high
    )
    few = fits.law(hard(0.2, 0.5, 1.0, IPC[:4], spread=0.01))
    assert few.best is None  # too few for three parameters and their AICc


@pytest.mark.parametrize("truth", [(0.2, 0.5, 1.0), (0.0, 0.5, 0.5)])
def test_the_title_the_table_and_the_text_of_a_law_have_one_exponent(truth):
    law = fits.law(hard(*truth, spread=0.01))
    shown = tables.law_table([law])
    cells = dict(zip(shown.header, shown.rows[0]))
    exponent = law.fit.parameters["exponent"].value
    assert overview._falls(law) == f"as IPC^−{exponent:.2f} with hard labels"
    assert cells["form by AICc"].startswith(law.rivals[0].form.name) and law.fit.form is laws.FLOOR
    assert cells["exponent b"].startswith(f"{exponent:.2f} [") and "*" not in cells["exponent b"]
    assert f"exponent {cells['exponent b']}" in tables._formula(law)
    assert overview._falls(fits.law(hard(0.3, 0.0, 1.0, spread=0.01))) == ""


def joint_error(c, a, b, d, e):
    return (c + a * IPC[:, None] ** -b + d * K**-e).ravel()


PLANE = [part.ravel() for part in np.meshgrid(IPC, K, indexing="ij")]


def joint(values, resamples=0, kept=slice(None)):
    """A joint law of seeds [U, I * J], whose cells all vary alike."""
    curve = curve_of(values[:, kept], *(line[kept] for line in PLANE), resamples=resamples)
    spread = values[:, kept].std(0, ddof=1).mean() / math.sqrt(len(values)) if len(values) > 1 else 0.0
    weight = np.full(curve.x.shape[1], spread**-2.0) if spread else np.ones(curve.x.shape[1])
    return fits.fit(laws.JOINT, curve._replace(weight=weight))


def test_joint_intervals_cover_known_parameters_in_90_of_100_draws():
    noise = np.random.default_rng(0).normal(0, 0.01, (100, 10, 42))
    found = [joint(1 - joint_error(*JOINT) + draw, 200) for draw in noise]
    for name, value in zip(laws.JOINT.parameters, JOINT):
        inside = [fit.parameters[name].low <= value <= fit.parameters[name].high for fit in found]
        assert 90 <= np.sum(inside) and all(fit.parameters[name].identified for fit in found)
        assert np.mean([fit.parameters[name].value for fit in found]) == pytest.approx(value, rel=0.02)
    assert np.mean([fit.excess for fit in found]) == pytest.approx(1, abs=0.2)
    assert np.mean([fit.misfit for fit in found]) == pytest.approx(0.01 / math.sqrt(10), rel=0.2)


def cut(kept=K, seeds=10, **other):
    """Members of labels cut to k entries, with the arms of each k."""
    errs = dict(zip(zip(*PLANE), joint_error(*JOINT)))
    names = {k: "teacher(epoch=5)" + (f"|topk({k:.0f})" if k < 100 else "") for k in kept}
    group = members({(n, names[k]): 1 - errs[n, k] for n, k in errs if k in kept}, seeds=seeds, **other)
    return group, {int(k): group.of(name) for k, name in names.items()}


def test_members_become_points_of_ipc_and_entries():
    group, arms = cut()
    found = fits.fit(laws.JOINT, fits.surface(group, arms, "teacher(epoch=5)|topk(k)"))
    assert (found.name, found.x.shape, found.n) == ("teacher(epoch=5)|topk(k)", (2, 42), 10)
    np.testing.assert_allclose(told(found, *PLANE), 1 - joint_error(*JOINT), atol=0.001)
    assert cut_families(group, 100) == {found.name: arms}


def test_points_of_a_joint_law_weigh_alike_where_some_have_no_spread():
    group, arms = cut(seeds=5, spread=0.01)
    assert fits.surface(group, arms, "").known
    test = group.test.copy()
    test[:, :, arms[4]] = 0.5
    curve = fits.surface(dataclasses.replace(group, test=test), arms, "")
    assert not curve.known and (curve.weight == 1).all()


def test_of_a_joint_law_what_is_not_identified_is_said():
    truth = 1 - joint_error(*JOINT) + np.random.default_rng(0).normal(0, 0.01, (10, 42))
    few = joint(truth, 100, PLANE[1] < 3)
    assert "the exponent of label entries is not identified" in few.note
    assert few.parameters["exponent"].identified or "floor" in few.note
    alone = joint(truth, 0, PLANE[1] < 2)
    assert "cannot fix five" in alone.note and math.isnan(alone.parameters["floor"].value)
    assert "fewer than 5 seeds" in joint(truth[:2], 100).note
    bent = joint(truth + 0.02 * np.log(PLANE[0]) * np.log(PLANE[1]), 100)
    assert "standard errors, so it is not the whole truth" in bent.note
