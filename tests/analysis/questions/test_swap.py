"""The swap test by hand."""

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import swap

SOURCE = "teacher(epoch=5)"


def rows(shares, ipc=10, seeds=4):
    """A base that moves with the seed, and what each swap leaves of it."""
    found = []
    for s in range(seeds):
        base = 0.4 + 0.02 * s
        found.append(synthetic.row(ipc, SOURCE, s, base, epoch=5))
        found += [synthetic.row(ipc, f"{SOURCE}|swap({i})", s, base * share, epoch=5) for i, share in shares.items()]
    return found


def test_relative_accuracy_area_and_trend_by_hand():
    ((source, (curve,)),) = swap.curves(rows({10: 0.9, 1: 0.5, 2: 0.7, 4: 0.8})).items()
    assert (source, curve.ranks) == (SOURCE, (1, 2, 4, 10))
    np.testing.assert_allclose([e.mean for e in curve.relative], [0.5, 0.7, 0.8, 0.9])
    np.testing.assert_allclose([e.high for e in curve.relative], [0.5, 0.7, 0.8, 0.9])  # inside a seed nothing varies
    assert curve.area.mean == pytest.approx(0.8)  # of all ranks but the first
    assert curve.trend.mean == curve.trend.low == pytest.approx(1)
    # A first rank that costs most makes no rise of a curve that falls beyond it.
    assert swap.curves(rows({1: 0.2, 2: 0.9, 3: 0.7, 4: 0.5}))[SOURCE][0].trend.mean == pytest.approx(-1)


def test_it_is_the_ratio_of_means_over_seeds_that_finished_everywhere():
    found = [synthetic.row(1, SOURCE, s, base) for s, base in enumerate((0.2, 0.4, 0.9))]
    found += [synthetic.row(1, f"{SOURCE}|swap(1)", s, 0.2) for s in range(2)]
    (curve,) = swap.curves(found)[SOURCE]
    assert curve.relative[0].mean == pytest.approx(0.4 / 0.6)
    assert curve.plain.n == curve.relative[0].n == 2


def test_the_title_is_the_answer():
    (section,) = swap.answer(rows({1: 0.59, 2: 0.8, 4: 0.9, 9: 0.97}), [])
    assert section.title == (
        "Beside the largest probability, the second matters most: exchanging it costs 20 % [20, 20] of accuracy at 10 images "
        "per class"
    )
    text, picture, table = section.blocks
    assert text.text.startswith("Beside the largest probability, relative accuracy rises with the rank at 10 images")
    assert picture.name == "swap" and section.title in picture.alt
    assert table.rows[0][table.header.index("area, i > 1")] == "89.0 [89.0, 89.0]"


@pytest.mark.parametrize(
    ("first", "second", "title"),
    [
        (
            {1: 0.5, 2: 0.9, 3: 0.95}, {1: 0.5, 2: 1.0, 3: 1.0},
            ", the second matters most: exchanging it costs 10 % [10, 10] of accuracy at 1 image per class and nothing that can "
            "be told at 50",
        ),
        (
            {1: 0.5, 2: 0.9, 3: 0.7}, {1: 0.25, 2: 0.7, 3: 0.6},  # the third costs more
            ", exchanging the second costs 10 to 30 % of accuracy at 1 and 50 images per class",
        ),
        (
            {1: 0.5, 3: 0.9}, {1: 0.5, 3: 1.1},
            ", exchanging the third costs 10 % [10, 10] of accuracy at 1 image per class and gains 10 % [10, 10] of accuracy at "
            "50 images per class",
        ),
        ({1: 0.5, 2: 1.0}, {1: 0.5, 2: 1.0}, ", exchanging the second costs nothing that can be told at 1 and 50 images per class"),
    ],
)  # fmt: skip
def test_titles_of_two_budgets(first, second, title, no_drawing):
    (section,) = swap.answer(rows(first, ipc=1) + rows(second, ipc=50), [])
    assert section.title == "Beside the largest probability" + title


def test_what_cannot_be_told_is_not():
    assert swap.answer(rows({1: 0.5}, seeds=2), [])[0].title == (
        "Exchanging the largest probability costs nothing that can be told at 10 images per class"
    )


def test_no_accuracy_to_be_relative_to_is_no_warning():
    nothing = [{**row, "test_accuracy": 0.0} for row in rows({1: 0.5, 2: 0.7})]
    (curve,) = swap.curves(nothing)[SOURCE]
    assert [e.n for e in curve.relative] == [0, 0] and (curve.area.n, curve.plain.n) == (0, 4)
    assert swap.answer(nothing, [])[0].title.endswith("costs nothing that can be told at 10 images per class")


def test_the_figure_holds_the_curve():
    (lines,) = swap.curves(rows({1: 0.5, 4: 0.7, 64: 0.9})).values()
    axes = swap.draw(lines).axes[0]
    curve = axes.get_lines()[1]
    np.testing.assert_allclose(curve.get_xydata(), [[1, 50], [4, 70], [64, 90]])
    assert axes.get_xscale() == "log"


def test_not_asked_without_swaps_or_without_what_they_changed():
    assert swap.answer(synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5, 20)), []) == swap.answer([], []) == []
    assert swap.answer([r for r in rows({1: 0.5, 2: 0.7}) if "swap" in r["labels"]], []) == []
    assert swap.understands({"labels": f"{SOURCE}|swap(3)"}) and not swap.understands({"labels": SOURCE})
