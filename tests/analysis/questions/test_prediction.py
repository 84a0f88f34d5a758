"""Budgets that are foretold: on data that follow a law the predictions hold, and too few budgets are not asked."""

import re

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import prediction

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


def test_budgets_that_follow_a_law_are_foretold():
    found = prediction.foresee(members())
    for ipc, check in found.checks.items():
        assert check.chosen_epoch == EPOCHS[IPCS.index(ipc)]
        assert abs(np.log1p(check.epoch.value) - np.log1p(check.chosen_epoch)) < 1e-6
        assert abs(check.accuracy.value - check.measured) < 0.03
    epoch, accuracy = found.beyond
    assert round(epoch.value) == 127 and abs(accuracy.value - (0.9 - 0.5 * 32**-0.5)) < 0.02


def test_the_answer_names_the_largest_miss_and_the_table_every_budget(no_drawing):
    (section,) = prediction.answer(members(), [])
    picture, table = section.blocks
    misses = [abs(float(line[3].split()[0]) - float(line[4])) for line in table.rows[:-1]]
    told = re.fullmatch(r"Left out and predicted, budgets are missed by (.*) to (.*) points; 5 of 5 .*", section.title)
    assert told is not None  # not every interval holds what was measured, so nothing is foretold
    assert [float(miss) for miss in told.groups()] == pytest.approx([min(misses), max(misses)], abs=0.11)  # rounded
    assert [line[0] for line in table.rows] == ["1", "2", "4", "8", "16", "32"]
    assert [line[2] for line in table.rows] == ["3", "7", "15", "31", "63", "–"] and table.rows[-1][4] == "–"
    assert table.rows[0][1].startswith("3 [3, 3]") and "5 of 5 chosen epochs" in table.caption


def test_the_frontier_and_the_predictions_are_drawn():
    figure = prediction.draw(prediction.foresee(members()))
    (axes,) = figure.axes
    measured = axes.get_lines()[0]
    assert list(measured.get_xdata()) == list(IPCS)
    assert len(axes.containers[0].lines[0].get_xdata()) == len(IPCS) + 1


def test_few_budgets_or_epochs_do_not_ask():
    assert prediction.answer(members(ipcs=IPCS[:3]), []) == []
    assert prediction.answer(members(epochs=EPOCHS[:2]), []) == []
