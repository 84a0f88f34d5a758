"""The programs of a run, for a device that need not be here: what XLA is asked to compile, in shapes alone.

Nothing is read, drawn or taught: banks hold as many images and rows as the plan counts, and data is told by its size.
"""

import functools
import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
import sweeps

from jaxsoft import config, spec, target
from jaxsoft.experiment.learned import learn as learning
from jaxsoft.experiment.learned import many
from jaxsoft.experiment.learned.one import ImageSet, Lesson, Material
from jaxsoft.experiment.plan import checks, maps
from jaxsoft.experiment.plan import make as planning
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.students.waves import wave_program
from jaxsoft.experiment.teach.cohort import Task
from jaxsoft.experiment.teach.experts import by_architecture
from jaxsoft.experiment.teach.layout import cohort_program
from jaxsoft.experiment.teach.resident import ENTROPY_IMAGES
from jaxsoft.experiment.teach.streamed import window_steps
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import cost, evaluate, feature_maps
from jaxsoft.training import recipe as recipes
from jaxsoft.training.ensemble import Bucket, Program
from jaxsoft.training.evaluate import EvalSet
from jaxsoft.training.fit import Bank, Member, Window
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset

Shape: Any = jax.ShapeDtypeStruct


_CASES = {  # model, side, batch, members, images of each as batches, augmentation, classes
    "D3, 32 px, batch 256": ("convnet(depth=3)", 32, 256, 8, 10, "dsa", 10),
    "D3, 32 px, batch 100": ("convnet(depth=3)", 32, 100, 25, 10, "dsa", 10),
    "D3, 32 px, batch 10": ("convnet(depth=3)", 32, 10, 256, 1, "dsa", 10),
    "D4, 64 px, batch 256": ("convnet(depth=4)", 64, 256, 8, 10, "dsa", 10),
    "ResNet18, 32 px, batch 256": ("resnet18", 32, 256, 4, 10, "dsa", 10),
    "ResNet18, 224 px, batch 256": ("resnet18(stem=imagenet)", 224, 256, 1, 10, "none", 1000),
    "ResNet50, 224 px, batch 256": ("resnet50(stem=imagenet)", 224, 256, 1, 10, "none", 1000),
}


class Asked(NamedTuple):
    """One program: how it is compiled, and what one call of it does.

    Attributes:
      what: in words, `students: chunk`.
      lowered: what XLA is given; to compile it takes seconds to minutes.
      steps, images: of training in one call, of all members; 0 where it trains nobody.
      flops: of these steps.
      predicted: bytes by the plan, beside which `more` counts what lies on the device and is no argument.
    """

    what: str
    lowered: jax.stages.Lowered
    steps: int = 0
    images: int = 0
    flops: float = 0.0
    predicted: int = 0
    more: int = 0

    @property
    def key(self) -> str:
        """Of equal programs equal in every process: of what XLA is given, without the places of its source."""
        return hashlib.sha256(self.lowered.as_text().encode()).hexdigest()[:16]


def of_config(name: str, argument: str | None, chip: str, device: Any) -> Iterator[Asked]:
    """The programs of an experiment of configs/ as a chip would run it.

    Args:
      name, argument: as `jaxsoft run NAME:ARGUMENT`.
      chip: of `target.CHIPS`, as which it is planned.
      device: of that chip, here or not.
    """
    with target.aimed(target.named(chip)):
        settings = checks.check(sweeps.settings(name, argument))
        dataset = sweeps.dataset(settings)
        plan = planning.make(settings, dataset, None, {})
        yield from _students(plan, settings, dataset, device)
        if checks.needs_experts(settings):
            yield from _experts(plan, settings, dataset, device)
        yield from _learned(plan, settings, dataset, device)


def typical(chip: str, device: Any) -> Iterator[Asked]:
    """The chunks of `_CASES`, trained with momentum in bfloat16: a hundred steps and a look at 256 images."""
    for what, (model, side, batch, members, share, augment, classes) in _CASES.items():
        with target.aimed(target.named(chip)):
            how = "sgd(momentum=0.9)", "constant", augment, "bfloat16"
            recipe, shape = Recipe(model, classes, share * batch, batch, *how), (side, side, 3)
            block = cost.choose_block(recipe, shape, members)
            yield of_bucket(Bucket(recipe, members, block, 100, batch), shape, device)._replace(what=what)


def of_bucket(bucket: Bucket, shape: tuple[int, ...], device: Any, pool: int = 1000, look: int = 256) -> Asked:
    """The chunk of one bucket on a pool of images, with a look at some."""
    program = Program((bucket,), shape, select=0, devices=[device])
    bank = _bank(pool, pool, shape, np.uint8, bucket.recipe.num_classes)
    evals = (_eval_set(look, look, shape, np.uint8),)
    return _chunk("chunk", program, bank, evals, (_member(bucket.members, bucket.recipe),), shape)


def _students(plan: Plan, settings: config.Settings, dataset: Dataset, device: Any) -> Iterator[Asked]:
    """The chunk of a wave, the test and the initialisation."""
    program, buckets = wave_program(plan, settings, devices=[device]), plan.buckets_of()
    kind, shape, batch = _kind(settings, dataset), plan.image_shape, plan.evaluation_batch()
    bank = _shared(plan, settings, dataset)
    validation, test = (_eval_set(len(s), batch, shape, kind) for s in (dataset.validation, dataset.test))
    evals = (validation,) if settings.protocol == "sealed" else (validation, test)
    test = _eval_set(evaluate.piece_images(len(dataset.test), _bytes(Shape(shape, kind))), batch, shape, kind)
    members = tuple(_member(b.members, b.recipe) for b in buckets)
    waits = _bytes(test) if settings.protocol == "sealed" else 0
    chunk = _chunk("students: chunk", program, bank, evals, members, shape)
    yield chunk._replace(predicted=plan.bytes(), more=waits)
    yield _function("students: test", program, "test", bank, test, program.shapes(members))
    yield _function("students: initialize", program, "initialize", members)


def _experts(plan: Plan, settings: config.Settings, dataset: Dataset, device: Any) -> Iterator[Asked]:
    """Of each architecture the chunk, an epoch or a window and a look, and what experts say about images of subsets."""
    task = Task(dataset, settings.teacher, settings.data.normalize, recipes.precision(settings.precision))
    kind, shape, train = _kind(settings, dataset), dataset.image_shape, len(dataset.train)
    used, _ = planning.shared_counts(settings, plan.members, dataset)
    for model, places in by_architecture(settings.teacher).items():
        recipe, batch = task.recipe(model), cost.evaluation_batch(task.recipe(model), shape)
        program = cohort_program(recipe, shape, len(places), settings.compute.lowering, [device])
        members = (_member(len(places), recipe, False),)
        if task.is_streamed:
            yield from _windows(program, _bank(0, dataset.num_classes, shape, kind, dataset.num_classes), members)
        else:
            bank = _bank(train, dataset.num_classes, shape, kind, dataset.num_classes)
            looked = len(dataset.validation), min(train, ENTROPY_IMAGES)
            evals = tuple(_eval_set(n, batch, shape, kind) for n in looked)
            yield _chunk("experts: chunk", program, bank, evals, members, shape)
        yield _said(recipe, _eval_set(used, batch, shape, kind).images, len(places), settings.compute.lowering, device)


def _said(recipe: Recipe, images: Any, experts: int, lowering: str, device: Any) -> Asked:
    """What experts of one architecture say about images, from which the label bank is made."""
    one = cost.variables(recipe, images.shape[2:])
    variables = jax.tree.map(lambda a: Shape((experts, *a.shape), a.dtype), one)
    bank = _bank(0, 0, images.shape[2:], images.dtype, recipe.num_classes)
    shared, _ = many.places([device])
    how = recipe, (), lowering, evaluate.predict
    return _jitted("experts: label bank", device, evaluate._said, *how, *_lying((bank, variables, images), shared))


def _learned(plan: Plan, settings: config.Settings, dataset: Dataset, device: Any) -> Iterator[Asked]:
    """Of learned labels the programs of the first turn of every size of subset."""
    whose = {m.subset: m.slots(dataset.num_classes) for m in plan.members if LabelSpec.parse(m.labels).is_learned}
    kind, shape, (lying, spread) = _kind(settings, dataset), dataset.image_shape, many.places([device])
    for size in sorted(set(whose.values())):
        subsets = {str(i): ImageSet(np.array(i), np.arange(size)) for i, n in enumerate(whose.values()) if n == size}
        count = len(next(learning._turns(settings, dataset, subsets)))
        recipe = learning.recipe_of(settings, dataset.num_classes, size)
        batch = cost.evaluation_batch(recipe, shape)
        bank = _bank(len(dataset.train), 0, shape, kind, dataset.num_classes, "true_class" in recipe.wants)
        held_out = _eval_set(len(dataset.validation), batch, shape, kind)
        material = Material(bank, Shape((len(dataset.train),), np.int32), held_out)
        lesson = Lesson(settings.learned, recipe, material, settings.compute.lowering)
        sets = ImageSet(Shape((count,), np.int32), Shape((count, size), np.int32))
        rows = Shape((count, size, dataset.num_classes), np.float32)
        lesson, (sets, rows) = _lying(lesson, lying), _lying((sets, rows), spread)
        mesh = many.mesh_of(sets)
        learner = _lying(jax.eval_shape(functools.partial(many._start, mesh=mesh), lesson, sets), spread)
        done = Shape((), np.int32, sharding=lying)
        yield _jitted("learned: start", device, many._start, lesson, sets, mesh=mesh)
        yield _jitted("learned: chunk", device, many._chunk, lesson, sets, learner, done, mesh=mesh)
        yield _jitted("learned: judges", device, many._validate, lesson, sets, rows, mesh=mesh)


def _windows(program: Program, bank: Bank, members: tuple[Member, ...]) -> Iterator[Asked]:
    """What teaches experts from a window, with the work of one, and what they say of it."""
    (bucket,), shape = program.buckets, bank.images.shape[1:]
    recipe = bucket.recipe
    steps = window_steps(recipe, shape)
    window = Window(Shape((steps, recipe.batch, *shape), bank.images.dtype), Shape((steps, recipe.batch), np.int32))
    students, first = program.shapes(members), Shape((), np.int32)
    learn = _function("experts: window", program, "learn", bank, window, members, students, first)
    yield _with_work(learn, [(bucket.members * steps, recipe)], shape)
    yield _function("experts: judge", program, "judge", bank, window, students)


def _chunk(what: str, program: Program, bank: Bank, evals: tuple, members: tuple[Member, ...], shape: Any) -> Asked:
    """The chunk of a program, with the work of one call."""
    asked = _function(what, program, "chunk", bank, evals, members, program.shapes(members), Shape((), np.int32))
    return _with_work(asked, [(b.members * b.chunk_steps, b.recipe) for b in program.buckets], shape)


def _with_work(asked: Asked, each: list[tuple[int, Recipe]], shape: Any) -> Asked:
    """A program that takes so many steps of each recipe."""
    flops = sum(steps * cost.step_flops(recipe, shape) for steps, recipe in each)
    images = sum(steps * recipe.batch for steps, recipe in each)
    return asked._replace(steps=sum(steps for steps, _ in each), images=images, flops=flops)


def _function(what: str, program: Program, name: str, *args: Any) -> Asked:
    return Asked(what, program.lowered(name, *args))


def _jitted(what: str, device: Any, function: Any, *args: Any, **named: Any) -> Asked:
    """A jitted function, for where its arguments lie."""
    with target.aimed(target.of([device])):
        return Asked(what, function.lower(*args, **named))


def _shared(plan: Plan, settings: config.Settings, dataset: Dataset) -> Bank:
    """The bank of all students, as large as it may be."""
    used, rows = planning.shared_counts(settings, plan.members, dataset)
    wanted = any(bucket.recipe.reads_class for bucket in plan.buckets)
    bank = _bank(used, rows, plan.image_shape, _kind(settings, dataset), dataset.num_classes, wanted)
    asked = {name: one for bucket in plan.buckets for name, one in bucket.recipe.asked.items()}
    teachers = {name: cost.variables(one, plan.image_shape) for name, one in asked.items()}
    sources = maps.sources(LabelSpec.parse(m.labels) for m in plan.members).values()
    counts = Counter(maps.of_expert(source, settings, dataset) for source in sources)
    tables = {text: Shape((n * used, *feature_maps.shape(text)), np.float32) for text, n in counts.items()}
    return bank._replace(teachers=teachers or None, features=tables or None)


def _bank(images: int, rows: int, shape: tuple[int, ...], kind: Any, classes: int, wanted: bool = False) -> Bank:
    channel = Shape(shape[-1:], np.float32)
    stored = Shape((images, *shape), kind)
    labels = Shape((rows, classes), np.float32)
    true = Shape((images,), np.int32) if wanted else None
    return Bank(stored, channel, channel, labels, true)


def _eval_set(count: int, batch: int, shape: tuple[int, ...], kind: Any) -> EvalSet:
    """As `evaluate.eval_set` cuts it."""
    parts = max(1, -(-count // batch))
    size = max(1, -(-count // parts))
    images = Shape((parts, size, *shape), kind)
    labels = Shape((parts, size), np.int32)
    return EvalSet(images, labels)


def _member(count: int, recipe: Recipe, student: bool = True) -> Member:
    """So many members of a bucket; experts have no views."""
    whole = Shape((count,), np.int32)
    real = Shape((count,), np.float32)
    table = Shape((count, recipe.slots), np.int32)
    more = {"subset_seed": whole, "features": table if recipe.features else None} if student else {}
    return Member(whole, table, table, whole, real, real, whole, **more)


def _kind(settings: config.Settings, dataset: Dataset) -> Any:
    """The type of stored images."""
    whitened = spec.parse_one(settings.data.normalize).name == "zca"
    return np.dtype(np.float32) if whitened else dataset.train.images.dtype


def _lying(tree: Any, there: Any) -> Any:
    return jax.tree.map(lambda a: Shape(a.shape, a.dtype, sharding=there), tree)


def _bytes(tree: Any) -> int:
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
