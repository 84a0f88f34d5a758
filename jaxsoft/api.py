"""The students' stage as one function, for notebooks and scripts; `load` and `teach` are the stages before it.

Everything stays in memory. The README opens with an example; one of arrays of your own:

>>> import numpy as np
>>> from jaxsoft import Student, Sweep, Teacher, teach
>>> labels = np.arange(80) % 2
>>> images = (np.random.default_rng(0).random((80, 6, 4)) + labels[:, None, None]) / 2
>>> data = Dataset.from_arrays(images, labels, class_names=("dark", "light"))
>>> experts = teach(data, Teacher(model="mlp(hidden=8)", epochs=2, batch=8, learning_rate=0.3))
>>> student = Student(model="mlp(hidden=8)", batch=16, steps=8, learning_rate=0.1, evaluations=2)
>>> sweep = Sweep(ipc=(2,), labels=("hard", "teacher(epoch=2)"), seed=(0,))
>>> rows = train_students(data, experts, student, sweep)
>>> [(row["dataset"], row["labels"], row["test_accuracy"]) for row in rows]
[('own', 'hard', 1.0), ('own', 'teacher(epoch=2)', 1.0)]
"""

import dataclasses

from jaxsoft import config, errors, numerics
from jaxsoft.config import Learned, Student, Sweep, Teacher
from jaxsoft.data import arrays
from jaxsoft.experiment.inputs.prepare import prepare
from jaxsoft.experiment.plan import checks, identity, make
from jaxsoft.experiment.students import outcomes, waves
from jaxsoft.experiment.students.waves import Next
from jaxsoft.experiment.teach.experts import Experts, teach, teacher_key
from jaxsoft.labels import given
from jaxsoft.labels.given import Labels
from jaxsoft.types import Dataset, Row


@numerics.pinned()
def train_students(
    dataset: Dataset,
    experts: Experts | None = None,
    student: Student | None = None,
    sweep: Sweep | None = None,
    select: str = "random",
    protocol: str = "sealed",
    learned: Learned | None = None,
) -> list[Row]:
    """Train every student of a sweep at once, in one compiled program.

    Args:
      dataset: from `load`, or of your own arrays from `Dataset.from_arrays`.
      experts: from `teach`, on this dataset; label specs speak of them. None where no label needs one.
      student: what the sweep does not vary.
      sweep: axes; their product is the members. Beside specs `labels` may hold `Labels.from_array(rows)`, or rows.
      select: which images, a function of jaxsoft/data/select.py or one like them.
      protocol: `sealed`, `paper` or `both`, as docs/protocol.md tells them apart.
      learned: how labels are learned, where a label spec asks for `learned`.

    Returns: one row for each member, with the columns of results.csv.

    Raises:
      ConfigError: a setting is wrong, or does not fit the data.
      DataError: arrays of your own are not what they must be.
    """
    dataset = arrays.checked(dataset)
    experts = experts or teach(dataset, Teacher(experts=0))
    if experts.key != teacher_key(experts.settings, dataset, experts.normalization, experts.recipe.precision):
        raise errors.ConfigError("the experts were taught on other data: call teach with this very dataset")
    settings = config.Settings(
        select=select,
        protocol=protocol,
        precision=experts.recipe.precision,
        learned=learned or Learned(),
        data=config.Data(name=dataset.name, normalize=experts.normalization),
        teacher=experts.settings,
        student=student or Student(),
        sweep=sweep or Sweep(),
    )
    settings = given.ask_functions(checks.check(named(settings)), dataset)
    plan = make.make(settings, dataset, experts.histories, identity.member_context(settings, dataset, experts))
    inputs = prepare(plan, settings, dataset, experts)
    program, shared = waves.wave_program(plan, settings), outcomes.shared_columns(dataset)
    each = (
        waves.train_wave(program, plan, i, inputs, None, lambda _: Next(), protocol) for i in range(len(plan.waves))
    )
    rows = {o["position"]: outcomes.row_of(plan, o, shared, settings) for wave in each for o in wave}
    return [rows[i] for i in range(len(plan.members))]


def named(settings: config.Settings) -> config.Settings:
    """Settings as a config file could say them: arrays among the label specs become `Labels`, objects have their texts."""
    labels = settings.sweep.labels
    several = labels if isinstance(labels, (tuple, list)) else (labels,)
    rows = (one if isinstance(one, str) or not hasattr(one, "shape") else Labels.from_array(one) for one in several)
    settings = dataclasses.replace(settings, sweep=dataclasses.replace(settings.sweep, labels=tuple(rows)))
    return config.read(config.as_dict(settings))
