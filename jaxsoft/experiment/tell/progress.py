"""What is told after each teacher epoch and each chunk of students, and whether to save or stop then."""

import functools
import time
from collections import defaultdict
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxsoft import config, errors
from jaxsoft.console import Console
from jaxsoft.experiment.learned.learn import LearningProgress, OnProgress
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store.lock import OnWait, told
from jaxsoft.experiment.students.waves import Next, OnChunk, WaveProgress
from jaxsoft.experiment.teach.experts import OnEpoch

Cells = dict[str, list[tuple[int, Int[np.ndarray, "_"]]]]
"""Members of a wave by what they have in common: bucket by bucket their places."""


def of_teachers(console: Console) -> OnEpoch:
    """Tell validation accuracy and label entropy of the epoch; stop if the user asked for it."""

    def tell(epoch: int, epochs: int, records: list[dict[str, Any]]) -> None:
        seen = [r["val_accuracy"] for r in records if r["val_accuracy"] is not None]
        accuracy = f"validation accuracy {np.mean(seen):.1%}, " if seen else ""
        entropy = np.mean([r["label_entropy"] for r in records])
        text = f"teacher epochs: {accuracy}label entropy {entropy:.2f} nats"
        console.progress(epoch, epochs, text)
        if console.stop and epoch < epochs:
            raise errors.Interrupted(f"stopped after teacher epoch {epoch}; the same command goes on from there")

    return tell


def of_waiting(console: Console) -> OnWait:
    """Tell which process teaches the same experts; stop waiting for it if the user asked for it."""
    return told(console.say, "teaches these experts", lambda: console.stop)


def of_labels(console: Console) -> OnProgress:
    """Tell how well students do with the labels so far; stop if the user asked for it."""

    def tell(seen: LearningProgress) -> None:
        text = (
            f"outer steps: validation accuracy {seen.val_accuracy:.1%}, with hard labels {seen.hard_val_accuracy:.1%}"
        )
        console.progress(seen.done, seen.outer_steps, text)
        if console.stop and seen.done < seen.outer_steps:
            raise errors.Interrupted("stopped while labels were learned; the same command learns what is missing")

    return tell


def of_students(plan: Plan, settings: config.Settings, console: Console) -> OnChunk:
    """Tell accuracies, speed and time left of a wave; save a checkpoint every so many seconds."""
    start = saved = time.monotonic()
    steps = sum(b.members * b.chunk_steps for b in plan.buckets_of())
    chunks: list[int] = []
    cells = functools.cache(lambda wave: _cells(plan, wave))

    def tell(seen: WaveProgress) -> Next:
        nonlocal saved
        now = time.monotonic()
        chunks.append(seen.done)
        each = (now - start) / len(chunks)
        text = (
            f"wave {seen.wave + 1} of {len(plan.waves)}: {_accuracies(cells(seen.wave), seen)}, "
            f"{steps / each:,.0f} student-steps/s, {each * (seen.chunks - seen.done):.0f} s left"
        )
        console.progress(seen.done, seen.chunks, text)
        save = now - saved >= settings.compute.checkpoint_seconds
        saved = now if save else saved
        return Next(save, console.stop)

    return tell


def _cells(plan: Plan, wave: int) -> Cells:
    """The hard and the soft members of the smallest and of the largest subset."""
    cells: dict[tuple[int, str], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for b, (bucket, (start, stop)) in enumerate(zip(plan.buckets, plan.waves[wave])):
        for j, i in enumerate(bucket.members[start:stop]):
            kind = "hard" if plan.members[i].labels == "hard" else "soft"
            cells[plan.members[i].ipc, kind][b].append(j)
    ends = {min(ipc for ipc, _ in cells), max(ipc for ipc, _ in cells)}
    kept = {cell: at for cell, at in sorted(cells.items()) if cell[0] in ends}
    return {f"IPC {ipc} {kind}": [(b, np.array(j)) for b, j in at.items()] for (ipc, kind), at in kept.items()}


def _accuracies(cells: Cells, seen: WaveProgress) -> str:
    """Mean accuracy so far of each cell."""
    found = [np.asarray(report.accuracy)[:, 0].astype(float) for report in seen.reports]
    return ", ".join(f"{cell} {np.concatenate([found[b][j] for b, j in at]).mean():.1%}" for cell, at in cells.items())
