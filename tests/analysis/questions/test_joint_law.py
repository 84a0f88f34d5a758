"""A law in images and label entries that is known, found in members and told."""

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import joint_law
from jaxsoft.analysis.reading import read
from jaxsoft.analysis.showing.page import Table, Text

KS = (1, 2, 3, 5, 10)


def members(ks=KS, interaction=0.0, before="", after=""):
    rng, rows = np.random.default_rng(0), []
    for ipc in (1, 2, 5, 10, 50):
        for k in ks:
            truth = 1 - (0.1 + 0.4 * ipc**-0.5 + 0.3 * k**-1.2) + interaction * np.log(ipc) * np.log(k)
            labels = f"teacher(epoch=5){before}" + (f"|topk({k})" if k < 10 else "") + after
            rows += [synthetic.row(ipc, labels, s, float(truth + rng.normal(0, 0.005)), epoch=5) for s in range(5)]
    return rows


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    synthetic.write_run(folder, members())
    return read.read_run(folder)


def test_the_exponents_are_the_answer(run):
    (section,) = synthetic.ask(joint_law, run.rows, [run])
    assert (
        section.title.startswith("Over all k, above its floor, error is a part that falls as IPC^−0.")
        and len(section.title) < 100
    )
    (table,) = section.blocks
    assert isinstance(table, Table)
    line = dict(zip(table.header, table.rows[0]))
    assert float(line["exponent b"].split()[0]) == pytest.approx(0.5, abs=0.05)
    assert float(line["exponent e"].split()[0]) == pytest.approx(1.2, abs=0.1)
    assert (line["labels"], line["IPC × k × seeds"]) == ("`teacher(epoch=5)|topk(k)`", "5 × 5 × 5")


def test_an_interaction_is_said(run):
    (section,) = synthetic.ask(joint_law, members(interaction=0.02), [run])
    assert section.title == "The data do not fix one law in images and label entries"
    assert any(isinstance(block, Text) and "not the whole truth" in block.text for block in section.blocks)


def test_it_is_asked_of_several_cuts_at_several_budgets(run):
    assert synthetic.ask(joint_law, members(ks=(1, 10)), [run]) == []
    assert synthetic.ask(joint_law, [row for row in run.rows if row["ipc"] < 5], [run]) == []
    assert synthetic.ask(joint_law, run.rows) == []  # nobody knows the number of classes


def families(*rows):
    group = synthetic.one_group(sum(rows, []))
    found = joint_law.cut_families(group, 10)
    return {name: {k: [group.labels(arm) for arm in arms] for k, arms in cut.items()} for name, cut in found.items()}


def test_cutting_before_and_after_softening_are_families_of_their_own_that_share_what_is_whole():
    first, last = members((3, 10), after="|temperature(2)"), members((1, 2), before="|temperature(2)")
    whole = "teacher(epoch=5)|temperature(2)"
    assert families(first, last) == {
        "teacher(epoch=5)|temperature(2)|topk(k)": {1: [f"{whole}|topk(1)"], 2: [f"{whole}|topk(2)"], 10: [whole]},
        "teacher(epoch=5)|topk(k)|temperature(2)": {3: ["teacher(epoch=5)|topk(3)|temperature(2)"], 10: [whole]},
    }


def test_families_differ_in_the_cut_alone():
    hard = [synthetic.row(1, labels, 0, 0.5) for labels in ("hard", "hard|smooth(0.1)|topk(3)")]
    found = families(hard, members((2, 10)), members((3,), after="|renormalize"))
    assert {name: list(cut) for name, cut in found.items()} == {
        "teacher(epoch=5)|topk(k)": [2, 10],
        "teacher(epoch=5)|topk(k)|renormalize": [3],
    }
