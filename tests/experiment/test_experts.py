"""Experts: trained together, kept after every epoch, resumed, shared, and mended."""

import dataclasses
import logging
import os
import shutil
import socket

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_run as tiny

from jaxsoft import errors
from jaxsoft.console import Console
from jaxsoft.experiment import run
from jaxsoft.experiment.store import lock
from jaxsoft.experiment.store.checkpoints import Checkpoints
from jaxsoft.experiment.store.lock import Lock
from jaxsoft.experiment.teach import cohort as teaching
from jaxsoft.experiment.teach.experts import teach, teacher_key
from jaxsoft.experiment.tell import progress
from jaxsoft.training import fit

SETTINGS = tiny.settings()
EPOCHS = SETTINGS.teacher.epochs
IDS = np.array([3, 1, 4, 159], np.int32)


@pytest.fixture(scope="module")
def data():
    return run.load(SETTINGS)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory, kept_programs):
    """One expert and the store that holds it."""
    store = tmp_path_factory.mktemp("store")
    return teach(data, SETTINGS.teacher, folder=store), store


@pytest.fixture
def copy(trained, tmp_path):
    """A store to be spoilt, and the folder of the expert in it."""
    return shutil.copytree(trained[1], tmp_path / "store"), tmp_path / "store" / trained[0].cohorts[0].key


def said(experts, data):
    return experts.logits(data.train, IDS, range(EPOCHS + 1)).logits


def stop_after(last):
    def look(epoch, epochs, records):
        if epoch == last:
            raise errors.Interrupted("stop")

    return look


def never(*_):
    raise AssertionError("an epoch was trained")


def test_every_epoch_has_a_record_and_experts_grow_sure(trained):
    (history,) = trained[0].histories
    assert [record["epoch"] for record in history] == list(range(EPOCHS + 1))
    assert history[0]["train_loss"] is None
    losses = [record["train_loss"] for record in history[1:]]
    entropies = [record["label_entropy"] for record in history]
    assert losses == sorted(losses, reverse=True)
    assert entropies == sorted(entropies, reverse=True) and entropies[0] < np.log(10)
    assert history[-1]["val_accuracy"] > history[0]["val_accuracy"] + 0.2


def test_logits_are_those_of_the_epoch_the_image_and_the_network(trained, data):
    """By hand: standardise with the train images' own mean and deviation, then two dense layers in NumPy."""
    experts = trained[0]
    pixels = data.train.images.astype(np.float64) / 255
    images = ((pixels - pixels.mean()) / pixels.std())[IDS].reshape(len(IDS), -1)
    for p, logits in enumerate(said(experts, data)[0]):
        params = experts.network(0, p)[1]["params"]
        hidden = np.maximum(images @ params["dense0"]["kernel"] + params["dense0"]["bias"], 0)
        wanted = hidden @ params["classifier"]["kernel"] + params["classifier"]["bias"]
        np.testing.assert_allclose(logits, wanted, atol=1e-4)


def test_records_say_what_the_kept_parameters_do(trained, data):
    experts = trained[0]
    bank = experts.logits(data.validation, np.arange(len(data.validation), dtype=np.int32), range(EPOCHS + 1))
    train = experts.logits(data.train, np.arange(len(data.train), dtype=np.int32), range(EPOCHS + 1))
    for epoch, record in enumerate(experts.histories[0]):
        accuracy = np.mean(bank.logits[0, epoch].argmax(-1) == data.validation.labels)
        assert record["val_accuracy"] == pytest.approx(accuracy, abs=1e-6)
        probabilities = np.asarray(jax.nn.softmax(train.logits[0, epoch]), np.float64)
        entropy = -(probabilities * np.log(probabilities)).sum(-1).mean()
        assert record["label_entropy"] == pytest.approx(entropy, abs=1e-4)


def test_a_bank_keeps_identities_and_classes(trained, data):
    bank = trained[0].logits(data.train, IDS, [2, 0])
    assert bank.epochs == (2, 0) and bank.image_ids.tolist() == IDS.tolist()
    assert bank.classes.tolist() == data.train.labels[IDS].tolist()
    both = said(trained[0], data)
    np.testing.assert_array_equal(bank.logits, both[:, [2, 0]])


def test_experts_taught_together_are_those_taught_alone(trained, data):
    together = teach(data, dataclasses.replace(SETTINGS.teacher, experts=3))
    assert len(together.histories) == 3
    for e in range(3):
        alone = teach(data, dataclasses.replace(SETTINGS.teacher, seed=e)) if e else trained[0]
        np.testing.assert_allclose(said(together, data)[e], said(alone, data)[0], atol=1e-4)
    spread = np.abs(np.diff(said(together, data)[:, -1], axis=0)).max((1, 2))
    assert spread.min() > 0.1  # they are not one another


def test_in_memory_as_on_disk(trained, data):
    np.testing.assert_array_equal(said(teach(data, SETTINGS.teacher), data), said(trained[0], data))


@pytest.mark.parametrize("last", [1, 2])
def test_stopped_and_resumed_is_never_stopped(trained, data, tmp_path, last):
    with pytest.raises(errors.Interrupted):
        teach(data, SETTINGS.teacher, folder=tmp_path, on_epoch=stop_after(last))
    seen = []
    experts = teach(data, SETTINGS.teacher, folder=tmp_path, on_epoch=lambda epoch, *_: seen.append(epoch))
    assert seen == list(range(last + 1, EPOCHS + 1))
    assert experts.histories == trained[0].histories
    np.testing.assert_array_equal(said(experts, data), said(trained[0], data))


def test_a_store_is_taught_once_and_another_setting_is_another_expert(trained, data):
    experts, store = trained
    again = teach(data, dataclasses.replace(SETTINGS.teacher, store=str(store)), folder=store, on_epoch=never)
    assert again.key == experts.key and again.histories == experts.histories
    others = [
        teacher_key(dataclasses.replace(SETTINGS.teacher, learning_rate=0.2), data, "standardize", "float32"),
        teacher_key(dataclasses.replace(SETTINGS.teacher, epochs=4), data, "standardize", "float32"),
        teacher_key(SETTINGS.teacher, data, "none", "float32"),
        teacher_key(SETTINGS.teacher, data, "standardize", "bfloat16"),
        teacher_key(SETTINGS.teacher, dataclasses.replace(data, fingerprint="other"), "standardize", "float32"),
    ]
    assert len({experts.key, *others}) == 6


def test_a_store_in_use_is_waited_for_and_then_only_read(trained, copy, data, monkeypatch):
    """As of two array tasks: the second says for whom it waits, and finds the finished experts."""
    monkeypatch.setattr(lock, "_POLL_SECONDS", 0.01)
    last, told = copy[1] / str(EPOCHS), []
    last.rename(copy[0] / "last")
    other = Lock(copy[1] / "lock")

    def wait(who):
        told.append(who)
        if len(told) == 2:
            (copy[0] / "last").rename(last)
            other.release()

    experts = teach(data, SETTINGS.teacher, folder=copy[0], on_epoch=never, on_wait=wait)
    assert experts.histories == trained[0].histories
    assert told == [f"process {os.getpid()} on {socket.gethostname()}"] * 2


def test_who_waits_for_a_store_is_told_so_in_the_log_and_by_the_console(copy, data, monkeypatch, capsys):
    monkeypatch.setattr(lock, "_POLL_SECONDS", 0.01)
    shutil.rmtree(copy[1] / str(EPOCHS))
    other, console = Lock(copy[1] / "lock"), Console()
    monkeypatch.setattr(console, "stop", True)
    with pytest.raises(errors.Interrupted, match="stopped while waiting for process"):
        teach(data, SETTINGS.teacher, folder=copy[0], on_epoch=never, on_wait=progress.of_waiting(console))
    assert f"waiting for process {os.getpid()} on" in capsys.readouterr().out
    told = []
    monkeypatch.setattr(teaching.log, "warning", lambda line: told.append(line) or other.release())
    teach(data, SETTINGS.teacher, folder=copy[0])
    assert told == [f"waiting for process {os.getpid()} on {socket.gethostname()}, which teaches these experts"]


def test_finished_experts_are_read_while_another_process_mends_them(trained, copy, data):
    (copy[1] / "1.orbax-checkpoint-tmp").mkdir()  # what it is about to save
    held = Lock(copy[1] / "lock")
    assert teach(data, SETTINGS.teacher, folder=copy[0], on_epoch=never).histories == trained[0].histories
    held.release()
    assert (copy[1] / "1.orbax-checkpoint-tmp").is_dir()


def spoil(epoch):
    """Flip a bit in the middle of an epoch's numbers."""
    path = max(epoch.rglob("*"), key=lambda p: p.stat().st_size if p.is_file() else 0)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_last_epoch_is_taught_again(trained, copy, data, caplog):
    store, folder = copy
    spoil(folder / str(EPOCHS))
    seen = []
    with caplog.at_level(logging.WARNING):
        experts = teach(data, SETTINGS.teacher, folder=store, on_epoch=lambda epoch, *_: seen.append(epoch))
    assert seen == [EPOCHS]
    assert f"set aside as {EPOCHS}.corrupt" in caplog.text and (folder / f"{EPOCHS}.corrupt").is_dir()
    assert experts.histories == trained[0].histories
    np.testing.assert_array_equal(said(experts, data), said(trained[0], data))


@pytest.mark.parametrize("harmed", [(1,), (0,), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("harm", [spoil, shutil.rmtree])
def test_a_damaged_or_missing_epoch_is_taught_again_when_it_is_asked_for(trained, copy, data, caplog, harm, harmed):
    store, folder = copy
    for epoch in harmed:
        harm(folder / str(epoch))
    seen = []
    experts = teach(data, SETTINGS.teacher, folder=store, on_epoch=lambda epoch, *_: seen.append(epoch))
    assert seen == []
    np.testing.assert_array_equal(said(experts, data), said(trained[0], data))
    assert seen == [epoch for epoch in harmed if epoch]
    assert caplog.text.count("training it again") == len(harmed)
    assert caplog.text.count(" is gone; training") == len(harmed) * (harm is shutil.rmtree)
    again = teach(data, SETTINGS.teacher, folder=store, on_epoch=never)
    np.testing.assert_array_equal(said(again, data), said(trained[0], data))


def test_an_epoch_that_there_never_was_is_refused(trained):
    with pytest.raises(errors.ConfigError, match=f"epoch={EPOCHS + 1} but there are epochs 0 to {EPOCHS}"):
        trained[0].network(0, EPOCHS + 1)


def refused(data, settings, store=None, look=lambda *_: None):
    with pytest.raises(errors.ConfigError) as told:
        teach(data, settings, folder=store, on_epoch=look)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_an_expert_that_diverges_is_told_as_a_setting_and_at_once(data, tmp_path):
    told = refused(data, dataclasses.replace(SETTINGS.teacher, learning_rate=1e30), tmp_path, look=never)
    assert told.startswith("expert 0, mlp(hidden=8), diverged at step ")
    assert "(epoch 1 of 3)" in told and "lower config.teacher.learning_rate (1e+30)" in told
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert not (folder / "1").exists(), "no epoch of it is kept"


def test_an_expert_that_never_moves_is_no_expert(data):
    """The first update is not finite, so the weights stay as they began, and the loss stays finite."""
    told = refused(data, dataclasses.replace(SETTINGS.teacher, optimizer="adamw(b2=1.0)"))
    assert told.startswith("expert 0, mlp(hidden=8), diverged at step 0 (epoch 1 of 3): ")
    assert told.endswith("lower config.teacher.learning_rate (0.3) or change config.teacher.optimizer (adamw(b2=1.0))")


def save_last_epoch(store, experts, change):
    """Put another last epoch into a store, as an earlier version could have left it: (state, records) -> the same."""
    (cohort,) = experts.cohorts
    records = [[dict(history[epoch]) for history in cohort.histories] for epoch in range(EPOCHS + 1)]
    state, records = change(cohort.state(EPOCHS), records)
    shutil.rmtree(store / cohort.key / str(EPOCHS))
    kept = Checkpoints(store / cohort.key, keep=None, tag={"teacher": cohort.key})
    kept.save(EPOCHS, state, {"records": records})


def test_a_diverged_expert_in_a_store_is_refused_by_number(data, tmp_path):
    """Its records are those of a good one: the kept state alone knows."""
    settings = dataclasses.replace(
        SETTINGS.teacher, experts=3, models=("mlp(hidden=4)", "mlp(hidden=8)", "mlp(hidden=8)")
    )
    experts = teach(data, settings, folder=tmp_path)
    one = experts._replace(cohorts=experts.cohorts[1:])
    save_last_epoch(
        tmp_path, one, lambda state, records: (state._replace(bad_step=np.array([-1, 7], np.int32)), records)
    )
    told = refused(data, settings, tmp_path, look=never)
    assert told.startswith("expert 2, mlp(hidden=8), diverged at step 7 (epoch 2 of 3): ")


def test_an_expert_whose_labels_are_not_finite_is_refused(trained, copy, data):
    """Its last update was finite and far too large: what it says of images is not."""

    def change(state, records):
        records[-1][0]["label_entropy"] = float("nan")
        return state, records

    save_last_epoch(copy[0], trained[0], change)
    told = refused(data, SETTINGS.teacher, copy[0], look=never)
    assert told.startswith("expert 0, mlp(hidden=8), has no finite labels after epoch 3 of 3; lower config.teacher.")


def test_no_student_begins_where_its_teacher_began(data, trained):
    experts, _ = trained
    recipe, expert = experts.network(0, 0)
    recipe = recipe._replace(slots=10, batch=10)
    student = fit.initialize(recipe, data.image_shape, jnp.int32(SETTINGS.teacher.seed)).variables["params"]
    pairs = zip(jax.tree.leaves(expert["params"]), jax.tree.leaves(student), strict=True)
    assert not any(np.allclose(a, b) for a, b in pairs)
