"""A law in images and label entries that is known, found in members and told."""

import numpy as np
import pytest
import synthetic
from jaxsoft.analysis.table import Table

from jaxsoft.analysis import read
from jaxsoft.analysis.page import Text
from jaxsoft.analysis.questions import joint_law


def members(ks=(1, 2, 3, 5, 10), interaction=0.0):
    rng, rows = np.random.default_rng(0), []
    for ipc in (1, 2, 5, 10, 50):
        for k in ks:
            truth = 1 - (0.1 + 0.4 * ipc**-0.5 + 0.3 * k**-1.2) + interaction * np.log(ipc) * np.log(k)
            labels = "teacher(epoch=5)" + (f"|topk({k})" if k < 10 else "")
            rows += [synthetic.row(ipc, labels, s, float(truth + rng.normal(0, 0.005)), epoch=5) for s in range(5)]
    return rows


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    synthetic.write_run(folder, members())
    return read.read_run(folder)


def test_the_exponents_are_the_answer(run):
    (section,) = joint_law.answer(run.rows, [run])
    assert section.title.startswith("Above its floor, error is a part that falls as IPC^−0.")
    (found,) = joint_law.joint_laws(run.rows, [run])
    assert found.parameters["exponent"].value == pytest.approx(0.5, abs=0.05)
    assert found.parameters["label_exponent"].value == pytest.approx(1.2, abs=0.1)
    (table,) = section.blocks
    assert isinstance(table, Table)
    assert (table.rows[0][0], table.rows[0][6]) == ("`teacher(epoch=5)`", "5 × 5 × 5")


def test_an_interaction_is_said(run):
    (section,) = joint_law.answer(members(interaction=0.02), [run])
    assert section.title == "The data do not fix one law in images and label entries"
    assert any(isinstance(block, Text) and "not the whole truth" in block.text for block in section.blocks)


def test_it_is_asked_of_several_cuts_at_several_budgets(run):
    assert joint_law.answer(members(ks=(1, 10)), [run]) == []
    assert joint_law.answer([row for row in run.rows if row["ipc"] < 5], [run]) == []
    assert joint_law.answer(run.rows, []) == []  # nobody knows the number of classes
