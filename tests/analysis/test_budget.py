"""Bits of labels and images counted by hand, and the accuracies that are not dominated."""

import math

import numpy as np
import pytest
import synthetic

from jaxsoft import errors
from jaxsoft.analysis import budget

TOP = "teacher(epoch=5)|topk(1)"


@pytest.mark.parametrize(
    "labels, classes, value, bits",
    [
        ("hard", 10, "fp16", 4),
        ("hard|smooth(0.1)", 1000, "fp32", 10),
        ("teacher(epoch=3)", 10, "fp32", 320),
        ("teacher(epoch=3)|temperature(2)", 10, "fp16", 160),
        ("teachers(3)", 200, "int8", 1600),
        ("teacher|topk(5)", 200, "fp16", 5 * (16 + 8)),
        ("teacher|topk(k=5)|renormalize", 200, "fp32", 5 * (32 + 8)),
        ("teacher|topk(10)", 10, "fp16", 160),  # all entries need no indices
        ("teacher|topk(9)", 10, "fp16", 160),  # nine with indices would take more than ten without
        ("teacher(epoch=3, views=300)|topk(2)", 100, "int8", 300 * 2 * (8 + 7)),
        ("teachers(2, views=0)", 10, "fp16", 160),
        ("learned", 10, "fp16", 160),
    ],
)
def test_bits_of_a_label(labels, classes, value, bits):
    assert budget.label_bits(labels, classes, value) == bits


def test_an_unknown_format_is_refused():
    with pytest.raises(errors.ConfigError, match="unknown number format 'fp8'"):
        budget.label_bits("teacher", 10, "fp8")


def test_bits_of_an_image_are_its_pixels_or_its_place_in_a_public_set():
    assert budget.pixel_bits((64, 64, 3)) == 64 * 64 * 3 * 8
    assert [budget.index_bits(n) for n in (2, 3, 1024, 1025)] == [1, 2, 10, 11]


def test_the_pareto_set_by_hand():
    cost = np.array([3.0, 1.0, 2.0, 2.0, 4.0, 0.5])
    value = np.array([[0.5, 0.3, 0.3, 0.4, 0.5, np.nan], [0.1, 0.9, 0.2, 0.2, 0.95, 0.2]])
    np.testing.assert_array_equal(
        budget.pareto(cost, value), [[1, 1, 0, 1, 0, 0], [0, 1, 0, 0, 1, 1]]
    )  # fmt: skip


def members(accuracies, seeds=4):
    return [
        synthetic.row(ipc, labels, s, accuracy, epoch=5)
        for (ipc, labels), accuracy in accuracies.items()
        for s in range(seeds)
    ]


def test_accuracy_against_bits():
    rows = members({(1, "hard"): 0.2, (1, TOP): 0.3, (2, "hard"): 0.25, (2, TOP): 0.5, (4, "hard"): 0.4})
    found = budget.purchases(rows, classes=10, image_bits=16)
    assert [(p.ipc, p.labels, p.images, p.label_bits) for p in found] == [
        (1, "hard", 160, 40), (1, TOP, 160, 200), (2, "hard", 320, 80), (2, TOP, 320, 400), (4, "hard", 640, 160),
    ]  # fmt: skip
    assert [p.total for p in found] == [200, 360, 400, 720, 800]
    assert [p.pareto for p in found] == [True, True, False, True, False]
    assert [p.share for p in found] == [1, 1, 0, 1, 0]
    assert found[3].accuracy.mean == pytest.approx(0.5)


def test_seeds_say_how_sure_a_place_on_the_frontier_is():
    rows = [synthetic.row(1, "hard", s, 0.5) for s in range(3)]
    rows += [synthetic.row(1, TOP, s, a, epoch=5) for s, a in enumerate((0.8, 0.4, 0.4))]
    hard, soft = budget.purchases(rows, classes=10, image_bits=16)
    assert soft.pareto and hard.share == 1
    # Soft labels win where seed 0 is drawn at least once.
    assert soft.share == pytest.approx(1 - (2 / 3) ** 3, abs=0.03)


def test_the_frontier_is_chosen_on_validation_and_told_on_test():
    rows = members({(1, "hard"): 0.5, (1, TOP): 0.6})
    for row in rows:
        row["val_accuracy"] = 0.7 if row["labels"] == "hard" else 0.6
    hard, soft = budget.purchases(rows, classes=10, image_bits=16)
    assert (hard.pareto, soft.pareto, soft.share, soft.accuracy.mean) == (True, False, 0, pytest.approx(0.6))


def test_cells_without_a_finished_member_are_left_out():
    rows = members({(1, "hard"): 0.2, (1, TOP): 0.3})
    for row in rows:
        if row["labels"] == TOP:
            row.update(status="failed", test_accuracy=None)
    (only,) = budget.purchases(rows, classes=10, image_bits=16)
    assert only.labels == "hard" and not math.isnan(only.accuracy.low)
