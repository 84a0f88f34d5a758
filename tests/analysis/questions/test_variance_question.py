"""Crossed designs in rows: found, told, drawn; and what is no crossed design."""

from pathlib import Path

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import variance
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing.chart import Chart
from jaxsoft.analysis.showing.page import Picture, Table
from jaxsoft.analysis.statistics import variance as components
from jaxsoft.analysis.statistics.groups import tidy

LEVELS = (8, 4, 8)


def crossed_rows(ipc, sds, rest, epoch=20, gain=0.0, seed=0, levels=LEVELS):
    """Members of one treatment in a crossed design; accuracies around 0.5, spreads in points."""
    values = 0.5 + gain + 0.01 * synthetic.crossed(np.random.default_rng(seed), levels, sds, rest)
    rows = []
    for (subset, expert, seed), value in np.ndenumerate(values):
        labels = f"teacher(expert={expert}, epoch={epoch})" if expert else f"teacher(epoch={epoch})"
        rows.append(synthetic.row(ipc, labels, seed, float(value), subset_seed=subset, epoch=epoch))
    return rows, values


def found_in(rows):
    return variance.crossed(synthetic.one_group(rows))


def run(models=()):
    return Run(Path("run"), [], {}, {}, {}, {}, {"teacher": {"models": list(models)}}, None)


def test_the_design_is_found_in_rows_of_any_order():
    rows, values = crossed_rows(10, (2, 1, 1), 0.5)
    (one,) = found_in(rows[::-1])
    assert (one.ipc, one.labels, one.levels, one.pairs) == (10, "teacher(epoch=20)", LEVELS, ())
    assert one.found == components.components(values, ("image", "expert", "seed"))


def test_the_largest_source_is_the_title_and_the_numbers_are_in_points(no_drawing):
    rows = crossed_rows(10, (2, 0.2, 0.4), 0.5)[0] + crossed_rows(1, (0.3, 0.2, 3), 0.5)[0]
    first, second = synthetic.ask(variance, rows, [run()])
    few, many = found_in(rows)
    largest = few.found.parts[2].share, many.found.parts[0].share
    share = [f"{100 * p.mean:.0f} % [{100 * p.low:.0f}, {100 * p.high:.0f}]" for p in largest]
    assert first.title == f"Initialisation and order explain {share[0]} of the variance at IPC 1"
    assert second.title == f"The choice of images explains {share[1]} of the variance at IPC 10"
    assert [isinstance(b, Picture) for b in first.blocks].count(True) == 1
    tables = [block for block in second.blocks if isinstance(block, Table)]
    image = many.found.parts[0].variance
    assert tables[0].rows[0][3].startswith(f"{1e4 * image.mean:.2f} [{1e4 * image.low:.2f}, ")
    assert tables[0].rows[0][4].startswith(f"{100 * image.mean**0.5:.2f} [")
    assert float(tables[0].rows[0][4].split()[0]) == pytest.approx(2, rel=0.5)
    needed = components.seeds_needed(many.found.total.mean, 0.01, paired=False)
    assert tables[1].rows == [("`teacher(epoch=20)`", "another treatment, on its own seeds", f"{needed} each")]


def test_what_pairs_share_cancels(no_drawing):
    soft, values = crossed_rows(10, (3, 1, 1), 0.0)
    other = [{**r, "labels": r["labels"].replace("20", "50"), "member": f"x{r['member']}"} for r in soft]
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.005, len(other))
    for row, e in zip(other, noise):
        row["test_accuracy"] += float(e)
    hard = [
        synthetic.row(10, "hard", t, float(values[s, :, t].mean()) - 0.1, subset_seed=s)
        for s in range(8)
        for t in range(8)
    ]
    found = {one.labels: one for one in found_in(soft + other + hard)}
    assert list(found) == ["teacher(epoch=20)", "teacher(epoch=50)", "hard"]
    pairs = dict(found["teacher(epoch=20)"].pairs)
    assert pairs["teacher(epoch=50)"] == pytest.approx(0.005**2, rel=0.2)
    expert = found["teacher(epoch=20)"].found.parts[1].variance.mean
    assert pairs["hard"] == pytest.approx(expert, rel=0.05)  # images and seeds cancel, the expert stays
    assert found["hard"].levels == (8, 1, 8) and found["hard"].pairs == ()  # one pair, one answer
    (section,) = synthetic.ask(variance, soft + other + hard, [run()])
    assert ("`teacher(epoch=20)`", "`hard`, each seed against itself") in [line[:2] for line in section.blocks[-1].rows]


def test_one_expert_and_missing_members_are_said(no_drawing):
    rows, _ = crossed_rows(5, (1, 0, 1), 1, levels=(6, 1, 5))
    (section,) = synthetic.ask(variance, rows[1:], [run()])
    text = section.blocks[0].text
    assert (
        "over 6 subsets × 5 seeds" in text
        and "There is one expert" in text
        and "Of 30 members 1 did not finish" in text
    )


@pytest.mark.parametrize("case", ["seeds draw their own images", "one subset", "too many are missing"])
def test_what_is_not_crossed_does_not_ask(no_drawing, case):
    rows = crossed_rows(10, (1, 1, 1), 1, levels=(4, 2, 4))[0]
    if case == "seeds draw their own images":
        rows = synthetic.rows(seeds=4)
    if case == "one subset":
        rows = [row for row in rows if row["subset_seed"] == 0]
    if case == "too many are missing":
        rows = rows[:-4]
    assert synthetic.ask(variance, rows, [run()]) == []


def test_experts_of_several_architectures_are_treatments(no_drawing):
    rows, _ = crossed_rows(10, (1, 1, 1), 1, levels=(4, 2, 4))
    (section,) = synthetic.ask(variance, rows, [run(("mlp", "convnet"))])
    assert {line[0] for line in section.blocks[2].rows} == {"`teacher(epoch=20)`", "`teacher(expert=1, epoch=20)`"}


def test_bars_are_shares_with_their_intervals():
    rows = crossed_rows(10, (2, 1, 1), 0.5)[0] + crossed_rows(1, (1, 1, 3), 0.5)[0]
    found, sections = found_in(rows), variance.answer(synthetic.one_group(rows), [run()])
    (chart,) = (block for section in sections for block in section.blocks if isinstance(block, Chart))
    (panel,) = chart.panels
    assert [[value for value in mark.y] for mark in panel.marks] == [
        [one.found.parts[i].share for one in found] for i in range(4)
    ]
    assert (panel.y, panel.names) == ("share of the variance, %", ["1", "10"])
    assert chart.said == "256 members an IPC; bars: 95 % intervals" and len({mark.colour for mark in panel.marks}) == 4


def test_a_negative_estimate_is_marked(no_drawing):
    rows, _ = crossed_rows(10, (3, 0, 0), 1.0, levels=(4, 3, 4), seed=1)
    (table, _) = (b for b in synthetic.ask(variance, rows, [run()])[0].blocks if isinstance(b, Table))
    assert any(line[1].endswith(" *") and line[5].startswith("0 %") for line in table.rows)
    assert table.caption.endswith("* The estimate was negative and is shown as 0.")


def test_members_of_every_rate_but_the_best_are_left_out():
    rows, values = crossed_rows(10, (2, 1, 1), 0.5)
    worse = [
        {**row, "member": f"x{row['member']}", "learning_rate": 0.1, "val_accuracy": 0.0, "test_accuracy": 0.0}
        for row in rows
    ]
    (one,) = found_in(rows + worse)
    assert one.found == components.components(values, ("image", "expert", "seed"))


def test_labels_of_further_experts_are_its_own():
    labels = ("hard", "teacher(epoch=5)", "teacher(expert=0)", "teacher(expert=2, epoch=5)|topk(2)", "teacher(2)")
    members = tidy([synthetic.row(1, own, 0, 0.5) for own in labels])
    assert variance.private(members).tolist() == [False, False, False, True, True]
    assert [variance.treatment(own) for own in labels[2:]] == [
        ("teacher", 0), ("teacher(epoch=5)|topk(2)", 2), ("teacher", 2),
    ]  # fmt: skip
