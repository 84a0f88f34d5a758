"""Whatever table it gets, a report answers all that it is asked, and what is text stays text."""

import itertools

import numpy as np
import pytest
import synthetic
import tables
from document import assert_inert

from jaxsoft.analysis import report


def told(folder, seed):
    """The report of a random table, in both renderings, if no text of it became more than text."""
    tables.write(folder, np.random.default_rng(seed))
    target = report.write_report([folder])
    page, summary = target.read_text(encoding="utf-8"), (folder / "summary.md").read_text(encoding="utf-8")
    assert_inert(page, summary)
    assert "could not be answered" not in summary
    return page


@pytest.mark.parametrize("start", range(0, 48, 12))
def test_no_question_fails_on_any_table(tmp_path, no_drawing, few_draws, start):
    for seed in range(start, start + 12):
        told(tmp_path / str(seed), seed)


@pytest.mark.parametrize("seed", [1001, 1002, 1005])
def test_no_figure_fails_on_any_table(tmp_path, few_draws, seed):
    told(tmp_path / "run", seed)


@pytest.mark.long
def test_no_question_fails_on_a_thousand_tables(tmp_path, no_drawing):
    for seed in range(10_000, 11_000):
        told(tmp_path / str(seed), seed)


@pytest.mark.long
def test_no_figure_fails_on_a_hundred_tables(tmp_path):
    for seed in range(20_000, 20_100):
        told(tmp_path / str(seed), seed)


def test_equal_cheap_labels_are_told_to_be_so(tmp_path, no_drawing):
    specs = [f"teacher(epoch={epoch})|topk({k})" for epoch, k in itertools.product((5, 11, 20), (1, 3))]
    values = np.random.default_rng(0).permutation(np.arange(12) / 100)
    rows = [
        synthetic.row(1, labels, seed, 0.5 + (0.1 if seed % 3 == i % 3 else 0) + values[seed] / 1e3, epoch=5)
        for i, labels in enumerate(specs) for seed in range(6)
    ]  # fmt: skip
    synthetic.write_run(tmp_path, rows)
    text = (report.write_report([tmp_path]).parent / "summary.md").read_text(encoding="utf-8")
    assert "Byte for byte, no labels are clearly better than others" in text
