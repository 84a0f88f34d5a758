"""Tables as files: every number in a column of its own, and LaTeX that shows what the page shows."""

import csv
import io
import math
import re

import pytest
import tables

from jaxsoft.analysis.showing import formats, page, words
from jaxsoft.analysis.showing.page import Table
from jaxsoft.analysis.statistics.fits import Parameter
from jaxsoft.analysis.statistics.inference import Estimate

NAN = math.nan
RECORDS = [
    {"IPC": 1, "labels": "`hard`", "test, %": Estimate(0.5, 0.1, 0.4, 0.6, 9), "gain, points": None},
    {"IPC": 5, "labels": "`a|b`", "test, %": Estimate(0.25, NAN, NAN, NAN, 1), "gain, points": 0.0123},
]


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_values_ends_and_n_in_columns_of_their_own_in_the_unit_that_is_named():
    first, second = rows(formats.to_csv(page.table(RECORDS, "what")))
    names = ["IPC", "labels", "test, %", "test low, %", "test high, %", "test n", "gain, points"]
    assert list(first) == names
    assert list(first.values()) == ["1", "hard", "50", "40", "60", "9", ""]
    assert list(second.values()) == ["5", "a|b", "25", "", "", "1", "1.23"]


def test_csv_takes_the_numbers_behind_a_text_and_n_from_the_record():
    bound = words.bounded(Estimate(math.inf, NAN, 0.98, math.inf, 9), lambda end: "> 1" if end > 1 else f"{end:.2f}")
    record = {"worth": bound, "share, %": words.rounded(0.664), "b": Parameter(0.7, 0.6, 0.8, True), "n": 9}
    table = page.table([record], "what")
    assert table.rows == [("more than 1 [0.98, > 1]", "66", "0.70 [0.60, 0.80]", "9")]
    (found,) = rows(formats.to_csv(table))
    assert found == {
        "worth": "inf", "worth low": "0.98", "worth high": "inf", "share, %": "66.4", "b": "0.7", "b low": "0.6",
        "b high": "0.8", "n": "9",
    }  # fmt: skip


def test_a_table_without_records_is_its_text():
    assert rows(formats.to_csv(Table(("what", "value"), [("data", "`digits`")], ""))) == [
        {"what": "data", "value": "digits"}
    ]


def test_a_bound_is_said_in_words_once():
    def form(end):
        return "> 1" if end > 1 else "< 1/5" if end < 0.2 else f"{end:.1f}"

    for ends, text in [
        ((9, 9, 9), "more than 1 (whole interval)"), ((0, 0, 0), "less than 1/5 (whole interval)"),
        ((9, 0.5, 9), "more than 1 [0.5, > 1]"), ((0.5, 0.4, 9), "0.5 [0.4, > 1]"), ((9, NAN, NAN), "more than 1"),
    ]:  # fmt: skip
        assert words.bounded(Estimate(ends[0], NAN, ends[1], ends[2], 9), form).text == text


def test_latex_is_a_booktabs_table_with_all_that_it_shows_escaped():
    text = formats.to_latex(page.table(RECORDS, "5 % of `a_b` & c · n^−b", name="budgets"))
    for part in (
        r"\usepackage{booktabs}", r"\caption{5 \% of \texttt{a\_b} \& c $\cdot$ n$^{-b}$}", r"\label{tab:budgets}",
        r"\begin{tabular}{rlrr}", "\\toprule\nIPC & labels & test, \\% & gain, points \\\\\n\\midrule\n",
        "1 & \\texttt{hard} & 50.0 [40.0, 60.0] & -- \\\\\n", r"\texttt{a\textbar{}b} & 25.0 & +1.2 \\", r"\bottomrule",
    ):  # fmt: skip
        assert part in text


@pytest.mark.parametrize("evil", [name for name in tables.NASTY if 0 < len(name) < 100])
def test_no_text_is_a_command_of_latex_or_a_column_of_csv(evil):
    table = page.table([{"k": evil, "v": words.code(evil)}], evil, name="odd")
    body = formats.to_latex(table)
    for known in (*formats._ESCAPED.values(), r"\texttt{", r"\\", "$^{"):
        body = body.replace(known, "")
    assert set(re.findall(r"\\[a-z]*", body)) <= {
        "\\begin", "\\end", "\\centering", "\\caption", "\\label", "\\toprule", "\\midrule", "\\bottomrule", "\\usepackage",
    }  # fmt: skip
    assert body.count("&") == 2 and body.count("%") == 1
    (found,) = rows(formats.to_csv(table))
    assert found["k"] == evil.replace("`", "")
