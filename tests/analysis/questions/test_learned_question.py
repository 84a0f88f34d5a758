"""Learned labels, their story by hand."""

import json

import numpy as np
import pytest
import synthetic

from jaxsoft import errors
from jaxsoft.analysis.questions import learned
from jaxsoft.analysis.read import Run

SPECS = ("teacher(epoch=5)", "teachers(2, epoch=5)")


@pytest.fixture(autouse=True)
def no_drawing(monkeypatch):
    monkeypatch.setattr(learned.plots, "png", lambda *args: b"")


def told(seed, ipc=1, gain=0.08, move=-0.01):
    """A subset whose learned labels gain so much over hard ones, and move so far in divergence, give or take its seed."""
    hard, own = 0.6 + 0.01 * seed, 0.001 * (-1) ** seed
    looks = [
        {
            "outer_step": 20 * t,
            "meta_loss": None if t == 0 else 2 - t,
            "val_accuracy": hard + t * gain / 2 + own,
            "entropy": 0.1 + 0.2 * t,
            "divergence": {spec: 0.07 - 0.02 * r + t * (move + own) / 2 for r, spec in enumerate(SPECS)},
        }
        for t in range(3)
    ]
    references = [{"labels": spec, "val_accuracy": hard + 0.02 * r, "entropy": 0.6} for r, spec in enumerate(SPECS)]
    return {"subset": [seed], "ipc": ipc, "hard_val_accuracy": hard, "references": references, "looks": looks}


def run(folder, subsets):
    (folder / "learned.json").write_text(json.dumps({"model": "mlp", "subsets": subsets}))
    return empty(folder)


def empty(folder):
    return Run(folder, rows=[], config={}, plan={}, env={}, timing={}, teachers={}, examples=None)


def test_stories_by_hand(tmp_path):
    subsets = [told(s, ipc) for s in range(4) for ipc in (5, 1)]
    one, five = learned.read_stories(run(tmp_path, subsets).folder)
    assert (one.ipc, five.ipc, one.steps.tolist(), list(one.pooled)) == (1, 5, [0, 20, 40], list(SPECS))
    assert one.gain.mean == pytest.approx(0.08) and one.gain.n == 4 and 0.078 < one.gain.low < 0.08 < one.gain.high
    np.testing.assert_allclose(one.pooled[SPECS[1]].divergence.mean(0), [0.05, 0.045, 0.04])
    assert one.approach(SPECS[0]).mean == pytest.approx(-0.01)


@pytest.mark.parametrize(
    ("gain", "move", "titles"),
    [
        (0.08, -0.01, ("Learned labels beat hard labels by 8.0 points", "softer and so nearer to pooled experts', from 0.050 to 0.040")),
        (-0.03, 0.02, ("Learned labels lose to hard labels by 3.0 points", "away from those of pooled experts, from 0.050")),
        (0.0, 0.0, ("cannot be told apart on validation: 0.0 points", "No move toward pooled experts' labels can be told")),
    ],
)  # fmt: skip
def test_titles_and_tables(tmp_path, gain, move, titles):
    first, second = learned.answer([], [run(tmp_path, [told(s, 1, gain, move) for s in range(6)])])
    assert titles[0] in first.title and first.title.endswith("at 1 image per class" + ", on validation" * (gain != 0))
    assert second.title.endswith("; smoothing alone may do as much") == (move < 0)
    assert titles[1] in second.title and "`teachers(2, epoch=5)`" in second.title
    assert [line[1] for line in first.blocks[-1].rows] == ["`hard`", "`learned`", *(f"`{spec}`" for spec in SPECS)]
    assert first.blocks[-1].rows[3][3] == "+2.0 [+2.0, +2.0]" and first.blocks[-1].rows[1][4] == "0.50"
    assert second.blocks[0].rows[1][2:5] == ("0.0500", f"{min(0.05, 0.05 + move):.4f}", f"{0.05 + move:.4f}")


@pytest.mark.parametrize(
    ("beyond", "title"),
    [
        (-0.02, "lie nearer to pooled experts' than equal smoothing of the true class does, 0.040 against 0.060 nats of"),
        (0.02, "lie farther from pooled experts' than equal smoothing of the true class does, 0.040 against 0.020 nats of"),
        (0.0, "cannot be told to lie nearer to pooled experts' than equal smoothing does: 0.040 against 0.040 nats of"),
    ],
)  # fmt: skip
def test_labels_that_are_no_more_than_soft_prove_nothing(tmp_path, beyond, title):
    """All of these come nearer to pooled experts while they are learned."""
    subsets = [told(s) for s in range(6)]
    for s, subset in enumerate(subsets):
        for look in subset["looks"]:
            away = beyond - 0.001 * (-1) ** s
            look["smoothed_divergence"] = {spec: apart - away for spec, apart in look["divergence"].items()}
    _, second = learned.answer([], [run(tmp_path, subsets)])
    assert f"Learned labels {title} `teachers(2, epoch=5)` at 1 image per class" == second.title
    column = second.blocks[0].header.index("minus smoothing")
    assert second.blocks[0].rows[1][column].startswith(f"{beyond:+.4f} [".replace("-", "−"))
    del subsets[0]["looks"][0]["smoothed_divergence"]
    assert learned.answer([], [run(tmp_path, subsets)])[1].title.endswith("smoothing alone may do as much")


def test_test_accuracy_is_compared_with_hard_labels_and_the_expert_labels_of_choice(tmp_path):
    accuracy = {"hard": 0.5, "learned": 0.6, "teacher(epoch=5)": 0.52, "teachers(2, epoch=5)": 0.55}
    epochs = {spec: 5 for spec in SPECS}
    rows = [
        synthetic.row(1, spec, s, value + 0.01 * s, epoch=epochs.get(spec))
        for s in range(4)
        for spec, value in accuracy.items()
    ]
    asked = run(tmp_path, [told(s) for s in range(4)])
    last = learned.answer(rows, [asked])[-1]
    assert last.title == (
        "Learned labels on test: +10.0 points [+10.0, +10.0] against `hard` and +5.0 points [+5.0, +5.0] against "
        "`teachers(2, epoch=5)`, at 1 image per class"
    )
    assert [line[1] for line in last.blocks[0].rows] == ["`hard`", "`teachers(2, epoch=5)`"]
    assert len(learned.answer([r for r in rows if r["labels"] != "learned"], [asked])) == 2


def test_the_figure_has_the_curves_and_what_they_are_measured_against(tmp_path):
    (story,) = learned.read_stories(run(tmp_path, [told(s) for s in range(4)]).folder)
    top, middle, bottom = learned.draw(story).axes
    curves = [line.get_ydata() for axes in (top, middle, bottom) for line in axes.get_lines()]
    wanted = (
        [61.5, 65.5, 69.5],
        [61.5, 61.5],
        [63.5, 63.5],
        [0.1, 0.3, 0.5],
        [0.6, 0.6],
        [0.07, 0.065, 0.06],
        [0.05, 0.045, 0.04],
    )
    for curve, values in zip(curves, wanted, strict=True):
        np.testing.assert_allclose(curve, values, atol=1e-9)


def test_not_asked_without_learned_labels_and_damage_is_told(tmp_path):
    assert learned.answer(synthetic.rows(seeds=2, ipcs=(1, 5)), [empty(tmp_path)]) == []
    broken = told(0)
    del broken["looks"][1]["entropy"]
    with pytest.raises(errors.DataError, match="cannot read .*learned.json: KeyError: 'entropy'"):
        learned.answer([], [run(tmp_path, [broken])])
