"""Everything that is decided before a student is trained: members, buckets, waves, bytes.

`make` depends on settings, data, the experts' histories, and on how many devices there are with how much memory; its
shapes are stored with the run, so that a resumed run repeats them.
"""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxsoft import config, errors
from jaxsoft.experiment import identity, memory, sweep
from jaxsoft.experiment.checks import check as check
from jaxsoft.experiment.checks import check_data as check_data
from jaxsoft.experiment.checks import check_members, selection
from jaxsoft.experiment.checks import settled as settled
from jaxsoft.experiment.sweep import MemberSpec
from jaxsoft.experiment.waves import Group, Plan, Wave
from jaxsoft.labels.history import History
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import cost, fit
from jaxsoft.training.fit import Recipe

# Measured on two devices: 90 kB for every step of a block of three small networks, on each.
_MOST_BLOCK_STEPS = 8_000


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
    members = sweep.expand(settings)
    check_members(settings, members, dataset)
    if histories is not None:
        members = sweep.resolve(members, lambda text: resolved(text, histories, subjects), subjects)
    keys = _keys(members, context, settings)
    groups = _grouped(settings, members, dataset)
    devices = jax.device_count()  # of all processes
    shared = memory.shared_bytes(settings, members, dataset)
    chunks, shape = settings.student.evaluations, dataset.image_shape
    plan = Plan(members, keys, groups, (), chunks, shape, shared, devices, subjects=tuple(subjects))
    made = cut(plan, memory.budget_bytes(settings))
    if made.bytes() > (there := memory.most_bytes()) and (least := cut(plan, 1).bytes()) > there:
        raise errors.ConfigError(
            f"one student of each shape at a time takes about {least / 1e9:,.1f} GB, and there are {there / 1e9:,.1f} GB of "
            "memory; take a narrower config.student.model, or lower config.student.batch"
        )
    return made


def _keys(members: Sequence[MemberSpec], context: dict[str, Any], settings: config.Settings) -> tuple[str, ...]:
    """The key of each member; what it reads of the context, and its code, are written once for all alike."""
    texts: dict[tuple[str, ...], str] = {}
    keys = []
    for m in members:
        kind = m.model, m.labels, m.select
        if kind not in texts:
            read = {name: value for name, value in context.items() if _reads(m, name)}
            texts[kind] = sweep.to_text({**read, "code": identity.code_of(settings, *kind)})
        keys.append(m.key(texts[kind]))
    return tuple(keys)


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
    kinds: dict[tuple[Any, ...], tuple[Recipe, int]] = {}  # of all that a shape depends on; there are few
    for i, m in enumerate(members):
        what = m.model, m.ipc, m.labels, m.steps, m.epochs, m.without
        if what not in kinds:
            own = recipe(settings, m, dataset.num_classes)
            # Equal length too: a member is looked at as often as if it trained alone.
            kinds[what] = own._replace(slots=min(own.slots, own.batch + 1)), member_steps(m, own)
        shapes.setdefault(kinds[what], []).append(i)
    groups = []
    for (shape, steps), who in shapes.items():
        share, image_shape = -(-len(who) // jax.device_count()), dataset.image_shape
        tile = settings.compute.tile or cost.choose_tile(shape, image_shape)
        tile = max(t for t in range(1, shape.batch + 1) if shape.batch % t == 0 and t <= tile)
        block = min(share, settings.compute.block or cost.choose_block(shape, image_shape, share, tile))
        room = max(members[i].ipc for i in who) * dataset.num_classes
        layout = block, tile, settings.compute.lowering
        groups.append(Group(shape._replace(slots=room), tuple(who), steps, *layout))
    return tuple(groups)


def cut(plan: Plan, budget: int) -> Plan:
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
