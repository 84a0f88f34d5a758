"""Pooled experts by hand."""

import pytest
import synthetic

from jaxsoft.analysis.questions import pooling


def rows(table, seeds=4, epoch=5, ipc=10, noise=0.0):
    """`table`: accuracy by (pool, n)."""
    found = []
    for s in range(seeds):
        for (pool, n), accuracy in table.items():
            named = "" if pool == "logits" else "pool=probabilities, "
            labels = f"teacher(epoch={epoch})" if n == 1 else f"teachers({n}, {named}epoch={epoch})"
            value = accuracy + 0.05 * s + noise * (-1) ** s * n
            found.append(synthetic.row(ipc, labels, s, value, epoch=epoch))
    return found


TABLE = {
    ("logits", 1): 0.30,
    ("logits", 3): 0.33,
    ("logits", 5): 0.35,
    ("probabilities", 3): 0.32,
    ("probabilities", 5): 0.34,
}


@pytest.fixture(autouse=True)
def no_drawing(monkeypatch):
    monkeypatch.setattr(pooling.plots, "png", lambda *args: b"")


def test_curves_and_differences_by_hand():
    (pool,) = pooling.pools(rows(TABLE)).all
    assert (pool.source, pool.ipc, pool.pool, pool.fewest, pool.most) == ("teacher(epoch=5)", 10, "logits", 1, 5)
    assert {n: round(e.mean - 0.075, 6) for n, e in pool.curves["logits"].items()} == {1: 0.30, 3: 0.33, 5: 0.35}
    assert {n: round(e.mean - 0.075, 6) for n, e in pool.curves["probabilities"].items()} == {1: 0.30, 3: 0.32, 5: 0.34}
    assert pool.gain.mean == pytest.approx(0.05) and pool.gain.low == pytest.approx(0.05) and pool.gain.n == 4
    assert pool.logits.mean == pytest.approx(0.01)


def test_operations_and_epochs_make_sources_and_other_experts_are_left_out():
    for labels, found in {
        "teachers(5, pool=probabilities, epoch=20)|topk(3)": ("teacher(epoch=20)|topk(3)", "probabilities", 5),
        "teacher(epoch=20)|topk(3)": ("teacher(epoch=20)|topk(3)", "logits", 1),
        "teachers(epoch=20)": ("teacher(epoch=20)", "logits", 3),
        "teacher(expert=2, epoch=20)": None,
        "hard": None,
    }.items():
        assert pooling._pooled(labels) == found


@pytest.mark.parametrize(
    ("changes", "noise", "title"),
    [
        ({}, 0, "Pooling five experts adds 5.0 points [5.0, 5.0] to the first of them alone at 10 images per class"),
        (
            {("logits", 5): 0.28, ("probabilities", 5): 0.28},
            0,
            "Pooling five experts costs 2.0 points [2.0, 2.0] against the first of them alone at 10 images per class",
        ),
        (
            {("logits", 5): 0.30, ("probabilities", 5): 0.30},
            0.01,
            "Pooling five experts adds nothing to the first of them alone that can be told: the interval contains zero, "
            "0.0 points [−4.0, +4.0] at 10 images per class",
        ),
    ],
)  # fmt: skip
def test_titles(changes, noise, title):
    (section,) = pooling.answer(rows(TABLE | changes, noise=noise), [])
    assert section.title == title


def test_the_largest_gain_is_told_and_the_source_is_chosen():
    late = rows({cell: a + 0.2 for cell, a in TABLE.items()}, epoch=20)
    (section,) = pooling.answer(rows(TABLE) + late + rows(TABLE | {("logits", 5): 0.37}, ipc=1), [])
    assert section.title == (
        "Pooling five experts adds 7.0 points [7.0, 7.0] to the first of them alone at 1 image per class (the largest "
        "difference among 2 budgets)"
    )
    text, _, table = section.blocks
    assert text.text.endswith("another first expert would move these numbers about as much as experts differ.")
    assert text.text.startswith(
        "Pooling logits gains 3.0 points [3.0, 3.0] against probabilities at 1 image per class (the largest difference among 2 "
        "budgets)."
    )
    assert [line[1] for line in table.rows if "chosen" in line[1]] == [
        "`teacher(epoch=5)` (chosen)", "`teacher(epoch=20)` (chosen)",
    ]  # fmt: skip


def test_the_figure_has_both_pools():
    (axes,) = pooling.draw(pooling.pools(rows(TABLE))).axes
    logits, probabilities = (container[0].get_xydata().tolist() for container in axes.containers)
    assert logits == [pytest.approx(p) for p in ([1, 37.5], [3, 40.5], [5, 42.5])]
    assert probabilities == [pytest.approx(p) for p in ([1, 37.5], [3, 39.5], [5, 41.5])]


def test_not_asked_by_one_number_of_experts():
    assert pooling.answer(synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5, 20)), []) == pooling.answer([], []) == []
    assert pooling.answer(rows({("logits", 3): 0.3, ("probabilities", 3): 0.4}), []) == []
