"""What is told after each teacher epoch and each chunk of students, and whether to save or stop then."""

import functools
import itertools
import time
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxsoft import config, errors
from jaxsoft.console import Console
from jaxsoft.experiment.learned.learn import LearningProgress
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store.lock import OnWait, told
from jaxsoft.experiment.students.waves import Next, OnChunk, WaveProgress


def of_teachers(console: Console, epoch: int, epochs: int, records: list[dict[str, Any]]) -> None:
    """Tell validation accuracy and label entropy of the epoch; stop if the user asked for it."""
    seen = [r["val_accuracy"] for r in records if r["val_accuracy"] is not None]
    accuracy = f"validation accuracy {np.mean(seen):.1%}, " if seen else ""
    entropy = np.mean([r["label_entropy"] for r in records])
    console.progress(epoch, epochs, f"teacher epochs: {accuracy}label entropy {entropy:.2f} nats")
    if console.stop and epoch < epochs:
        raise errors.Interrupted(f"stopped after teacher epoch {epoch}; the same command goes on from there")


def of_labels(console: Console, seen: LearningProgress) -> None:
    """Tell how well students do with the labels so far; stop if the user asked for it."""
    accuracies = f"validation accuracy {seen.val_accuracy:.1%}, with hard labels {seen.hard_val_accuracy:.1%}"
    console.progress(seen.done, seen.outer_steps, f"outer steps: {accuracies}")
    if console.stop and seen.done < seen.outer_steps:
        raise errors.Interrupted("stopped while labels were learned; the same command learns what is missing")


def of_waiting(console: Console) -> OnWait:
    """Tell which process teaches the same experts; stop waiting for it if the user asked for it."""
    return told(console.say, "teaches these experts", lambda: console.stop)


def of_students(plan: Plan, settings: config.Settings, console: Console) -> OnChunk:
    """Tell accuracies, speed and time left of a wave; save a checkpoint every so many seconds."""
    start = saved = time.monotonic()
    steps = sum(b.members * b.chunk_steps for b in plan.buckets_of())
    chunks = itertools.count(1)
    cells = functools.cache(functools.partial(_cells, plan))

    def tell(seen: WaveProgress) -> Next:
        nonlocal saved
        now = time.monotonic()
        each = (now - start) / next(chunks)
        real = zip(seen.reports, plan.waves[seen.wave])
        found = np.concatenate([np.asarray(r.accuracy, float)[: stop - first, 0] for r, (first, stop) in real])
        accuracies = [f"{cell} {found[places].mean():.1%}" for cell, places in cells(seen.wave).items()]
        text = (
            f"wave {seen.wave + 1} of {len(plan.waves)}: {', '.join(accuracies)}, "
            f"{steps / each:,.0f} student-steps/s, {each * (seen.chunks - seen.done):.0f} s left"
        )
        console.progress(seen.done, seen.chunks, text)
        save = now - saved >= settings.compute.checkpoint_seconds
        saved = now if save else saved
        return Next(save, console.stop)

    return tell


def _cells(plan: Plan, wave: int) -> dict[str, Int[np.ndarray, "_"]]:
    """The hard and the soft members of the smallest and of the largest subset: their places in the wave."""
    ranges = zip(plan.buckets, plan.waves[wave])
    members = [plan.members[i] for bucket, (start, stop) in ranges for i in bucket.members[start:stop]]
    ipc, is_hard = np.array([(m.ipc, m.labels == "hard") for m in members]).T
    kinds = itertools.product(sorted({ipc.min(), ipc.max()}), (("hard", 1), ("soft", 0)))
    cells = {f"IPC {ends} {kind}": np.flatnonzero((ipc == ends) & (is_hard == hard)) for ends, (kind, hard) in kinds}
    return {cell: places for cell, places in cells.items() if len(places)}
