"""The students of a sweep: which images and labels each reads, and how waves of them are trained.

Members hold indices into two shared banks, never copies: the images that any subset uses, and one finished row for
each (label spec, image).
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsoft import config, errors
from jaxsoft.experiment import labelling, subsets
from jaxsoft.experiment import plan as planning
from jaxsoft.experiment.experts import Experts, make_bank
from jaxsoft.experiment.learning import Progress
from jaxsoft.experiment.store import Checkpoints
from jaxsoft.experiment.waves import Group, Plan
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import ensemble
from jaxsoft.training.ensemble import Program, Report, Students
from jaxsoft.training.evaluate import EvalSet, eval_set
from jaxsoft.training.fit import Bank, Member
from jaxsoft.types import Dataset, Row

MEASURED = ("val_accuracy", "test_accuracy", "paper_accuracy", "accuracy_by_class")


class Material(NamedTuple):
    """What students read: the banks, the evaluation sets of every chunk, the test set, and members by group."""

    bank: Bank
    evals: tuple[EvalSet, ...]
    test: EvalSet
    members: tuple[Member, ...]


class Next(NamedTuple):
    """What to do after a chunk: save a checkpoint, stop for now (which saves too), or go on."""

    save: bool = False
    stop: bool = False


class Look(NamedTuple):
    """What is seen after a chunk: its number of all in the wave, and each group's report, real members first."""

    wave: int
    done: int
    chunks: int
    reports: tuple[Report, ...]


def prepare(
    plan: Plan,
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: Path | None = None,
    look: Callable[[Progress], None] = lambda _: None,
) -> Material:
    """Draw the subsets, ask the experts, finish the labels.

    Args:
      plan: with resolved label specs.
      settings: which images, and the protocol.
      dataset: all three splits.
      experts: of whom the label specs speak.
      folder: of the run, where learned labels are kept; nowhere if not given.
      look: called at each look at labels in learning.
    """
    images = subsets.draw_images(plan.members, settings, dataset, experts)
    labels = labelling.finish_labels(plan.members, images, settings, dataset, experts, folder, look)
    used = np.unique(np.concatenate(list(images.values())))
    places = {subset: np.searchsorted(used, ids).astype(np.int32) for subset, ids in images.items()}
    read = [places[subsets.subset_of(m)] for m in plan.members]
    normalizer = experts.normalizer
    bank = make_bank(normalizer, normalizer.store(dataset.train.images[used]), labels.rows)
    members = tuple(_stacked(plan, group, read, labels.places) for group in plan.groups)
    splits, at_a_time = (dataset.validation, dataset.test), plan.evaluation_batch()
    validation, test = (eval_set(normalizer.store(s.images), s.labels, at_a_time) for s in splits)
    # What stands first chooses the checkpoint: the test set only in the paper's protocol, as the authors did.
    looks = {"sealed": (validation,), "paper": (test, validation), "both": (validation, test)}[settings.protocol]
    return Material(bank, looks, test, members)


def _stacked(plan: Plan, group: Group, images: Sequence[np.ndarray], rows: Sequence[np.ndarray]) -> Member:
    """The members of a group as arrays; what follows a member's own slots is never read."""
    each, classes = [plan.members[i] for i in group.members], group.recipe.num_classes

    def filled(values: Sequence[np.ndarray]) -> np.ndarray:
        table = np.zeros((len(each), group.recipe.slots), np.int32)
        for line, i in zip(table, group.members):
            line[: len(values[i])] = values[i]
        return table

    arrays: dict[str, Any] = dict(
        seed=np.array([m.seed for m in each], np.int32),
        images=filled(images),
        rows=filled(rows),
        slots=np.array([m.slots(classes) for m in each], np.int32),
        learning_rate=np.array([m.learning_rate for m in each], np.float32),
        weight_decay=np.array([m.weight_decay for m in each], np.float32),
        steps=np.array([planning.member_steps(m, group.recipe) for m in each], np.int32),
        subset_seed=np.array([m.subset_seed for m in each], np.int32),
    )
    return Member(**arrays)


def train_wave(
    program: Program,
    plan: Plan,
    wave: int,
    material: Material,
    checkpoints: Checkpoints | None,
    look: Callable[[Look], Next],
    protocol: str = "sealed",
) -> list[dict[str, Any]]:
    """Train the members of one wave to the end, from its last checkpoint if there is one.

    Args:
      program: compiled for the wave's buckets.
      plan, wave: who.
      material: what they read.
      checkpoints: of this wave.
      look: called after each chunk; says what to do next.
      protocol: says which evaluation set is which.

    Returns:
      For each member of the wave its outcome: position in the plan, group, accuracies and the first bad step.

    Raises:
      Interrupted: `look` said stop.
    """
    chosen = _members_of(plan, wave, material)
    students, before = _resume(program, chosen, checkpoints)
    chunks = ensemble.fit(program, material.bank, material.evals, chosen, plan.chunks, students, before)
    for done, now, reports in chunks:
        students = now
        then = look(Look(wave, done, plan.chunks, reports))
        if (then.save or then.stop) and checkpoints and done < plan.chunks:
            checkpoints.save(done, students)
        if then.stop and done < plan.chunks:
            told = f"stopped after chunk {done} of {plan.chunks}; the same command goes on from there"
            raise errors.Interrupted(told)
    assert students is not None  # a wave has at least one chunk, and a checkpoint is never of the last
    return list(_outcomes(program, plan, wave, material, students, protocol))


def row_of(plan: Plan, outcome: dict[str, Any], shared: dict[str, Any], settings: config.Settings) -> Row:
    """A line of the results: everything that a member is, and what became of it."""
    i = outcome["position"]
    member, key = plan.members[i], plan.keys[i]
    failed = outcome["bad_step"] >= 0
    return {
        "member": key,
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
        "steps": planning.member_steps(member, plan.groups[outcome["group"]].recipe),
        "protocol": settings.protocol,
        **{name: None if failed else _rounded(outcome[name]) for name in MEASURED},
        "status": "failed" if failed else "done",
        "first_bad_step": outcome["bad_step"] if failed else None,
        "wave": outcome["wave"],
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 6)
    return value


def _members_of(plan: Plan, wave: int, material: Material) -> tuple[Member, ...]:
    parts = []
    for bucket, members, (start, stop) in zip(plan.buckets(wave), material.members, plan.waves[wave]):
        stop = max(stop, start + 1)  # a group that has no member left here still fills its place in the program
        start = min(start, len(members.seed) - 1)
        parts.append(ensemble.pad(jax.tree.map(lambda a, s=slice(start, stop): a[s], members), bucket.members))
    return tuple(parts)


def _resume(
    program: Program, members: tuple[Member, ...], checkpoints: Checkpoints | None
) -> tuple[tuple[Students, ...] | None, int]:
    if checkpoints is None:
        return None, 0
    good = checkpoints.latest_good(program.shapes(members))
    return (good.tree, good.step) if good else (None, 0)


def _outcomes(
    program: Program, plan: Plan, wave: int, material: Material, students: tuple[Students, ...], protocol: str
) -> Iterator[dict[str, Any]]:
    labels = np.asarray(material.test.labels).ravel()
    images = np.bincount(labels[labels >= 0], minlength=plan.groups[0].recipe.num_classes)
    known = np.where(images, images, np.nan)  # a class without test images has no accuracy
    correct = program.test(material.bank, material.test, students)
    for g, (group, (start, stop)) in enumerate(zip(plan.groups, plan.waves[wave])):
        best = students[g].best
        assert best is not None
        seen, highest = np.asarray(best.accuracy, np.float64), np.asarray(best.highest, np.float64)
        bad, counts = np.asarray(students[g].state.bad_step), np.asarray(correct[g], np.float64)
        for j, position in enumerate(group.members[start:stop]):
            by_class = counts[j] / known
            yield {
                "position": position,
                "group": g,
                "wave": wave,
                "val_accuracy": float(seen[j, 1 if protocol == "paper" else 0]),
                "test_accuracy": float(counts[j].sum() / images.sum()),
                "paper_accuracy": float(highest[j, 1]) if protocol == "both" else None,
                "accuracy_by_class": " ".join(f"{a:.4g}" for a in by_class),
                "bad_step": int(bad[j]),
            }


def wave_folder(workdir: Path, plan: Plan, wave: int) -> Path:
    """Where a wave in training keeps its checkpoints; their shapes depend on the number of devices.

    Of several processes each has its own. When one runs out of memory it halves its waves for this time only, so their
    number is in the name too.
    """
    own = f"-process-{jax.process_index()}-of-{jax.process_count()}-waves-{len(plan.waves)}"
    where = f"wave-{wave}-devices-{plan.devices}" + (own if jax.process_count() > 1 else "")
    return workdir / "checkpoints" / where
