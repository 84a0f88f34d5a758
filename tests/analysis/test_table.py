"""Tables of a run, and the text that a terminal gets."""

import re

import pytest
import synthetic
from jaxsoft.analysis.scaling import BEST
from jaxsoft.analysis.stats import summarize

from jaxsoft.analysis import table


@pytest.fixture(scope="module")
def rows():
    return synthetic.rows(seeds=6)


def test_one_line_per_budget_with_the_numbers_of_the_cells(rows):
    found = table.findings(rows)
    shown = table.budget_table(found)
    assert [line[0] for line in shown.rows] == [str(n) for n in synthetic.IPCS]
    cells = {(c.ipc, c.labels): c.test for c in summarize(rows)}
    for line in shown.rows:
        ipc, hard, soft, difference, _, labels, n = line
        low, high = cells[int(ipc), "hard"], cells[int(ipc), labels.strip("`")]
        assert hard.startswith(f"{100 * low.mean:.1f} [")
        assert float(soft.split()[0]) == pytest.approx(100 * high.mean, abs=1)  # of what other seeds choose
        points = float(difference.split(" ")[0].replace("−", "-"))
        assert points == pytest.approx(float(soft.split()[0]) - 100 * low.mean, abs=0.11)  # both are rounded
        assert n == "6"
    assert "chosen on validation" in shown.caption


def test_paper_protocol_says_that_test_was_used():
    rows = synthetic.rows(seeds=3, ipcs=(1, 5), epochs=(5,), protocol="paper")
    assert "chosen on test" in table.budget_table(table.findings(rows)).caption


def test_tuned_columns_are_named():
    rows = synthetic.rows(seeds=3, ipcs=(1,), epochs=(5,))
    rows += [{**r, "learning_rate": 0.1, "member": r["member"][::-1]} for r in rows]
    assert "label spec and learning rate, for hard labels too," in table.budget_table(table.findings(rows)).caption
    hard = table.budget_table(table.findings([r for r in rows if r["labels"] == "hard"]))
    assert len(hard.rows) == 1
    assert table.cell_table(rows).header[:3] == ("IPC", "label spec", "learning_rate")


def test_laws_of_hard_labels_of_chosen_specs_and_of_the_frontier(rows):
    found = table.findings(rows)
    chosen = {c.labels for c in found.choices}
    assert [fit.labels for fit in found.laws][0] == "hard"
    assert {fit.labels for fit in found.laws} == {"hard", BEST, *chosen}
    shown = table.law_table(found.laws)
    assert len(shown.rows) == len(found.laws)
    assert all(line[4] == "6 × 6" for line in shown.rows)


def test_text_is_aligned_ascii_and_ends_with_what_a_label_is_worth(rows):
    text = table.text_table(rows)
    assert text.isascii()
    lines = text.splitlines()
    assert re.match(r"IPC +hard labels, % +soft labels, % +difference, points", lines[0])
    starts = [m.start() for m in re.finditer(r"\S+(?: \S+)*", lines[0])]
    for line in lines[2:8]:
        assert all(line[at] != " " and line[at - 2 : at] in ("", "  ") for at in starts if at)
    assert any(line.startswith("One soft-labelled image is worth") for line in lines)
    assert any(re.match(r"hard: error = 0\.\d\d \+ 0\.\d\d \* IPC\^-0\.\d\d", line) for line in lines)


def test_text_of_partial_sweeps(rows):
    hard = [r for r in rows if r["labels"] == "hard"]
    soft = [r for r in rows if r["labels"] != "hard"]
    failed = [{**r, "status": "failed", "test_accuracy": None, "val_accuracy": None} for r in rows]
    assert "hard labels, %" in table.text_table(hard)
    assert "difference" not in table.text_table(soft)
    assert f"{len(rows)} of {len(rows)} members failed and are left out" in table.text_table(failed)
    assert table.text_table(rows + [{**r, "model": "mlp"} for r in hard]).count("IPC  ") == 2


def test_laws_say_their_form_and_how_they_extrapolate(rows):
    found = table.findings(rows)
    shown = table.law_table(found.laws)
    form, unseen = (shown.header.index(name) for name in ("form by AICc", "largest IPC unseen, points"))
    for fit, line in zip(found.laws, shown.rows):
        best = min(fit.rivals, key=lambda rival: rival.aicc)
        assert line[form].split(", or ")[0] == best.form
        assert best.held_out is not None
        error = float(line[unseen].split(" at ")[0].replace("−", "-"))
        assert error == pytest.approx(100 * best.held_out.error, abs=0.051)
        assert line[unseen].endswith(" at 50")
    few = table.law_table(table.findings([row for row in rows if row["ipc"] < 20]).laws)
    assert {line[form] for line in few.rows} == {"too few budgets"}
    assert "AICc" not in table.law_table([]).caption
