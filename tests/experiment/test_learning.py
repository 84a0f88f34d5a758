"""Learned labels of a run: whose, in which order, beside what, and kept. How they are learned has its own tests."""

import dataclasses
import json

import numpy as np
import pytest
import tiny_run
from scipy.spatial import distance
from scipy.special import softmax
from scipy.stats import entropy

from jaxsoft import config, errors
from jaxsoft.data import normalize
from jaxsoft.experiment import run as story
from jaxsoft.experiment.learned import learn as learning
from jaxsoft.experiment.learned import many as learners
from jaxsoft.experiment.learned.one import ImageSet, Judged
from jaxsoft.experiment.machine import memory
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels.bank import LogitBank
from jaxsoft.labels.smoothing import smooth_to
from jaxsoft.training.recipe import Recipe

SETTINGS = tiny_run.settings({"teacher.experts": 2, "learned.looks": 2, "learned.look_outer_steps": 5})
DATASET = story.load(SETTINGS)
LOGITS = np.random.default_rng(0).standard_normal((2, len(DATASET.train), 10)).astype(np.float32)


RECIPE = Recipe(SETTINGS.teacher.model, DATASET.num_classes, 1, 1)


class Oracle(Experts):
    """Two experts whose logits are drawn, not learned."""

    def logits(self, split, image_ids, epochs):
        assert split is DATASET.train and list(epochs) == [3]
        return LogitBank(LOGITS[:, None, image_ids], (3,), image_ids.astype(np.int32), split.labels[image_ids])


def experts():
    how = normalize.fit("standardize", DATASET.train.images)
    return Oracle(SETTINGS.teacher, "standardize", how, cohorts=(), key="two", recipe=RECIPE)


def learned_rows(slots, step):
    """What the stub learns: rows that stand for their image and the outer step."""
    return softmax(np.sin(slots[..., None] * (1.0 + np.arange(10)) + step), -1).astype(np.float32)


@pytest.fixture
def lessons(monkeypatch):
    """The subsets that were learned together, one entry for each call; learning itself is a stub."""
    calls = []

    def judged(accuracy):
        return Judged(accuracy, np.full(len(accuracy), 8, np.int32), np.full(len(accuracy), -1, np.int32))

    def learn(lesson, subsets):
        recipe, material, images = lesson.recipe, lesson.material, np.asarray(subsets.images)
        assert recipe.model == "mlp(hidden=8)" and recipe.precision == "float32"
        assert material.bank.images.shape[0] == len(DATASET.train) == len(material.classes)
        assert int((material.validation.labels >= 0).sum()) == len(DATASET.validation)
        calls.append(subsets)
        for step in (0, 5, 10):
            loss = np.full(len(images), np.nan if step == 0 else 2.5 - step / 10, np.float32)
            accuracy = judged(np.full(len(images), 0.4 + step / 100, np.float32))
            yield learners.Evaluation(step, learned_rows(images, step), loss, accuracy)

    def judge(lesson, subsets, rows):
        right = rows.argmax(-1) == DATASET.train.labels[subsets.images]
        return judged(right.mean(1).astype(np.float32))  # 1 of hard labels

    monkeypatch.setattr(learners, "learn", learn)
    monkeypatch.setattr(learners, "judge", judge)
    return calls


def table(ipc, seed):
    labels, draw = DATASET.train.labels, np.random.default_rng(seed)
    return np.concatenate([draw.permutation(np.flatnonzero(labels == k))[:ipc] for k in range(10)])


SUBSETS = [ImageSet(seed, table(ipc, seed)) for seed, ipc in ((7, 1), (7, 2), (8, 1), (7, 1))]


def learn(folder=None, settings=SETTINGS, look=lambda _: None):
    return learning.learn_labels(settings, DATASET, experts(), SUBSETS, folder, look)


def test_labels_come_in_slot_order_and_equal_sizes_learn_together(lessons):
    told = []
    labels = learn(look=told.append)
    for rows, (_, images) in zip(labels, SUBSETS):
        # A row made alone and one made among others differ in the last bit.
        np.testing.assert_allclose(rows, learned_rows(images, 10), rtol=1e-6)
    assert [call.seed.tolist() for call in lessons] == [[7, 8], [7]], "the same subset is learned once"
    assert [(t.done, t.outer_steps, t.hard_val_accuracy) for t in told] == [(d, 20, 1) for d in (0, 5, 10, 10, 15, 20)]


def test_the_story_measures_every_look_against_pooled_experts(lessons, tmp_path):
    learn(tmp_path)
    written = json.loads((tmp_path / "learned.json").read_text())
    assert written["model"] == "mlp(hidden=8)" and written["settings"] == config.as_dict(SETTINGS.learned)
    one, *others = written["subsets"]
    assert (one["subset"], one["ipc"], one["hard_val_accuracy"], one["val_accuracy"]) == ([7], 1, 1, 0.5)
    assert {(tuple(s["subset"]), s["ipc"]) for s in others} == {((7,), 2), ((8,), 1)}
    slots = SUBSETS[0].images
    pooled = {
        "teacher(epoch=3)": softmax(LOGITS[0, slots], -1),
        "teachers(2, epoch=3)": softmax(LOGITS[:, slots].mean(0), -1),
    }
    assert [r["labels"] for r in one["references"]] == list(pooled)
    for reference, rows in zip(one["references"], pooled.values()):
        numbers = [entropy(rows, axis=1).mean(), (rows.argmax(1) == np.arange(10)).mean()]
        np.testing.assert_allclose([reference["entropy"], reference["val_accuracy"]], numbers, atol=2e-6)
    for look, step in zip(one["looks"], (0, 5, 10)):
        rows = learned_rows(slots, step)
        np.testing.assert_allclose(look["entropy"], entropy(rows, axis=1).mean(), atol=2e-6)
        for spec, reference in pooled.items():  # SciPy's is the root of the divergence
            apart = np.mean([distance.jensenshannon(a, b) ** 2 for a, b in zip(rows, reference)])
            np.testing.assert_allclose(look["divergence"][spec], apart, atol=2e-6)
            smooth = smooth_to(DATASET.train.labels[slots], entropy(rows, axis=1), 10)
            apart = np.mean([distance.jensenshannon(a, b) ** 2 for a, b in zip(smooth, reference)])
            np.testing.assert_allclose(look["smoothed_divergence"][spec], apart, atol=2e-6)
        assert look["judges"] == 8
        assert look["meta_loss"] == (None if step == 0 else 2.5 - step / 10) and look["outer_step"] == step


def test_what_is_finished_is_never_learned_again(lessons, tmp_path):
    class Stop(Exception):
        pass

    def stop(told):
        if told.done == 15:
            raise Stop

    with pytest.raises(Stop):
        learn(tmp_path, look=stop)
    first, before = learn(), len(lessons)
    again = learn(tmp_path)
    assert [call.seed.tolist() for call in lessons[before:]] == [[7]], "only the second turn was missing"
    for a, b in zip(first, again):
        np.testing.assert_array_equal(a, b)
    learn(tmp_path)
    assert len(lessons) == before + 1
    other = dataclasses.replace(SETTINGS, learned=dataclasses.replace(SETTINGS.learned, margin=1.0))
    learn(tmp_path, other)
    assert len(lessons) == before + 3, "other settings mean other labels"


def test_turns_fit_the_memory_and_have_one_size(lessons, monkeypatch):
    many = [ImageSet(s, table(1, s)) for s in range(5)]
    each = learners.subset_bytes(SETTINGS.learned, learning.recipe_of(SETTINGS, 10, 10), DATASET.image_shape)
    monkeypatch.setattr(memory, "budget_bytes", lambda _: 4 * each)
    learning.learn_labels(SETTINGS, DATASET, experts(), many)
    assert [call.seed.tolist() for call in lessons] == [[0, 1, 2], [3, 4, 4]], "the last one fills up"


def test_what_does_not_fit_or_is_damaged_is_told(lessons, tmp_path):
    late = tiny_run.settings({"learned.reference_epoch": 4})
    with pytest.raises(errors.ConfigError, match="reference_epoch expects int <= 3, teacher.epochs, got 4"):
        learn(settings=late)
    learn(tmp_path)
    (tmp_path / "learned.npz").write_bytes(b"PK nonsense")
    with pytest.raises(errors.CheckpointError, match="learned.npz .*; delete it and learned.json and run the same"):
        learn(tmp_path)


def rewrite(path, change, **story):
    """Sound containers that say something else."""
    with np.load(path / "learned.npz") as stored:
        arrays = {name: change(stored[name]) for name in stored.files}
    np.savez(path / "learned.npz", **arrays)
    told = RunFolder(path).read_json("learned.json")
    RunFolder(path).write_json("learned.json", {**told, "subsets": [s | story for s in told["subsets"]]})


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:, ::-1], lambda rows: rows[:-1], lambda rows: rows.astype(np.float64),
        lambda rows: rows * np.nan, lambda rows: rows - rows.mean(1, keepdims=True), lambda rows: rows * 2,
        lambda rows: rows.ravel(), lambda rows: rows[:, :5] * 2,
    ],
)  # fmt: skip
def test_altered_labels_are_told(lessons, tmp_path, change):
    learn(tmp_path)
    rewrite(tmp_path, change)
    with pytest.raises(errors.CheckpointError, match="learned labels .*; delete it and learned.json and run the same"):
        learn(tmp_path)
    for name in ("learned.npz", "learned.json"):
        (tmp_path / name).unlink()
    learn(tmp_path)


def test_labels_of_an_earlier_version_have_no_digest(lessons, tmp_path):
    first = learn(tmp_path)
    rewrite(tmp_path, lambda rows: rows, sha256=None)
    before = len(lessons)
    assert [rows.tolist() for rows in learn(tmp_path)] == [rows.tolist() for rows in first]
    assert len(lessons) == before


@pytest.mark.parametrize("story", ["[]", "{", '{"subsets": 3}', '{"subsets": [{}]}', '{"subsets": [3]}', "[" * 99_999])
def test_a_damaged_story_is_told(lessons, tmp_path, story):
    learn(tmp_path)
    (tmp_path / "learned.json").write_text(story)
    with pytest.raises(errors.CheckpointError, match="learned.json") as told:
        learn(tmp_path)
    assert "\n" not in str(told.value) and "run the same command again" in str(told.value)
