"""Everything that is decided before a student is trained: members, buckets, waves, bytes.

`make` depends on settings, data, the experts' histories, and on how many devices there are with how much memory; its
shapes are stored with the run, so that a resumed run repeats them.
"""

import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
import numpy as np

from jaxsoft import config, errors
from jaxsoft.experiment import memory, sweep
from jaxsoft.experiment.checks import check as check
from jaxsoft.experiment.checks import check_data as check_data
from jaxsoft.experiment.checks import selection
from jaxsoft.experiment.sweep import MemberSpec
from jaxsoft.labels.history import History
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import cost, fit
from jaxsoft.training.ensemble import Bucket
from jaxsoft.training.fit import Recipe

# Measured on two devices: 90 kB for every step of a block of three small networks, on each.
_MOST_BLOCK_STEPS = 8_000

Wave = tuple[tuple[int, int], ...]
"""For each group, the range of its members that a wave trains."""


@dataclass(frozen=True)
class Group:
    """Members of equal static shape.

    Attributes:
      recipe: with room for the largest subset among them.
      members: positions in `Plan.members`.
      steps: length of their training.
      block: members that are vmapped together.
      tile: images of a batch that are taken at a time.
    """

    recipe: Recipe
    members: tuple[int, ...]
    steps: int
    block: int
    tile: int


@dataclass(frozen=True)
class Plan:
    """Who is trained, with whom, and when.

    Attributes:
      members: all students, in the order of the axes.
      keys: of each member.
      groups: members by static shape; with a wave's size they become buckets.
      waves: what fits in memory at once; each has the same shape.
      chunks: looks at the validation split.
      image_shape: (H, W, C).
      shared_bytes: what every device holds beside its members: image bank, label rows, evaluation sets.
      devices: over which the members of a bucket are spread.
      since: the first wave of the present shape; 0 unless the device had less memory than was thought.
      subjects: what `without` and `drop_class` count in the settings, where these are not the classes themselves.
      least: members of each bucket at least, in a share, so that all shares have one shape.
    """

    members: tuple[MemberSpec, ...]
    keys: tuple[str, ...]
    groups: tuple[Group, ...]
    waves: tuple[Wave, ...]
    chunks: int
    image_shape: tuple[int, ...]
    shared_bytes: int
    devices: int
    since: int = 0
    subjects: tuple[int, ...] = ()
    least: tuple[int, ...] = ()

    def buckets(self, wave: int = -1) -> tuple[Bucket, ...]:
        """The static shapes of a wave: each group's widest range of all waves of the present shape, in whole blocks.

        An earlier wave, which is trained again if its results were lost, may be wider than these.
        """
        buckets = []
        for i, group in enumerate(self.groups):
            alike = (*self.waves[self.since :], self.waves[wave])
            width = max(1, *self.least[i : i + 1], *(stop - start for start, stop in (w[i] for w in alike)))
            whole = group.block * self.devices
            padded = -(-width // whole) * whole
            buckets.append(Bucket(group.recipe, padded, group.block, -(-group.steps // self.chunks), group.tile))
        return tuple(buckets)

    def halve(self, wave: int) -> "Plan":
        """Cut this wave and the later ones in two; for when the device has less memory than was thought.

        Raises:
          ConfigError: there is nothing left to halve.
        """
        rest = self.waves[wave:]
        if max(stop - start for w in rest for start, stop in w) <= 1:
            raise errors.ConfigError(
                "out of memory with one student of each shape at a time; "
                "lower config.student.batch or take a narrower config.student.model"
            )
        halves = [
            tuple((start, (start + stop + 1) // 2) if first else ((start + stop + 1) // 2, stop) for start, stop in w)
            for w in rest
            for first in (True, False)
        ]
        # A block must not be wider than what is left of its group.
        width = [max(h[i][1] - h[i][0] for h in halves) for i in range(len(self.groups))]
        block = [max(1, min(g.block, w // self.devices)) for g, w in zip(self.groups, width)]
        groups = tuple(replace(g, block=b) for g, b in zip(self.groups, block))
        return replace(self, groups=groups, waves=self.waves[:wave] + tuple(halves), since=wave, least=())

    def share(self, process: int, processes: int) -> "Plan":
        """What one of several processes with equally many devices trains: of every wave what its devices would hold.

        Args:
          process: its number, from 0.
          processes: how many there are; they divide `devices`.
        """
        if processes == 1:
            return self
        waves = []
        for w, ranges in enumerate(self.waves):
            each = [bucket.members // processes for bucket in self.buckets(w)]
            cuts = [
                [min(stop, start + n * p) for p in (process, process + 1)] for n, (start, stop) in zip(each, ranges)
            ]
            waves.append(tuple((start, stop) for start, stop in cuts))
        least = tuple(bucket.members // processes for bucket in self.buckets())
        return replace(self, waves=tuple(waves), devices=self.devices // processes, least=least)

    def bytes(self) -> int:
        """Predicted bytes of a wave on all devices: members, what they share, and what comes and goes."""
        return self.state_bytes() + self.devices * self.shared_bytes + self.temporary_bytes()

    def state_bytes(self) -> int:
        """Bytes of all the students of a wave between steps, with their tables of images and label rows."""
        return sum(
            b.members * (cost.state_bytes(b.recipe, self.image_shape) + 8 * b.recipe.slots) for b in self.buckets()
        )

    def temporary_bytes(self) -> int:
        """Bytes that come and go on all devices while a block trains or is evaluated: the largest counts."""
        buckets, shape = self.buckets(), self.image_shape
        training = [cost.training_bytes(b.recipe, shape, b.block, b.tile) for b in buckets]
        together = {
            m: sum(b.members for b in buckets if b.recipe.model == m) for m in (b.recipe.model for b in buckets)
        }
        batch = self.evaluation_batch()
        evaluation = [
            cost.evaluation_bytes(b.recipe, shape, together[b.recipe.model] // self.devices, batch) for b in buckets
        ]
        return self.devices * max(training + evaluation)

    def evaluation_batch(self) -> int:
        """Images that are evaluated at a time; the same for all networks, as they share the evaluation sets."""
        return min(cost.evaluation_batch(g.recipe, self.image_shape) for g in self.groups)

    def flops(self) -> float:
        """Floating-point operations of all training steps, augmentation included, evaluation not."""
        per_step = [cost.step_flops(g.recipe, self.image_shape) for g in self.groups]
        return sum(f * len(g.members) * g.steps for f, g in zip(per_step, self.groups))

    def useful_share(self) -> float:
        """Image slots that train a member, of all that the program computes: the rest is padding."""
        useful = computed = 0.0
        for ranges in self.waves:
            for bucket, group, (start, stop) in zip(self.buckets(), self.groups, ranges):
                for i in group.members[start:stop]:
                    slots = self.members[i].slots(bucket.recipe.num_classes)
                    useful += group.steps * slots / bucket.recipe.steps_per_epoch(slots)
                computed += bucket.members * bucket.chunk_steps * self.chunks * bucket.recipe.batch
        return useful / computed

    def as_json(self) -> dict[str, Any]:
        """What is stored with the run: shapes that a resumed run must repeat, and every member."""
        groups = [{**asdict(g), "recipe": g.recipe._asdict()} for g in self.groups]
        members = [{"member": k, **asdict(m)} for k, m in zip(self.keys, self.members)]
        waves = {"chunks": self.chunks, "waves": self.waves, "since": self.since}
        return {**waves, "subjects": self.subjects, "groups": groups, "members": members}

    def with_shapes(self, stored: dict[str, Any]) -> "Plan":
        """This plan with the waves, blocks, tiles and precision of a stored one.

        Raises:
          CheckpointError: the stored plan has other members.
        """
        if [m["member"] for m in stored["members"]] != list(self.keys):
            raise errors.CheckpointError("the stored plan has other members; choose another --workdir")
        waves = tuple(tuple((start, stop) for start, stop in w) for w in stored["waves"])
        groups = tuple(
            replace(g, block=s["block"], tile=s["tile"], recipe=g.recipe._replace(precision=s["recipe"]["precision"]))
            for g, s in zip(self.groups, stored["groups"], strict=True)
        )
        return replace(self, groups=groups, waves=waves, since=stored["since"])


def make(
    settings: config.Settings,
    dataset: Any,
    histories: Sequence[History] | None,
    context: dict[str, Any],
    subjects: Sequence[int] = (),
) -> Plan:
    """Decide everything.

    Args:
      settings: checked.
      dataset: a `types.Dataset`.
      histories: of each expert; None before they are trained (a dry run): accuracies and entropies stay unresolved.
      context: what, beside itself, determines a member's numbers; part of its key.
      subjects: what `without` and `drop_class` count, where these are not the classes themselves.

    Raises:
      ConfigError: the settings do not fit the data, or no epoch reaches what a label spec asks for.
    """
    check_data(settings, dataset)
    members = sweep.expand(settings)
    if histories is not None:
        members = sweep.resolve(members, lambda text: resolved(text, histories, subjects), subjects)
    keys = tuple(m.key({name: value for name, value in context.items() if _reads(m, name)}) for m in members)
    groups = _grouped(settings, members, dataset)
    devices = jax.device_count()  # of all processes
    shared = memory.shared_bytes(settings, members, dataset)
    chunks, shape = settings.student.evaluations, dataset.image_shape
    plan = Plan(members, keys, groups, (), chunks, shape, shared, devices, subjects=tuple(subjects))
    return _cut(plan, memory.budget_bytes(settings))


def _reads(member: MemberSpec, name: str) -> bool:
    """Whether a member's numbers depend on this part of the context."""
    labels = LabelSpec.parse(member.labels)
    by_difficulty = "difficulty" in inspect.signature(selection(member.select)).parameters
    return {"teacher": labels.needs_teacher or by_difficulty, "learned": labels.is_learned}.get(name, True)


def resolved(text: str, histories: Sequence[History], subjects: Sequence[int] = ()) -> str:
    """The label spec with its accuracy or entropy turned into an epoch, and its subject into a class."""
    spec = LabelSpec.parse(text).resolve(histories)
    return str(spec.with_classes(subjects) if subjects else spec)


def recipe(settings: config.Settings, member: MemberSpec, num_classes: int) -> Recipe:
    """The static part of a member, with room for its own images."""
    slots, student = member.ipc * num_classes, settings.student
    batch, precision = min(student.batch, slots), fit.precision(settings.precision)
    how, views = (student.optimizer, student.schedule, student.augment), LabelSpec.parse(member.labels).views
    return Recipe(member.model, num_classes, slots, batch, *how, precision, views)


def member_steps(member: MemberSpec, recipe: Recipe) -> int:
    """Length of a member's training in steps."""
    return member.steps or member.epochs * recipe.steps_per_epoch(member.slots(recipe.num_classes))


def _grouped(settings: config.Settings, members: Sequence[MemberSpec], dataset: Any) -> tuple[Group, ...]:
    """Members of equal network, batch and length; subsets of any size if a batch is less than the whole of them."""
    shapes: dict[tuple[Recipe, int], list[int]] = {}
    for i, m in enumerate(members):
        own = recipe(settings, m, dataset.num_classes)
        # Equal length too: a member is looked at as often as if it trained alone.
        kind = (own._replace(slots=min(own.slots, own.batch + 1)), member_steps(m, own))
        shapes.setdefault(kind, []).append(i)
    groups = []
    for (shape, steps), who in shapes.items():
        share, image_shape = -(-len(who) // jax.device_count()), dataset.image_shape
        tile = settings.compute.tile or cost.choose_tile(shape, image_shape)
        tile = max(t for t in range(1, shape.batch + 1) if shape.batch % t == 0 and t <= tile)
        block = min(share, settings.compute.block or cost.choose_block(shape, image_shape, share, tile))
        room = max(members[i].ipc for i in who) * dataset.num_classes
        groups.append(Group(shape._replace(slots=room), tuple(who), steps, block, tile))
    return tuple(groups)


def _cut(plan: Plan, budget: int) -> Plan:
    """The fewest waves whose states fit beside a block's temporaries; each takes an equal share of every group.

    On several CPU devices XLA keeps some memory of every step of a block until a call ends, so calls are cut short there.
    """
    plan = replace(plan, waves=_waves(plan.groups, 1))
    beside = plan.temporary_bytes() + plan.devices * plan.shared_bytes
    room = max(budget - beside, budget // 50, 1)
    steps = sum(b.members // (b.block * plan.devices) * b.chunk_steps for b in plan.buckets())
    short = -(-steps // _MOST_BLOCK_STEPS) if plan.devices > 1 and jax.default_backend() == "cpu" else 1
    count = min(max(len(g.members) for g in plan.groups), max(short, -(-plan.state_bytes() // room)))
    width = [-(-len(g.members) // (count * plan.devices)) for g in plan.groups]  # of a wave, on one device
    groups = tuple(replace(g, block=min(g.block, w)) for g, w in zip(plan.groups, width))
    return replace(plan, groups=groups, waves=_waves(groups, count))


def _waves(groups: Sequence[Group], count: int) -> tuple[Wave, ...]:
    edges = [np.linspace(0, len(g.members), count + 1).round().astype(int).tolist() for g in groups]
    return tuple(tuple((e[w], e[w + 1]) for e in edges) for w in range(count))
