"""What training will cost, before it runs: bytes and floating-point operations of a recipe."""

import math
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsoft.training import fit
from jaxsoft.training.fit import Bank, Member, Recipe

# Best measured on two cores for small nets lies between 10% and 27% of the matrix-product peak.
_SHARE_OF_PEAK = 0.18
# XLA's own plan of a training chunk against the sum of all forward results: .51 to .67 for ConvNets D2 to D4 on CPU.
_TEMPORARY_SHARE = 0.6
# A block of this size still fits the last-level cache beside its gradient (CPU).
_CACHE_BYTES = 1_500_000
# A block of this many images fills an accelerator.
_IMAGES_IN_FLIGHT = 2560


def state_bytes(recipe: Recipe, image_shape: tuple[int, ...]) -> int:
    """Bytes of one student between steps: parameters, optimizer, and the copy of its best checkpoint."""
    state = jax.eval_shape(lambda: fit.initialize(recipe, image_shape, jnp.int32(0)))
    return _bytes(state) + _bytes(state.variables)


def activation_bytes(recipe: Recipe, image_shape: tuple[int, ...], batch: int = 0) -> tuple[int, int]:
    """Bytes of intermediate results in one member's forward pass: the largest, and all together.

    Args:
      recipe: of the member.
      image_shape: (H, W, C).
      batch: images of the pass; the recipe's if not given.
    """
    outputs = list(_outputs(_forward_jaxpr(recipe, image_shape, batch or recipe.batch)))
    return max(outputs), sum(outputs)


def step_flops(recipe: Recipe, image_shape: tuple[int, ...]) -> float:
    """Floating-point operations of one member's loss and gradient, as XLA counts them before optimisation."""
    shape: Any = jax.ShapeDtypeStruct
    channel = shape(image_shape[-1:], jnp.float32)
    bank = Bank(shape((1, *image_shape), jnp.uint8), channel, channel, shape((1, recipe.num_classes), jnp.float32))
    real, whole = shape((), jnp.float32), shape((), jnp.int32)
    slots = shape((recipe.slots,), jnp.int32)
    member = Member(whole, slots, slots, whole, real, real, whole)
    variables = jax.eval_shape(lambda: fit.initialize(recipe, image_shape, jnp.int32(0))).variables
    stats = {name: value for name, value in variables.items() if name != "params"}

    def gradient(bank: Bank, member: Member, params: Any, stats: Any) -> Any:
        return jax.grad(fit.batch_loss(recipe, bank, member, member.steps), has_aux=True)(params, stats)

    lowered = jax.jit(gradient).lower(bank, member, variables["params"], stats)
    analysis: Any = lowered.cost_analysis() or {}
    return float(analysis.get("flops", 0.0))


def choose_block(recipe: Recipe, image_shape: tuple[int, ...], members: int, batch: int = 0) -> int:
    """How many of a device's members to vmap together, so that a block stays in cache (CPU) or fills the chip.

    Never more than there are, and spread evenly: 10 members in blocks of at most 4 are three blocks of 4, 3 and 3.

    Args:
      recipe: of each of them.
      image_shape: (H, W, C).
      members: on a device.
      batch: images that each sees at once; the recipe's if not given.
    """
    batch = batch or recipe.batch
    if jax.default_backend() == "cpu":
        most = _CACHE_BYTES // max(1, activation_bytes(recipe, image_shape, batch)[0])
    else:
        most = _IMAGES_IN_FLIGHT // batch
    most = max(1, min(members, most))
    return -(-members // -(-members // most))


def block_bytes(recipe: Recipe, image_shape: tuple[int, ...], block: int) -> int:
    """Temporary bytes of training a block, predicted from the forward pass."""
    return int(_TEMPORARY_SHARE * block * activation_bytes(recipe, image_shape)[1])


def matmul_flops_per_second() -> float:
    """This device's measured rate of large float32 matrix products."""
    a = jnp.ones((1024, 1024), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        product(a).block_until_ready()
        rates.append(2 * 1024**3 / (time.perf_counter() - start))
    return float(np.median(rates))


def estimated_seconds(flops: float) -> float:
    """A rough time for so much training, at the share of the measured peak that small nets reach."""
    return flops / (_SHARE_OF_PEAK * matmul_flops_per_second())


def _forward_jaxpr(recipe: Recipe, image_shape: tuple[int, ...], batch: int) -> Any:
    variables = jax.eval_shape(lambda: fit.initialize(recipe, image_shape, jnp.int32(0))).variables
    images = jax.ShapeDtypeStruct((batch, *image_shape), jnp.float32)
    return jax.make_jaxpr(recipe.logits)(variables, images).jaxpr


def _outputs(jaxpr: Any) -> Iterator[int]:
    """Bytes of every intermediate result, looking into calls."""
    for equation in jaxpr.eqns:
        inner = [p for p in equation.params.values() if hasattr(p, "jaxpr") or hasattr(p, "eqns")]
        if inner:
            for closed in inner:
                yield from _outputs(getattr(closed, "jaxpr", closed))
        else:
            yield from (math.prod(v.aval.shape) * v.aval.dtype.itemsize for v in equation.outvars)


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
