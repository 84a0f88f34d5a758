"""One command compares imported sets: sets that are made in a second, a small run, and its report."""

import csv
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
    assert "Traceback" not in told.err and "random images: its labels, %" in told.out
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


def test_a_run_of_ours_ties_where_it_must(tmp_path, monkeypatch, capfd):
    """Random images with soft labels, exported as int8 and imported: seed 0 has the same images, so it is the same student."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSOFT_SETS", str(tmp_path / "sets"))
    compare = lambda of, folder, *more: main(["compare", of, "--quick", *SMALL, f"--workdir={folder}", *more])  # noqa: E731
    assert compare("k_centers", "mine", "--seeds=1") == 0
    soft = next(row["labels"] for row in table("mine") if row["labels"].startswith("teacher"))
    one = f"--labels={soft}", "--select=random", "--seed=0", "--codec=int8", "--images"
    assert main(["export", "mine", "--to=out", *one]) == main(["import", "out", "--as=ours"]) == 0
    assert compare("ours", "tie", "--seeds=3", "--bits=equal") == 0
    assert "Traceback" not in capfd.readouterr().err
    found, kinds = table("tie"), ("distilled", "hard", "teacher")
    said = {
        (way, kind): [
            row["accuracy_by_class"]
            for row in found
            if row["select"].startswith(way) and row["labels"].startswith(kind)
        ]
        for way in ("distilled", "random")
        for kind in kinds
    }
    assert all(said["distilled", kind][0] == said["random", kind][0] for kind in kinds)
    assert said["distilled", "hard"][1:] != said["random", "hard"][1:]  # other draws
    assert said["distilled", "distilled"] == said["distilled", "teacher"]  # int8 beside int8
    assert said["random", "hard"][0] == next(
        row["accuracy_by_class"] for row in table("mine") if (row["select"], row["labels"]) == ("random", "hard")
    )
    assert {row["labels"] for row in found if "teacher" in row["labels"]} == {f"{soft}|stored(int8)"}
    summary = (tmp_path / "tie" / "summary.md").read_text()
    sizes = [
        line.split("|")[6].strip() for line in summary.splitlines() if "| its images | " in line and "hard" not in line
    ]
    assert sizes == ["240 B", "240 B"]  # 20 labels of ten entries of a byte, and of a step of two


def table(folder):
    with open(f"{folder}/results.csv", newline="") as file:
        return list(csv.DictReader(file))
