"""Budgets that are foretold: on data that follow a law the predictions hold, and too few budgets are not asked."""

import math
import re

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import prediction
from jaxsoft.analysis.statistics import fits

IPCS, EPOCHS = (1, 2, 4, 8, 16), (3, 7, 15, 31, 63)  # the best epoch doubles with IPC: ln(1 + epoch) is a line


def members(ipcs=IPCS, epochs=EPOCHS, seeds=6):
    random, rows = np.random.default_rng(0), []
    for ipc in ipcs:
        best = IPCS.index(ipc)
        for s in range(seeds):
            luck = random.normal(0, 0.004)
            rows.append(synthetic.row(ipc, "hard", s, 0.9 - 0.55 * ipc**-0.5 + luck))
            for e, epoch in enumerate(epochs):
                accuracy = 0.9 - 0.5 * ipc**-0.5 - 0.02 * abs(e - best) + luck + random.normal(0, 0.001)
                rows.append(synthetic.row(ipc, f"teacher(epoch={epoch})", s, accuracy, epoch=epoch))
    return rows


def predictions(rows):
    group = synthetic.one_group(rows)
    dated = group.find(group.arms["epoch"].notna().to_numpy())
    return prediction.predictions(group, dated, fits.curve(group, group.soft, fits.BEST))


def test_budgets_that_follow_a_law_are_foretold():
    *checks, beyond = predictions(members())
    assert [check["IPC"] for check in checks] == list(IPCS)
    for check in checks:
        assert check["epoch, chosen"] == EPOCHS[IPCS.index(check["IPC"])]
        assert abs(np.log1p(check["epoch, predicted"].mean) - np.log1p(check["epoch, chosen"])) < 1e-6
        assert abs(check["test, predicted, %"].mean - check["test, measured, %"]) < 0.03
        assert check["test, predicted, %"].low <= check["test, predicted, %"].mean <= check["test, predicted, %"].high
    assert beyond["IPC"] == 32 and math.isnan(beyond["epoch, chosen"]) and math.isnan(beyond["test, measured, %"])
    assert round(beyond["epoch, predicted"].mean) == 127
    assert abs(beyond["test, predicted, %"].mean - (0.9 - 0.5 * 32**-0.5)) < 0.02


def test_the_answer_names_the_largest_miss_and_the_table_every_budget(no_drawing):
    (section,) = synthetic.ask(prediction, members())
    _, table = section.blocks
    misses = [abs(float(line[3].split()[0]) - float(line[4])) for line in table.rows[:-1]]
    told = re.fullmatch(r"Unseen budgets are missed by (.*) to (.*) points; 5 of 5 epochs .*", section.title)
    assert told is not None  # not every interval holds what was measured, so nothing is foretold
    assert [float(miss) for miss in told.groups()] == pytest.approx([min(misses), max(misses)], abs=0.11)  # rounded
    assert [line[0] for line in table.rows] == ["1", "2", "4", "8", "16", "32"]
    assert [line[2] for line in table.rows] == ["3", "7", "15", "31", "63", "–"] and table.rows[-1][4] == "–"
    assert table.rows[0][1].startswith("3 [3, 3]") and "5 of 5 chosen epochs" in table.caption


def test_what_every_interval_holds_is_foretold(no_drawing, monkeypatch):
    monkeypatch.setattr(prediction, "_holds", lambda value, seen: not math.isnan(seen))
    (section,) = synthetic.ask(prediction, members())
    assert re.fullmatch(
        r"Accuracy of unseen budgets is foretold to within \d\.\d points; 5 of 5 epochs .*", section.title
    )


def test_the_frontier_and_the_predictions_are_drawn():
    chart, _ = prediction.answer(synthetic.one_group(members()), []).blocks
    measured, predicted = chart.panels[0].marks
    assert list(measured.x) == list(IPCS) and measured.look == "band"
    assert list(predicted.x) == [*IPCS, 32] and not predicted.line


def test_budgets_without_dated_labels_or_without_a_unit_to_judge_are_no_points():
    undated = [synthetic.row(32, "learned", s, 0.85) for s in range(6)]
    *checks, _ = predictions(members() + undated)
    last = checks[-1]
    assert last["IPC"] == 32 and math.isnan(last["epoch, chosen"])
    assert last["test, measured, %"] == pytest.approx(0.85)
    alone = [synthetic.row(32, f"teacher(epoch={EPOCHS[s]})", s, 0.8, epoch=EPOCHS[s]) for s in (0, 1)]
    *_, table = prediction.answer(synthetic.one_group(members() + alone), []).blocks
    assert [line[0] for line in table.rows] == ["1", "2", "4", "8", "16", "64"]


def test_few_budgets_or_epochs_do_not_ask():
    assert synthetic.ask(prediction, members(ipcs=IPCS[:3])) == []
    assert synthetic.ask(prediction, members(epochs=EPOCHS[:2])) == []
