"""The stages of a run as functions, for notebooks and scripts: `load`, `teach` and `train_students`.

Nothing stays behind unless a folder is named. The README opens with an example; one of arrays of your own:

>>> import numpy as np
>>> from jaxsoft import Student, Sweep, Teacher
>>> labels = np.arange(80) % 2
>>> images = (np.random.default_rng(0).random((80, 6, 4)) + labels[:, None, None]) / 2
>>> data = Dataset.from_arrays(images, labels, class_names=("dark", "light"))
>>> experts = teach(data, Teacher(model="mlp(hidden=8)", epochs=2, batch=8, learning_rate=0.3))
>>> student = Student(model="mlp(hidden=8)", batch=16, steps=8, learning_rate=0.1, evaluations=2)
>>> sweep = Sweep(ipc=(2,), labels=("hard", "teacher(epoch=2)"), seed=(0,))
>>> results = train_students(data, experts, student, sweep)
>>> [(row["dataset"], row["labels"], row["test_accuracy"]) for row in results]
[('own', 'hard', 1.0), ('own', 'teacher(epoch=2)', 1.0)]
>>> results.predict(1, data.test.images).argmax(1).tolist() == data.test.labels.tolist()
True
>>> results.labels(1).shape, results.subset(1).shape, sorted(results.params(1))
((4, 2), (4,), ['params'])
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxsoft import config, errors, numerics
from jaxsoft.command import starting
from jaxsoft.config import Learned, Student, Sweep, Teacher
from jaxsoft.data import arrays
from jaxsoft.data.chosen import Indices
from jaxsoft.experiment import run, teachers
from jaxsoft.experiment.store.folder import RunFolder, Temporary
from jaxsoft.experiment.store.lock import OnWait
from jaxsoft.experiment.teach import experts as teaching
from jaxsoft.experiment.teach.experts import Experts, OnEpoch, teacher_key
from jaxsoft.experiment.tell import progress as telling
from jaxsoft.experiment.tell.caller import Caller, Progress
from jaxsoft.labels.given import Labels, specs_of
from jaxsoft.results import Results
from jaxsoft.types import Dataset


def teach(
    dataset: Dataset,
    settings: Teacher | None = None,
    normalization: str = "standardize",
    folder: Path | str | None = None,
    on_epoch: OnEpoch | None = None,
    precision: str = "auto",
    lowering: str = "auto",
    on_wait: OnWait | None = None,
    progress: Progress | None = None,
) -> Experts:
    """Train experts on all training images with hard labels, and keep every epoch.

    Args:
      dataset: from `load`, or your own arrays; train and validation are used, test is not.
      settings: how; of no experts at all nothing is trained.
      normalization: what networks see, fitted on the training images.
      folder: where to keep the trajectories, and to go on from what is there; in memory if not given.
      on_epoch: called with (epochs done, in all, one record for each expert in training), counted through all
        architectures, in the place of `progress`.
      precision: of feature maps, as `config.Settings.precision`.
      lowering: of convolutions, as `config.Compute.lowering`.
      on_wait: called while another process teaches these experts in the folder; if not given, the log says so once.
      progress: called with (stage, done, in all, words); if not given, a bar moves on a terminal or in a notebook.

    Raises:
      ConfigError: an architecture is unknown, there is not one for each expert, or an expert diverged.
      DataError: arrays of your own are not what they must be.
      CheckpointError: the folder cannot be read or written.
    """
    starting.set_up_for_caller()
    how, console = config.instance(settings, Teacher, "config.teacher"), Caller(progress, bool(folder))
    told = on_epoch or functools.partial(telling.of_teachers, console)
    windows = functools.partial(telling.of_windows, console)
    with console.stage("teachers"), console.interruptible():
        return teaching.teach(dataset, how, normalization, folder, told, precision, lowering, on_wait, windows)


@numerics.pinned()
def train_students(
    dataset: Dataset,
    experts: Experts | None = None,
    student: Student | None = None,
    sweep: Sweep | None = None,
    select: Any = "random",
    protocol: str = "sealed",
    learned: Learned | None = None,
    *,
    folder: Path | str | None = None,
    keep: str = "best",
    progress: Progress | None = None,
) -> Results:
    """Train every student of a sweep at once, in one compiled program; called again with equal shapes it is not compiled.

    Args:
      dataset: from `load`, or of your own arrays from `Dataset.from_arrays`.
      experts: from `teach`, on this dataset; label specs speak of them. None where no label needs one.
      student: what the sweep does not vary.
      sweep: axes; their product is the members. Beside specs `labels` may hold `Labels.from_array(rows)`, or rows.
      select: which images, a function of jaxsoft/data/select.py or one like them; or positions in train, as `Indices` has them.
      protocol: `sealed`, `paper` or `both`, as docs/protocol.md tells them apart.
      learned: how labels are learned, where a label spec asks for `learned`.
      folder: a run folder to write, and to go on from what is there; if not given, one that goes with the results.
      keep: `best`, the chosen checkpoint of each student; `all`, those of every look too; or `none`.
      progress: called with (stage, done, in all, words); if not given, a bar moves on a terminal or in a notebook.

    Returns: a sequence of rows, one for each member, with the columns of results.csv; and all that they came from.

    Raises:
      ConfigError: a setting is wrong, or does not fit the data.
      DataError: arrays of your own are not what they must be.
      CheckpointError: the folder belongs to other settings or data, or cannot be read or written.
      KeyboardInterrupt: by Ctrl-C; with a folder the same call goes on from there.
    """
    starting.set_up_for_caller()
    dataset, console = arrays.checked(dataset), Caller(progress, bool(folder))
    experts = teaching.teach(dataset, Teacher(experts=0)) if experts is None else experts
    _check_taught(experts, dataset)
    own = {"student": config.instance(student, Student, "config.student"), "protocol": protocol}
    own |= {"learned": config.instance(learned, Learned, "config.learned"), "keep": config.Keep(students=keep)}
    settings = _settings(dataset, experts, config.instance(sweep, Sweep, "config.sweep"), select, **own)
    where = RunFolder(folder) if folder else Temporary()
    run.run(settings, where.path, console, dataset, experts)
    if folder and not experts.store:
        experts.save(where.path / teachers.FOLDER)
    run.close(where.path, console)
    return Results(where, dataset, experts, specs_of(settings))


def _check_taught(experts: Any, dataset: Dataset) -> None:
    """Refuse what are no experts, and those of other data."""
    if not isinstance(experts, Experts):
        got = errors.quoted(experts) if isinstance(experts, str) else type(experts).__name__
        raise errors.ConfigError(
            f"experts expects what jaxsoft.teach returns, got {got}; name the others: student=, sweep="
        )
    if experts.key != teacher_key(experts.settings, dataset, experts.normalization, experts.recipe.precision):
        raise errors.ConfigError("the experts were taught on other data: call teach with this very dataset")


def _settings(dataset: Dataset, experts: Experts, sweep: Sweep, select: Any, **others: Any) -> config.Settings:
    """Settings as a config file could say them: arrays become `Labels` and `Indices`, objects have their texts."""
    several = sweep.labels if isinstance(sweep.labels, (tuple, list)) else (sweep.labels,)
    rows = (one if isinstance(one, str) or not hasattr(one, "shape") else Labels.from_array(one) for one in several)
    settings = config.Settings(
        select=Indices.from_array(select) if isinstance(select, (list, tuple, np.ndarray, jax.Array)) else select,
        precision=experts.recipe.precision,
        data=config.Data(name=dataset.name, normalize=experts.normalization),
        teacher=dataclasses.replace(experts.settings, store=experts.store),
        sweep=dataclasses.replace(sweep, labels=tuple(rows)),
        **others,
    )
    return config.read(config.as_dict(settings))
