"""Learned labels, their story by hand."""

import json

import numpy as np
import pytest
import synthetic

from jaxsoft import errors
from jaxsoft.analysis.questions import learned
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.reading.stories import read_stories

SPECS = ("teacher(epoch=5)", "teachers(2, epoch=5)")
pytestmark = pytest.mark.usefixtures("no_drawing")


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
    folder.mkdir(exist_ok=True)
    (folder / "learned.json").write_text(json.dumps({"model": "mlp", "subsets": subsets}))
    return empty(folder)


def empty(folder):
    return Run(folder, rows=[], config={}, plan={}, env={}, timing={}, teachers={}, examples=None)


def ask(*runs):
    """What is told of stories alone."""
    return synthetic.ask(learned, [synthetic.row(1, "hard", 0, 0.5)], runs)


def test_stories_by_hand(tmp_path):
    subsets = [told(s, ipc) for s in range(4) for ipc in (5, 1)]
    one, five = read_stories(run(tmp_path, subsets).folder)
    assert (one.ipc, five.ipc, one.steps.tolist(), list(one.pooled)) == (1, 5, [0, 20, 40], list(SPECS))
    assert one.gain.mean == pytest.approx(0.08) and one.gain.n == 4 and 0.078 < one.gain.low < 0.08 < one.gain.high
    np.testing.assert_allclose(one.pooled[SPECS[1]].divergence.mean(0), [0.05, 0.045, 0.04])
    assert one.pooled[SPECS[0]].approach.mean == pytest.approx(-0.01)


@pytest.mark.parametrize(
    ("gain", "move", "titles"),
    [
        (0.08, -0.01, ("learned labels beat hard labels: +8.0", "Learned labels near experts', as smoothing may, too: −0.0100")),
        (-0.03, 0.02, ("learned labels lose to hard labels: −3.0", "Learned labels move away from experts': +0.0200")),
        (0.0, 0.0, ("learned labels show no clear gain: 0.0", "Learned labels show no clear move to experts': ")),
    ],
)  # fmt: skip
def test_titles_and_tables(tmp_path, gain, move, titles):
    first, second = ask(run(tmp_path, [told(s, 1, gain, move) for s in range(6)]))
    assert titles[0] in first.title and titles[1] in second.title
    assert all(section.title.endswith("at IPC 1") and len(section.title) <= 100 for section in (first, second))
    assert [line[1] for line in first.blocks[-1].rows] == ["`hard`", "`learned`", *(f"`{spec}`" for spec in SPECS)]
    assert first.blocks[-1].rows[3][3] == "+2.0 [+2.0, +2.0]" and first.blocks[-1].rows[1][4] == "0.50"
    assert second.blocks[0].rows[1][2:5] == ("0.0500", f"{min(0.05, 0.05 + move):.4f}", f"{0.05 + move:.4f}")


@pytest.mark.parametrize(
    ("beyond", "title"),
    [
        (-0.02, "Learned labels are nearer to experts' than smoothing: −0.0200"),
        (0.02, "Learned labels are farther from experts' than smoothing: +0.0200"),
        (0.0, "Learned or smoothed, no clear difference to experts': "),
    ],
)
def test_labels_that_are_no_more_than_soft_prove_nothing(tmp_path, beyond, title):
    """All of these come nearer to pooled experts while they are learned."""
    subsets = [told(s) for s in range(6)]
    for s, subset in enumerate(subsets):
        for look in subset["looks"]:
            away = beyond - 0.001 * (-1) ** s
            look["smoothed_divergence"] = {spec: apart - away for spec, apart in look["divergence"].items()}
    _, second = ask(run(tmp_path, subsets))
    assert second.title.startswith(title) and len(second.title) <= 100
    column = second.blocks[0].header.index("minus smoothing, nats")
    assert second.blocks[0].rows[1][column].startswith(f"{beyond:+.4f} [".replace("-", "−"))
    del subsets[0]["looks"][0]["smoothed_divergence"]
    assert "as smoothing may, too" in ask(run(tmp_path, subsets))[1].title


def test_the_figures_of_several_runs_have_names_of_their_own(tmp_path):
    runs = [run(tmp_path / name, [told(s, ipc) for s in range(3) for ipc in (1, 5)]) for name in ("a", "b")]
    names = [block.name for section in ask(*runs) for block in section.blocks if hasattr(block, "png")]
    assert names == ["learned-ipc-1-1", "learned-ipc-5-1", "learned-ipc-1-2", "learned-ipc-5-2"]


def test_test_accuracy_is_compared_with_hard_labels_and_the_expert_labels_of_choice(tmp_path):
    accuracy = {"hard": 0.5, "learned": 0.6, "teacher(epoch=5)": 0.52, "teachers(2, epoch=5)": 0.55}
    accuracy |= {"learned|topk(2)": 0.1, "teacher(epoch=5)|topk(2)": 0.9}
    rows = [synthetic.row(1, spec, s, value + 0.01 * s) for s in range(4) for spec, value in accuracy.items()]
    asked = run(tmp_path, [told(s) for s in range(4)])
    last = synthetic.ask(learned, rows, [asked])[-1]
    assert last.title == "Learned labels beat hard labels at IPC 1: +10.0 points [+10.0, +10.0]"
    text, table = last.blocks
    assert text.text == "Learned labels beat experts' labels at IPC 1: +5.0 points [+5.0, +5.0]."
    assert [line[1] for line in table.rows] == ["`hard`", "`teachers(2, epoch=5)`"]
    assert [line[4] for line in table.rows] == ["+10.0 [+10.0, +10.0]", "+5.0 [+5.0, +5.0]"]
    assert len(synthetic.ask(learned, [r for r in rows if r["labels"] != "learned"], [asked])) == 2
    assert synthetic.ask(learned, rows, [empty(tmp_path / "other")]) == []


def test_the_figure_has_the_curves_and_what_they_are_measured_against(tmp_path):
    (section, _) = learned.of_runs([run(tmp_path, [told(s) for s in range(4)])])
    top, middle, bottom = (panel.marks for panel in section.blocks[1].panels)
    curves = [[value.mean for value in series.y] for series in (top[0], middle[0], *bottom)]
    wanted = [0.615, 0.655, 0.695], [0.1, 0.3, 0.5], [0.07, 0.065, 0.06], [0.05, 0.045, 0.04]
    np.testing.assert_allclose(curves, wanted, atol=1e-9)
    assert [level.y for level in (*top[1:], *middle[1:])] == pytest.approx([0.615, 0.635, 0.6])


def test_not_asked_without_learned_labels(tmp_path):
    assert ask(empty(tmp_path)) == ask() == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda one: one["looks"][1].pop("entropy"), "KeyError: 'entropy'"),
        (lambda one: one.update(looks=[]), "an IPC, looks and finite numbers"),
        (lambda one: one.update(ipc=0), "an IPC, looks and finite numbers"),
        (lambda one: one["looks"][1].update(entropy=float("nan")), "an IPC, looks and finite numbers"),
        (lambda one: one["references"][0].update(entropy=float("inf")), "an IPC, looks and finite numbers"),
        (lambda one: one["looks"][0].update(outer_step="soon"), "ValueError"),
    ],
)
def test_damage_is_told(tmp_path, damage, said):
    broken = told(0)
    damage(broken)
    with pytest.raises(errors.DataError, match=f"cannot read .*learned.json: .*{said}"):
        ask(run(tmp_path, [broken]))


def test_subsets_of_one_budget_have_the_same_looks(tmp_path):
    first, second = told(0), told(1)
    second["looks"].pop()
    with pytest.raises(errors.DataError, match="cannot read .*learned.json"):
        ask(run(tmp_path, [first, second]))
