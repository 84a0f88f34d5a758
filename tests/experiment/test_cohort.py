"""Experts of several architectures: each as if it were alone, shared by runs, resumed, counted, and checked."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny_run as tiny

import jaxsoft
from jaxsoft import errors
from jaxsoft.experiment import run
from jaxsoft.experiment.plan import checks
from jaxsoft.experiment.teach.experts import teach, teacher_key
from jaxsoft.training.fit import State

WIDE, NARROW = "mlp(hidden=8)", "mlp(hidden=4)"
ALONE = tiny.settings().teacher
MIXED = dataclasses.replace(ALONE, experts=3, models=(WIDE, NARROW, WIDE))
EPOCHS = ALONE.epochs
IDS = np.array([3, 1, 4, 159], np.int32)


@pytest.fixture(scope="module")
def data():
    return run.load(tiny.settings())


@pytest.fixture(scope="module")
def mixed(data, kept_programs):
    return teach(data, MIXED)


def said(experts, data):
    return experts.logits(data.train, IDS, range(EPOCHS + 1)).logits


def test_every_expert_is_the_one_taught_alone_with_its_own_seed(data, mixed):
    assert [(c.recipe.model, c.places) for c in mixed.cohorts] == [(WIDE, (0, 2)), (NARROW, (1,))]
    narrow = teach(data, dataclasses.replace(ALONE, model=NARROW, seed=1))
    np.testing.assert_array_equal(said(mixed, data)[1], said(narrow, data)[0])
    assert mixed.histories[1] == narrow.histories[0]
    for seed in (0, 2):
        alone = teach(data, dataclasses.replace(ALONE, seed=seed))
        np.testing.assert_allclose(said(mixed, data)[seed], said(alone, data)[0], atol=1e-4)
        accuracies = [[r["val_accuracy"] for r in e.histories[seed * (e is mixed)]] for e in (mixed, alone)]
        np.testing.assert_allclose(*accuracies, atol=1e-6)


def test_a_network_is_that_of_the_expert_and_the_epoch(data, mixed):
    images = mixed.normalizer(data.train.images[IDS])
    for expert, hidden in ((0, 8), (1, 4), (2, 8)):
        recipe, variables = mixed.network(expert, 2)
        assert variables["params"]["dense0"]["bias"].shape == (hidden,)
        logits = jax.jit(recipe.logits)(variables, images)
        np.testing.assert_allclose(logits, said(mixed, data)[expert, 2], atol=1e-5)
    with pytest.raises(errors.ConfigError, match="^expert=3 but there are 3 experts, counted from 0$"):
        mixed.network(3, 2)


def test_runs_share_the_experts_that_they_have_in_common(data, tmp_path):
    alone = teach(data, ALONE, folder=tmp_path)
    seen = []
    pair = dataclasses.replace(ALONE, experts=2, models=(WIDE, NARROW), model="ignored", store=str(tmp_path))
    both = teach(data, pair, folder=tmp_path, on_epoch=lambda *told: seen.append(told))
    assert [(epoch, epochs, [r["epoch"] for r in records]) for epoch, epochs, records in seen] == [
        (EPOCHS + e, 2 * EPOCHS, [e]) for e in range(1, EPOCHS + 1)
    ]
    assert {path.name for path in tmp_path.iterdir()} == {c.key for c in both.cohorts}
    assert both.cohorts[0].key == alone.cohorts[0].key and both.histories[0] == alone.histories[0]
    np.testing.assert_array_equal(said(both, data)[0], said(alone, data)[0])
    teach(data, dataclasses.replace(ALONE, model=NARROW, seed=1), folder=tmp_path, on_epoch=tiny.never)


def test_stopped_in_the_second_architecture_nothing_of_the_first_is_lost(data, mixed, tmp_path):
    def stop(epoch, *_):
        if epoch == EPOCHS + 2:
            raise errors.Interrupted("stop")

    with pytest.raises(errors.Interrupted):
        teach(data, MIXED, folder=tmp_path, on_epoch=stop)
    seen = []
    resumed = teach(data, MIXED, folder=tmp_path, on_epoch=lambda epoch, *_: seen.append(epoch))
    assert seen == list(range(EPOCHS + 3, 2 * EPOCHS + 1))
    assert resumed.key == mixed.key and resumed.histories == mixed.histories
    np.testing.assert_array_equal(said(resumed, data), said(mixed, data))


def test_a_key_stands_for_who_has_which_architecture(data, mixed):
    def key(**changes):
        return teacher_key(dataclasses.replace(MIXED, **changes), data, "standardize", "float32")

    assert key() == mixed.key == key(model="ignored")
    assert key(models=(WIDE,) * 3) == key(models=(), model=WIDE)
    orders = (NARROW, WIDE, WIDE), (WIDE, WIDE, NARROW), (NARROW, WIDE, NARROW), (WIDE,) * 3
    assert len({key(), key(seed=1), *(key(models=models) for models in orders)}) == 6


def test_experts_of_one_architecture_may_have_rates_of_their_own(data, mixed):
    rate = ALONE.learning_rate
    apart = teach(data, dataclasses.replace(MIXED, rates=(rate, rate, rate / 8), learning_rate=7.0))
    np.testing.assert_allclose(said(apart, data)[:2], said(mixed, data)[:2], atol=1e-4)
    slow = teach(data, dataclasses.replace(ALONE, seed=2, learning_rate=rate / 8))
    np.testing.assert_allclose(said(apart, data)[2], said(slow, data)[0], atol=1e-4)
    keys = [[c.key for c in experts.cohorts] for experts in (apart, mixed)]
    assert (
        keys[0][1] == keys[1][1] and keys[0][0] != keys[1][0]
    )  # by the rates that they have, wherever these are written


def test_a_rate_for_each_expert_or_for_none(data):
    told = "^config.teacher.rates expects one learning rate for each of 3 experts, got 2: 0.1, 0.5$"
    with pytest.raises(errors.ConfigError, match=told):
        teach(data, dataclasses.replace(MIXED, rates=(0.1, 0.5)))
    with pytest.raises(errors.ConfigError, match=r"lower its rate in config.teacher.rates \(1e\+30\)"):
        teach(data, dataclasses.replace(MIXED, rates=(0.1, 0.1, 1e30)))


def test_the_architecture_that_diverges_is_named(data):
    changes = dict(models=(WIDE, NARROW), experts=2, learning_rate=1e30)
    with pytest.raises(
        errors.ConfigError, match=r"expert 0, mlp\(hidden=8\), diverged at step .*; lower config.teacher.learning_rate"
    ):
        teach(data, dataclasses.replace(ALONE, **changes))


def test_students_learn_from_one_of_them_and_from_all(data, mixed):
    student = jaxsoft.Student(model=WIDE, batch=16, steps=4, evaluations=1)
    sweep = jaxsoft.Sweep(ipc=(1,), labels=("teacher(expert=1, epoch=3)", "teachers(3, epoch=2)"), seed=(0,))
    rows = jaxsoft.train_students(data, mixed, student, sweep)
    assert [(row["labels"], row["status"]) for row in rows] == [(labels, "done") for labels in sweep.labels]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": (WIDE,), "experts": 2}, "config.teacher.models expects one architecture for each of "
         "config.teacher.experts=2, got 1: mlp(hidden=8)"),
        ({"models": (WIDE, "mpl"), "experts": 2}, "config.teacher.models: unknown model 'mpl'; closest: mlp, "),
        ({"models": (WIDE, "convnet(depth=5)"), "experts": 2}, "config.teacher.models: convnet: depth=5 halves the image"),
        ({"models": (NARROW, WIDE), "experts": 2, "model": "mpl"}, None),
    ],
)  # fmt: skip
def test_architectures_are_checked_before_training(data, changes, message):
    settings = tiny.settings({f"teacher.{name}": value for name, value in changes.items()})

    def check():
        checks.check(settings)
        checks.check_data(settings, data)

    if message is None:
        return check()
    with pytest.raises(errors.ConfigError) as told:
        check()
    assert str(told.value).startswith(message)


def test_classes_are_sorted_by_the_accuracy_of_expert_0(monkeypatch):
    """A network that names the brightest channel; which images it gets right is seen by eye."""
    shown = {0: (0, 0, 1, 1), 1: (1, 0), 2: (2, 2), 3: (3, 0, 0, 0)}  # class: brightest channel of each of its images
    labels = np.array([label for label, channels in shown.items() for _ in channels], np.int32)
    brightest = [channel for channels in shown.values() for channel in channels]
    images = (200 * np.eye(4, dtype=np.uint8)[brightest])[:, None, None]
    split = jaxsoft.Split(images, labels)
    data = jaxsoft.Dataset("colours", ("a", "b", "c", "d"), split, split, split, "0" * 64, "here", "CC0-1.0")
    first, second = np.eye(4, dtype=np.float32), np.zeros((4, 4), np.float32)  # expert 1 names class 0 for every image
    layer = {"kernel": np.stack([first, second]), "bias": np.zeros((2, 4), np.float32)}
    state = State({"params": {"dense0": layer, "classifier": layer}}, (), np.full(2, -1))
    experts = teach(data, jaxsoft.Teacher(model=NARROW, epochs=1, experts=2), "none")
    monkeypatch.setattr(experts.cohorts[0], "state", lambda epoch: {1: state}[epoch])
    assert experts.class_order(data).tolist() == [3, 0, 1, 2]  # 1/4; 1/2 twice; all of them
