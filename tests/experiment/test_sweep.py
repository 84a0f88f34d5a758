"""Axes become members: order, zips, duplicates, open epochs, and keys that never change by themselves."""

import dataclasses
import os
import subprocess
import sys

import pytest

from jaxsoft import config, errors
from jaxsoft.experiment.plan import sweep
from jaxsoft.experiment.plan.sweep import MemberSpec

MEMBER = MemberSpec(
    ipc=10, labels="teacher(epoch=5)", seed=1, subset_seed=2, model="mlp(hidden=4)", learning_rate=0.1,
    weight_decay=0.0, steps=400, epochs=0,
)  # fmt: skip
CONTEXT = {"data": "ab12", "protocol": "sealed", "student": {"batch": 256}}
KEY = "85d61dc057bc"


def expand(**axes):
    axes = {"ipc": (1,), "labels": ("hard",), "seed": (0,), "axes": ()} | axes
    return sweep.expand(config.Settings(sweep=config.Sweep(**axes)))


def refusal(function, *args, **kwargs):
    with pytest.raises(errors.ConfigError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def test_the_last_axis_moves_fastest():
    members = expand(axes=("labels", "ipc", "seed"), ipc=(1, 2), labels=("hard", "teacher(epoch=3)"), seed=(7, 8))
    found = [(m.labels, m.ipc, m.seed) for m in members]
    assert found == [
        ("hard", 1, 7), ("hard", 1, 8), ("hard", 2, 7), ("hard", 2, 8),
        ("teacher(epoch=3)", 1, 7), ("teacher(epoch=3)", 1, 8), ("teacher(epoch=3)", 2, 7), ("teacher(epoch=3)", 2, 8),
    ]  # fmt: skip


def test_axes_that_are_not_named_come_last():
    members = expand(axes=("seed",), ipc=(1, 2), seed=(5, 6), learning_rate=(0.1, 0.2))
    assert [(m.seed, m.ipc, m.learning_rate) for m in members] == [
        (5, 1, 0.1), (5, 1, 0.2), (5, 2, 0.1), (5, 2, 0.2), (6, 1, 0.1), (6, 1, 0.2), (6, 2, 0.1), (6, 2, 0.2),
    ]  # fmt: skip


def test_names_that_share_an_entry_advance_together():
    members = expand(axes=("ipc learning_rate", "seed"), ipc=(1, 10), learning_rate=(0.1, 0.01), seed=(0, 1))
    assert [(m.ipc, m.learning_rate, m.seed) for m in members] == [
        (1, 0.1, 0),
        (1, 0.1, 1),
        (10, 0.01, 0),
        (10, 0.01, 1),
    ]


def test_what_no_axis_says_comes_from_the_student():
    student = config.Student(model="mlp(hidden=4)", learning_rate=0.5, weight_decay=0.25, steps=0, epochs=9)
    axes = config.Sweep(axes=(), ipc=(), labels=(), seed=())
    (member,) = sweep.expand(config.Settings(student=student, sweep=axes))
    assert member == MemberSpec(1, "hard", 0, 0, "mlp(hidden=4)", 0.5, 0.25, 0, 9)


def test_every_axis_reaches_its_member():
    (member,) = expand(
        ipc=(3,), labels=("teacher",), seed=(4,), subset_seed=(5,), teacher_epoch=(6,), learning_rate=(0.7,),
        weight_decay=(0.8,), model=("mlp(hidden=9)",), steps=(10,),
    )  # fmt: skip
    assert member == MemberSpec(3, "teacher(epoch=6)", 4, 5, "mlp(hidden=9)", 0.7, 0.8, 10, 0)


def test_a_swept_length_in_steps_replaces_epochs():
    settings = config.Settings(student=config.Student(steps=0, epochs=9), sweep=config.Sweep(steps=(10, 20)))
    assert {(m.steps, m.epochs) for m in sweep.expand(settings)} == {(10, 0), (20, 0)}


def test_the_subset_follows_the_seed_unless_it_has_its_own():
    assert [(m.seed, m.subset_seed) for m in expand(seed=(3, 4))] == [(3, 3), (4, 4)]
    assert [(m.seed, m.subset_seed) for m in expand(seed=(3, 4), subset_seed=(9,))] == [(3, 9), (4, 9)]


def test_hard_labels_are_one_member_for_all_teacher_epochs():
    members = expand(labels=("hard", "teacher", "teacher(epoch=2)|topk(3)"), teacher_epoch=(1, 5, 9))
    assert [m.labels for m in members] == [
        "hard", "teacher(epoch=1)", "teacher(epoch=5)", "teacher(epoch=9)", "teacher(epoch=2)|topk(3)",
    ]  # fmt: skip


def test_one_meaning_is_one_member():
    members = expand(labels=("teacher(epoch=5)", "teacher(0, epoch = 5)", "teachers(1, epoch=5)"))
    assert [m.labels for m in members] == ["teacher(epoch=5)"]


def test_points_are_counted_before_equal_students_are_one():
    axes = {"labels": ("hard", "teacher"), "teacher_epoch": (1, 2, 3), "seed": (0, 1)}
    assert sweep.combinations(config.Sweep(axes=("seed",), ipc=(1,), **axes)) == 12 and len(expand(**axes)) == 8


def test_rows_of_zipped_names_may_share_a_value():
    assert len(expand(axes=("seed ipc",), seed=(0, 0, 1), ipc=(1, 2, 1))) == 3


def test_resolving_merges_members_that_become_equal():
    members = expand(labels=("teacher(accuracy=0.5)", "teacher(epoch=5)", "hard"), seed=(0, 1))
    history = [{"epoch": e, "val_accuracy": 0.1 * e} for e in range(6)]
    found = sweep.resolve(members, [history], ())
    assert [(m.labels, m.seed) for m in found] == [
        ("teacher(epoch=5)", 0), ("teacher(epoch=5)", 1), ("hard", 0), ("hard", 1),
    ]  # fmt: skip


NAMES = (
    "ipc, labels, seed, subset_seed, select, without, teacher_epoch, learning_rate, weight_decay, model, "
    "loss, optimizer, augment, steps"
)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"axes": ("ipcs",)}, f"config.sweep.axes names 'ipcs'; choices: {NAMES}"),
        ({"axes": ("axes",)}, f"config.sweep.axes names 'axes'; choices: {NAMES}"),
        ({"axes": ("", "seed")}, f"config.sweep.axes has an empty entry; choices: {NAMES}"),
        ({"axes": ("steps",)}, "config.sweep.axes names 'steps' but config.sweep.steps is empty"),
        ({"axes": ("seed", "ipc seed")}, "config.sweep.axes names 'seed' twice"),
        (
            {"axes": ("ipc seed",), "ipc": (1, 2), "seed": (0, 1, 2)},
            "config.sweep.axes zips names of different lengths: ipc has 2, seed has 3",
        ),
        (
            {"labels": ("teacher|topk(3)",)},
            "label spec 'teacher|topk(3)' leaves the epoch open; write epoch=, accuracy= or entropy=, "
            "or set config.sweep.teacher_epoch",
        ),
        (
            {"teacher_epoch": (1, 2), "labels": ("hard", "teacher(epoch=3)")},
            "config.sweep.teacher_epoch has no effect: every spec of config.sweep.labels says its epoch, or needs none; "
            "leave it open, as in 'teacher' or 'teacher|topk(3)'",
        ),
        ({"ipc": (1, 2, 1)}, "config.sweep.ipc has 1 more than once"),
        ({"labels": ("hard", "hard")}, "config.sweep.labels has 'hard' more than once"),
        ({"learning_rate": (0.1, 0.1)}, "config.sweep.learning_rate has 0.1 more than once"),
        (
            {"axes": ("seed ipc",), "seed": (0, 1, 0), "ipc": (1, 1, 1)},
            "config.sweep.seed has 0, config.sweep.ipc has 1 more than once",
        ),
        (
            {"labels": ("hrd",)},
            "config.sweep.labels: unknown label source 'hrd'; closest: hard, learned, teacher "
            "(all of them: jaxsoft/labels/sources.py)",
        ),
    ],
)
def test_axes_are_refused(axes, message):
    assert refusal(expand, **axes) == message


def test_the_key_is_this_one():
    """If this fails, finished members of earlier versions would be trained again: keep keys, or say so in CHANGELOG."""
    assert MEMBER.key(sweep.to_text(CONTEXT)) == KEY


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_the_key_does_not_depend_on_the_process(hash_seed):
    code = (
        "from jaxsoft.experiment.plan.sweep import MemberSpec, to_text; "
        f"print({MEMBER!r}.key(to_text(dict(reversed({CONTEXT!r}.items())))))"  # nor on the order of the context
    )
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == KEY


def test_the_key_changes_with_every_field():
    own = dataclasses.asdict(MEMBER).items()
    changed = {
        name: type(value)(77) for name, value in own if name not in ("loss", "optimizer", "augment")
    }  # are in the context
    keys = {dataclasses.replace(MEMBER, **{name: value}).key(sweep.to_text(CONTEXT)) for name, value in changed.items()}
    assert len(keys | {KEY}) == len(changed) + 1


@pytest.mark.parametrize("change", [{"data": "ab13"}, {"protocol": "paper"}, {"student": {"batch": 128}}, {"more": 0}])
def test_the_key_changes_with_the_context(change):
    assert MEMBER.key(sweep.to_text(CONTEXT | change)) != KEY
