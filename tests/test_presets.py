"""The settings of each dataset, and how a sweep is written from axes."""

import dataclasses
import runpy
from pathlib import Path

import pytest

from jaxsoft import config, errors, presets
from jaxsoft.experiment.plan import sweep
from jaxsoft.experiment.teach.course import expectations
from jaxsoft.labels.spec import LabelSpec

FOLDER = Path(__file__).parents[1] / "configs"
TABLE_7 = {  # student rate, expert epoch and the expert's test accuracy by images per class, as published
    "cifar10": {1: (0.01, 20, 0.56), 10: (0.01, 44, 0.651), 50: (0.01, 128, 0.749)},
    "cifar100": {1: (0.01, 13, 0.331), 10: (0.01, 36, 0.476), 50: (0.01, 125, 0.527), 100: (0.01, 125, 0.527)},
    "tiny_imagenet": {1: (0.01, 11, 0.192), 10: (0.1, 50, 0.35), 50: (0.1, 90, 0.381), 100: (0.1, 102, 0.388)},
}


@pytest.mark.parametrize("name", TABLE_7)
def test_the_baseline_has_the_published_settings(name):
    read = config.read(presets.baseline(name, "protocol=paper"))
    members = [m for m in sweep.expand(read) if m.seed == 0]
    rates = {ipc: rate for ipc, (rate, _, _) in TABLE_7[name].items()}
    assert {m.ipc: m.learning_rate for m in members if m.labels == "hard"} == rates
    soft = {m.ipc: (m.learning_rate, LabelSpec.parse(m.labels)) for m in members if m.labels != "hard"}
    assert {ipc: rate for ipc, (rate, _) in soft.items()} == rates
    for ipc, (_, epoch, accuracy) in TABLE_7[name].items():
        teacher = soft[ipc][1]
        if name == "tiny_imagenet":
            assert (teacher.epoch, teacher.accuracy) == (epoch, None)
            assert f"{epoch}:{accuracy}" in read.teacher.expected
        else:
            assert teacher.epoch is None and teacher.accuracy == pytest.approx(accuracy, abs=0.0011)


IMAGENET = {  # student rate, then for both experts rate, epoch as their files count it, and test accuracy
    1: (1e-3, (5e-4, 11, 0.173), (5e-4, 9, 0.154)),
    10: (5e-3, (5e-4, 43, 0.358), (5e-4, 24, 0.310)),
    50: (5e-3, (0.1, 30, 0.609), (0.1, 30, 0.666)),
    100: (5e-3, (0.1, 34, 0.628), (0.1, 32, 0.686)),
    200: (2e-3, (0.1, 34, 0.628), (0.1, 61, 0.733)),
}


def test_imagenet_has_the_settings_of_table_7_and_the_cells_of_table_1():
    read = config.read(runpy.run_path(str(FOLDER / "imagenet.py"))["get_config"](None))
    members, teacher = [m for m in sweep.expand(read) if m.seed == 0], read.teacher
    expected, cells = expectations(teacher), []
    for m in members:
        spec = LabelSpec.parse(m.labels)
        assert m.learning_rate == IMAGENET[m.ipc][0]
        if m.labels == "hard" or spec.online:
            cells.append((m.ipc, m.model, "cutmix" if spec.online else "hard"))
            continue
        (expert,) = spec.experts
        rate, epoch, accuracy = IMAGENET[m.ipc][1 + expert // 2]
        assert (teacher.rates[expert], spec.epoch) == (rate, epoch + 1)
        assert expected[spec.epoch] == pytest.approx(accuracy, abs=0.03)
        cells.append((m.ipc, m.model, teacher.models[expert]))
    small, large = "resnet18(stem=imagenet)", "resnet50(stem=imagenet)"
    row = [
        (small, "hard"),
        (small, "cutmix"),
        *((student, expert) for student in (small, large) for expert in (small, large)),
    ]
    assert sorted(cells) == sorted((ipc, *cell) for ipc in IMAGENET for cell in row)


def test_a_budget_that_table_7_has_no_teacher_for_is_refused_with_those_it_has():
    asked = runpy.run_path(str(FOLDER / "imagenet.py"))["get_config"]
    for data in ("imagenet", "image_folder"):
        with pytest.raises(errors.ConfigError, match=r"ipc expects some of 1, 10, 50, 100, 200 \(table 7\), got 0, 7$"):
            asked(f"data={data},ipc=7+50+0")
    assert set(asked("quick,ipc=7").sweep.ipc) == {7}  # digits have teachers for any budget


def test_a_budget_below_all_gets_as_far_as_the_check_that_names_its_range():
    given = runpy.run_path(str(FOLDER / "compare.py"))["get_config"]("ipc=0")
    with pytest.raises(errors.ConfigError, match=r"config\.sweep\.ipc\S* expects int >= 1.*0"):
        config.read(given)


def test_photographs_of_ones_own_have_the_settings_of_imagenet_but_its_accuracies():
    theirs, own = (
        config.read(presets.study("x", f"data={name}", like="imagenet").config) for name in ("imagenet", "image_folder")
    )
    assert own.data.resize == 224 and own.data.name == "image_folder" and own.teacher.expected == ()
    assert own.teacher == dataclasses.replace(theirs.teacher, expected=()) and own.student == theirs.student
    assert config.read(presets.study("x", "quick", data="imagenet", quick="digits").config).data.name == "digits"


@pytest.mark.parametrize("name, most", [("cifar10", 1e-3 * 164), ("cifar100", 1e-2 * 125)])
def test_experts_learn_long_enough_for_the_best_teacher(name, most):
    """Rate times epochs of 50,000 images that the best one took: where its rate leads there, or that of the authors' command."""
    read = config.read(presets.baseline(name, None))
    ours = read.teacher.learning_rate * read.teacher.epochs * (1 - read.data.validation)
    assert ours > 1.1 * most


def test_an_accuracy_of_one_dataset_is_asked_of_no_other():
    for argument in ("data=tfds:letters", "data=image_folder", None):
        study = presets.study("x", argument)
        assert all(isinstance(age, int) for age in (*study.epochs, *study.stages, *study.best.values()))
        assert study.config.teacher.expected == ()


def test_arguments_change_what_they_say():
    study = presets.study("swap", "data=cifar10,seeds=2,experts=3,protocol=paper")
    read = config.read(study.config)
    assert (read.name, read.data.name, read.protocol, read.teacher.experts) == ("swap-{data}", "cifar10", "paper", 3)
    assert read.sweep.seed == (0, 1) and study.classes() == 10 and not study.small


def test_an_experiment_asks_for_experts_at_least_and_for_seeds_at_most():
    few, many = (presets.study("x", arg, seeds=3, experts=4).config for arg in ("data=cifar10", "data=digits"))
    assert (few.teacher.experts, many.teacher.experts) == (4, 5)
    assert few.sweep.seed == many.sweep.seed == (0, 1, 2)
    told = presets.study("x", "data=digits,seeds=7,experts=2", seeds=3, experts=4).config
    assert told.teacher.experts == 2 and told.sweep.seed == tuple(range(7))


def test_the_teacher_of_digits_is_pooled_and_others_are_one_expert():
    assert presets.study("x", None).teacher(20) == "teachers(5, epoch=20)"
    assert presets.study("x", "experts=1").teacher(20) == "teacher(epoch=20)"
    assert presets.study("x", "data=cifar10,experts=5").teacher(20) == "teacher(epoch=20)"


def test_an_age_is_an_epoch_or_an_accuracy():
    study = presets.study("x", "data=cifar10")
    assert [study.teacher(age) for age in (20, 0.56)] == ["teacher(epoch=20)", "teacher(accuracy=0.56)"]
    assert presets.study("x", None).teacher(0.9) == "teachers(5, accuracy=0.9)"
    assert [study.epoch_near(age) for age in (20, 0.56, 0.44)] == [20, 5, 2]


def test_budgets_in_between_take_the_age_of_the_next_smaller_one():
    study = presets.study("x", "data=tiny_imagenet")
    assert [study.best_age(ipc) for ipc in (1, 9, 10, 49, 50, 1000)] == [11, 11, 50, 50, 90, 102]


def test_every_counts_epochs_of_the_trajectory():
    assert presets.study("x", None).every(25) == (25, 50)  # of 60
    assert presets.study("x", "data=tiny_imagenet").every(34) == (34, 68, 102)


def test_axes_are_written_in_their_order_and_seeds_come_last():
    written = presets.study("x", "seeds=2").sweep({"labels": ("hard", "teacher(epoch=1)"), "ipc": (1, 3)}).sweep
    assert written.axes == ("labels", "ipc", "seed")
    assert (written.labels, written.ipc, written.seed) == (("hard", "teacher(epoch=1)"), (1, 3), (0, 1))
    zipped = presets.study("x", None).sweep({"seed": (4, 5), "ipc labels": [(1, "hard"), (2, "hard")]}).sweep
    assert zipped.axes == ("seed", "ipc labels")
    assert (zipped.seed, zipped.ipc, zipped.labels) == ((4, 5), (1, 2), ("hard", "hard"))


def test_a_rate_that_depends_on_the_budget_goes_along_unless_rates_are_swept():
    tiny = presets.study("x", "data=tiny_imagenet").sweep({"ipc": (1, 5, 10, 50), "labels": ("hard",)}).sweep
    assert tiny.axes == ("ipc learning_rate", "labels", "seed") and tiny.learning_rate == (0.01, 0.01, 0.1, 0.1)
    swept = presets.study("x", "data=tiny_imagenet").sweep({"ipc": (1, 10), "learning_rate": (0.5, 0.6)}).sweep
    assert swept.axes == ("ipc", "learning_rate", "seed") and swept.learning_rate == (0.5, 0.6)


def test_classes_are_asked_for_where_they_are_not_known():
    assert presets.study("x", "data=tfds:letters,classes=26").classes() == 26
    with pytest.raises(
        errors.ConfigError, match="^config argument classes expects the number of classes of tfds:letters"
    ):
        presets.study("x", "data=tfds:letters").classes()


def test_digits_are_never_flipped():
    for argument in (None, "quick"):
        read = config.read(presets.study("x", argument).config)
        assert {read.teacher.augment, read.student.augment, read.learned.augment} == {"none"}
