"""Tables of a run, and the text that a terminal gets."""

import math
import re

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis import tables
from jaxsoft.analysis.findings import findings
from jaxsoft.analysis.statistics import laws
from jaxsoft.analysis.statistics.fits import BEST, Fit, Law, Parameter
from jaxsoft.analysis.statistics.groups import groups, tidy
from jaxsoft.analysis.statistics.worth import Worth

NAN = math.nan


@pytest.fixture(scope="module")
def rows():
    return synthetic.rows(seeds=6)


@pytest.fixture(scope="module")
def found(rows):
    return told(rows)


def told(rows):
    (group,) = groups(tidy(rows))
    return findings(group)


def records(table):
    return [dict(zip(table.header, line)) for line in table.rows]


def number(text):
    return float(text.split()[0].replace("−", "-"))


def test_one_line_per_budget_with_the_numbers_of_the_cells(rows, found):
    shown = tables.budget_table(found)
    assert shown.header == (
        "IPC", "hard labels, %", "soft labels, %", "difference, points", "one label is worth", "chosen label spec", "n",
    )  # fmt: skip
    assert [line["IPC"] for line in records(shown)] == [str(n) for n in synthetic.IPCS]
    for line in records(shown):
        cell = {label: [r["test_accuracy"] for r in rows if (str(r["ipc"]), r["labels"]) == (line["IPC"], label)]
                for label in ("hard", line["chosen label spec"].strip("`"))}  # fmt: skip
        low, high = (100 * sum(values) / 6 for values in cell.values())
        assert line["hard labels, %"].startswith(f"{low:.1f} [") and line["n"] == "6"
        assert number(line["soft labels, %"]) == pytest.approx(high, abs=1)  # of what other seeds choose
        points = number(line["soft labels, %"]) - low
        assert number(line["difference, points"]) == pytest.approx(points, abs=0.11)  # both are rounded
    assert "chosen on validation" in shown.caption


def test_paper_protocol_says_that_test_was_used():
    rows = synthetic.rows(seeds=3, ipcs=(1, 5), epochs=(5,), protocol="paper")
    assert "chosen on test" in tables.budget_table(told(rows)).caption


def test_tuned_columns_are_named():
    rows = synthetic.rows(seeds=3, ipcs=(1,), epochs=(5,))
    rows += [{**r, "learning_rate": 0.1, "member": r["member"][::-1]} for r in rows]
    assert "label spec and learning rate, for hard labels too," in tables.budget_table(told(rows)).caption
    (line,) = records(tables.budget_table(told([r for r in rows if r["labels"] == "hard"])))
    assert list(line) == ["IPC", "hard labels, %", "n"] and line["n"] == "3"


@pytest.mark.parametrize(
    "ratio, low, high, text",
    [
        (2.345, 1.9, 3.2, "2.3 [1.9, 3.2]"),
        (12.3, 9.97, 15.0, "12 [10, 15]"),
        (0.999, 0.9, 1.1, "1.0 [0.90, 1.1]"),
        (math.inf, 1.5, math.inf, "more than 5 [1.5, > 5]"),
        (math.inf, math.inf, math.inf, "more than 5 (whole interval)"),
        (0.0, 0.0, 0.5, "less than 1/10 [< 1/10, 0.50]"),
        (2.0, NAN, NAN, "2.0"),
    ],
)
def test_worth_says_where_the_measured_range_ends(ratio, low, high, text):
    assert tables._worth(Worth(10, ratio, low, high, 1 / 10, 5.0, 4)).text == text


@pytest.mark.parametrize(
    "smallest, largest, said, bound",
    [
        (0.1, 5.0, "is worth 1.8 hard-labelled images [1.5, 2.2] (geometric mean over 1 and 5 images per class, n = 10).", ""),
        (0.1, math.inf, "is worth at least 1.8 hard-labelled images (low end 1.5) (geometric", "≥ "),
        (0.0, 5.0, "is worth at most 1.8 hard-labelled images (high end 2.2) (geometric", "≤ "),
        (0.0, math.inf, "leaves the measured range on both sides", None),
    ],
)  # fmt: skip
def test_the_value_of_a_label(smallest, largest, said, bound):
    whole = Worth(0, 1.8, 1.5, 2.2, smallest, largest, 10, (1, 5))
    assert said in tables.value_of_a_label(whole)
    assert whole.bound == bound
    one = whole._replace(low=NAN, high=NAN, over=(5,), smallest=0.1, largest=9.0)
    assert "is worth 1.8 hard-labelled images (at 5 images per class" in tables.value_of_a_label(one)


def test_laws_of_hard_labels_of_chosen_specs_and_of_the_best(found):
    assert {law.fit.name for law in found.laws} == {"hard", BEST, *(c.labels for c in found.choices)}
    lines = records(tables.law_table(found.laws))
    for law, line in zip(found.laws, lines, strict=True):
        best = min(law.rivals, key=lambda rival: rival.aicc)
        assert line["labels"] == (BEST if law.fit.name == BEST else f"`{law.fit.name}`")
        assert line["form by AICc"].startswith(best.form.name) and line["budgets × seeds"] == "6 × 6"
        error, at = line["largest IPC unseen, points"].split(" at ")
        assert at == "50" and law.fit.form is laws.FLOOR
        assert number(error) == pytest.approx(100 * law.fit.unseen, abs=0.051)


def test_forms_that_cannot_be_told_apart_are_named_together():
    def fit(form, aicc, predicted):
        parameters = dict.fromkeys(form.parameters, Parameter(0.5, NAN, NAN, False))
        return Fit("hard", form, parameters, x, 10, "", aicc, predicted - 0.9, 0.0, 1.0)

    x = np.array([[1.0, 5, 9, 20, 40, 50]])
    near = (fit(laws.FLOOR, 8.0, 0.913), fit(laws.POWER, 9.5, 0.95), fit(laws.SATURATING, 10.5, 0.8))
    few = (fit(laws.POWER, 5.0, 0.95), fit(laws.FLOOR, NAN, 0.88), fit(laws.SATURATING, NAN, 0.88))
    told, bare = records(tables.law_table([Law(near[0], near), Law(few[1], few)]))
    assert told["form by AICc"] == "power with floor, or power"
    assert bare["form by AICc"] == "too few budgets"
    assert (told["largest IPC unseen, points"], bare["largest IPC unseen, points"]) == ("+1.3 at 50", "−2.0 at 50")
    assert told["exponent b"] == "0.50 *" and "what the data tell" not in told


def test_text_is_aligned_ascii_and_ends_with_what_a_label_is_worth(rows):
    text = tables.text_table(rows)
    assert text.isascii()
    lines = text.splitlines()
    assert re.match(r"IPC +hard labels, % +soft labels, % +difference, points", lines[0])
    starts = [m.start() for m in re.finditer(r"\S+(?: \S+)*", lines[0])]
    for line in lines[2:8]:
        assert all(line[at] != " " and line[at - 2 : at] in ("", "  ") for at in starts if at)
    assert any(line.startswith("One soft-labelled image is worth") for line in lines)
    assert any(re.match(r"hard: error = c \+ a \* n\^-b, floor 0\.\d\d \[", line) for line in lines)


def test_text_of_partial_sweeps(rows):
    hard = [r for r in rows if r["labels"] == "hard"]
    soft = [r for r in rows if r["labels"] != "hard"]
    failed = [{**r, "status": "failed", "test_accuracy": None, "val_accuracy": None} for r in rows]
    assert "hard labels, %" in tables.text_table(hard)
    assert "difference" not in tables.text_table(soft)
    assert tables.text_table(failed) == f"{len(rows)} of {len(rows)} members failed and count as guessing"
    assert "1 of 252 members failed and count as guessing" in tables.text_table([*rows[1:], failed[0]])
    both = tables.text_table(rows + [{**r, "model": "mlp"} for r in hard])
    assert both.count("IPC  ") == 2 and both.startswith("model convnet(depth=2, width=16)\nIPC ")
    assert "hard: no law, 2 points cannot fix three parameters" in tables.text_table([r for r in hard if r["ipc"] < 5])


@pytest.mark.parametrize("width", [60, 80])
def test_the_text_fits_a_terminal_and_no_word_is_broken(rows, found, width):
    whole, narrow = tables.text_table(rows, note="said of all."), tables.text_table(rows, width, "said of all.")
    assert max(map(len, narrow.splitlines())) <= width < max(map(len, whole.splitlines()))
    words = [sorted(re.findall(r"[^\s(-]+", text)) for text in (narrow, whole)]
    assert words[0] == words[1]
    assert "\nsaid of all.\n" in whole and "\nsaid of all.\n" in narrow
    head, budgets = tables.plain(tables.budget_table(found), width).split("\n-")[0], len(synthetic.IPCS)
    assert head.split("\n")[0].startswith("IPC  hard") and len(re.findall(r"^\d+ ", narrow, re.M)) == budgets


def test_intervals_stay_on_a_line_where_they_can(found):
    table = tables.budget_table(found)
    cells = [part for line in table.rows for cell in line for part in re.findall(r"\[.*?\]", cell.replace("−", "-"))]
    assert all(cell in tables.plain(table, 80) for cell in cells)
    assert not all(cell in tables.plain(table, 60) for cell in cells)


def test_a_label_spec_is_broken_at_its_bars():
    spec = "teacher(epoch=20)|temperature(2)|topk(3)|renormalize"
    lines = tables.plain(tables.table([{"n": "5", "label spec": spec}], "."), 30).splitlines()
    assert lines[2:] == ["5  teacher(epoch=20)|", "   temperature(2)|topk(3)|", "   renormalize", "."]


def test_a_wide_terminal_changes_nothing(rows):
    assert tables.text_table(rows, 1000) == tables.text_table(rows)
