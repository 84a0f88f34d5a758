"""The numbers of the documents: marks are whole, documents agree, and what the command writes is what runs say."""

import re
from dataclasses import replace
from pathlib import Path

import documents
import pytest
import synthetic

from jaxsoft.analysis.reading.read import read_run

ROOT = Path(__file__).parents[2]
TEXTS = {path: (ROOT / path).read_text() for path in ("README.md", "docs/results.md", "docs/experiments.md")}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A run of the demo and what its report would say."""
    folder = tmp_path_factory.mktemp("run")
    synthetic.write_run(folder, synthetic.rows(seeds=5, ipcs=(1, 5), epochs=(5, 20)))
    summary = (
        "# Soft labels win\n\n| IPC | hard labels, % | n |\n| --- | --- | --- |\n| 1 | 50.0 [40.0, −60.0] | 5 |\n\nmore"
    )
    start = {"commit": "a1b2c3d4e5", "device": "cpu", "device_count": 2}
    run = replace(read_run(folder), env={"starts": [start, start]})
    return documents.Found(run, summary, "abc1234")


def test_an_answer_is_written_with_its_tables_and_is_not_looked_up_again(found):
    loss = "*By loss.*\n\n| IPC | loss | test, % |\n| --- | --- | --- |\n| 1 | `gift` | 50.1 % [40.0, 60.0] |\n"
    folded = "\n<details><summary>All</summary>\n\n*More.*\n\n| 1 |\n| - |\n</details>\n\n## Next\n\n*C.*\n\n| 2 |\n"
    runs = {"loss": found._replace(summary=f"# A win, −1.0\n\n{loss}{folded}"), "gift": found}
    text = documents.written(TEXTS["docs/results.md"], "docs/results.md", runs)
    said = text.partition("<!-- numbers loss -->\n")[2].partition("\n<!-- end")[0]
    assert said.splitlines()[0] == "A win, -1.0; 2 CPU cores, run at commit a1b2c3d, reported at abc1234."
    assert said.splitlines()[-1] == "| 1 | `gift` | 50.1% [40.0, 60.0] |" and "More" not in said and "*C.*" not in said
    assert not [line for line in documents.unknown(said and text, runs) if "50.1" in line]


def block(path, name):
    (text,) = [match[2] for match in documents._MARK.finditer(TEXTS[path]) if match[1] == name]
    return text


@pytest.mark.parametrize("path", sorted({path for path, _ in documents.BLOCKS}))
def test_the_marks_of_every_document_are_whole(path):
    documents.check(TEXTS[path], path)
    assert documents.written(TEXTS[path], path, {}) == TEXTS[path]


@pytest.mark.parametrize(
    "old, new",
    [
        ("<!-- end numbers -->", ""),
        ("<!-- numbers demo -->", ""),
        ("numbers demo", "numbers other"),
        ("end numbers", "end"),
    ],
)
def test_broken_marks_are_told(old, new):
    with pytest.raises(ValueError, match="README.md needs the marks demo, each once and closed"):
        documents.written(TEXTS["README.md"].replace(old, new, 1), "README.md", {})


def test_the_two_tables_of_the_demo_hold_the_same_numbers():
    readme, results = block("README.md", "demo"), block("docs/results.md", "demo")
    numbers = [
        re.findall(r"[-+]?\d[\d.]*", text.partition("IPC")[2].partition("Means")[0]) for text in (readme, results)
    ]
    assert numbers[0] == numbers[1] and len(numbers[0]) > 60
    commits = [re.findall(r"at commit (\w+), reported at (\w+)", text) for text in (readme, results)]
    assert commits[0] == commits[1] and commits[0]


def test_every_experiment_of_digits_is_answered():
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", TEXTS["docs/experiments.md"], re.MULTILINE)
    told = {name for name, answer in rows if answer}
    assert set(documents.of_digits()) - {"digits", "survey"} <= told


def test_a_finished_run_is_written_where_its_marks_are(found):
    text = documents.written(TEXTS["README.md"], "README.md", {"digits": found})
    assert (
        "\n1    " in text
        and "2 CPU cores, run at commit a1b2c3d, reported at abc1234" in text
        and "together, soft labels win." in text
    )
    assert text.partition("<!-- numbers demo -->")[0] == TEXTS["README.md"].partition("<!-- numbers demo -->")[0]
    text = documents.written(TEXTS["docs/results.md"], "docs/results.md", {"digits": found})
    assert "| 1 | 50.0 [40.0, -60.0] | 5 |\n\nMeans over n seeds" in text


def test_commits_of_claims_are_those_of_all_experiments_that_they_name(found):
    text = "`swap` and `topk`, runs at commit 1111111, reports at 2222222; more"
    assert documents._dated(text, {"swap": found}) == text
    told = documents._dated(text, {"swap": found, "topk": found})
    assert re.fullmatch(r"`swap` and `topk`, runs at commit \w{7}, reports at abc1234; more", told)


def test_a_number_that_no_report_of_its_row_holds_is_named(found):
    other = found._replace(summary="+0.9 points [−0.5, +1.3], 47 % [13, 86]")
    row = "| claim | `swap` minus hard 50% [40.0, 60.0] and -50.0 [-60.0, -40.0], `topk` -0.9 [-1.3, +0.5], 47% [13, 86], 47% [13, 87] |"
    assert documents.unknown(row, {"swap": found, "topk": other}) == ["swap: 50% [40.0, 60.0]", "swap: 47% [13, 87]"]
    assert documents.unknown(row, {}) == [] == documents.unknown("no row 1.0 [2, 3] `swap`", {"swap": found})
