"""Whatever table it gets, a report answers all that it is asked, and what is text stays text."""

import itertools
import re

import numpy as np
import pytest
import tables
from test_report import Tree

from jaxsoft.analysis import plots, report

_TAGS = (
    "html head meta title style body main header section p h1 h2 ul li b span figure figcaption img div table".split()
)
_TAGS += "thead tbody tr th td details summary code sup".split()


def told(folder, seed):
    """The report of a random table, in both renderings, if no text of it became more than text."""
    rng = np.random.default_rng(seed)
    tables.write(folder, rng)
    target = report.write_report([folder])
    page, summary = target.read_text(encoding="utf-8"), (folder / "summary.md").read_text(encoding="utf-8")
    assert {tag for tag, _ in Tree(page).tags} <= set(_TAGS), seed
    assert all(c.isprintable() or c in "\n\u00a0" for c in summary + page.split("</style>")[1]), seed
    outside = re.sub("`[^`\n]*`", "", re.sub(r"</?(details|summary)>", "", summary))
    assert not re.search(r"<[a-zA-Z/!?]|\]\((?!plots/[a-z0-9-]+\.png\))", outside), seed
    return page


@pytest.mark.parametrize("start", range(0, 120, 40))
def test_no_question_fails_on_any_table(tmp_path, no_drawing, few_draws, start):
    for seed in range(start, start + 40):
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


@pytest.mark.parametrize("name", [name for name in tables.NASTY if name])
def test_a_figure_shows_any_name_as_text(name):
    def draw(text):
        figure = plots.Figure((2, 1))
        axes = figure.subplots()
        axes.plot([1, 2], [1, 2], label=text)
        axes.set_xticks([1], [text])
        axes.set_title(text)
        axes.legend()
        return figure

    assert plots.png(draw, plots.cut(name)).startswith(b"\x89PNG")


def test_equal_cheap_labels_are_told_to_be_so(tmp_path, no_drawing):
    import synthetic

    specs = [f"teacher(epoch={epoch})|topk({k})" for epoch, k in itertools.product((5, 11, 20), (1, 3))]
    values = np.random.default_rng(0).permutation(np.arange(12) / 100)
    rows = [
        synthetic.row(1, labels, seed, 0.5 + (0.1 if seed % 3 == i % 3 else 0) + values[seed] / 1e3, epoch=5)
        for i, labels in enumerate(specs) for seed in range(6)
    ]  # fmt: skip
    synthetic.write_run(tmp_path, rows)
    text = (report.write_report([tmp_path]).parent / "summary.md").read_text(encoding="utf-8")
    assert "carry labels that cannot be told apart" in text
