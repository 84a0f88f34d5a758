"""What is told after each teacher epoch and each chunk of students, and whether to save or stop then."""

import functools
import itertools
import time
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxsoft import config, errors, sinks
from jaxsoft.console import Console
from jaxsoft.experiment.learned.judges import JudgingProgress
from jaxsoft.experiment.learned.learn import LearningProgress
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store.lock import OnWait, told
from jaxsoft.experiment.students.waves import Next, OnChunk, WaveProgress
from jaxsoft.experiment.teach.course import Pace
from jaxsoft.experiment.tell import describe, events
from jaxsoft.sinks import Sinks


def of_teachers(
    console: Console,
    epoch: int,
    epochs: int,
    records: list[dict[str, Any]],
    to: Sinks = sinks.NONE,
    teacher: config.Teacher | None = None,
) -> None:
    """Tell validation accuracy and label entropy of the epoch, to sinks those of each of the teacher's experts.

    Raises:
      Interrupted: the user asked to stop.
    """
    seen = [r["val_accuracy"] for r in records if r["val_accuracy"] is not None]
    accuracy = f"validation accuracy {np.mean(seen):.1%}, " if seen else ""
    entropy = np.mean([r["label_entropy"] for r in records])
    console.progress(epoch, epochs, f"teacher epochs: {accuracy}label entropy {entropy:.2f} nats")
    if teacher:
        to.write(events.of_epoch(teacher, epoch, records))
    if console.stop and epoch < epochs:
        raise errors.Interrupted(f"stopped after teacher epoch {epoch}; the same command goes on from there")


def of_windows(console: Console, seen: Pace) -> None:
    """Tell how fast a streamed epoch is, and for how long devices waited for images; after its last window in a line.

    Raises:
      Interrupted: the user asked to stop.
    """
    seconds, of = max(seen.seconds, 1e-6), f" of {seen.model}" * bool(seen.model)
    rate, share = (seen.images - seen.earlier) / seconds, seen.waited / seconds
    speed = (
        f"{rate:,.{int(rate < 10)}f} images/s, devices waited {describe.duration(seen.waited)} ({share:.0%}) for images"
    )
    done = f"teacher epochs{of}: {seen.images:,} of {seen.of:,} images"
    console.progress(seen.before + seen.epoch - 1, seen.epochs, f"{done}, {speed}")
    if seen.images == seen.of:
        console.say(f"  epoch {seen.epoch}{of}: {speed}")
    elif console.stop:
        told = f"stopped in teacher epoch {seen.epoch}{of}, after {seen.images:,} images"
        raise errors.Interrupted(f"{told}; the same command goes on from there")


def of_labels(console: Console, seen: LearningProgress | JudgingProgress) -> None:
    """Tell how well students do with the labels so far; stop if the user asked for it."""
    if isinstance(seen, JudgingProgress):
        return _of_judges(console, seen)
    accuracies = f"validation accuracy {seen.val_accuracy:.1%}, with hard labels {seen.hard_val_accuracy:.1%}"
    console.progress(seen.done, seen.outer_steps, f"outer steps: {accuracies}")
    if console.stop and seen.done < seen.outer_steps:
        raise errors.Interrupted("stopped while labels were learned; the same command learns what is missing")


def _of_judges(console: Console, seen: JudgingProgress) -> None:
    accuracy = f": validation accuracy {seen.val_accuracy:.1%}" if seen.done else ""
    console.progress(seen.done, seen.pairs, f"experts of committees judged by students{accuracy}")
    if console.stop and seen.done < seen.pairs:
        raise errors.Interrupted("stopped while students judged experts; the same command judges the others")


def of_waiting(console: Console, doing: str = "teaches these experts") -> OnWait:
    """Tell which process does the same, such as to teach; stop waiting for it if the user asked for it."""
    return told(console.say, doing, lambda: console.stop)


def of_students(plan: Plan, settings: config.Settings, console: Console, to: Sinks = sinks.NONE) -> OnChunk:
    """Tell accuracies, speed and time left, to sinks those of each group; save a checkpoint every so many seconds."""
    saved, clock = time.monotonic(), Clock()
    cells = functools.cache(functools.partial(_cells, plan))
    groups = functools.cache(functools.partial(events.groups, plan))

    def tell(seen: WaveProgress) -> Next:
        nonlocal saved
        accuracy, loss = _measured(plan, seen)
        now = time.monotonic()  # only here have the devices done what they were asked for
        each = clock.chunk_seconds(now, seen.since)
        found = [f"{cell} {accuracy[places].mean():.1%}" for cell, places in cells(seen.wave).items()]
        rate = _chunk_steps(plan, seen.wave) / each
        left = seen.chunks * (len(plan.waves) - seen.wave) - seen.done
        parts = [*found, f"{rate:,.0f} student-steps/s", *([f"{describe.duration(each * left)} left"] if left else [])]
        console.progress(seen.done, seen.chunks, f"wave {seen.wave + 1} of {len(plan.waves)}: {', '.join(parts)}")
        if to:
            to.write(events.of_look(seen, groups(seen.wave), accuracy, loss, rate))
        save = now - saved >= settings.compute.checkpoint_seconds
        saved = now if save else saved
        return Next(save, console.stop)

    return tell


def _measured(plan: Plan, seen: WaveProgress) -> tuple[Float[np.ndarray, "M"], Float[np.ndarray, "M"]]:
    """Validation accuracy and training loss of the members of a wave, without those that fill its shape."""
    real = [(report, stop - start) for report, (start, stop) in zip(seen.reports, plan.waves[seen.wave])]
    accuracy, loss = zip(*((np.asarray(r.accuracy, float)[:n, 0], np.asarray(r.loss, float)[:n]) for r, n in real))
    return np.concatenate(accuracy), np.concatenate(loss)


def _chunk_steps(plan: Plan, wave: int) -> int:
    """Steps that the members of a wave take together from one look to the next."""
    return sum((stop - start) * b.chunk_steps for b, (start, stop) in zip(plan.buckets_of(), plan.waves[wave]))


class Clock:
    """How long a chunk takes, from the times at which chunks were done.

    >>> clock = Clock()
    >>> [clock.chunk_seconds(now, since=108.0) for now in (110.0, 111.0, 114.0)]
    [2.0, 1.0, 2.0]
    """

    def __init__(self):
        self._chunks, self._first = 0, 0.0

    def chunk_seconds(self, now: float, since: float) -> float:
        """After each chunk; from the second on the first no longer counts, as it holds whatever is done once."""
        self._chunks += 1
        if self._chunks == 1:
            self._first = now
            return max(now - since, 1e-6)
        return max(now - self._first, 1e-6) / (self._chunks - 1)


def _cells(plan: Plan, wave: int) -> dict[str, Int[np.ndarray, "_"]]:
    """The hard and the soft members of the smallest and of the largest subset: their places in the wave."""
    ipc, is_hard = np.array([(m.ipc, m.labels == "hard") for m in plan.members_of(wave)]).T
    kinds = itertools.product(sorted({ipc.min(), ipc.max()}), (("hard", 1), ("soft", 0)))
    cells = {f"IPC {ends} {kind}": np.flatnonzero((ipc == ends) & (is_hard == hard)) for ends, (kind, hard) in kinds}
    return {cell: places for cell, places in cells.items() if len(places)}
