"""The swap test by hand."""

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import swap
from jaxsoft.analysis.showing.page import Table
from jaxsoft.analysis.statistics import groups

SOURCE = "teacher(epoch=5)"
pytestmark = pytest.mark.usefixtures("no_drawing")


def rows(shares, ipc=10, seeds=5, source=SOURCE):
    """A base that moves with the seed, and what each swap leaves of it."""
    found = []
    for s in range(seeds):
        base = 0.4 + 0.02 * s
        found.append(synthetic.row(ipc, source, s, base, epoch=5))
        found += [synthetic.row(ipc, f"{source}|swap({i})", s, base * share, epoch=5) for i, share in shares.items()]
    return found


def tell(members):
    """The one section, and its table as records."""
    (section,) = synthetic.ask(swap, members)
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    return section, [dict(zip(table.header, line)) for line in table.rows]


def test_relative_accuracy_area_and_trend_by_hand():
    _, (line,) = tell(rows({10: 0.9, 1: 0.5, 2: 0.7, 4: 0.8}))
    shares = [line[f"swap({i}), %"] for i in (1, 2, 4, 10)]
    assert shares == [f"{v} [{v}, {v}]" for v in ("50.0", "70.0", "80.0", "90.0")]  # inside a seed nothing varies
    assert line["no swap, %"].startswith("44.0 [") and line["area, i > 1, %"] == "80.0 [80.0, 80.0]"
    assert line["rises with i > 1"] == "1.00 [1.00, 1.00]"


def test_a_first_rank_that_costs_most_makes_no_rise_of_a_curve_that_falls_beyond_it():
    section, (line,) = tell(rows({1: 0.2, 2: 0.9, 3: 0.7, 4: 0.5}))
    assert line["rises with i > 1"] == "−1.00 [−1.00, −1.00]"
    assert "accuracy falls with the rank at IPC 10." in section.blocks[1].text


def test_it_is_the_ratio_of_means_over_seeds_that_were_run_everywhere():
    found = [synthetic.row(1, SOURCE, s, base) for s, base in enumerate((0.2, 0.4, 0.9))]
    found += [synthetic.row(1, f"{SOURCE}|swap(1)", s, 0.2) for s in range(2)]
    section, (line,) = tell(found)
    assert (line["swap(1), %"], line["n"]) == ("66.7", "2")
    assert section.title == "Swapping the probability of rank 1: no clear loss, 66.7 % left at IPC 1"


def test_the_answer_by_hand():
    section, (line,) = tell(rows({1: 0.59, 2: 0.8, 4: 0.9, 9: 0.97}))
    assert section.title == "Swapping the probability of rank 2 leaves 80.0 [80.0, 80.0] % of accuracy at IPC 10"
    costs, rises, picture, _ = section.blocks
    assert costs.text.endswith("rank 2 costs most: 80.0 % is left on average.")
    assert rises.text.endswith("rises with the rank at IPC 10: the smaller a probability, the less its place is worth.")
    assert picture.name == "swap" and section.title in picture.alt and line["area, i > 1, %"] == "89.0 [89.0, 89.0]"


@pytest.mark.parametrize(
    ("first", "second", "title", "costs"),
    [
        ({1: 0.5, 2: 0.9, 3: 0.95}, {1: 0.5, 2: 1.0, 3: 1.0}, "probability of rank 2 leaves 90.0 [90.0, 90.0] %", "2"),
        ({1: 0.5, 2: 0.9, 3: 0.7}, {1: 0.2, 2: 0.7, 3: 0.6}, "probability of rank 2 leaves 70.0 [70.0, 70.0] %", "3"),
        ({1: 0.5, 3: 0.9}, {1: 0.5, 3: 1.2}, "probability of rank 3 leaves 120.0 [120.0, 120.0] %", ""),
        ({1: 0.5, 2: 1.0}, {1: 0.5, 2: 1.0}, "probability of rank 2: no clear loss, 100.0 [100.0, 100.0] % left", ""),
        ({1: 0.5, 2: 0.9}, {1: 0.5, 3: 0.8}, "probability of rank 1 leaves 50.0 [50.0, 50.0] %", ""),
        ({2: 0.9}, {3: 0.8}, "probability of rank 2 leaves 90.0 [90.0, 90.0] %", ""),
    ],
)  # fmt: skip
def test_of_two_budgets_the_one_that_moves_most_is_told_at_a_rank_that_both_have(first, second, title, costs):
    section, _ = tell(rows(first, ipc=1) + rows(second, ipc=50))
    assert section.title.startswith(f"Swapping the {title}") and len(section.title) <= 100
    said = [block.text for block in section.blocks if hasattr(block, "text") and "costs most" in block.text]
    assert [f"rank {costs} costs" in text for text in said] == [True] * bool(costs)


def test_each_of_several_sources_has_its_own_section_and_a_short_title():
    other = "teachers(5, epoch=20)|temperature(0.5)"
    first, second = synthetic.ask(swap, rows({1: 0.5, 2: 0.7}) + rows({2: 1.0}, source=other))
    assert first.title == f"swap(2) of `{SOURCE}` leaves 70.0 [70.0, 70.0] % of accuracy at IPC 10"
    assert (
        second.title.startswith("swap(2) of `teachers(5, epoch=20)…`: no clear loss, 100.0")
        and len(second.title) <= 100
    )
    assert [[b.name for b in s.blocks if hasattr(b, "png")] for s in (first, second)] == [["swap-1"], ["swap-2"]]


def test_no_accuracy_to_be_relative_to_is_no_warning():
    section, (line,) = tell([{**row, "test_accuracy": 0.0} for row in rows({1: 0.5, 2: 0.7, 3: 0.5, 4: 0.1})])
    assert "area, i > 1, %" not in line and (line["no swap, %"], line["n"]) == ("0.0 [0.0, 0.0]", "5")
    assert section.title == "Swapping the probability of rank 2: no clear loss, – % left at IPC 10"


def test_the_figure_holds_the_curve():
    (group,) = groups.groups(groups.tidy(rows({1: 0.5, 4: 0.7, 64: 0.9})))
    (section,) = swap.answer(group, [])
    (chart,) = (block for block in section.blocks if hasattr(block, "panels"))
    level, curve = chart.panels[0].marks
    assert (level.y, list(curve.x), chart.panels[0].log) == (1.0, [1, 4, 64], True)
    np.testing.assert_allclose([value.mean for value in curve.y], [0.5, 0.7, 0.9])


def test_not_asked_without_swaps_or_without_what_they_changed():
    assert synthetic.ask(swap, synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5, 20))) == []
    assert synthetic.ask(swap, [r for r in rows({1: 0.5, 2: 0.7}) if "swap" in r["labels"]]) == []
    assert groups.is_probe(groups.tidy(rows({3: 0.5}, seeds=1))).tolist() == [False, True]
