"""The students of a sweep: which images and labels each reads, and how waves of them are trained.

Members hold indices into two shared banks, never copies: the images that any subset uses, and one finished row for
each (label spec, image).
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxsoft import config, errors, rng
from jaxsoft.experiment import plan as planning
from jaxsoft.experiment.experts import Experts, make_bank
from jaxsoft.experiment.plan import Plan
from jaxsoft.experiment.store import Checkpoints
from jaxsoft.experiment.sweep import MemberSpec
from jaxsoft.labels.bank import LogitBank, label_rows
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import ensemble
from jaxsoft.training.ensemble import Program, Report, Students
from jaxsoft.training.evaluate import EvalSet, eval_set
from jaxsoft.training.fit import Bank, Member
from jaxsoft.types import Dataset, Row, Split


class Material(NamedTuple):
    """What students read: the banks, the evaluation sets of every chunk, the sealed test set, and members by group."""

    bank: Bank
    evals: tuple[EvalSet, ...]
    sealed: EvalSet | None
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


def prepare(plan: Plan, settings: config.Settings, dataset: Dataset, experts: Experts) -> Material:
    """Draw the subsets, ask the experts, finish the labels, and put all of it on the device.

    Args:
      plan: with resolved label specs.
      settings: which images, and the protocol.
      dataset: all three splits.
      experts: of whom the label specs speak.
    """
    subsets = draw_subsets(plan.members, settings, dataset, experts)
    used = np.unique(np.concatenate([table.ravel() for table in subsets.values()]))
    labels = tuple(dict.fromkeys(m.labels for m in plan.members))
    rows = finish_labels(labels, ask_experts(labels, experts, dataset.train, used))
    normalizer = experts.normalizer
    bank = make_bank(normalizer, normalizer.store(dataset.train.images[used]), rows.reshape(-1, dataset.num_classes))
    group_members = []
    for group in plan.groups:
        each = [plan.members[i] for i in group.members]
        slots = np.zeros((len(each), group.recipe.slots), np.int32)
        for row, m in zip(slots, each):
            own = np.searchsorted(used, subsets[subset_key(m, settings)][:, : m.ipc].ravel())
            row[: len(own)] = own
        offset = np.array([labels.index(m.labels) * len(used) for m in each], np.int32)
        arrays: dict[str, Any] = dict(
            seed=np.array([m.seed for m in each], np.int32),
            images=slots,
            rows=slots + offset[:, None],
            slots=np.array([m.ipc * dataset.num_classes for m in each], np.int32),
            learning_rate=np.array([m.learning_rate for m in each], np.float32),
            weight_decay=np.array([m.weight_decay for m in each], np.float32),
            steps=np.array([planning.member_steps(m, group.recipe) for m in each], np.int32),
        )
        group_members.append(Member(**arrays))
    splits, at_a_time = (dataset.validation, dataset.test), plan.evaluation_batch()
    validation, test = (eval_set(normalizer.store(s.images), s.labels, at_a_time) for s in splits)
    if settings.protocol == "paper":  # the test set chooses the checkpoint, as the authors did
        return Material(bank, (test, validation), None, tuple(group_members))
    return Material(bank, (validation,), test, tuple(group_members))


def draw_subsets(
    members: Sequence[MemberSpec], settings: config.Settings, dataset: Dataset, experts: Experts
) -> dict[tuple[int, ...], Int[np.ndarray, "K I"]]:
    """For every subset seed, positions in train by class; the first columns are the smaller subsets.

    The paper's protocol draws anew for every IPC; then the key has the IPC beside the seed.
    """
    largest: dict[tuple[int, ...], int] = {}
    for m in members:
        key = subset_key(m, settings)
        largest[key] = max(largest.get(key, 0), m.ipc)
    choose = planning.selection(settings)
    needs = "difficulty" in inspect.signature(choose).parameters
    given = {"difficulty": difficulty(experts, dataset)} if needs else {}
    labels = dataset.train.labels
    return {
        key: np.asarray(choose(labels, ipc, key=rng.key(key[0], rng.Stream.SUBSET, *key[1:]), **given))
        for key, ipc in largest.items()
    }


def subset_key(member: MemberSpec, settings: config.Settings) -> tuple[int, ...]:
    """What a subset is drawn from: its seed, and in the paper's protocol the IPC."""
    return (member.subset_seed, member.ipc) if settings.protocol == "paper" else (member.subset_seed,)


def difficulty(experts: Experts, dataset: Dataset) -> Float[np.ndarray, "N"]:
    """Cross-entropy of expert 0 after its last epoch on every training image, in nats."""
    bank = experts.logits(dataset.train, np.arange(len(dataset.train)), [experts.settings.epochs])
    logits = bank.logits[0, 0].astype(np.float64)
    shifted = logits - logits.max(1, keepdims=True)
    return np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(logits)), bank.labels]


def ask_experts(labels: Sequence[str], experts: Experts, train: Split, used: Int[np.ndarray, "U"]) -> LogitBank:
    """The logits that these label specs need, for the images in use."""
    specs = [LabelSpec.parse(text) for text in labels]
    epochs = sorted({s.epoch for s in specs if s.epoch is not None})
    return experts.logits(train, used, epochs)


def finish_labels(labels: Sequence[str], bank: LogitBank) -> Float[np.ndarray, "A U K"]:
    """Every label spec's rows for every image of a logit bank."""
    return np.stack([np.asarray(label_rows(LabelSpec.parse(text), bank)) for text in labels])


def train_wave(
    program: Program,
    plan: Plan,
    wave: int,
    material: Material,
    checkpoints: Checkpoints | None,
    look: Callable[[Look], Next],
) -> list[dict[str, Any]]:
    """Train the members of one wave to the end, from its last checkpoint if there is one.

    Args:
      program: compiled for the wave's buckets.
      plan, wave: who.
      material: what they read.
      checkpoints: of this wave.
      look: called after each chunk; says what to do next.

    Returns:
      For each member of the wave its outcome: position in the plan, accuracies and the first bad step.

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
    return list(_outcomes(program, plan, wave, material, students))


def row_of(plan: Plan, outcome: dict[str, Any], shared: dict[str, Any], settings: config.Settings) -> Row:
    """A line of the results: everything that a member is, and what became of it."""
    i = outcome["position"]
    member, key = plan.members[i], plan.keys[i]
    group = next(g for g in plan.groups if i in g.members)
    failed = outcome["bad_step"] >= 0
    return {
        "member": key,
        **shared,
        "model": member.model,
        "seed": member.seed,
        "subset_seed": member.subset_seed,
        "ipc": member.ipc,
        "labels": member.labels,
        "teacher_epoch": LabelSpec.parse(member.labels).epoch,
        "learning_rate": member.learning_rate,
        "weight_decay": member.weight_decay,
        "steps": planning.member_steps(member, group.recipe),
        "protocol": settings.protocol,
        "val_accuracy": None if failed else round(outcome["val_accuracy"], 6),
        "test_accuracy": None if failed else round(outcome["test_accuracy"], 6),
        "status": "failed" if failed else "done",
        "first_bad_step": outcome["bad_step"] if failed else None,
        "wave": outcome["wave"],
    }


def _members_of(plan: Plan, wave: int, material: Material) -> tuple[Member, ...]:
    parts = []
    for bucket, members, (start, stop) in zip(plan.buckets(), material.members, plan.waves[wave]):
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
    program: Program, plan: Plan, wave: int, material: Material, students: tuple[Students, ...]
) -> Iterator[dict[str, Any]]:
    sealed = program.test(material.bank, material.sealed, students) if material.sealed else None
    for g, (group, (start, stop)) in enumerate(zip(plan.groups, plan.waves[wave])):
        best = students[g].best
        assert best is not None
        seen, bad = np.asarray(best.accuracy, np.float64), np.asarray(students[g].state.bad_step)
        test = np.asarray(sealed[g], np.float64) if sealed else seen[:, 0]
        for j, position in enumerate(group.members[start:stop]):
            yield {
                "position": position,
                "wave": wave,
                "val_accuracy": float(seen[j, -1]),
                "test_accuracy": float(test[j]),
                "bad_step": int(bad[j]),
            }


def wave_folder(workdir: Path, plan: Plan, wave: int) -> Path:
    """Where a wave in training keeps its checkpoints; their shapes depend on the number of devices."""
    return workdir / "checkpoints" / f"wave-{wave}-devices-{plan.devices}"
