"""What training will cost, before it runs: bytes and floating-point operations of a recipe, and the shapes that fit.

Sizes are counted on traced programs: for a CPU on the forward pass of one member, for accelerators on a whole step
(`fusion`). How XLA uses them was measured, and is said beside each constant.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxsoft import imports, models, target
from jaxsoft.ops import conv
from jaxsoft.training import feature_maps, fit, fusion
from jaxsoft.training.fit import Bank, Member
from jaxsoft.training.fusion import Account
from jaxsoft.training.recipe import Recipe

# XLA's own plan on CPU: training takes .44 to .50 of the sum of all forward results, twice the parameters and twice the
# images of the batch; evaluation twice the largest result.
_TRAINING_SHARE, _PARAMETER_COPIES, _IMAGE_COPIES, _EVALUATION_COPIES = 0.48, 2, 2, 2
_WINOGRAD_SHARE = 0.05  # and 0 to .1 of what convolutions by Winograd add to that sum
_BESIDE = 0.65  # of the training of other buckets, .5 to .8
# The loop over blocks reads one copy of the students and writes another: XLA plans .8 to .9 of a second one.
_SECOND_COPY = 0.85
# Compiled for an H100 the most that a program holds at once is .8 to 1.2 times what `fusion` counts of its step or
# of its look: masks and copies that need not be, against what a better order spares (docs/performance.md has a table).
_HELD = 1.03
_TOGETHER = 64  # steps that are traced: what is drawn for many of them at once counts as its share of each
# On CPU steps were fastest, or within a few percent of it, where the largest result of a block of members has about this
# size, and where that of a tile of one member's images has; a tile of fewer images than four costs more than it saves.
_BLOCK_BYTES = 500_000
_TILE_BYTES, _LEAST_TILE = 500_000, 4
# A block of this many images fills an accelerator, and evaluation takes this many at a time.
_IMAGES_IN_FLIGHT, _EVALUATION_BATCH = 2560, 256


def state_bytes(recipe: Recipe, image_shape: tuple[int, ...]) -> int:
    """Bytes of one student between steps: parameters, optimizer, and the copy of its best checkpoint."""
    return _bytes(student(recipe, image_shape)) + network_bytes(recipe, image_shape)


def network_bytes(recipe: Recipe, image_shape: tuple[int, ...]) -> int:
    """Bytes of what one student's network is applied with."""
    return _bytes(student(recipe, image_shape).variables)


def variables(recipe: Recipe, image_shape: tuple[int, ...]) -> Any:
    """Shapes and types of what one student's network is applied with."""
    return student(recipe, image_shape).variables


@imports.cached
def student(recipe: Recipe, image_shape: tuple[int, ...]) -> fit.State:
    """One student's state as shapes and types: what is kept must not know the devices of the program that asked first."""
    found = jax.eval_shape(lambda: fit.initialize(recipe, image_shape, jnp.int32(0)))
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), found)


def activation_bytes(recipe: Recipe, image_shape: tuple[int, ...], batch: int = 0) -> tuple[int, int]:
    """Bytes of intermediate results in one member's forward pass of `batch` images: the largest, and all together.

    Those inside of convolutions are left out.
    """
    outputs = _results(recipe, image_shape, batch, "map")
    return max(outputs), sum(outputs)


def copies(blocks: int) -> float:
    """How often the state of the students of a device lies in its memory while they train in so many blocks."""
    return 1 + _SECOND_COPY * (blocks > 1 or target.platform() == "cpu")


def step(recipe: Recipe, image_shape: tuple[int, ...], block: int, tile: int = 0, lowering: str = "auto") -> Account:
    """What a step of a block of members does on the present target: kernels, bytes, operations, and what it holds.

    Args:
      recipe, image_shape: of each member.
      block: how many are vmapped together.
      tile: images of a batch that are taken at a time; 0 for all.
      lowering: of their convolutions.
    """
    return _step(
        recipe._replace(slots=min(recipe.slots, recipe.batch + 1)),
        image_shape,
        block,
        tile,
        lowering,
        _aim(),
    )


def look(recipe: Recipe, image_shape: tuple[int, ...], block: int, batch: int, lowering: str = "auto") -> Account:
    """What a block of networks does, on the present target, to say what so many images are: as `step`."""
    return _look(recipe, image_shape, block, batch, lowering, _aim())


def training_bytes(recipe: Recipe, image_shape: tuple[int, ...], block: int, tile: int, lowering: str = "auto") -> int:
    """Bytes that come and go while a block trains, so many images at a time; online teachers see a whole batch."""
    if target.platform() != "cpu":
        return int(_HELD * step(recipe, image_shape, block, tile, lowering).peak)
    state = student(recipe, image_shape)
    params = _bytes((state.variables["params"], state.projection))
    maps = activation_bytes(recipe, image_shape, tile)[1]
    of_labels = math.prod(feature_maps.shape(recipe.features)) if recipe.features else 0
    images = recipe.batch * (math.prod(image_shape) + of_labels) * 4
    inside = sum(_results(recipe, image_shape, tile, lowering)) - maps
    learning = _TRAINING_SHARE * maps + _PARAMETER_COPIES * params + _IMAGE_COPIES * images + _WINOGRAD_SHARE * inside
    asking = [activation_bytes(one, image_shape, recipe.batch)[0] for one in recipe.asked.values()]
    return int(block * max(learning, _EVALUATION_COPIES * max(asking, default=0)))  # it asks before it learns


def at_once(temporary: Sequence[int], copies: Sequence[int]) -> int:
    """Bytes that come and go while buckets train that do not wait for each other, beside second copies of all students.

    XLA:CPU may run them at the same time, and needs most of their sum. Elsewhere they follow each other, those that need
    most first (so it was in 33 programs for an H100), while the students of later ones have no second copy yet.

    Args:
      temporary, copies: of each bucket, bytes that come and go, and those of the second copy.
    """
    if target.platform() == "cpu":
        return int(max(temporary) + _BESIDE * (sum(temporary) - max(temporary)))
    most, later = 0, sum(copies)
    for needed, copy in sorted(zip(temporary, copies), reverse=True):
        later -= copy
        most = max(most, needed - later)
    return most


def planned_bytes(compiled: jax.stages.Compiled) -> int:
    """What a program holds at its peak on a device, with arguments and results, as XLA planned it; 0 if it does not say."""
    plan = compiled.memory_analysis()
    if plan is None:
        return 0
    own = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return int(own + plan.temp_size_in_bytes)


def evaluation_bytes(
    recipe: Recipe, image_shape: tuple[int, ...], members: int, batch: int, lowering: str = "auto"
) -> int:
    """Bytes that come and go while so many members of a device are evaluated, `batch` images at a time."""
    block = choose_block(recipe, image_shape, members, batch, lowering)
    if target.platform() != "cpu":
        return int(_HELD * look(recipe, image_shape, block, batch, lowering).peak)
    return _EVALUATION_COPIES * block * activation_bytes(recipe, image_shape, batch)[0]


def step_flops(recipe: Recipe, image_shape: tuple[int, ...]) -> float:
    """Floating-point operations of one member's step: of its matrix products, and of convolutions as such products."""
    return sum((kernel.times * kernel.flops for kernel in step(recipe, image_shape, 1, lowering="map").kernels), 0.0)


def choose_block(
    recipe: Recipe, image_shape: tuple[int, ...], members: int, batch: int = 0, lowering: str = "auto"
) -> int:
    """How many of a device's members to vmap together, so that a block stays in cache (CPU) or fills the chip.

    Never more than there are, and spread evenly: 10 members in blocks of at most 4 are three blocks of 4, 3 and 3. Each
    sees `batch` images at once, or the recipe's if not given. Members whose convolutions follow each other anyway (large
    batches or images on an accelerator, unless a `lowering` is forced; always by `map`) are not stacked: cutting them apart
    for each convolution took a fifth of a step, and at 224 px two members move 2.2 times the bytes of one after the other.
    """
    batch = batch or recipe.batch
    if target.platform() == "cpu":
        most = _BLOCK_BYTES // max(1, activation_bytes(recipe, image_shape, batch)[0])
    elif conv.one_by_one(batch, lowering, image_shape) and _convolves(recipe, image_shape):
        most = 1
    else:
        most = _IMAGES_IN_FLIGHT // batch
    most = max(1, min(members, most))
    return -(-members // -(-members // most))


def choose_tile(recipe: Recipe, image_shape: tuple[int, ...]) -> int:
    """How many images of a batch to take at a time: all, or on CPU a divisor of the batch that stays in cache.

    Batch norm needs to see the whole batch, and what a network draws would depend on the tile.
    """
    most, model = _images_in_cache(recipe, image_shape), recipe.build_model()
    if recipe.batch <= most or len(student(recipe, image_shape).variables) > 1:
        return recipe.batch
    if isinstance(model, models.Network) and model.draws(image_shape):
        return recipe.batch
    divisor = max(d for d in range(1, most + 1) if recipe.batch % d == 0)
    return divisor if divisor >= _LEAST_TILE else recipe.batch


def evaluation_batch(recipe: Recipe, image_shape: tuple[int, ...]) -> int:
    """How many images to evaluate at a time."""
    return min(_EVALUATION_BATCH, _images_in_cache(recipe, image_shape))


def _images_in_cache(recipe: Recipe, image_shape: tuple[int, ...]) -> int:
    """As many images of one member as an accelerator may take, or as stay in a CPU's cache."""
    if target.platform() != "cpu":
        return 10**9
    largest = activation_bytes(recipe, image_shape, 64)[0] // 64
    return max(_LEAST_TILE, _TILE_BYTES // max(1, largest))


def _aim() -> tuple[str, bool]:
    """What a traced program depends on beside its arguments."""
    return target.platform(), conv.takes_kernels()


def _convolves(recipe: Recipe, image_shape: tuple[int, ...]) -> bool:
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with conv.lowering("map"):
        return "conv_general_dilated" in str(
            jax.make_jaxpr(recipe.logits)(student(recipe, image_shape).variables, images)
        )


@imports.cached
def _step(recipe: Recipe, image_shape: tuple[int, ...], block: int, tile: int, lowering: str, aim: tuple) -> Account:
    def train(bank: Bank, member: Member, state: fit.State) -> Any:
        return fit.train_chunk(recipe, bank, member, state, jnp.int32(0), _TOGETHER, tile, block == 1)

    stacked = [
        jax.tree.map(lambda a: jax.ShapeDtypeStruct((block, *a.shape), a.dtype), tree)
        for tree in (_member(recipe), student(recipe, image_shape))
    ]
    with conv.lowering(lowering):
        many = fusion.account(jax.vmap(train, (None, 0, 0)), _bank(recipe, image_shape), *stacked)
    return many._replace(kernels=tuple(k._replace(times=k.times / _TOGETHER) for k in many.kernels))


@imports.cached
def _look(recipe: Recipe, image_shape: tuple[int, ...], block: int, batch: int, lowering: str, aim: tuple) -> Account:
    def ask(variables: Any, bank: Bank, images: Any) -> Any:
        return recipe.logits(variables, bank.normalized(images)).argmax(-1)

    variables = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct((block, *a.shape), a.dtype), student(recipe, image_shape).variables
    )
    images = jax.ShapeDtypeStruct((batch, *image_shape), jnp.uint8)
    with conv.lowering(lowering):
        return fusion.account(jax.vmap(ask, (0, None, None)), variables, _bank(recipe, image_shape), images)


def _bank(recipe: Recipe, image_shape: tuple[int, ...]) -> Bank:
    """What a member reads, of one image, as shapes."""
    shape: Any = jax.ShapeDtypeStruct
    channel, row = shape(image_shape[-1:], jnp.float32), shape((1, recipe.num_classes), jnp.float32)
    teachers = {name: student(one, image_shape).variables for name, one in recipe.asked.items()}
    maps = {recipe.features: shape((1, *feature_maps.shape(recipe.features)), jnp.float32)} if recipe.features else None
    return Bank(shape((1, *image_shape), jnp.uint8), channel, channel, row, shape((1,), jnp.int32), teachers, maps)


def _member(recipe: Recipe) -> Member:
    shape: Any = jax.ShapeDtypeStruct
    real, whole, slots = shape((), jnp.float32), shape((), jnp.int32), shape((recipe.slots,), jnp.int32)
    return Member(whole, slots, slots, whole, real, real, whole, whole, slots)


def _results(recipe: Recipe, image_shape: tuple[int, ...], batch: int, lowering: str) -> list[int]:
    """Bytes of every intermediate result of one member's forward pass."""
    images = jax.ShapeDtypeStruct((batch or recipe.batch, *image_shape), jnp.float32)
    with conv.lowering(lowering):
        traced = jax.make_jaxpr(recipe.logits)(student(recipe, image_shape).variables, images)
    return list(_outputs(traced.jaxpr))


def _outputs(jaxpr: Any) -> Iterator[int]:
    """Bytes of every intermediate result, looking into calls."""
    for equation in jaxpr.eqns:
        called = equation.params.values() if equation.primitive.name != "pallas_call" else ()
        inner = [p for p in called if hasattr(p, "jaxpr") or hasattr(p, "eqns")]
        for part in inner:
            yield from _outputs(getattr(part, "jaxpr", part))
        if not inner:
            yield from (math.prod(v.aval.shape) * v.aval.dtype.itemsize for v in equation.outvars)


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
