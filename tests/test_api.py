"""The Python interface: the stages of a run as functions, with the numbers of a run."""

import dataclasses
import doctest
import inspect
import subprocess
import sys
import types

import numpy as np
import pytest

import jaxsoft
from jaxsoft import api, config, errors
from jaxsoft.console import Console
from jaxsoft.experiment import run

TEACHER = jaxsoft.Teacher(model="mlp(hidden=8)", epochs=2, batch=32, learning_rate=0.3)
STUDENT = jaxsoft.Student(model="mlp(hidden=8)", batch=16, steps=8, learning_rate=0.1, evaluations=2)
SWEEP = jaxsoft.Sweep(ipc=(1,), labels=("hard", "teacher(epoch=2)"), seed=(0, 1))


@pytest.fixture(scope="module")
def data():
    return jaxsoft.load("digits", limit=20)


@pytest.fixture(scope="module")
def experts(data):
    return jaxsoft.teach(data, TEACHER)


@pytest.fixture(scope="module")
def rows(data, experts):
    return jaxsoft.train_students(data, experts, STUDENT, SWEEP)


def test_rows_are_those_of_a_run_with_equal_settings(rows, tmp_path):
    settings = config.Settings(data=config.Data(limit=20), teacher=TEACHER, student=STUDENT, sweep=SWEEP)
    console = Console(quiet=True)
    done = run.run(settings, tmp_path / "run", console)
    assert done == rows and len(rows) == 4
    assert console.seconds.keys() == {"data", "teachers", "labels", "students", "examples"}


def test_rows_are_in_the_order_of_the_axes(rows):
    assert [(r["labels"], r["seed"]) for r in rows] == [(s, n) for s in ("hard", "teacher(epoch=2)") for n in (0, 1)]
    table = jaxsoft.text_table(rows)
    assert "teacher(epoch=2)" in table


def own(as_given=lambda images: images, seed=0, **more):
    """Two classes of a user's own that differ in one corner."""
    rng = np.random.default_rng(seed)

    def split(count):
        labels = (np.arange(count) % 2).astype(np.int32)
        images = rng.integers(0, 60, (count, 4, 4, 3), dtype=np.uint8)
        images[labels == 1, :2] += 190
        return jaxsoft.Split(as_given(images), labels)

    return jaxsoft.Dataset("mine", ("dark", "light"), split(40), split(10), split(30), **more)


def test_own_arrays_make_a_dataset():
    """A student finds out from two images, and says so on test: of bytes, and of the same images as floats."""
    teacher, told = dataclasses.replace(TEACHER, batch=8), []
    for data in (own(), own(lambda images: images / 255.0)):
        experts = jaxsoft.teach(data, teacher)
        told.append(jaxsoft.train_students(data, experts, STUDENT, SWEEP))
        assert [row["test_accuracy"] for row in told[-1]] == [1.0] * 4
        assert {row["dataset"] for row in told[-1]} == {"mine"}
    assert [[row["val_accuracy"] for row in rows] for rows in told] == [[1.0] * 4] * 2


def test_the_example_is_true():
    assert doctest.testmod(api).failed == 0


def test_own_images_that_are_not_square_and_of_two_channels_teach_a_convnet():
    labels = np.arange(60) % 2
    images = np.random.default_rng(0).integers(0, 60, (60, 8, 12, 2), np.uint8)
    images[labels == 1, :4] += 190
    data = jaxsoft.Dataset.from_arrays(images, labels)
    net = "convnet(depth=1, width=8)"
    experts = jaxsoft.teach(data, dataclasses.replace(TEACHER, model=net, batch=8, learning_rate=0.05))
    student = dataclasses.replace(STUDENT, model=net, steps=16)
    rows = jaxsoft.train_students(data, experts, student, SWEEP)
    assert {row["status"] for row in rows} == {"done"} and min(row["test_accuracy"] for row in rows) > 0.9


def test_own_arrays_that_would_be_scaled_wrongly_are_refused(experts):
    data = own(lambda images: images.astype(np.float32))
    with pytest.raises(errors.DataError, match="mine: train images are float32 from 0 to 249; wanted uint8"):
        jaxsoft.teach(data, TEACHER)
    with pytest.raises(errors.DataError, match="mine: train images are float32 from 0 to 249; wanted uint8"):
        jaxsoft.train_students(data, experts, STUDENT, SWEEP)
    for ask in (experts.normalizer, experts.normalizer.store):
        with pytest.raises(errors.DataError, match="images are float32 from 0 to 249"):
            ask(data.train.images)


def test_a_fingerprint_that_is_not_of_the_arrays_shares_no_experts(tmp_path):
    teacher, given = dataclasses.replace(TEACHER, batch=8, epochs=1), "0" * 64
    first, second = own(fingerprint=given), own(seed=1, fingerprint=given)
    experts = jaxsoft.teach(first, teacher, folder=tmp_path)
    assert jaxsoft.teach(second, teacher, folder=tmp_path).key != experts.key
    with pytest.raises(errors.ConfigError, match="the experts were taught on other data"):
        jaxsoft.train_students(second, experts, STUDENT, SWEEP)


@pytest.mark.parametrize(
    "student, sweep, more, message",
    [
        ({"steps": 0}, {}, {}, "config.student needs exactly one of steps and epochs above 0"),
        ({"model": "mpl(8)"}, {}, {}, "unknown model 'mpl'; closest: mlp"),
        ({"learning_rate": -1.0}, {}, {}, "config.student.learning_rate expects float > 0.0, got -1.0"),
        ({}, {"ipc": (0,)}, {}, "config.sweep.ipc expects int >= 1, got 0"),
        ({}, {"ipc": (21,)}, {}, "config.sweep.ipc: ipc=21 but class 0 .* the largest possible is 20"),
        ({}, {"labels": ("teacher(epoch=3)",)}, {}, "config.teacher.epochs is 2, the largest possible"),
        ({}, {"labels": ("teachers(2, epoch=1)",)}, {}, "needs 2 experts; config.teacher.experts is 1"),
        ({}, {"labels": ("teacher(epoch=1)|topk(11)",)}, {}, "topk"),
        ({}, {}, {"select": "randm"}, "unknown selection 'randm'; closest: random"),
        ({}, {}, {"protocol": "open"}, "config.protocol expects one of sealed, paper, both, got 'open'"),
    ],
)
def test_what_is_wrong_is_said_before_training(data, experts, student, sweep, more, message):
    changed = dataclasses.replace(STUDENT, **student), dataclasses.replace(SWEEP, **sweep)
    with pytest.raises(errors.ConfigError, match=message):
        jaxsoft.train_students(data, experts, *changed, **more)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda of, data: of.teach(data, {}), "config.teacher expects jaxsoft.Teacher(...), got {}"),
        (lambda of, data: of.teach(data, STUDENT), "config.teacher expects jaxsoft.Teacher(...), got Student"),
        (lambda of, data: of.teach(data, "mlp"), "config.teacher expects jaxsoft.Teacher(...), got 'mlp'"),
        (lambda of, data: of.teach(data, jaxsoft.Teacher(experts=0), precision="f8"), "config.precision expects one of auto"),
        (lambda of, data: of.teach(data, jaxsoft.Teacher(experts=0), lowering="fast"), "config.compute.lowering expects"),
        (lambda of, data: of.train_students(data, student={}), "config.student expects jaxsoft.Student(...), got {}"),
        (lambda of, data: of.train_students(data, sweep=()), "config.sweep expects jaxsoft.Sweep(...), got ()"),
        (lambda of, data: of.train_students(data, learned={}), "config.learned expects jaxsoft.Learned(...), got {}"),
        (lambda of, data: of.train_students(data, None, SWEEP, STUDENT), "config.student expects jaxsoft.Student(...), got Sweep"),
        (lambda of, data: of.train_students(data, STUDENT, SWEEP), "experts expects what jaxsoft.teach returns, got Student"),
        (lambda of, data: of.text_table([]), "text_table wants the rows of results, with the columns of results.csv; got none"),
        (lambda of, data: of.text_table([{}]), "got dict without its columns"),
        (lambda of, data: of.text_table(None), "got NoneType without its columns"),
    ],
)  # fmt: skip
def test_what_is_in_the_wrong_place_is_one_line(call, message, data):
    """As users call them, whom no annotations check."""
    names = ("teach", "train_students", "text_table")
    plain = types.SimpleNamespace(**{name: inspect.unwrap(getattr(jaxsoft, name)) for name in names})
    with pytest.raises(errors.JaxsoftError) as caught:
        call(plain, data)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_every_public_name_is_there_and_importing_it_or_a_report_starts_no_jax():
    assert all(getattr(jaxsoft, name) is not None for name in jaxsoft.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = jaxsoft.trian
    code = "import sys, jaxsoft, jaxsoft.command.report; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    code = "import sys, jaxsoft; jaxsoft.train_students; assert not {'pandas', 'matplotlib', 'tensorflow_datasets'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_experts_of_other_data_are_refused(experts):
    other = jaxsoft.load("digits", limit=20, validation=0.3)
    with pytest.raises(errors.ConfigError, match="the experts were taught on other data"):
        jaxsoft.train_students(other, experts, STUDENT, SWEEP)


def test_rows_of_another_teacher_need_no_experts(data):
    truth = jaxsoft.Labels.from_array(np.eye(10)[data.train.labels], name="truth")
    sweep = dataclasses.replace(SWEEP, labels=("hard", truth, truth | "smooth(0.5)"))
    rows = jaxsoft.train_students(data, student=STUDENT, sweep=sweep)
    hard, same, soft = ([row["val_accuracy"] for row in rows[i : i + 2]] for i in (0, 2, 4))
    assert hard == same and [row["labels"].split(",")[0] for row in rows[2::2]] == ["array(truth"] * 2
    assert soft != same or [row["test_accuracy"] for row in rows[4:]] != [row["test_accuracy"] for row in rows[2:4]]
    with pytest.raises(errors.DataError, match="config.sweep.labels: 'array.*' has 10x10 numbers, rows by classes"):
        wrong = dataclasses.replace(SWEEP, labels=(jaxsoft.Labels.from_array(np.eye(10)),))
        jaxsoft.train_students(data, student=STUDENT, sweep=wrong)


def test_settings_of_a_teacher_are_checked():
    with pytest.raises(errors.ConfigError, match="^config.teacher.epochs expects int >= 1, got -1$"):
        jaxsoft.teach(own(), dataclasses.replace(TEACHER, epochs=-1))
