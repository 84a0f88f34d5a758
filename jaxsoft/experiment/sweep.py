"""From axes to members: the ordered product of a sweep, each member a complete description of one student."""

import hashlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from jaxsoft import config, errors
from jaxsoft.labels.spec import LabelSpec


@dataclass(frozen=True)
class MemberSpec:
    """One student of a sweep: everything that a sweep may vary.

    `labels` is the canonical text of a label spec; `epochs` is 0 when `steps` says how long to train; `without` is -1
    when the subset has images of every class.
    """

    ipc: int
    labels: str
    seed: int
    subset_seed: int
    model: str
    learning_rate: float
    weight_decay: float
    steps: int
    epochs: int
    select: str = "random"
    without: int = -1

    def slots(self, num_classes: int) -> int:
        """How many images the subset holds."""
        return self.ipc * (num_classes - (self.without >= 0))

    def key(self, context: dict[str, Any]) -> str:
        """Twelve hex digits of a hash over all that determines the member's numbers.

        Args:
          context: what the members of a run share: data, teacher, student settings, protocol.
        """
        text = json.dumps([asdict(self), context], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def expand(settings: config.Settings) -> tuple[MemberSpec, ...]:
    """All members of a sweep in the order of its axes, each once.

    A label spec that leaves the teacher's epoch open takes it from `sweep.teacher_epoch`; one that does not (such as
    `hard`) is the same member for every teacher epoch, and appears once.

    Raises:
      ConfigError: an axis that is unknown, empty, without effect, has a value twice, or is zipped with one of another
        length; an open teacher epoch.
    """
    labels = settings.sweep.labels or ("hard",)
    if settings.sweep.teacher_epoch and not any(_labels(text).has_open_epoch for text in labels):
        raise errors.ConfigError(
            "config.sweep.teacher_epoch has no effect: every spec of config.sweep.labels says its epoch, or needs none; "
            "leave it open, as in 'teacher' or 'teacher|topk(3)'"
        )
    members = (_member(settings, point) for point in _points(settings.sweep))
    return tuple(dict.fromkeys(members))


def combinations(sweep: config.Sweep) -> int:
    """How many points the axes have; more than members where several points mean the same student."""
    return math.prod(map(len, _columns(sweep)))


def resolve(
    members: tuple[MemberSpec, ...], resolved: Callable[[str], str], subjects: Sequence[int] = ()
) -> tuple[MemberSpec, ...]:
    """Replace every label spec by what `resolved` makes of it (an accuracy becomes an epoch); duplicates go.

    Args:
      members: of a sweep.
      resolved: from text to text.
      subjects: what `without` counts, where these are not the classes themselves.
    """
    texts = {text: resolved(text) for text in {m.labels for m in members}}
    without = {c: subjects[c] if subjects and c >= 0 else c for c in {m.without for m in members}}
    return tuple(dict.fromkeys(replace(m, labels=texts[m.labels], without=int(without[m.without])) for m in members))


def _points(sweep: config.Sweep) -> Iterator[dict[str, Any]]:
    for parts in itertools.product(*_columns(sweep)):
        yield {name: value for part in parts for name, value in part.items()}


def _columns(sweep: config.Sweep) -> list[list[dict[str, Any]]]:
    """For every axis its values, or its rows of values where names advance together."""
    values = {name: v for name, v in config.as_dict(sweep).items() if name != "axes" and v}
    groups = [entry.split() for entry in sweep.axes]
    named = [name for group in groups for name in group]
    legal = [name for name in config.as_dict(sweep) if name != "axes"]
    if not all(groups):
        raise errors.ConfigError(f"config.sweep.axes has an empty entry; choices: {', '.join(legal)}")
    for name in named:
        if name not in legal:
            raise errors.ConfigError(f"config.sweep.axes names {name!r}; choices: {', '.join(legal)}")
        if name not in values:
            raise errors.ConfigError(f"config.sweep.axes names {name!r} but config.sweep.{name} is empty")
        if named.count(name) > 1:
            raise errors.ConfigError(f"config.sweep.axes names {name!r} twice")
    groups += [[name] for name in values if name not in named]
    for group in groups:
        lengths = {name: len(values[name]) for name in group}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} has {n}" for name, n in lengths.items())
            raise errors.ConfigError(f"config.sweep.axes zips names of different lengths: {shown}")
    rows = [list(zip(*(values[name] for name in group))) for group in groups]
    for group, found in zip(groups, rows):
        twice = next((row for row, n in Counter(found).items() if n > 1), None)
        if twice is not None:
            shown = ", ".join(f"config.sweep.{name} has {value!r}" for name, value in zip(group, twice))
            raise errors.ConfigError(f"{shown} more than once")
    return [[dict(zip(group, row)) for row in found] for group, found in zip(groups, rows)]


def _labels(text: str) -> LabelSpec:
    try:
        return LabelSpec.parse(text)
    except errors.ConfigError as problem:
        raise errors.ConfigError(f"config.sweep.labels: {problem}") from None


def _member(settings: config.Settings, point: dict[str, Any]) -> MemberSpec:
    student = settings.student
    labels = _labels(point.get("labels", "hard"))
    if labels.has_open_epoch:
        if "teacher_epoch" not in point:
            raise errors.ConfigError(
                f"label spec '{labels}' leaves the epoch open; write epoch=, accuracy= or entropy=, "
                "or set config.sweep.teacher_epoch"
            )
        labels = labels.with_epoch(point["teacher_epoch"])
    seed = point.get("seed", 0)
    return MemberSpec(
        ipc=point.get("ipc", 1),
        labels=str(labels),
        seed=seed,
        subset_seed=point.get("subset_seed", seed),
        model=point.get("model", student.model),
        learning_rate=point.get("learning_rate", student.learning_rate),
        weight_decay=point.get("weight_decay", student.weight_decay),
        steps=point.get("steps", student.steps),
        epochs=0 if "steps" in point else student.epochs,
        select=point.get("select", settings.select),
        without=point.get("without", -1),
    )
