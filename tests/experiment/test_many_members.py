"""Work grows as members do, and not faster: it is counted at some members and at four times as many."""

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import test_plan
from test_plan import HISTORY, dataset, settings  # noqa: F401

from jaxsoft.console import Console
from jaxsoft.experiment.inputs import rows as labelling
from jaxsoft.experiment.inputs import subsets
from jaxsoft.experiment.inputs.prepare import Inputs
from jaxsoft.experiment.plan import checks, selections
from jaxsoft.experiment.plan import make as plan
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.experiment.store.results import ResultsLog
from jaxsoft.experiment.students import outcomes, waves
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.experiment.tell import describe, progress
from jaxsoft.labels.bank import LogitBank
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.labels.treatments import Label
from jaxsoft.training.ensemble import Program, Report
from jaxsoft.training.recipe import Recipe

OURS = str(Path(plan.__file__).parents[1])
NOBODY: Any = mock.Mock(spec=Experts)
LINEAR = 4.5  # times the work, for four times the members


def work(function):
    """Instructions of the interpreter that jaxsoft.experiment takes; what one of them does in C is not seen."""
    count, before = 0, sys.gettrace()

    def trace(frame, event, _):
        nonlocal count
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


class Places(tuple):
    """Positions in a plan that nobody may look through."""

    def __contains__(self, value):
        raise AssertionError("all members of a group were looked through for one")


class Text(str):
    """A text that counts how often it was compared with another."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other):
        Text.compared += 1
        return str.__eq__(self, other)


class Told(dict):
    """A part of the context that counts how often it was written as JSON."""

    written = 0

    def items(self):
        Told.written += 1
        return super().items()


def report(accuracies):
    """What a bucket's members reach on the validation images, and on nothing else."""
    return Report(*[np.zeros((len(accuracies), 1), np.float32)] * len(Report._fields))._replace(
        loss=np.ones(len(accuracies), np.float32), accuracy=np.array(accuracies, np.float32)[:, None]
    )


def of_waves(count):
    """A plan of two buckets, each with one member in each of so many waves."""
    waves = tuple(((w, w + 1), (w, w + 1)) for w in range(count))
    made = test_plan.by_hand((count, count), waves)
    return dataclasses.replace(
        made, buckets=tuple(dataclasses.replace(b, members=Places(b.members)) for b in made.buckets)
    )


# Before training.


def test_what_few_members_differ_in_is_worked_out_once_for_all(dataset):  # noqa: F811
    counts = []
    for seeds in (3, 3, 12):  # what is looked up once in a process is looked up in the first turn
        asked = settings(
            sweep={"labels": ("hard", "teacher|topk(2)"), "seed": tuple(range(seeds)), "teacher_epoch": (1, 2)}
        )
        Told.written, shown, chosen = 0, LabelSpec.__str__, selections.selection
        with (
            mock.patch.object(LabelSpec, "parse", side_effect=LabelSpec.parse) as parse,
            mock.patch.object(LabelSpec, "__str__", autospec=True, side_effect=shown) as text,
            mock.patch.object(selections, "selection", side_effect=chosen) as selection,
        ):
            checks.check(asked)
            checks.check_data(asked, dataset)
            made = plan.make(asked, dataset, [HISTORY], {"data": Told(batch=256)})
            subsets.draw_images(made.members, asked, dataset, NOBODY)
        assert len(made.members) == 2 * 3 * seeds
        counts.append([parse.call_count, text.call_count, selection.call_count, Told.written])
    assert counts[1] == counts[2] and min(counts[2]) > 0


def test_a_value_that_an_axis_repeats_is_looked_at_once(dataset):  # noqa: F811
    built, counts = Recipe.build_model, []
    for rows in (3, 12):
        named = {"model": ("mlp(hidden=4)",), "labels": ("teacher(accuracy=0.3)",), "learning_rate": (0.1,)}
        zipped = {name: values * rows for name, values in named.items()} | {"seed": tuple(range(rows))}
        asked = settings(sweep={"ipc": (1,), "axes": (" ".join(zipped),), **zipped})
        with mock.patch.object(Recipe, "build_model", autospec=True, side_effect=built) as build:
            checks.check(asked)
            checks.check_data(asked, dataset)
        assert len(describe.resolved_lines(asked, [HISTORY])) == 1
        counts.append(build.call_count)
    assert counts[0] == counts[1] > 0


def test_planning_takes_work_as_members_do(dataset):  # noqa: F811
    def planned(seeds):
        plan.make(settings(sweep={"seed": tuple(range(seeds))}), dataset, [HISTORY], {})

    assert work(lambda: planned(80)) < LINEAR * work(lambda: planned(20))


def test_labels_take_work_as_specs_do(dataset, monkeypatch):  # noqa: F811
    def said(asked, augment, settings, dataset, experts):
        return (Label(np.full((len(images) * spec.views, 3), 1 / 3, np.float32)) for spec, (_, images) in asked)

    def logits(split, ids, epochs):
        return LogitBank(np.zeros((1, len(epochs), len(ids), 3), np.float32), tuple(epochs), ids, split.labels[ids])

    experts: Any = mock.Mock(spec=Experts, logits=logits)

    def finished(count):
        labels = [f"teacher(epoch={e}{views})" for e in range(count) for views in ("", ", views=1")]
        asked = settings(teacher={"epochs": count}, sweep={"ipc": (1,), "labels": tuple(labels), "seed": (0,)})
        members = [dataclasses.replace(m, labels=Text(m.labels)) for m in plan.make(asked, dataset, None, {}).members]
        images = subsets.draw_images(members, asked, dataset, NOBODY)
        labelling.finish_rows(members[:2], images, asked, dataset, experts)  # compiles
        Text.compared = 0
        done = work(lambda: labelling.finish_rows(members, images, asked, dataset, experts))
        assert Text.compared <= 3 * len(members)  # its rows, its place, whether its labels are of views
        return done

    monkeypatch.setattr(labelling, "view_labels", said)
    assert finished(32) < LINEAR * finished(8)


# Wave after wave.


def test_waves_take_work_as_there_are(tmp_path, monkeypatch, dataset):  # noqa: F811
    """Everything but the training itself: what is left, checkpoints' tags, progress, rows."""
    monkeypatch.setattr(waves, "Checkpoints", lambda where, tag: tags.append(tag) or mock.Mock())
    monkeypatch.setattr(
        waves,
        "wave_program",
        lambda plan, _, wave: mock.Mock(spec=Program, buckets=plan.buckets_of(wave), compilations={}),
    )
    measured = {**dict.fromkeys(outcomes.MEASURED, 0.5), "curve": {}}

    def trained(program, plan, wave, *_):
        each = [
            (b, i)
            for b, (bucket, span) in enumerate(zip(plan.buckets, plan.waves[wave]))
            for i in bucket.members[slice(*span)]
        ]
        return [{"position": i, "bucket": b, "wave": wave, "bad_step": -1, **measured} for b, i in each]

    monkeypatch.setattr(waves, "train_wave", trained)
    counts, material, console = [], mock.Mock(spec=Inputs), Console(quiet=True)
    for count in (20, 80):
        made, done, tags, rows = of_waves(count), count // 4, [], []
        log, folder = mock.Mock(spec=ResultsLog, append=rows.extend), mock.Mock(spec=RunFolder, path=tmp_path)
        log.finished = {*made.keys[:done], *made.keys[count : count + done]}
        watch = functools.partial(progress.of_students, settings=settings(), console=console)
        given = made, settings(), dataset, material, folder, log, watch, console.say
        counts.append(work(functools.partial(waves.train, *given)))
        assert [row["member"] for row in rows] == [made.keys[i] for w in range(done, count) for i in (w, count + w)]
        assert [row["steps"] for row in rows[:2]] == [10, 6]
        assert sum(len(keys) for tag in tags for keys in tag["members"]) == len(rows)
        assert len(repr(tags[-1])) < 1000
    assert counts[1] < LINEAR * counts[0]


def test_a_plan_of_many_waves_is_told_and_shared_with_work_as_there_are():
    few, many = (dataclasses.replace(of_waves(count), devices=4) for count in (20, 80))
    asked = (
        Plan.bytes,
        Plan.useful_share,
        lambda plan: plan.share(1, 2),
        lambda plan: [plan.buckets_of(wave) for wave in range(len(plan.waves))],
    )
    for ask in asked:
        assert work(functools.partial(ask, many)) < LINEAR * work(functools.partial(ask, few))


def test_a_wave_is_tagged_by_its_students_in_their_order_and_by_the_shapes():
    made = test_plan.by_hand()
    tag = made.tag(1)
    assert tag["members"] == [list(made.keys[3:5]), list(made.keys[7:8])]
    assert [group["block"] for group in tag["groups"]] == [2, 2]
    others = [made.tag(0), made.halve(1).tag(1), dataclasses.replace(made, keys=made.keys[::-1]).tag(1)]
    assert all(other != tag for other in others)


# Look after look.


def test_a_look_does_not_go_through_the_members_again():
    counts = []
    for members in (8, 32):
        made = test_plan.by_hand((members, members), (((0, members), (0, members)),))
        reports = tuple(report(np.linspace(a, a + 0.1, members)) for a in (0.2, 0.4))
        console = mock.Mock(spec=Console, stop=False)
        look = progress.of_students(made, settings(), console)
        seen = waves.WaveProgress(0, 1, 4, reports)
        counts.append([work(functools.partial(look, seen)) for _ in range(2)])
        assert ": IPC 1 hard 35.0%, " in console.progress.call_args[0][2]
    assert counts[0][1] == counts[1][1] < counts[0][0] < counts[1][0]


def test_progress_tells_hard_and_soft_members_of_the_ends():
    made = test_plan.by_hand((4, 2), (((0, 4), (0, 2)),))
    what = [(1, "hard"), (2, "hard"), (5, "hard"), (1, "teacher(epoch=1)"), (5, "hard"), (1, "hard")]
    members = tuple(dataclasses.replace(m, ipc=ipc, labels=labels) for m, (ipc, labels) in zip(made.members, what))
    reports = tuple(map(report, ([0.1, 0.9, 0.3, 0.4], [0.5, 0.2, 0.7])))  # the last of a group fills its block
    console = mock.Mock(spec=Console, stop=True)
    look = progress.of_students(dataclasses.replace(made, members=members), settings(), console)
    assert look(waves.WaveProgress(0, 1, 4, reports)).stop
    assert console.progress.call_args[0][2].startswith(
        "wave 1 of 1: IPC 1 hard 15.0%, IPC 1 soft 40.0%, IPC 5 hard 40.0%, "
    )


def test_speed_and_time_left_count_real_members_and_no_compilation(monkeypatch):
    """Two waves of 4 and 2 members that take 2 steps from look to look; the devices answer a second after they are asked."""
    made, clock = test_plan.by_hand((8, 4), (((0, 4), (0, 2)), ((4, 8), (2, 4)))), [100.0]
    members, steps = (4, 2), [b.chunk_steps for b in made.buckets_of()]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    console, each = mock.Mock(spec=Console, stop=False), sum(m * s for m, s in zip(members, steps))
    look = progress.of_students(made, settings(), console)

    class Answer:
        def __array__(self, *_, **__):
            clock[0] += 0.5  # of each bucket
            return np.full((4, 1), 0.5)

    for done, asked in ((1, 110.0), (2, 114.0), (3, 115.0), (4, 116.0)):
        clock[0] = asked
        reports = tuple(report([0.5] * 4)._replace(accuracy=Answer()) for _ in members)
        look(waves.WaveProgress(0, done, 4, reports, since=109.0))
    told = [call[0][2].partition(", ")[2].split(", ")[-2:] for call in console.progress.call_args_list]
    seconds = (2.0, 4.0, 2.5, 2.0)  # after the first look, which holds what is done once, only the others count
    rates = [f"{each / s:,.0f} student-steps/s" for s in seconds]
    assert told == [[rate, f"{s * (8 - n):.1f} s left"] for n, (rate, s) in enumerate(zip(rates, seconds), 1)]
