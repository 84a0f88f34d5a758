"""How long steps and convolutions take on all devices at once: what a search for layouts measures."""

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxsoft.ops import conv
from jaxsoft.ops.conv import Problem
from jaxsoft.ops.lowerings import Geometry
from jaxsoft.training import fit
from jaxsoft.training.fit import Bank, Member, Recipe

# A measurement lasts about so long; of so many, taken in turns, the median counts.
_SECONDS, _ROUNDS = 0.05, 5
_POOL = 64  # images of the bank on which steps are measured

Run = Callable[[int], Any]
"""Repeats something so many times on all devices; what it returns can be waited for."""


def steps(recipe: Recipe, image_shape: tuple[int, ...], block: int, tile: int) -> Callable[[Any], Any]:
    """So many training steps of a block of members, on images of zeros."""
    images = jnp.zeros((_POOL, *image_shape), jnp.uint8)
    channel = jnp.ones(image_shape[-1:], jnp.float32)
    bank = Bank(images, channel, 0 * channel, jnp.full((_POOL, recipe.num_classes), 1 / recipe.num_classes))

    def run(count: Any) -> Any:
        seeds = jnp.arange(block)
        slots = seeds[:, None] + jnp.arange(recipe.slots)[None]
        full, real = jnp.full_like(seeds, recipe.slots), jnp.full(seeds.shape, 1e-3)
        members = Member(seeds, slots % _POOL, slots % _POOL, full, real, real, full * 0 + 10**6, seeds)
        state = jax.eval_shape(lambda: fit.initialize(recipe, image_shape, jnp.int32(0)))
        states = jax.tree.map(lambda a: jnp.zeros((block, *a.shape), a.dtype) - (a.dtype == jnp.int32), state)

        def step(t: Any, states: Any) -> Any:
            train = functools.partial(fit.train_chunk, recipe, bank, first_step=t, steps=1, tile=tile)
            return jax.vmap(lambda member, state: train(member=member, state=state)[0])(members, states)

        return jax.lax.fori_loop(0, count, step, states)

    return run


def lowering_seconds(problem: Problem, geometry: Geometry) -> dict[str, float]:
    """Seconds of one map at one size by each lowering; what a CPU would compute by a naive loop is not tried."""
    names = [name for name in conv.LOWERINGS if not (name == "grouped" and jax.default_backend() == "cpu")]
    runs = [on_all_devices(one_map(problem, geometry._replace(lowering=name))) for name in names]
    return dict(zip(names, seconds(runs)))


def one_map(problem: Problem, geometry: Geometry) -> Callable[[Any], Any]:
    """So many evaluations of one map for all members of a problem, each waiting for the one before."""
    images = (problem.members, problem.images, *geometry.size, problem.inputs)
    kernel = (problem.members, *geometry.window, problem.inputs, problem.outputs)
    response = (problem.members, problem.images, problem.height, problem.width, problem.outputs)
    shapes = {"forward": (images, kernel), "input_gradient": (response, kernel), "kernel_gradient": (images, response)}

    def run(count: Any) -> Any:
        a, b = (jnp.ones(shape, problem.dtype) for shape in shapes[problem.map])

        def again(_: Any, a: Any) -> Any:
            result = jax.vmap(functools.partial(conv.apply, problem, geometry))(a, b)
            return a.at[(0,) * a.ndim].add(0 * result.ravel()[0])

        return jax.lax.fori_loop(0, count, again, a)

    return run


def on_all_devices(run: Callable[[Any], Any], lowering: conv.Choice = "auto") -> Run:
    """Compiled, and busy on every device at once, as training is."""
    mesh = Mesh(np.array(jax.local_devices()), ("member",))
    spread = PartitionSpec("member")
    apart = jax.shard_map(
        lambda count: jax.tree.map(lambda a: a[None], run(count)),
        mesh=mesh, in_specs=PartitionSpec(), out_specs=spread, check_vma=False,
    )  # fmt: skip
    with conv.exactly(lowering):
        compiled = jax.jit(apart).lower(jax.ShapeDtypeStruct((), jnp.int32)).compile()
    return lambda count: compiled(np.int32(count))


def seconds(runs: Sequence[Run]) -> list[float]:
    """Of one repetition of each, the runs taking turns."""

    def timed(run: Run, count: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready(run(count))
        return time.perf_counter() - start

    counts = []
    for run in runs:
        timed(run, 1)
        each = max((timed(run, 3) - timed(run, 1)) / 2, 1e-6)
        counts.append(max(1, round(_SECONDS / each)))
    rounds = [[timed(run, count) / count for run, count in zip(runs, counts)] for _ in range(_ROUNDS)]
    return [statistics.median(column) for column in zip(*rounds)]
