"""What a run would take on accelerators that are not here: a floor of hours, what makes it, and what to expect."""

import collections
from collections.abc import Iterator, Mapping, Sequence

from jaxsoft import config, target
from jaxsoft.experiment.plan import checks, sweep
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.teach import cohort, layout, resident
from jaxsoft.experiment.teach.experts import by_architecture
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import cost, floors
from jaxsoft.training.fusion import Account
from jaxsoft.training.recipe import Recipe, precision
from jaxsoft.types import Dataset

_WORDS = {
    "images": "orders, random numbers, images and their augmentation",
    "products": "convolutions and matrix products",
    "maps": "norm, ReLU, pool and loss",
    "update": "update of parameters",
    floors.LAUNCHES: "starts of kernels",
}

Seconds = Mapping[str, float]
"""By what takes them, see `floors.BOUNDS`."""


def lines(plan: Plan, settings: config.Settings, dataset: Dataset) -> list[str]:
    """Hours on the devices that are aimed at, and what they are made of."""
    there = target.current()
    stages = {
        "students": _sum([*_students(plan)]),
        "looks": _sum([*_looks(plan, len(dataset.validation) * plan.chunks + len(dataset.test))]),
        "teachers": _sum([*_teachers(settings, dataset)]),
        "labels": _labels(plan, settings, dataset),
    }
    times = {name: sum(of.values(), 0.0) for name, of in stages.items()}
    whole = sum(times.values())
    made = ", ".join(f"{name} {_hours(taken)}" for name, taken in times.items() if taken)
    shares = ", ".join(
        f"{_WORDS[kind]} {seconds / times['students']:.0%}" for kind, seconds in stages["students"].items()
    )
    return [
        f"  on {there.devices} x {there.chip}, which {'is' if there.devices == 1 else 'are'} not here:",
        f"  at least {_hours(whole)}: {made}",
        f"  of the students' time: {shares}",
        f"  expected: {_expected(whole, there.platform, settings.compute.lowering)}",
        "  not counted: compilation, learned labels and judges, operations on label rows, files",
    ]


def _students(plan: Plan) -> Iterator[Seconds]:
    """Every step of every wave; devices work side by side."""
    for bucket in plan.buckets_of():
        blocks = bucket.members // (bucket.block * plan.devices) * len(plan.waves)
        done = cost.step(bucket.recipe, plan.image_shape, bucket.block, bucket.tile, bucket.lowering)
        yield _seconds(done, bucket.recipe, blocks * bucket.chunk_steps * plan.chunks)


def _looks(plan: Plan, images: int) -> Iterator[Seconds]:
    """Every member is asked about so many images, in the blocks of `ensemble`."""
    batch = plan.evaluation_batch()
    for bucket in plan.buckets_of():
        members = bucket.members // plan.devices
        block = cost.choose_block(bucket.recipe, plan.image_shape, members, batch, bucket.lowering)
        done = cost.look(bucket.recipe, plan.image_shape, block, batch, bucket.lowering)
        yield _seconds(done, bucket.recipe, -(-members // block) * len(plan.waves) * images / batch)


def _teachers(settings: config.Settings, dataset: Dataset) -> Iterator[Seconds]:
    """Every epoch of every expert, if none is there yet, and what it is asked after each."""
    if not checks.needs_experts(settings):
        return
    shape, lowering = dataset.image_shape, settings.compute.lowering
    for recipe, count, is_streamed in _experts(settings, dataset):
        what, there = (recipe, shape, count), target.current().devices
        each = layout.devices_of_each(*what, there, settings.compute, is_streamed)
        tile, block, devices, _ = layout.layout(*what, there, lowering, each)
        blocks, epochs = count * each // (block * devices), settings.teacher.epochs
        done = cost.step(recipe._replace(batch=recipe.batch // each), shape, block, tile, lowering)
        yield _seconds(done, recipe, blocks * epochs * recipe.steps_per_epoch(recipe.slots))
        batch, asked = cost.evaluation_batch(recipe, shape), len(dataset.validation) + resident.ENTROPY_IMAGES
        yield _seconds(cost.look(recipe, shape, 1, batch, lowering), recipe, count / devices * epochs * asked / batch)


def _labels(plan: Plan, settings: config.Settings, dataset: Dataset) -> Seconds:
    """What experts say of the images of all subsets, at every epoch that labels name, and of views; on one device."""
    specs = {m.labels: LabelSpec.parse(m.labels) for m in plan.members}
    asking = {text: spec for text, spec in specs.items() if spec.needs_teacher and not spec.online}
    epochs = {spec.epoch if spec.epoch is not None else text for text, spec in asking.items() if not spec.is_of_subset}
    drawn = sum(sweep.largest_ipc(plan.members, settings.protocol).values()) * dataset.num_classes
    images = len(epochs) * min(drawn, len(dataset.train)) * settings.teacher.experts
    subsets = {
        (m.labels, m.seen, m.subset): m for m in plan.members if m.labels in asking and specs[m.labels].is_of_subset
    }
    for m in subsets.values():
        spec = specs[m.labels]
        images += m.slots(dataset.num_classes) * spec.rows_per_image * len(spec.experts)
    if not images:
        return {}
    recipe = next(recipe for recipe, *_ in _experts(settings, dataset))  # of the first architecture, for all
    batch = cost.evaluation_batch(recipe, dataset.image_shape)
    return _seconds(cost.look(recipe, dataset.image_shape, 1, batch), recipe, images / batch)


def _experts(settings: config.Settings, dataset: Dataset) -> Iterator[tuple[Recipe, int, bool]]:
    """The recipe of the experts of each architecture, how many there are, and whether their images are streamed."""
    task = cohort.Task(dataset, settings.teacher, settings.data.normalize, precision(settings.precision))
    for model, places in by_architecture(settings.teacher).items():
        yield task.recipe(model), len(places), task.is_streamed


def _seconds(done: Account, recipe: Recipe, times: float | int) -> Seconds:
    chip = target.CHIPS[target.current().chip]
    return {kind: times * each for kind, each in floors.seconds(done, chip, recipe.precision).items()}


def _sum(parts: Sequence[Seconds]) -> Seconds:
    whole: collections.Counter[str] = collections.Counter()
    for part in parts:
        whole.update(part)
    return whole


def _expected(seconds: float, platform: str, lowering: str) -> str:
    if platform != "gpu":
        return "no program was ever measured on a TPU, so nothing is known but that it takes longer than this"
    is_timed = lowering not in ("auto", "kernel")
    low, high = floors.MEASURED if is_timed else floors.UNTIMED
    why = "" if is_timed else ", as nobody has timed its kernels"
    told = f"{low:g} to {high:g} times that{why}; see docs/performance.md"
    return f"{_hours(low * seconds)} to {_hours(high * seconds)}: {told}"


def _hours(seconds: float) -> str:
    """Two digits, in the unit that reads best.

    >>> _hours(0.034), _hours(95), _hours(20000)
    ('0.034 s', '1.6 min', '5.6 h')
    """
    size, unit = next((one for one in ((3600, "h"), (60, "min")) if seconds >= 1.5 * one[0]), (1, "s"))
    return f"{float(f'{seconds / size:.2g}'):g} {unit}"
