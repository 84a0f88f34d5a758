"""The gap of selection on test, told apart into checkpoint and choice."""

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis.questions import optimism


def member(ipc, labels, seed, val, test, paper, **other):
    other = {"protocol": "both", "val_accuracy": val, "paper_accuracy": paper} | other
    return synthetic.row(ipc, labels, seed, test, **other)


def both(seeds=4):
    """Validation likes epoch 5, the test set epoch 20; every look at test flatters by what is written here."""
    rows = []
    for s in range(seeds):
        rows += [
            member(1, "hard", s, 0.30, 0.30, 0.32),
            member(1, "teacher(epoch=5)", s, 0.50, 0.40 + 0.01 * s, 0.43 + 0.01 * s, epoch=5),
            member(1, "teacher(epoch=20)", s, 0.45, 0.44 + 0.01 * s, 0.45 + 0.01 * s, epoch=20),
        ]
    return rows


def test_checkpoint_and_whole_gap_by_hand():
    hard, soft = optimism.find_gaps(both())
    assert (hard.kind, soft.kind) == ("hard", "soft")
    assert hard.checkpoint.mean == pytest.approx(0.02) and hard.whole.mean == pytest.approx(0.02)
    assert soft.checkpoint.mean == pytest.approx(0.03)  # of epoch 5, which the sealed protocol selects
    assert soft.whole.mean == pytest.approx(0.45 - 0.40)  # paper reports epoch 20, the sealed protocol epoch 5
    assert soft.whole.n == 4 and soft.whole.low == pytest.approx(0.05)  # the seeds move both alike


def test_the_rate_of_hard_labels_is_selected_too():
    rows = both()
    # On validation the other rate loses, at its best look on test it wins.
    rows += [member(1, "hard", s, 0.25, 0.33, 0.36, learning_rate=0.1) for s in range(4)]
    hard = optimism.find_gaps(rows)[0]
    assert hard.whole.mean == pytest.approx(0.36 - 0.30)
    assert hard.checkpoint.mean == pytest.approx(0.32 - 0.30)  # at the rate that validation selects


def test_two_joined_runs_have_the_whole_gap_only():
    sealed = [{**row, "protocol": "sealed", "paper_accuracy": None} for row in both()]
    paper = [{**row, "protocol": "paper", "test_accuracy": row["paper_accuracy"]} for row in both()]
    hard, soft = optimism.find_gaps(sealed + paper)
    assert soft.whole.mean == pytest.approx(0.05) and hard.whole.mean == pytest.approx(0.02)
    assert soft.checkpoint.n == 0 and np.isnan(soft.checkpoint.mean)
    (section,) = optimism.answer(sealed + paper, [])
    assert "checkpoint, points" not in section.blocks[1].header


def test_the_answer_is_a_sentence_with_numbers(no_drawing):
    (section,) = optimism.answer(both(), [])
    assert section.title == (
        "Selecting on the test set inflates accuracy by 2.0 points [2.0, 2.0] with hard labels and "
        "5.0 points [5.0, 5.0] with soft labels at 1 image per class"
    )
    (section,) = optimism.answer(both(seeds=2), [])
    assert "inflates" not in section.title


@pytest.mark.parametrize("protocol", ["sealed", "paper"])
def test_one_protocol_asks_nothing(protocol):
    assert optimism.answer(synthetic.rows(seeds=2, ipcs=(1,), epochs=(5,), protocol=protocol), []) == []
    assert optimism.answer([], []) == []
