"""Random configs: what is refused is refused in one line before anything is trained, what is accepted trains a step."""

import contextlib
import functools
import random
import re
from unittest import mock

import jax
import numpy as np
import pytest
import tiny_run as tiny

from jaxsoft import config, errors
from jaxsoft.experiment import run
from jaxsoft.experiment.inputs.prepare import prepare
from jaxsoft.experiment.plan import checks
from jaxsoft.experiment.plan import make as plan
from jaxsoft.experiment.students import outcomes, waves
from jaxsoft.experiment.students.waves import Next
from jaxsoft.experiment.teach import experts
from jaxsoft.training.ensemble import Program

# Two images of each class and two members of one step: every subset is all of them, so that few programs serve most.
SMALL = {
    "data.limit": 2, "data.validation": 0.02, "teacher.epochs": 1, "teacher.experts": 2, "teacher.batch": 16,
    "student.steps": 1, "student.evaluations": 1, "sweep.ipc": (2,), "sweep.seed": (0,),
    "sweep.labels": ("hard", "teacher(epoch=1)"),
}  # fmt: skip

SOURCES = (
    "hard", "teacher", "teacher(epoch=1)", "teacher(epoch=0)", "teacher(1, epoch=1)", "teacher(accuracy=0.01)",
    "teacher(accuracy=1)", "teacher(entropy=9)", "teachers(2, epoch=1)", "teachers(2, pool=probabilities, epoch=0)",
    "teacher(epoch=2)", "teacher(2, epoch=1)", "teachers(2)",
)  # fmt: skip
STEPS = (
    "temperature(2)", "temperature(1e-30)", "temperature(1e30)", "temperature(0)", "power(0.5)", "power(0)", "power(1e30)",
    "smooth", "smooth(1)", "mix(0.5)", "mix(0)", "topk(1)", "topk(10)", "topk(11)", "renormalize", "swap(1)", "swap(9)",
    "swap(10)", "shuffle", "drop_class(0)", "drop_class(9)", "drop_class(10)", "topk(3)|drop_class(4)|renormalize",
)  # fmt: skip
RATES = (1e-60, 1e-30, 1e-3, 0.1, 1.0, 1e30, 3e38, 1e308)

CHEAP = {  # change arrays, not programs
    "sweep.labels": lambda draw: (spec(draw), spec(draw)),
    "sweep.seed": lambda draw: (draw.choice((0, 7, 10**9)),),
    "sweep.subset_seed": lambda draw: draw.choice(((), (3,), (10**9,))),
    "sweep.select": lambda draw: draw.choice(
        ((), ("random",), ("decile",), ("decile(0)",), ("hardest",), ("decile(10)",))
    ),
    "sweep.without": lambda draw: draw.choice(((), (-1,), (0,), (9,), (10,))),
    "sweep.teacher_epoch": lambda draw: draw.choice(((), (0,), (1,), (2,))),
    "sweep.learning_rate": lambda draw: draw.choice(((), (draw.choice(RATES),))),
    "sweep.weight_decay": lambda draw: draw.choice(((), (0.0,), (1e30,))),
    "student.learning_rate": lambda draw: draw.choice(RATES),
    "student.weight_decay": lambda draw: draw.choice((0.0, 1.0, 1e308)),
    "student.evaluations": lambda draw: draw.choice((1, 1, 2, 1000)),
    "select": lambda draw: draw.choice(("random", "decile(0)", "easiest", "stratified")),
    "subjects": lambda draw: draw.choice(("index", "accuracy")),
    "compute.memory_gb": lambda draw: draw.choice((0.0, 1e-9, 1e6)),
}
DEAR = {
    "sweep.ipc": lambda draw: draw.choice(((1,), (1, 2), (2, 1), (3,))),
    "sweep.axes": lambda draw: draw.choice(((), ("labels",), ("seed", "ipc labels"), ("ipc seed",))),
    "sweep.steps": lambda draw: draw.choice(((), (1, 2), (3,))),
    "sweep.model": lambda draw: draw.choice(((), ("mlp(hidden=3)", "mlp(hidden=8)"), ("convnet(depth=1, width=2)",))),
    "student.batch": lambda draw: draw.choice((1, 7, 10**9)),
    "student.epochs": lambda draw: draw.choice((0, 1)),
    "student.optimizer": lambda draw: draw.choice(("adamw", "adamw(b2=1.0)", "sgd", "sgd(nesterov=True)", "sgd(momentum=9)")),
    "student.schedule": lambda draw: draw.choice(("constant", "cosine", "step(0, 1)", "step(0.3, 40)", "step(2, 0)")),
    "student.loss": lambda draw: draw.choice(("soft_cross_entropy", "squared_error", "squared_error(2)", "error")),
    "student.augment": lambda draw: draw.choice(("none", "dsa", "dsa(flip)", "crop_flip(9)", "crop_flip(0)", "cutmix")),
    "data.normalize": lambda draw: draw.choice(("standardize", "zca", "none")),
    "protocol": lambda draw: draw.choice(("sealed", "paper", "both")),
    "precision": lambda draw: draw.choice(("auto", "bfloat16")),
    "teacher.learning_rate": lambda draw: draw.choice(RATES),
    "teacher.models": lambda draw: draw.choice(((), ("mlp(hidden=8)", "mlp(hidden=4)"), ("mlp",))),
    "compute.lowering": lambda draw: draw.choice(("map", "grouped", "patches", "winograd")),
    "compute.block": lambda draw: draw.choice((0, 1, 3, 10**9)),
    "compute.tile": lambda draw: draw.choice((0, 1, 3, 10**9)),
    "learned.looks": lambda draw: draw.choice((1, 20)),
}  # fmt: skip


def spec(draw):
    source = draw.choice(SOURCES)
    return "|".join((source, *draw.choices(STEPS, k=draw.choice((0, 0, 1, 1, 2)))))


def drawn(draw, table):
    changes = {key: table[key](draw) for key in draw.sample(sorted(table), draw.choice((1, 2, 3)))}
    return SMALL | changes


@contextlib.contextmanager
def shared_programs():
    """Programs of equal buckets and arguments are compiled once, as if they were one."""
    whole, kept = Program._call, {}

    def call(self, name, *args):
        shapes = str(jax.tree.map(lambda a: (np.shape(a), a.dtype), args))
        self._compiled = kept.setdefault((name, self.buckets, self.image_shape, self.select, shapes), {})
        return whole(self, name, *args)

    with mock.patch.object(Program, "_call", call):
        yield


@functools.cache
def taught(settings):
    """Dataset and experts of settings that have nothing but those of the data and the teacher."""
    dataset = run.load(settings)
    how = settings.precision, settings.compute.lowering
    return dataset, experts.teach(dataset, settings.teacher, settings.data.normalize, None, lambda *_: None, *how)


def trained(settings):
    """The rows of a run in memory, its plan's number of members."""
    checks.check(settings)
    checks.check_data(settings, run.load(settings))
    own = {"data": settings.data, "teacher": settings.teacher, "precision": settings.precision}
    dataset, taught_by = taught(config.Settings(**own))
    subjects = taught_by.class_order(dataset).tolist() if settings.subjects == "accuracy" else ()
    made = plan.make(settings, dataset, taught_by.histories, {}, subjects)
    material = prepare(made, settings, dataset, taught_by)
    rows = []
    for wave in range(len(made.waves)):
        program = waves.wave_program(made, settings, wave)
        found = waves.train_wave(program, made, wave, material, None, lambda _: Next(), settings.protocol)
        rows += [outcomes.row_of(made, outcome, {}, settings) for outcome in found]
    return rows, len(made.members)


@pytest.mark.parametrize(
    ("seed", "wanted", "table"),
    [(0, 40, CHEAP), *(pytest.param(s, 40, CHEAP | DEAR, marks=pytest.mark.long) for s in range(1, 6))],
)
def test_what_is_accepted_trains_a_step(seed, wanted, table):
    draw, accepted, refused = random.Random(seed), 0, 0
    with shared_programs():
        while accepted < wanted:
            changes = drawn(draw, table)
            try:
                rows, count = trained(tiny.settings(changes))
            except errors.JaxsoftError as problem:
                assert re.search(r"config\.|label spec|ipc=|teacher|epoch", str(problem)), f"{changes}: {problem}"
                assert str(problem).isprintable(), changes
                refused += 1
                continue
            except Exception as problem:
                raise AssertionError(f"accepted, and then: {changes}") from problem
            accepted += 1
            assert len(rows) == count and all(r["status"] in ("done", "failed") for r in rows), changes
            assert all(0 <= r["test_accuracy"] <= 1 for r in rows if r["status"] == "done"), changes
    print(f"seed {seed}: {accepted} accepted and trained, {refused} refused")
    assert refused > 5
