"""An IPC that was not run, predicted where the truth is known."""

import math

import numpy as np
import pytest
import synthetic

from jaxsoft import errors
from jaxsoft.analysis import predict

IPCS, EPOCHS = (1, 2, 5, 10, 20, 50), (3, 5, 7, 10, 14, 20, 28, 40, 57, 80, 113)
ENTROPIES = {epoch: 2.5 - 0.4 * math.log(1 + epoch) for epoch in EPOCHS}


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


def test_an_epoch_that_grows_with_a_power_of_ipc_is_predicted():
    found = predict.predict_epoch(members(), 100, resamples=300)
    assert found.value == pytest.approx(99, rel=0.2)  # epochs come in steps of about 40 %
    assert found.low <= found.value <= found.high
    assert found.low < 99 < found.high
    assert (found.ipc, found.n) == (100, 10)


def test_the_line_is_that_of_numpy():
    rows = members(spread=0.0)
    chosen = [min(EPOCHS, key=lambda e: abs(math.log(1 + e) - math.log(10 * n**0.5))) for n in IPCS]
    slope, start = np.polyfit(np.log(IPCS), np.log1p(chosen), 1)
    found = predict.predict_epoch(rows, 30, resamples=50)
    assert found.value == pytest.approx(math.expm1(start + slope * math.log(30)))
    assert found.low == found.high == pytest.approx(found.value)
    entropy = predict.predict_entropy(rows, 30, ENTROPIES, resamples=50)
    assert entropy.value == pytest.approx(2.5 - 0.4 * (start + slope * math.log(30)))


def test_one_budget_left_out_is_predicted_from_the_others():
    for ipc in (10, 50):
        check = predict.leave_one_out(members(), ipc, ENTROPIES, resamples=300)
        assert check.chosen_epoch in (20, 28, 40, 57, 80)
        assert check.epoch.value == pytest.approx(check.chosen_epoch, rel=0.35)
        assert check.measured == pytest.approx(reached(ipc), abs=0.01)
        assert check.accuracy.value == pytest.approx(reached(ipc), abs=0.015)
        assert check.accuracy.low <= check.accuracy.value <= check.accuracy.high
        assert check.entropy is not None
        assert check.chosen_entropy == ENTROPIES[int(check.chosen_epoch)]
        assert check.entropy.value == pytest.approx(check.chosen_entropy, abs=0.15)


def test_intervals_of_accuracy_cover_the_truth():
    found = [predict.predict_accuracy(members(seed=s), 100, "power with floor", resamples=200) for s in range(12)]
    assert sum(p.low <= reached(100) <= p.high for p in found) >= 10
    assert np.mean([p.high - p.low for p in found]) < 0.03


def test_what_cannot_be_predicted_says_why():
    one = predict.predict_epoch(members(ipcs=(5,)), 10, resamples=20)
    assert math.isnan(one.value) and one.how == "1 IPC values cannot fix a line"
    two = predict.predict_accuracy(members(ipcs=(1, 5)), 10, resamples=20)
    assert math.isnan(two.value) and "2 IPC values cannot fix a power with floor law" in two.how
    assert math.isnan(predict.predict_accuracy(members(seeds=2), 100, resamples=20).low)
    hard = [synthetic.row(n, "hard", s, 0.5) for n in IPCS for s in range(3)]
    assert predict.predict_epoch(hard, 10, resamples=20).how == "0 IPC values cannot fix a line"
    with pytest.raises(errors.ConfigError, match="entropies has no epoch 3"):
        predict.predict_entropy([row for row in members() if row["teacher_epoch"] == 3], 10, {10: 1.0}, 20)
    with pytest.raises(errors.ConfigError, match="ipc 3 cannot be left out"):
        predict.leave_one_out(members(), 3)
