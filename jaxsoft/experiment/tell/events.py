"""The events of a run, as `sinks` describes them: epochs of teachers, looks at students, rows of the results."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxsoft import config
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.students.waves import WaveProgress
from jaxsoft.experiment.teach.experts import by_architecture
from jaxsoft.sinks import Event
from jaxsoft.types import History, Row

Group = tuple[int, str]
"""What members of a wave have in common: images per class, and label spec."""


def of_epoch(teacher: config.Teacher, done: int, records: Sequence[Mapping[str, Any]]) -> Iterator[Event]:
    """One for each expert in training; `done` counts epochs through all architectures, from 1."""
    places = list(by_architecture(teacher).values())[(done - 1) // teacher.epochs]
    return (_of_teacher(expert, record) for expert, record in zip(places, records))


def of_histories(histories: Sequence[History]) -> Iterator[Event]:
    """One for each epoch of each expert, as if all had been trained now."""
    return (_of_teacher(expert, record) for expert, history in enumerate(histories) for record in history[1:])


def _of_teacher(expert: int, record: Mapping[str, Any]) -> Event:
    measured = {name: record[name] for name in ("train_loss", "val_accuracy", "label_entropy")}
    return {"event": "teacher", "step": record["epoch"], "expert": expert, **measured}


def groups(plan: Plan, wave: int) -> dict[Group, Int[np.ndarray, "_"]]:
    """The members of a wave by what they have in common: their places in it."""
    found: dict[Group, list[int]] = {}
    for place, member in enumerate(plan.members_of(wave)):
        found.setdefault((member.ipc, member.labels), []).append(place)
    return {group: np.array(places) for group, places in found.items()}


def of_look(
    seen: WaveProgress,
    of_wave: Mapping[Group, Int[np.ndarray, "_"]],
    accuracy: Float[np.ndarray, "M"],
    loss: Float[np.ndarray, "M"],
    rate: float | None,
) -> Iterator[Event]:
    """The means of each group of a wave; and student-steps a second, if they are known."""
    when = {"step": seen.wave * seen.chunks + seen.done, "wave": seen.wave}
    for (ipc, labels), places in of_wave.items():
        measured = {"train_loss": _mean(loss[places]), "val_accuracy": _mean(accuracy[places])}
        yield {"event": "students", **when, "ipc": ipc, "labels": labels, **measured}
    if rate is not None:
        yield {"event": "speed", **when, "student_steps_per_second": rate}


def of_rows(rows: Iterable[Row], before: int = 0) -> Iterator[Event]:
    """One for each finished member, after so many others."""
    for step, row in enumerate(rows, before + 1):
        yield {"event": "member", "step": step, **{k: v for k, v in row.items() if not isinstance(v, (list, dict))}}


def _mean(values: Float[np.ndarray, "_"]) -> float | None:
    """Over the members that have one: those that diverged have no finite loss."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None
