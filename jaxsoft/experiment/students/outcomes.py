"""What became of the members of a wave: their accuracies, and the rows of the results."""

from collections.abc import Iterator
from importlib import metadata
from typing import Any

import jax
import numpy as np

from jaxsoft import config
from jaxsoft.experiment.inputs.prepare import Inputs
from jaxsoft.experiment.machine.commit import commit
from jaxsoft.experiment.plan import make
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.students import curves
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training.ensemble import Program, Students
from jaxsoft.types import Dataset, Row

MEASURED = ("val_accuracy", "test_accuracy", "paper_accuracy", "accuracy_by_class")


def outcomes_of(
    program: Program,
    plan: Plan,
    wave: int,
    inputs: Inputs,
    students: tuple[Students, ...],
    looks: curves.Looks,
    protocol: str,
) -> Iterator[dict[str, Any]]:
    """For each member of a trained wave its position in the plan, bucket, wave, accuracies, first bad step, curve."""
    images = np.bincount(inputs.test.split.labels, minlength=plan.buckets[0].recipe.num_classes)
    known = np.where(images, images, np.nan)  # a class without test images has no accuracy
    pieces = (program.test(inputs.bank, piece, students) for piece in inputs.test)
    correct = [sum(map(np.asarray, each)) for each in zip(*pieces)]
    shapes, first = program.buckets, 0
    for b, (bucket, (start, stop)) in enumerate(zip(plan.buckets, plan.waves[wave])):
        courses = curves.of_members(looks, first, stop - start, bucket.steps, shapes[b].chunk_steps, protocol)
        first += shapes[b].members
        best = students[b].best
        assert best is not None
        seen, highest = np.asarray(best.accuracy, np.float64), np.asarray(best.highest, np.float64)
        bad, counts = np.asarray(students[b].state.bad_step), np.asarray(correct[b], np.float64)
        for j, position in enumerate(bucket.members[start:stop]):
            yield {
                "position": position,
                "bucket": b,
                "wave": plan.first + wave,
                "val_accuracy": float(seen[j, 1 if protocol == "paper" else 0]),
                "test_accuracy": float(counts[j].sum() / images.sum()),
                "paper_accuracy": float(highest[j, 1]) if protocol == "both" else None,
                "accuracy_by_class": " ".join(f"{a:.4g}" for a in counts[j] / known),
                "bad_step": int(bad[j]),
                "curve": courses[j],
            }


def shared_columns(dataset: Dataset) -> dict[str, Any]:
    """What all rows of this process have in common: where their numbers come from."""
    return {
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "device": jax.devices()[0].device_kind,
        "version": metadata.version("jaxsoft"),
        "commit": commit(),
    }


def row_of(plan: Plan, outcome: dict[str, Any], shared: dict[str, Any], settings: config.Settings) -> Row:
    """A line of the log: everything that a member is, and what became of it; the curve is no column of the table."""
    member, bucket = plan.members[outcome["position"]], plan.buckets[outcome["bucket"]]
    failed = outcome["bad_step"] >= 0
    return {
        "member": plan.keys[outcome["position"]],
        **shared,
        "model": member.model,
        "seed": member.seed,
        "subset_seed": member.subset_seed,
        "select": member.select,
        "without": member.without if member.without >= 0 else None,
        "ipc": member.ipc,
        "labels": member.labels,
        "teacher_epoch": LabelSpec.parse(member.labels).epoch,
        "learning_rate": member.learning_rate,
        "weight_decay": member.weight_decay,
        "steps": make.member_steps(member, bucket.recipe),
        "loss": member.loss,
        "optimizer": member.optimizer,
        "augment": member.augment,
        "protocol": settings.protocol,
        **{name: None if failed else _rounded(outcome[name]) for name in MEASURED},
        "status": "failed" if failed else "done",
        "first_bad_step": outcome["bad_step"] if failed else None,
        "wave": outcome["wave"],
        "curve": outcome["curve"],
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 6)
    return value
