"""Everything that is decided before a student is trained: members, buckets, waves, bytes.

`make` depends on settings, data, the experts' histories, and on how many devices there are with how much memory; its
shapes are stored with the run, so that a resumed run repeats them.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jaxsoft import config, spec, target
from jaxsoft.data import chosen
from jaxsoft.distilled import pool
from jaxsoft.experiment.machine import memory
from jaxsoft.experiment.plan import identity, maps, selections, sweep
from jaxsoft.experiment.plan.checks import check_data, require_memory
from jaxsoft.experiment.plan.plan import Plan, PlannedBucket
from jaxsoft.experiment.plan.sweep import MemberSpec
from jaxsoft.experiment.teach.experts import by_architecture
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.ops import conv
from jaxsoft.training import cost, evaluate
from jaxsoft.training import recipe as recipes
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset, History

# Measured on two devices: 90 kB for every step of a block of three small networks, on each.
_MOST_BLOCK_STEPS = 8_000


def make(
    settings: config.Settings,
    dataset: Dataset,
    histories: Sequence[History] | None,
    context: dict[str, Any],
    subjects: Sequence[int] = (),
    parts: int = 1,
) -> Plan:
    """Decide everything.

    Args:
      histories: of each expert; None before they are trained (a dry run): accuracies and entropies stay unresolved.
      context: what, beside itself, determines a member's numbers; part of its key.
      subjects: what `without` and `drop_class` count, where these are not the classes themselves.
      parts: into how many `Plan.part` can divide the waves.

    Raises:
      ConfigError: the settings do not fit the data, or no epoch reaches what a label spec asks for.
    """
    members = sweep.expand(settings)
    check_data(settings, dataset, members)
    if histories is not None:
        members = sweep.resolve(members, histories, subjects)
    buckets = _bucketed(settings, members, dataset)
    plan = Plan(
        members,
        _keys(members, context, settings),
        buckets,
        waves=(tuple((0, len(bucket.members)) for bucket in buckets),),
        chunks=settings.student.evaluations,
        image_shape=dataset.image_shape,
        shared_bytes=shared_bytes(settings, members, dataset),
        devices=target.current().devices,  # of all processes
        subjects=tuple(subjects),
        copied_bytes=gathered_bytes(settings, members, dataset)[1],
    )
    made = cut(plan, memory.budget_bytes(settings), parts)
    if made.bytes() > (there := memory.most_bytes()):
        least, shared = cut(plan, 1).bytes(), plan.devices * plan.shared_bytes
        images = (
            f"; images and label rows of all take {shared / 1e9:,.1f} GB of it: take a part of config.sweep.ipc a run"
        )
        students = "; take a narrower config.student.model, or lower config.student.batch"
        way_on = images if 2 * shared > least else students
        require_memory(least, there, "one student of each shape at a time", way_on)
    return made


def _keys(members: Sequence[MemberSpec], context: dict[str, Any], settings: config.Settings) -> tuple[str, ...]:
    """The key of each member; what it reads of the context, and its code, are written once for all alike."""
    told: dict[tuple[str, ...], tuple[str, str, str]] = {}

    def own(m: MemberSpec) -> tuple[str, str, str]:
        source = LabelSpec.parse(m.labels)
        read = {
            "teacher": source.needs_teacher or bool(selections.asked_of_expert(m.select)),
            "learned": source.is_learned,
        }
        read["committee"] = source.prior == "students"
        shared = {name: value for name, value in context.items() if read.get(name, True)}
        content = str(replace(source, file=source.file and "rows", **_unnamed(source)))
        code = {"student": identity.of_student(context, m), "code": identity.code_of(settings, m)}
        return sweep.to_text({**shared, **code}), content, chosen.content(m.select)

    def key(m: MemberSpec) -> str:
        alike = m.model, m.labels, m.select, m.loss, m.optimizer, m.augment
        if alike not in told:
            told[alike] = own(m)
        return m.key(*told[alike])

    return tuple(map(key, members))


def _unnamed(source: LabelSpec) -> dict[str, str]:
    """One name for all teachers and sets: keys know them by digest."""
    return {name: "weights" for name in ("imported", "distilled") if getattr(source, name)}


def recipe(settings: config.Settings, member: MemberSpec, num_classes: int) -> Recipe:
    """The static part of a member, with room for its own images."""
    slots, own = member.ipc * num_classes, settings.student
    how = member.optimizer, own.schedule, member.augment, recipes.precision(settings.precision)
    source = LabelSpec.parse(member.labels)
    asked: dict[str, Any] = {}
    if source.online:
        networks = {e: model for model, places in by_architecture(settings.teacher).items() for e in places}
        asked = {"online": member.labels, "teachers": "|".join(networks[e] for e in source.experts)}
    if source.views or source.online:
        asked["mix"] = source.mixing
    return Recipe(member.model, num_classes, slots, min(own.batch, slots), *how, source.views, member.loss, **asked)


def member_steps(member: MemberSpec, recipe: Recipe) -> int:
    """Length of a member's training in steps."""
    return member.steps or member.epochs * recipe.steps_per_epoch(member.slots(recipe.num_classes))


def _bucketed(settings: config.Settings, members: Sequence[MemberSpec], dataset: Dataset) -> tuple[PlannedBucket, ...]:
    """Members of equal network, batch and length; subsets of any size if a batch is less than the whole of them."""
    shapes: dict[tuple[Recipe, int], list[int]] = {}
    kinds: dict[tuple[Any, ...], tuple[Recipe, int]] = {}  # of all that a shape depends on; there are few
    for i, m in enumerate(members):
        what = m.model, m.ipc, m.labels, m.steps, m.epochs, m.without, m.loss, m.optimizer, m.augment
        if what not in kinds:
            own = recipe(settings, m, dataset.num_classes)
            own = maps.with_maps(own, LabelSpec.parse(m.labels), settings, dataset)
            # Equal length too: a member is looked at as often as if it trained alone.
            kinds[what] = own._replace(slots=min(own.slots, own.batch + 1)), member_steps(m, own)
        shapes.setdefault(kinds[what], []).append(i)
    buckets = []
    for (shape, steps), who in shapes.items():
        share, image_shape = -(-len(who) // target.current().devices), dataset.image_shape
        tile = settings.compute.tile or cost.choose_tile(shape, image_shape)
        tile = max(t for t in range(1, shape.batch + 1) if shape.batch % t == 0 and t <= tile)
        how = settings.compute.lowering
        block = min(share, settings.compute.block or cost.choose_block(shape, image_shape, share, tile, how))
        how = conv.stacked(how, image_shape) if block > 1 else how
        room = max(members[i].ipc for i in who) * dataset.num_classes
        buckets.append(PlannedBucket(shape._replace(slots=room), tuple(who), steps, block, tile, how))
    return tuple(buckets)


def cut(plan: Plan, budget: int, parts: int = 1) -> Plan:
    """Cut a plan of one wave into the fewest whose states fit beside temporaries, with equal shares of every bucket.

    Of several parts each has equally many waves, and the same members whatever the budget.
    On several CPU devices XLA keeps some memory of every step of a block until a call ends, so calls are cut short there.
    """
    plan = _narrowed(plan, budget)
    beside = plan.temporary_bytes() + plan.devices * plan.shared_bytes
    room = max(budget - beside, budget // 50, 1)
    steps = sum(b.members // (b.block * plan.devices) * b.chunk_steps for b in plan.buckets_of())
    short = -(-steps // _MOST_BLOCK_STEPS) if plan.devices > 1 and target.platform() == "cpu" else 1
    # A bucket has a place on every device, whatever a wave brings: more waves than this would hold as much, and idle.
    most = max(-(-len(b.members) // plan.devices) for b in plan.buckets)
    count = min(most, max(short, -(-plan.state_bytes() // room)))
    count = -(-count // parts) * parts
    width = [-(-len(b.members) // (count * plan.devices)) for b in plan.buckets]  # of a wave, on one device
    buckets = tuple(replace(b, block=_even(min(b.block, w), w, plan.devices)) for b, w in zip(plan.buckets, width))
    edges = [[round(len(b.members) * wave / count) for b in buckets] for wave in range(count + 1)]
    waves = tuple(tuple(zip(starts, stops)) for starts, stops in itertools.pairwise(edges))
    return replace(plan, buckets=buckets, waves=waves)


def _even(block: int, width: int, devices: int) -> int:
    """The members of a block, as many blocks as before of so many members; on several devices with as few idle as can be."""
    return block if devices == 1 else -(-width // -(-width // block))


def _narrowed(plan: Plan, budget: int) -> Plan:
    """On an accelerator: blocks halved, the greediest first, until what comes and goes leaves half of the budget."""

    def training(bucket: PlannedBucket) -> int:
        return cost.training_bytes(bucket.recipe, plan.image_shape, bucket.block, bucket.tile, bucket.lowering)

    while target.platform() != "cpu":
        greediest = max(plan.buckets, key=training)
        if greediest.block == 1 or plan.devices * training(greediest) <= budget / 2:
            break  # beside one that cannot be halved, to halve others spares nothing
        half = replace(greediest, block=greediest.block // 2)
        plan = replace(plan, buckets=tuple(half if b is greediest else b for b in plan.buckets))
    return plan


def shared_bytes(settings: config.Settings, members: Sequence[MemberSpec], dataset: Dataset) -> int:
    """Image bank, label rows and maps, online teachers and evaluation sets; at most so, as subsets of different seeds may have images in common."""
    pixels = math.prod(dataset.image_shape) * _pixel_bytes(settings, dataset)
    used, count = shared_counts(settings, members, dataset)
    specs = {text: LabelSpec.parse(text) for text in {m.labels for m in members}}
    rows = count * dataset.num_classes * 4
    of_online = {m.labels: m for m in members if specs[m.labels].online}.values()
    asked = (recipe(settings, m, dataset.num_classes).asked for m in of_online)
    teachers = {name: one for each in asked for name, one in each.items()}
    rows += sum(cost.network_bytes(one, dataset.image_shape) for one in teachers.values())
    rows += maps.shared_bytes(members, settings, dataset, used)
    tested = evaluate.piece_images(len(dataset.test), pixels) if settings.protocol == "sealed" else len(dataset.test)
    copies, _ = gathered_bytes(settings, members, dataset)
    return used * pixels + rows + copies + (len(dataset.validation) + tested) * (pixels + 4)


def gathered_bytes(settings: config.Settings, members: Sequence[MemberSpec], dataset: Dataset) -> tuple[int, int]:
    """What a TPU holds more of images and label rows, in its main memory and in the chip's own."""
    used, count = shared_counts(settings, members, dataset)
    images = (used, *dataset.image_shape), _pixel_bytes(settings, dataset)
    return memory.gathered_bytes(images, ((count, dataset.num_classes), 4))


def _pixel_bytes(settings: config.Settings, dataset: Dataset) -> int:
    """Of a stored value."""
    whitened = spec.parse_one(settings.data.normalize).name == "zca"
    return 4 if whitened else pool.of(dataset).images.dtype.itemsize


def shared_counts(settings: config.Settings, members: Sequence[MemberSpec], dataset: Dataset) -> tuple[int, int]:
    """How many images and label rows the banks hold at most."""
    drawn = sum(sweep.largest_ipc(members, settings.protocol).values()) * dataset.num_classes
    used = min(len(pool.of(dataset)), drawn)
    specs = {text: LabelSpec.parse(text) for text in {m.labels for m in members}}
    forms = {(m.labels, m.form) for m in members}
    of_images = sum(not specs[text].is_of_subset for text, _ in forms) * used
    labelled = {(m.labels, m.form, m.seen, m.subset): m for m in members if specs[m.labels].is_of_subset}
    of_subsets = sum(m.slots(dataset.num_classes) * specs[m.labels].rows_per_image for m in labelled.values())
    return used, of_images + of_subsets
