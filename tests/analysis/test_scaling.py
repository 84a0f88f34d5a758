"""Laws fitted to members: intervals, weights, the frontier, and honesty about what seeds and budgets cannot tell."""

import math

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis import fits, laws, scaling

IPC = np.array([1.0, 2.0, 5.0, 10.0, 20.0, 50.0])
ONES = np.ones(6)


def law(n, c, a, b):
    return c + a * n**-b


def members(errors_by_ipc, spread, seeds=8, labels="hard", draw=0):
    rng = np.random.default_rng(draw)
    spread = np.broadcast_to(spread, len(errors_by_ipc))
    return [
        synthetic.row(int(ipc), labels, seed, float(1 - error + rng.normal(0, s)))
        for (ipc, error), s in zip(errors_by_ipc, spread)
        for seed in range(seeds)
    ]


def test_intervals_cover_the_truth_and_points_are_close():
    truth, points = (0.08, 0.5, 0.7), list(zip(IPC, law(IPC, 0.08, 0.5, 0.7)))
    fits = [scaling.fit_law(members(points, 0.05 / IPC**0.5, draw=draw), "hard") for draw in range(20)]
    found = [(f.floor, f.scale, f.exponent) for f in fits]
    covered = [[p.low <= value <= p.high for p, value in zip(parameters, truth)] for parameters in found]
    assert 0.85 <= np.mean(covered) < 1
    np.testing.assert_allclose(np.mean([[p.value for p in ps] for ps in found], 0), truth, rtol=0.05)
    assert all(p.identified and p.high - p.low < 0.5 for parameters in found for p in parameters)
    assert {(f.points, f.n, f.note) for f in fits} == {(6, 8, "")}
    np.testing.assert_allclose(fits[0].accuracy(IPC), 1 - law(IPC, *truth), atol=0.03)


def test_noisy_budgets_weigh_less():
    points = list(zip(IPC, law(IPC, 0.05, 0.5, 0.6)))
    weighted, plain = [], []
    for draw in range(8):
        rows = members(points, 0.12 / IPC, draw=draw)
        errors = 1 - np.array([np.mean([r["test_accuracy"] for r in rows if r["ipc"] == n]) for n in IPC])
        weighted.append(scaling.fit_law(rows, "hard").floor.value - 0.05)
        plain.append(laws.solve(laws.FLOOR, IPC, errors[None], ONES)[0][0, 0] - 0.05)
    assert np.std(weighted) < 0.6 * np.std(plain)


def test_what_is_not_identified_is_said():
    flat = scaling.fit_law(members([(n, 0.4) for n in IPC], 0.01), "hard")
    assert not flat.exponent.identified
    assert "exponent is not identified" in flat.note
    pure = scaling.fit_law(members(list(zip(IPC, law(IPC, 0.0, 0.6, 0.4))), 0.01), "hard")
    assert not pure.floor.identified
    assert "floor cannot be told from zero" in pure.note
    assert pure.exponent.identified


@pytest.mark.parametrize("count, said", [(1, "1 IPC values cannot fix"), (2, "2 IPC values cannot"), (3, "exact fit")])
def test_too_few_budgets_are_said(count, said):
    found = scaling.fit_law(members(list(zip(IPC, law(IPC, 0.1, 0.5, 0.6)))[:count], 0.01), "hard")
    assert said in found.note
    assert found.points == count
    assert not (found.floor.identified or found.scale.identified or found.exponent.identified)
    assert math.isnan(found.exponent.value) == (count < 3)


def test_one_seed_gives_a_law_without_intervals():
    found = scaling.fit_law(members(list(zip(IPC, law(IPC, 0.1, 0.5, 0.6))), 0.0, seeds=1), "hard")
    assert found.exponent.value == pytest.approx(0.6, abs=0.01)
    assert math.isnan(found.exponent.low)
    assert not found.exponent.identified
    assert found.note == "fewer than 3 seeds, no interval"


def test_the_frontier_takes_the_chosen_spec_of_each_budget():
    best = {1: 5, 2: 5, 5: 5, 10: 50, 20: 50, 50: 50}
    rows = []
    for ipc in IPC:
        for epoch in (5, 50):
            error = law(ipc, 0.05, 0.5, 0.6) + (0.0 if best[int(ipc)] == epoch else 0.1)
            labels = f"teacher(epoch={epoch})"
            rows += [synthetic.row(int(ipc), labels, s, 1 - error, epoch=epoch) for s in range(3)]
    found = scaling.fit_frontier_law(rows)
    assert found.labels == scaling.BEST
    assert (found.floor.value, found.exponent.value) == pytest.approx((0.05, 0.6), abs=0.01)


def test_every_form_is_compared_and_the_best_comes_first():
    rows = members(list(zip(IPC, law(IPC, 0.2, 0.5, 1.0))), 0.01, draw=1)
    found = scaling.fit_law(rows, "hard")
    rivals = found.rivals
    assert {fit.form for fit in rivals} == set(laws.FORMS)
    assert [fit.aicc for fit in rivals] == sorted(fit.aicc for fit in rivals)
    best = fits.best_form(rivals)
    assert best is rivals[0] and best.form == "power with floor"
    assert found.best is not None and found.best.parameters["exponent"] == found.exponent
    few = scaling.fit_law([row for row in rows if row["ipc"] < 20], "hard")
    assert few.rivals and few.best is None  # four points are too few for three parameters and their AICc


def test_the_best_form_has_intervals_of_its_own():
    found = scaling.fit_law(members(list(zip(IPC, law(IPC, 0.0, 0.5, 0.5))), 0.01), "hard")
    assert found.best is not None and found.best.form == "power"
    told = found.best.parameters["exponent"]
    assert told.identified and told.low < 0.5 < told.high
    assert "floor" not in found.best.parameters
