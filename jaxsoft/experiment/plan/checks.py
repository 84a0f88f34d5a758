"""What is wrong with settings, found before anything is trained; every refusal begins with the key, or names it."""

import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from jaxsoft import config, data, errors, rng, spec
from jaxsoft.data import normalize, select
from jaxsoft.experiment.learned import learn as learning
from jaxsoft.experiment.machine import memory
from jaxsoft.experiment.plan import sweep
from jaxsoft.experiment.plan.sweep import MemberSpec
from jaxsoft.experiment.teach.experts import by_architecture, expectations
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import augment, cost
from jaxsoft.training.fit import Recipe
from jaxsoft.types import Dataset

_MEMBER_BYTES = 5_000  # of a plan, for each member; measured at 200,000 of them


def check(settings: config.Settings) -> None:
    """Find what is wrong with settings, as far as that is possible without reading data.

    Raises:
      ConfigError: with the key, the value and the choices.
    """
    for name, part in (("teacher", settings.teacher), ("student", settings.student)):
        if bool(part.steps) == bool(part.epochs):
            given = f"steps={part.steps}, epochs={part.epochs}"
            raise errors.ConfigError(f"config.{name} needs exactly one of steps and epochs above 0, got {given}")
    if settings.teacher.steps:
        raise errors.ConfigError("config.teacher is trained by epochs: leave config.teacher.steps at 0")
    expectations(settings.teacher)
    with _about("config.data.normalize"):
        normalize.canonical(settings.data.normalize)
    _check_count(sweep.combinations(settings.sweep))
    members = sweep.expand(settings)
    where = "config.sweep.select" if settings.sweep.select else "config.select"
    for text in dict.fromkeys(m.select for m in members):
        with _about(where):
            selection(text)
    for name, part in (("teacher", settings.teacher), ("student", settings.student)):
        _check_functions(part, part.model, f"config.{name}")
    for where, model in _models(settings):
        with _about(where):
            Recipe(model, 10, 1, 1).build_model()
    for text in dict.fromkeys(m.labels for m in members):
        _check_labels(LabelSpec.parse(text), settings.teacher)
    counted = any(m.without >= 0 or "drop_class" in m.labels for m in members)
    if settings.subjects != "index" and not counted:
        raise errors.ConfigError(
            f"config.subjects={settings.subjects} has no effect: no label spec drops a class, and config.sweep.without "
            "leaves none out; set it to index"
        )
    if settings.data.validation == 0:
        _check_unvalidated(settings)
    if _learns(settings):
        _check_functions(settings.learned, settings.student.model, "config.learned")


def settled(settings: config.Settings) -> config.Settings:
    """Checked settings with one spelling of what could be written in several ways, so that equal runs have equal keys."""
    normalization = normalize.canonical(settings.data.normalize)
    return dataclasses.replace(settings, data=dataclasses.replace(settings.data, normalize=normalization))


def check_data(settings: config.Settings, dataset: Dataset) -> None:
    """Find what does not fit a dataset: label specs, IPC, the selection and the models; trains nothing.

    Raises:
      ConfigError: with the key, the value and what is possible.
    """
    check_members(settings, sweep.expand(settings), dataset)


def check_members(settings: config.Settings, members: Sequence[MemberSpec], dataset: Dataset) -> None:
    """The same, of settings whose members are known."""
    if len(dataset.validation) == 0:
        _check_unvalidated(settings)
    specs = {text: LabelSpec.parse(text) for text in dict.fromkeys(m.labels for m in members)}
    with _about("config.sweep.labels"):
        for labels in specs.values():
            labels.check(dataset.num_classes)
    data.check_ipc(max(m.ipc for m in members), dataset.train.labels, dataset.class_names)
    largest: dict[str, int] = {}
    for m in members:
        largest[m.select] = max(m.ipc, largest.get(m.select, 0))
    for text, ipc in largest.items():
        with _about("config.sweep.select" if settings.sweep.select else "config.select"):
            _rehearse(selection(text), dataset, ipc)
    if sizes := dict.fromkeys(m.slots(dataset.num_classes) for m in members if specs[m.labels].is_learned):
        learning.check(settings, dataset, list(sizes))
    if (last := max(m.without for m in members)) >= dataset.num_classes:
        raise errors.ConfigError(f"config.sweep.without={last} but classes are 0..{dataset.num_classes - 1}; -1: none")
    for where, model in _models(settings):
        with _about(where):
            _check_size(cost.state_bytes(Recipe(model, dataset.num_classes, 1, 1), dataset.image_shape))


def _check_count(combinations: int) -> None:
    """Refuse a sweep whose plan alone would fill the memory."""
    needed, there = combinations * _MEMBER_BYTES, memory.host_bytes()
    if needed > there:
        raise errors.ConfigError(
            f"the axes of config.sweep have {combinations:,} combinations: to plan them takes about {needed / 1e9:,.0f} GB, "
            f"and there are {there / 1e9:,.0f} GB of memory"
        )


def _check_size(needed: int) -> None:
    """Refuse a network of which one alone would fill the memory."""
    there = memory.most_bytes()
    if needed > there:
        raise errors.ConfigError(
            f"one such network takes {needed / 1e9:,.1f} GB, and there are {there / 1e9:,.1f} GB of memory"
        )


def selection(text: str) -> Callable[..., Any]:
    """The function that chooses images, with the user's arguments filled in."""
    given = ("labels", "ipc", "key", "difficulty")
    return spec.resolve(text, spec.public_functions(select), "selection", "jaxsoft/data/select.py", given)


def _learns(settings: config.Settings) -> bool:
    return any(LabelSpec.parse(text).is_learned for text in dict.fromkeys(settings.sweep.labels))


def _check_functions(part: config.Training | config.Learned, model: str, where: str) -> None:
    recipe = Recipe(model, 10, 1, 1, part.optimizer, part.schedule)
    with _about(f"{where}.optimizer"):
        recipe.build_optimizer()
    with _about(f"{where}.schedule"):
        recipe.build_schedule()
    with _about(f"{where}.augment"):
        augment.build(part.augment)


def _check_labels(labels: LabelSpec, teacher: config.Teacher) -> None:
    """Refuse experts and epochs that there will not be."""
    if max(labels.experts, default=0) >= teacher.experts:
        wanted = max(labels.experts) + 1
        raise errors.ConfigError(
            f"label spec '{labels}' needs {wanted} experts; config.teacher.experts is {teacher.experts}"
        )
    if labels.epoch is not None and labels.epoch > teacher.epochs:
        raise errors.ConfigError(
            f"label spec '{labels}' asks for epoch {labels.epoch}; "
            f"config.teacher.epochs is {teacher.epochs}, the largest possible"
        )


def _check_unvalidated(settings: config.Settings) -> None:
    """Refuse what would choose on validation images where there are none."""
    todo = "wanted config.data.validation above 0"
    if settings.protocol != "paper":
        raise errors.ConfigError(
            f"there are no validation images, and protocol {settings.protocol} chooses checkpoints on them; "
            f"{todo}, or config.protocol paper, which chooses on the test split"
        )
    for text in settings.sweep.labels:
        if (labels := LabelSpec.parse(text)).accuracy is not None or labels.is_learned:
            raise errors.ConfigError(f"there are no validation images, and label spec '{text}' asks for them; {todo}")


def _models(settings: config.Settings) -> list[tuple[str, str]]:
    """Every architecture with the key that names it."""
    swept = [("config.sweep.model", model) for model in settings.sweep.model]
    own = [("config.student.model", settings.student.model)]
    students = [*swept, *own] if _learns(settings) or not swept else swept  # labels are learned by the latter
    where = "config.teacher.models" if settings.teacher.models else "config.teacher.model"
    every = [*((where, model) for model in by_architecture(settings.teacher)), *students]
    return list(dict.fromkeys(every))  # axes that advance together name a value again and again


def _rehearse(choose: Callable[..., Any], dataset: Dataset, ipc: int) -> None:
    """Choose once as if all images were equally difficult, for what the function itself refuses."""
    needs = "difficulty" in inspect.signature(choose).parameters
    given = {"difficulty": np.zeros(len(dataset.train))} if needs else {}
    choose(dataset.train.labels, ipc, key=rng.key(0, rng.Stream.SUBSET), **given)


@contextlib.contextmanager
def _about(key: str) -> Iterator[None]:
    """Begin what is refused inside with the setting's key."""
    try:
        yield
    except errors.ConfigError as problem:
        raise errors.ConfigError(f"{key}: {problem}") from None
