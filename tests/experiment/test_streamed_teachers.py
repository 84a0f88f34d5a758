"""Experts whose images come window by window: stopped anywhere they go on to the same bits; and which epochs are kept."""

import dataclasses
import sys
from types import SimpleNamespace
from unittest import mock

import jax
import numpy as np
import published
import pytest
import test_run_kills as kills
import tiny_run as tiny

from jaxsoft import config, data, errors
from jaxsoft.console import Console
from jaxsoft.data import encoded, normalize, stream
from jaxsoft.experiment import run, teachers
from jaxsoft.experiment.machine import processes
from jaxsoft.experiment.plan import checks, sweep
from jaxsoft.experiment.store.checkpoints import Checkpoints
from jaxsoft.experiment.teach import keeping, streamed
from jaxsoft.experiment.teach.cohort import WITHIN
from jaxsoft.experiment.teach.experts import teach, teacher_key
from jaxsoft.experiment.tell import progress
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import evaluate
from jaxsoft.training.ensemble import Program
from jaxsoft.training.evaluate import answers
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Split

SETTINGS = tiny.settings()
TEACHER = dataclasses.replace(SETTINGS.teacher, experts=2, stream="always")
EPOCHS = TEACHER.epochs
OFTEN, SELDOM = config.Compute(checkpoint_seconds=0.0), config.Compute(checkpoint_seconds=1e9)


@pytest.fixture(scope="module")
def digits():
    return run.load(SETTINGS)


@pytest.fixture(autouse=True)
def short_windows(monkeypatch):
    """Two steps of 32 digits: an epoch of 200 has seven steps in four windows, and the last is half full."""
    monkeypatch.setitem(streamed._WINDOW_BYTES, "cpu", 2 * 32 * 64)


@pytest.fixture(scope="module")
def whole(digits, kept_programs):
    """Experts that were never stopped; in windows of the usual length, as one that holds an epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(streamed._WINDOW_BYTES, "cpu", 2 * 32 * 64)
        yield teach(digits, TEACHER)


def stop_at(window):
    """Called after each window; the one of this number is the last."""
    numbers = iter(range(1, 1000))

    def look(_):
        if next(numbers) == window:
            raise errors.Interrupted("stop")

    return look


def states(experts):
    return [jax.tree.map(np.asarray, cohort.state(e)) for cohort in experts.cohorts for e in range(EPOCHS + 1)]


def assert_same(one, other):
    assert one.key == other.key and one.histories == other.histories
    jax.tree.map(np.testing.assert_array_equal, states(one), states(other))


def test_a_window_holds_a_part_of_an_epoch(digits, whole):
    assert streamed.window_steps(whole.recipe, digits.image_shape) == 2
    seen = []
    teach(digits, dataclasses.replace(TEACHER, epochs=1), on_window=seen.append)
    assert [(pace.epoch, pace.images, pace.of) for pace in seen] == [(1, n, 200) for n in (64, 128, 192, 200)]
    assert all(0 <= pace.waited <= pace.seconds for pace in seen)


def test_of_several_networks_each_is_named_and_all_are_counted(digits):
    seen, console = [], mock.Mock(spec=Console, stop=False)
    asked = dataclasses.replace(TEACHER, models=("mlp(hidden=2)", "mlp(hidden=3)"), epochs=1)
    teach(digits, asked, on_window=lambda pace: (seen.append(pace), progress.of_windows(console, pace)))
    assert [(p.model, p.epoch, p.before, p.epochs) for p in seen[3:5]] == [
        (m, 1, i, 2) for i, m in enumerate(asked.models)
    ]
    assert [call.args[:2] for call in console.progress.call_args_list[3:5]] == [(0, 2), (1, 2)]
    told = [call.args[0].partition(":")[0] for call in console.say.call_args_list]
    assert told == [f"  epoch 1 of {model}" for model in asked.models]


def test_compilation_and_what_was_seen_before_a_stop_are_no_part_of_the_pace(digits, tmp_path, monkeypatch):
    learn, seen, console = Program.learn, [], mock.Mock(spec=Console, stop=False)

    def compiling(program, *args):
        program.compile_seconds += 1000.0 * (not seen)
        return learn(program, *args)

    with pytest.raises(errors.Interrupted):
        teach(digits, TEACHER, folder=tmp_path, on_window=stop_at(2), compute=SELDOM)
    monkeypatch.setattr(Program, "learn", compiling)
    teach(digits, TEACHER, folder=tmp_path, on_window=seen.append)
    assert [pace.earlier for pace in seen[:3]] == [128, 128, 0] and seen[0].images == 192
    assert seen[0].seconds < -900 < 0 < seen[2].seconds
    progress.of_windows(console, seen[0]._replace(seconds=32.0))
    assert ", 2.0 images/s" in console.progress.call_args.args[2]


@pytest.mark.parametrize("compute", [SELDOM, OFTEN], ids=["saved as it stops", "saved after each window"])
def test_stopped_inside_an_epoch_and_gone_on_with_is_never_stopped(digits, whole, tmp_path, compute):
    (folder,), how = {tmp_path / cohort.key for cohort in whole.cohorts}, {"folder": tmp_path, "compute": compute}
    for window, steps in ((2, 4), (1, 6), (3, 11)):  # the third in the second epoch, after its last steps
        with pytest.raises(errors.Interrupted):
            teach(digits, TEACHER, on_window=stop_at(window), **how)
        assert Checkpoints(folder / WITHIN, mine=False).steps() == [steps]
    experts = teach(digits, TEACHER, **how)
    assert_same(experts, whole)
    assert not (folder / WITHIN).exists()


def test_what_reads_ahead_ends_when_a_training_is_stopped(digits):
    """While who was told of it still has the error, and with it all that was running."""
    closed, windows = [], stream.windows

    def watched(*args, **options):
        try:
            yield from windows(*args, **options)
        finally:
            closed.append(args[3])

    with mock.patch.object(stream, "windows", watched), pytest.raises(errors.Interrupted) as kept:
        teach(digits, TEACHER, on_window=stop_at(1))
    assert kept.value and closed == [None, None, closed[-1]] and closed[-1] is not None


def test_what_is_left_inside_of_an_older_epoch_is_not_gone_on_with(digits, whole, tmp_path):
    """A state inside of the first epoch, and a whole later epoch: the process was killed before it saved another."""
    with pytest.raises(errors.Interrupted):
        teach(digits, TEACHER, folder=tmp_path, on_window=stop_at(1), compute=SELDOM)
    (cohort,) = whole.cohorts
    two = Checkpoints(tmp_path / cohort.key, keep=None, tag={"teacher": cohort.key})
    two.save(2, cohort.state(2), {"records": list(zip(*whole.histories))[:3]})
    seen = []
    experts = teach(digits, TEACHER, folder=tmp_path, on_epoch=lambda epoch, *_: seen.append(epoch))
    assert seen == [3] and experts.histories == whole.histories
    jax.tree.map(np.testing.assert_array_equal, experts.cohorts[0].state(3), cohort.state(3))


def test_an_expert_that_diverges_inside_an_epoch_is_refused_there(digits, tmp_path):
    wild = dataclasses.replace(TEACHER, learning_rate=1e30)
    with pytest.raises(errors.ConfigError, match="expert 0, .* diverged at step . .epoch 1 of 3.: "):
        teach(digits, wild, folder=tmp_path, compute=OFTEN)
    assert not [*tmp_path.rglob(f"{WITHIN}/*")]


def test_other_windows_are_the_same_training(digits, whole, monkeypatch):
    monkeypatch.setitem(streamed._WINDOW_BYTES, "cpu", 1 << 20)
    together = teach(digits, TEACHER)
    assert streamed.window_steps(whole.recipe, digits.image_shape) == 7
    for one, other in zip(together.histories, whole.histories):
        losses = [[record["train_loss"] for record in history[1:]] for history in (one, other)]
        np.testing.assert_allclose(*losses, atol=2e-6)


def test_records_say_what_the_kept_parameters_do(digits, whole):
    said = whole.logits(digits.validation, np.arange(len(digits.validation)), [EPOCHS]).logits[:, 0]
    right = (said.argmax(-1) == digits.validation.labels).mean(-1)
    np.testing.assert_allclose([h[-1]["val_accuracy"] for h in whole.histories], right, atol=1e-6)
    assert right.min() > 0.2  # and they learn


def test_a_key_knows_whether_images_were_streamed_and_not_what_is_kept(digits):
    def key(**changes):
        return teacher_key(dataclasses.replace(SETTINGS.teacher, **changes), digits, "standardize", "float32")

    assert key() == key(stream="never") == key(keep="every(2)") == key(keep="asked")
    assert key() != key(stream="always")


def test_images_that_no_device_has_room_for_are_streamed(digits, monkeypatch):
    monkeypatch.setattr(streamed.memory, "host_bytes", lambda: digits.train.images.nbytes * 2 + 1)
    assert not streamed.is_streamed(digits, "auto", "standardize")
    monkeypatch.setattr(streamed.memory, "host_bytes", lambda: digits.train.images.nbytes * 2 - 1)
    assert streamed.is_streamed(digits, "auto", "standardize") and not streamed.is_streamed(digits, "never", "none")


@pytest.fixture(scope="module")
def all_kept(digits, kept_programs):
    return teach(digits, SETTINGS.teacher)


ASKED = [LabelSpec.parse("teacher(epoch=1)"), LabelSpec.parse("teacher(accuracy=0.2)")]


@pytest.mark.parametrize(
    ("keep", "epochs"), [("every(2)", [0, 2, 3]), ("every(7)", [0, 3]), ("asked", None), ("all", [0, 1, 2, 3])]
)
def test_epochs_are_kept_as_asked_and_others_are_trained_again(digits, all_kept, tmp_path, caplog, keep, epochs):
    matched = ASKED[1].resolve(all_kept.histories).epoch
    epochs = epochs or sorted({1, matched, EPOCHS})
    how = dataclasses.replace(SETTINGS.teacher, keep=keep)
    rule = keeping.of(how, ASKED)
    assert rule.most() >= len(epochs)
    for folder in (None, tmp_path):
        experts = teach(digits, how, folder=folder, asked=ASKED)
        assert experts.histories == all_kept.histories
        assert experts.cohorts[0]._trajectory.steps() == epochs
    jax.tree.map(np.testing.assert_array_equal, states(experts), states(all_kept))
    missing = {*range(EPOCHS + 1)} - {*epochs}
    again = [r.message for r in caplog.records if "training it again" in r.message]
    told = f"epoch {{}} of the experts {experts.cohorts[0].key}, {how.model}, was not kept (config.teacher.keep={keep})"
    assert again == [f"{told.format(epoch)}; training it again" for epoch in sorted(missing)]


def test_experts_of_several_processes_have_what_is_asked_whatever_was_kept(digits, all_kept, tmp_path, monkeypatch):
    """All of them train an epoch again, before one asks by itself; what nobody foresaw is refused with a way on."""
    monkeypatch.setattr(processes, "teach_together", lambda _: True)
    how = dataclasses.replace(SETTINGS.teacher, keep="every(7)")
    (cohort,) = teach(digits, how, folder=tmp_path).cohorts
    assert cohort._trajectory.steps() == [0, 3]
    (cohort,) = teach(digits, how, folder=tmp_path, asked=[ASKED[0]]).cohorts
    assert cohort._trajectory.steps() == [0, 1, 3]
    jax.tree.map(np.testing.assert_array_equal, cohort.state(1), all_kept.cohorts[0].state(1))
    with pytest.raises(errors.CheckpointError, match="epoch 2 of .* was not kept .*; one process without the others, "):
        cohort.state(2)


def test_epochs_that_are_not_kept_are_gone_on_from_when_stopped(digits, all_kept, tmp_path):
    how, seen = dataclasses.replace(SETTINGS.teacher, keep="every(9)"), []

    def stop(epoch, *_):
        raise errors.Interrupted("stop")

    for _ in range(2):
        with pytest.raises(errors.Interrupted):
            teach(digits, how, folder=tmp_path, on_epoch=stop, compute=SELDOM)
    experts = teach(digits, how, folder=tmp_path, on_epoch=lambda epoch, *_: seen.append(epoch))
    assert seen == [3] and experts.histories == all_kept.histories
    jax.tree.map(np.testing.assert_array_equal, experts.cohorts[0].state(3), all_kept.cohorts[0].state(3))


def test_what_others_must_reach_too_is_kept_always():
    """Of two architectures the mean is not known before both are taught."""
    both = keeping.Keeping(0, 5, (LabelSpec.parse("teachers(2, accuracy=0.5)"),))
    assert both.wants(2, (0,), [[{"epoch": 0}]]) and not keeping.Keeping(0, 5).wants(2, (0,), [[{"epoch": 0}]])


def test_a_sweep_asks_for_the_epochs_of_its_labels():
    labels = ("hard", "teacher|topk(3)", "teacher(epoch=2)|smooth", "teacher(accuracy=0.3)", "learned")
    changes = {"sweep.labels": labels, "sweep.teacher_epoch": (1, 3), "learned.reference_epoch": 2}
    found = map(str, sweep.asked(tiny.settings(changes)))
    assert sorted(found) == ["teacher(accuracy=0.3)", *[f"teacher(epoch={e})" for e in (1, 2, 2, 3)]]


def test_without_validation_images_no_epoch_is_asked_for_by_accuracy():
    histories = {0: ({"epoch": 0, "val_accuracy": None, "label_entropy": 1.0},)}
    assert not keeping.Keeping(0, 5, (ASKED[1],)).wants(0, (0,), [[histories[0][0]]])
    with pytest.raises(errors.ConfigError, match="no epoch of experts .* has a finite val_accuracy"):
        ASKED[1].resolve(histories)


@pytest.mark.parametrize("keep", ["none", "every", "every(0)", "every(1.5)", "all(3)", ""])
def test_a_rule_that_there_is_not_is_refused(keep):
    told = "^config.teacher.keep expects all, every.k. with k of 1 or more, such as every.10., or asked; got "
    with pytest.raises(errors.ConfigError, match=told):
        checks.check(tiny.settings({"teacher.keep": keep}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prepared data of pictures that stay in their files."""
    base = tmp_path_factory.mktemp("pictures")
    for k in range(3):
        (base / "own" / f"class {k}").mkdir(parents=True)
        for i in range(12):
            (base / "own" / f"class {k}" / f"{i}.png").write_bytes(published.encoded(published.red(24, 80 * k + i)))
    data.prepare("image_folder", base / "prepared", base / "own", resize=16, encoded=True)
    return base


def test_a_run_on_pictures_in_their_files_killed_and_stopped_ends_with_the_same_table(folder, kept_programs):
    changes = {
        "data.name": "image_folder",
        "data.root": str(folder / "prepared"),
        "data.resize": 16,
        "data.limit": 0,
        "data.validation": 0.25,
        "teacher.batch": 5,
        "teacher.model": "mlp(hidden=8)",
        "sweep.ipc": (1,),
        "compute.checkpoint_seconds": 0.0,
    }
    environment = {"JAX_COMPILATION_CACHE_DIR": str(kept_programs)}
    file = tiny.config_file(folder, changes)
    codes, told, _ = kills.run_tries(file, folder / "calm", [kills.UNDISTURBED], **environment)
    assert codes == [0], told
    assert "images streamed" in told and " images/s, devices waited " in told
    tries = [("learn", 2, "kill before"), ("save", 2, "kill before"), ("progress", 2, "stop"), kills.UNDISTURBED]
    codes, told, _ = kills.run_tries(file, folder / "harmed", tries, **environment)
    assert codes == [-9, -9, 75, 0], told
    assert (folder / "harmed" / "results.csv").read_bytes() == (folder / "calm" / "results.csv").read_bytes()


def test_a_run_that_streams_without_grain_is_refused_as_it_is_planned(tmp_path, monkeypatch, capsys):
    """Not when its teachers begin; and not at all where they are taught already, or planned for elsewhere."""
    file = tiny.config_file(tmp_path, {"teacher.stream": "always"})
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "grain", None)
        for flags in ([], ["--dry_run"]):
            assert tiny.command(file, tmp_path / "run", *flags) == 2
            said = capsys.readouterr().err
            assert "streamed images need grain: " in said and said.count("\n") == 1
        assert not (tmp_path / "run").exists()
        assert tiny.command(file, tmp_path / "run", "--dry_run", "--for=h100") == 0
        monkeypatch.setattr(teachers, "is_taught", lambda *_: True)
        assert tiny.command(file, tmp_path / "run", "--dry_run") == 0


def test_experts_are_asked_about_pictures_a_piece_at_a_time(folder, whole, monkeypatch):
    """Of those that stay in their files no more are decoded at once than go to the device."""
    loaded = data.load("image_folder", folder / "prepared", resize=16, validation=0.25)
    recipe, seen = Recipe("mlp(hidden=4)", 3, 1, 1), []
    variables = recipe.build_model().init(jax.random.key(0), jax.numpy.zeros((1, 16, 16, 3)))
    networks = [jax.tree.map(lambda a: a[None], variables)]
    normalizer = normalize.fit("standardize", loaded.train.images)
    place = SimpleNamespace(places=(0,), logits=lambda stored, _: next(answers(recipe, normalizer, stored, networks)))
    settings = dataclasses.replace(TEACHER, experts=1)
    asked = whole._replace(settings=settings, normalizer=normalizer, recipe=recipe, cohorts=(place,))
    ids = np.array([5, 1, 20, 3, 7, 8, 9], np.int32)
    pixels = loaded.train.images[:]
    wanted = asked.logits(Split(pixels, loaded.train.labels), ids, [1]).logits

    read = encoded.Encoded.__getitem__
    counted = lambda images, rows: [seen.append(np.size(np.arange(len(images))[rows])), read(images, rows)][1]  # noqa: E731
    monkeypatch.setattr(encoded.Encoded, "__getitem__", counted)
    monkeypatch.setattr(evaluate, "_ON_DEVICE", 3 * 16 * 16 * 3)
    found = asked.logits(loaded.train, ids, [1]).logits
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert max(seen) == 3
