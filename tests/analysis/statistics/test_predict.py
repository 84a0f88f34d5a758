"""An IPC that was not run, predicted where the truth is known."""

import math

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.statistics import fits

IPCS, EPOCHS = (1, 2, 5, 10, 20, 50), (3, 5, 7, 10, 14, 20, 28, 40, 57, 80, 113)


def reached(ipc):
    return 1 - (0.05 + 0.5 * ipc**-0.6)


def members(ipcs=IPCS, spread=0.004, seeds=10, seed=0):
    """The best epoch is 10 n^0.5 - 1; others lose with the square of the distance in log epoch."""
    rng = np.random.default_rng(seed)
    rows = []
    for ipc in ipcs:
        for epoch in EPOCHS:
            loss = 0.05 * (math.log(1 + epoch) - math.log(10 * ipc**0.5)) ** 2
            for s in range(seeds):
                val, test = reached(ipc) - loss + rng.normal(0, spread, 2) if spread else [reached(ipc) - loss] * 2
                labels = f"teacher(epoch={epoch})"
                rows.append(synthetic.row(ipc, labels, s, float(test), epoch=epoch, val_accuracy=float(val)))
    return rows


def epoch_of(rows, ipc):
    group = synthetic.one_group(rows)
    return fits.predicted_epoch(*fits.chosen_epochs(group, group.soft), len(group.units), ipc)


def accuracy_of(rows, ipc):
    group = synthetic.one_group(rows)
    return fits.predicted_accuracy(fits.curve(group, group.soft, fits.BEST), ipc)


def test_an_epoch_that_grows_with_a_power_of_ipc_is_predicted():
    found = epoch_of(members(), 100)
    assert found.mean == pytest.approx(99, rel=0.2)  # epochs come in steps of about 40 %
    assert found.low <= found.mean <= found.high
    assert found.low < 99 < found.high and found.n == 10


def test_the_line_is_that_of_numpy():
    chosen = [min(EPOCHS, key=lambda e: abs(math.log(1 + e) - math.log(10 * n**0.5))) for n in IPCS]
    slope, start = np.polyfit(np.log(IPCS), np.log1p(chosen), 1)
    found = epoch_of(members(spread=0.0), 30)
    assert found.mean == pytest.approx(math.expm1(start + slope * math.log(30)))
    assert found.low == found.high == pytest.approx(found.mean)


@pytest.mark.parametrize(("predicted", "seeds"), [(epoch_of, 2), (accuracy_of, 5)])
def test_draws_in_which_a_budget_was_not_run_are_left_out(predicted, seeds):
    rows = members(spread=0.0)
    found = predicted([row for row in rows if row["ipc"] < 50 or row["seed"] < seeds], 100)
    assert found.mean == pytest.approx(predicted(rows, 100).mean, rel=1e-3)
    assert found.low == pytest.approx(found.high)  # none of them has taken another value for the budget


def test_intervals_of_accuracy_cover_the_truth():
    found = [accuracy_of(members(seed=s), 100) for s in range(12)]
    assert sum(p.low <= reached(100) <= p.high for p in found) >= 10
    assert np.mean([p.high - p.low for p in found]) < 0.03


def test_what_cannot_be_predicted_is_nothing():
    assert epoch_of(members(ipcs=(5,)), 10).n == accuracy_of(members(ipcs=(1, 5)), 10).n == 0
    assert math.isnan(epoch_of(members(ipcs=(5,)), 10).mean)
    assert math.isnan(accuracy_of(members(seeds=2), 100).low)
    hard = synthetic.one_group([synthetic.row(n, "hard", s, 0.5) for n in IPCS for s in range(3)])
    ipcs, epochs = fits.chosen_epochs(hard, hard.soft)
    assert (ipcs, epochs.shape) == ([], (1, 0)) and fits.predicted_epoch(ipcs, epochs, 3, 10).n == 0
