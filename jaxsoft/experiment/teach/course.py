"""The course of a cohort: where it is in its training, what is told of it, and what is recorded."""

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from jaxsoft import config, errors
from jaxsoft.experiment.store.lock import OnWait
from jaxsoft.training.ensemble import Report, Students
from jaxsoft.training.fit import Member, State
from jaxsoft.training.recipe import Recipe

_FIRST_SEED = 1_000_000_000  # no student begins at the weights from which its own teacher began
_USUAL_BATCH = 256  # of which learning rates are, where they follow the batch

Records = list[list[dict[str, Any]]]
"""For each epoch one record for each expert."""


class Pace(NamedTuple):
    """How fast a streamed epoch is: images so far and in all, seconds, and those that devices waited for images.

    Seconds count neither compilation nor the first `earlier` images, which were seen before a stop.
    """

    epoch: int  # that is taught, from 1
    epochs: int  # of all architectures, as `before`
    images: int
    of: int
    seconds: float
    waited: float
    earlier: int = 0
    before: int = 0  # epochs of other architectures that are done
    model: str = ""  # that is taught; empty if there is one alone


class Watch(NamedTuple):
    """Who is told of a cohort in training, and how often it is saved; who is told may raise `Interrupted` to stop."""

    on_epoch: Callable[[int, list[dict[str, Any]]], None] = lambda *_: None  # its number, a record for each expert
    on_window: Callable[[Pace], None] = lambda _: None
    on_wait: OnWait | None = None
    seconds: float = 20.0  # at least, between two states inside of epochs, or of epochs that are not kept


class Seen(NamedTuple):
    """A cohort after some steps.

    `students` lie on the devices, and the next steps take their place. `so_far` says what a process that goes on from
    here has to know of the losses of an epoch that is not over; `report` is there after its last step.
    """

    step: int
    students: Students
    report: Report | None
    so_far: Callable[[], Any] = lambda: None
    pace: Pace | None = None


def records(epoch: int, report: Report) -> list[dict[str, Any]]:
    """One for each expert; accuracy on validation, None without such images, and entropy on training images."""
    loss, accuracy, entropy = (np.asarray(a, np.float64).tolist() for a in report)
    return [
        {
            "epoch": epoch,
            "train_loss": round(loss[e], 6) if epoch else None,
            "val_accuracy": None if np.isnan(accuracy[e][0]) else round(accuracy[e][0], 6),
            "label_entropy": round(entropy[e][1], 6),
        }
        for e in range(len(loss))
    ]


def rates(settings: config.Teacher, places: Sequence[int]) -> list[float]:
    """The learning rates of these experts.

    >>> rates(config.Teacher(experts=2, rates=(0.1, 0.5)), [1]), rates(config.Teacher(learning_rate=0.2), [0])
    ([0.5], [0.2])
    """
    rule = {"none": 1.0, "linear": settings.batch / _USUAL_BATCH, "sqrt": math.sqrt(settings.batch / _USUAL_BATCH)}
    factor = rule[settings.rate_rule]
    return [factor * (settings.rates[place] if settings.rates else settings.learning_rate) for place in places]


def members(settings: config.Teacher, labels: Int[np.ndarray, "N"], places: Sequence[int], steps: int) -> Member:
    """Experts as members of a program: so many steps on all images, each with its true class."""
    count = len(places)
    arrays: dict[str, Any] = dict(
        seed=_FIRST_SEED + settings.seed + np.array(places, np.int32),
        images=np.broadcast_to(np.arange(len(labels), dtype=np.int32), (count, len(labels))),
        rows=np.broadcast_to(labels.astype(np.int32), (count, len(labels))),
        learning_rate=np.array(rates(settings, places), np.float32),
        weight_decay=np.full(count, settings.weight_decay, np.float32),
        slots=np.full(count, len(labels), np.int32),
        steps=np.full(count, steps, np.int32),
    )
    return Member(**arrays)


def check(own: config.Teacher, recipe: Recipe, places: Sequence[int], state: State, records: Records) -> None:
    """Refuse experts that diverged in the epochs of these records: they learned nothing from then on.

    The loss may stay finite all the same, and the last finite weights may be those that they began with.
    """
    steps = recipe.steps_per_epoch(recipe.slots)
    for place, bad_step, *seen in zip(places, np.asarray(state.bad_step).tolist(), *records, strict=True):
        wrong = [record["epoch"] for record in seen if not np.isfinite(record["label_entropy"])]
        if bad_step >= 0:
            when = f"step {bad_step} (epoch {bad_step // steps + 1} of {own.epochs})"
            problem = f"diverged at {when}: its loss or update is not finite"
        elif wrong:
            problem = f"has no finite labels after epoch {wrong[0]} of {own.epochs}"
        else:
            continue
        rate = "its rate in config.teacher.rates" if own.rates else "config.teacher.learning_rate"
        raise errors.ConfigError(
            f"expert {place}, {recipe.model}, {problem}; lower {rate} ({rates(own, [place])[0]:g}) "
            f"or change config.teacher.optimizer ({own.optimizer})"
        )


def expectations(settings: config.Teacher) -> dict[int, float]:
    """The validation accuracies that a config was written for, by epoch.

    Raises:
      ConfigError: an entry is not an epoch and a fraction.

    >>> expectations(config.Teacher(expected=("11:0.192", "50:0.35")))
    {11: 0.192, 50: 0.35}
    """
    found = {}
    for text in settings.expected:
        epoch, _, accuracy = text.partition(":")
        with contextlib.suppress(ValueError):
            if int(epoch) >= 0 and 0 < float(accuracy) <= 1:
                found[int(epoch)] = float(accuracy)
                continue
        raise errors.ConfigError(f"config.teacher.expected expects epoch:accuracy, such as 11:0.192, got {text!r}")
    return found
