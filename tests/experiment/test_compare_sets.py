"""One command compares imported sets: sets that are made in a second, a small run, and its report."""

import json

import five_sets
import numpy as np
import pytest
from scipy.special import softmax

from jaxsoft import data
from jaxsoft.main import main

SMALL = ("--config.student.steps=4", "--config.student.evaluations=1", "--experts=1", "--rates=0.02")


@pytest.fixture(scope="module")
def sets():
    return five_sets.made(data.load("digits", validation=0.2), 2, steps=3)


def test_sets_are_made_of_their_classes(sets):
    assert {name: images.shape for name, images in sets.items()} == dict.fromkeys(sets, (20, 8, 8, 1))
    assert [sets[name].dtype for name in ("drawn", "easy", "spread")] == [np.uint8] * 3
    moved = np.abs(sets["matched"] - sets["drawn"] / np.float32(255)).max()
    assert 0 < moved < 0.05 and sets["means"].dtype == np.float32


def test_matching_brings_means_of_features_nearer():
    dataset = data.load("digits", validation=0.2)
    middle = np.stack([dataset.train.images[dataset.train.labels == k].mean(0) / 255 for k in range(10)])
    away = lambda images: float(((images.reshape(10, 2, 8, 8, 1).mean(1) - middle) ** 2).mean())  # noqa: E731
    order = np.concatenate([np.flatnonzero(dataset.train.labels == k)[:2] for k in range(10)])
    start = dataset.train.images[order]
    assert away(five_sets.matched(dataset, start, 60)) < 0.5 * away(start / np.float32(255))


def test_one_command(sets, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSOFT_SETS", str(tmp_path / "sets"))
    dataset = data.load("digits", validation=0.2)
    logits = np.random.default_rng(0).normal(0, 3, (20, 10)).astype(np.float32)
    five_sets.keep(dataset, "matched", sets["matched"], rows=softmax(logits, axis=1))
    five_sets.keep(dataset, "means", sets["means"])
    assert main(["compare", "matched", "means", "--seeds=3", "--quick", "--protocol=both", *SMALL]) == 0
    told = capfd.readouterr()
    assert "Traceback" not in told.err
    (folder,) = (tmp_path / "runs").glob("compare-*")
    assert folder.name == "compare-matched-means-digits-quick"
    summary = (folder / "summary.md").read_text()
    first, *_ = summary.splitlines()
    assert "beat random ones in" in first and "could not be answered" not in summary
    for said in (
        "random images: its labels, %",
        "behind the first, points",
        "bytes in all",
        "LRS, soft, %",
        "told from the first",
    ):
        assert said in summary
    assert (folder / "plots" / "compare.png").is_file()
    records = json.loads((folder / "sets.json").read_text())
    assert {own.get("kind") for own in records.values() if isinstance(own, dict)} >= {"probabilities", "hard"}
