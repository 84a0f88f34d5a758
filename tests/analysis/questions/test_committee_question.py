"""Committees and batch statistics by hand."""

import pytest
import synthetic

from jaxsoft.analysis.questions import committee

pytestmark = pytest.mark.usefixtures("no_drawing")

TABLE = {
    "teacher(epoch=5)": 0.30,
    "teacher(expert=1, epoch=5)": 0.34,
    "teachers(3, epoch=5)": 0.36,
    "committee(3, epoch=5)": 0.39,
    "committee(3, pool=random, epoch=5)": 0.35,
    "committee(3, prior=experts, epoch=5)": 0.38,
    "committee(3, epoch=5, statistics=batch)": 0.42,
    "teachers(3, epoch=5, statistics=batch)": 0.40,
}


def rows(table=TABLE, seeds=4, ipc=1):
    return [synthetic.row(ipc, text, s, a + 0.02 * s, epoch=5) for s in range(seeds) for text, a in table.items()]


def tell(table=TABLE):
    sections = synthetic.ask(committee, rows(table))
    return sections, [[dict(zip(s.blocks[-1].header, line)) for line in s.blocks[-1].rows] for s in sections]


def test_weights_against_equal_ones_and_batch_against_running_statistics():
    (weights, batch), (lines, other) = tell()
    assert weights.title == (
        "Weights by students' accuracies beat equal weights at IPC 1: +2.0 points [+2.0, +2.0]"
    )  # the best of either, chosen on validation
    gains = {line["teacher"]: line["gain over equal weights, points"] for line in lines}
    assert gains == {
        "weights by students' accuracies": "+2.0 [+2.0, +2.0]",
        "weights by experts' accuracies": "+2.0 [+2.0, +2.0]",
        "random weights": "−1.0 [−1.0, −1.0]",
        "the best expert alone": "−2.0 [−2.0, −2.0]",
        "equal weights": "–",
    }
    (line,) = other
    assert line["batch − running, points"] == "+3.0 [+3.0, +3.0]" and line["n"] == "4"
    assert line["chosen label spec"] == "`committee(3, epoch=5, statistics=batch)`"
    assert batch.title.startswith("Batch statistics beat running statistics at IPC 1")


def test_labels_that_no_committee_gives_are_left_out():
    group = synthetic.one_group(rows(TABLE | {"teachers(2, epoch=5)": 0.9, "teacher(epoch=5)|topk(2)": 0.9}))
    kinds = [{way: [group.labels(arm) for arm in arms] for way, arms in own.items()} for own in committee.ways(group)]
    plain, batch = sorted(kinds, key=len, reverse=True)
    assert plain["equal"] == ["teachers(3, epoch=5)"] and plain["one"] == [
        "teacher(epoch=5)",
        "teacher(expert=1, epoch=5)",
    ]
    assert batch.keys() == {"equal", "students"}
    random, equal = committee.sides(committee.ways(group), "random", "equal")
    assert [group.labels(arm) for arm in equal] == ["teachers(3, epoch=5)"] and len(random) == 1


@pytest.mark.parametrize("without", ["committee", "teachers", "teacher("])
def test_it_is_asked_only_where_there_is_something_to_compare(without):
    sections, _ = tell({text: a for text, a in TABLE.items() if not text.startswith(without)})
    titles = [section.title.split(" beat")[0] for section in sections]
    assert (
        titles
        == {
            "committee": ["Batch statistics"],
            "teachers": ["Batch statistics"],
            "teacher(": ["Weights by students' accuracies", "Batch statistics"],
        }[without]
    )
