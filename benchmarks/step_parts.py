"""How does a training step spend its time?

  python benchmarks/step_parts.py [--size=toy|cpu|gpu] [--repeats=5]

The parts run alone, on all devices at once, in the block, tile and lowerings of the whole step, and take turns with it:
  convolutions       each map of each layer, one after another
  norm, ReLU, pool   the fused operation of each layer and its gradient
  batch              random numbers, gathers and augmentation, as a loop that makes batches and sums them up
Their shares need not add up to 100%: what is missing is the classifier, the update and what glues the parts together;
what is too much is work that overlaps in the whole.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import augment_share
import jax
import jax.numpy as jnp
import measure
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxsoft.ops import conv, norm
from jaxsoft.ops.lowerings import Geometry
from jaxsoft.training.ensemble import Bucket
from jaxsoft.training.recipe import Recipe, precision

Run = Callable[[int], Any]
"""Repeats something so many times on all devices; what it returns can be waited for."""

# (depth, width, side, channels, batch, members, steps of a chunk)
SIZES: dict[str, dict[str, Any]] = {
    "toy": {"cases": ((1, 4, 8, 1, 4, 2, 2),), "again": 2},
    "cpu": {
        "cases": (
            (2, 16, 8, 1, 50, 64, 20),
            (2, 32, 8, 1, 10, 64, 40),
            (2, 32, 8, 1, 100, 16, 20),
            (3, 128, 32, 3, 10, 2, 10),
            (3, 128, 32, 3, 100, 2, 2),
        ),
        "again": 10,
    },
    "gpu": {"cases": ((3, 128, 32, 3, 10, 256, 50), (3, 128, 32, 3, 256, 16, 20)), "again": 20},
}


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__)
    size = SIZES[args.size]
    for depth, width, side, channels, batch, members, steps in size["cases"]:
        model, shape = f"convnet(depth={depth}, width={width})", (side, side, channels)
        how = "sgd(momentum=0.9)", "constant", "dsa", precision("auto")
        recipe = Recipe(model, measure.CLASSES, 2 * batch, batch, *how)
        whole = measure.training(recipe, shape, members, steps)
        bucket = whole.bucket
        same: dict[str, Any] = dict(members=members, steps=steps, block=bucket.block, tile=bucket.tile)
        with augment_share.only(loss_and_gradient=augment_share.summed):
            batches = measure.training(recipe._replace(model=augment_share.NO_NETWORK), shape, **same)
        problems = of_a_step(depth, width, bucket, shape)
        forward = [problem for problem in problems if problem.map == "forward"]
        parts = {
            "convolutions": [on_all_devices(one_map(problem)) for problem in problems],
            "norm, ReLU, pool": [on_all_devices(norm_alone(problem)) for problem in forward],
        }
        runs = [whole.chunk, batches.chunk, *(repeat(run, size["again"]) for part in parts.values() for run in part)]
        for run in runs:
            jax.block_until_ready(run())
        took = measure.interleaved(runs, args.repeats)
        step = took[0] / (members * steps)
        # What ran on every device at once trained a block on each, a tile of each member's batch.
        each = took[2:] / size["again"] / (bucket.block * jax.local_device_count()) * (batch / bucket.tile)
        count = len(parts["convolutions"])
        alone = {"convolutions": each[:count].sum(0), "norm, ReLU, pool": each[count:].sum(0)}
        alone["batch"] = took[1] / (members * steps)
        what = {"model": model, "side": side, "batch": batch}
        more = {"block": bucket.block, "tile": bucket.tile}
        measure.tell("step_parts", args.size, {**what, "part": "whole step"}, 1e6 * step, "us", **more)
        for part, seconds in alone.items():
            measure.tell("step_parts", args.size, {**what, "part": part}, 100 * seconds / step, "% of a step", **more)


class Problem(NamedTuple):
    """One map of one layer: that of a block's members, for a tile of each one's images."""

    map: str
    geometry: Geometry
    members: int
    images: int
    inputs: int
    outputs: int
    dtype: str


def of_a_step(depth: int, width: int, bucket: Bucket, image_shape: tuple[int, ...]) -> list[Problem]:
    """All maps of a training step; nobody needs the gradient in the images."""
    side, _, inputs = image_shape
    problems = []
    for layer in range(depth):
        geometry = Geometry((side >> layer, side >> layer), (3, 3), 1, 1)
        of_layer = geometry, bucket.block, bucket.tile, width if layer else inputs, width, bucket.recipe.precision
        maps = ("forward", "kernel_gradient", *(("input_gradient",) if layer else ()))
        problems += [Problem(map, *of_layer) for map in maps]
    return problems


def one_map(problem: Problem) -> Callable[[Any], Any]:
    """So many evaluations of one map for all members of a problem, each waiting for the one before."""
    geometry = problem.geometry
    images = (problem.members, problem.images, *geometry.size, problem.inputs)
    kernel = (problem.members, *geometry.window, problem.inputs, problem.outputs)
    response = (problem.members, problem.images, *geometry.response(), problem.outputs)
    shapes = {"forward": (images, kernel), "input_gradient": (response, kernel), "kernel_gradient": (images, response)}

    def run(count: Any) -> Any:
        a, b = (jnp.ones(shape, problem.dtype) for shape in shapes[problem.map])

        def again(_: Any, a: Any) -> Any:
            result = jax.vmap(functools.partial(conv.apply, problem.map, geometry))(a, b)
            return a.at[(0,) * a.ndim].add(0 * result.ravel()[0])

        return jax.lax.fori_loop(0, count, again, a)

    return run


def on_all_devices(run: Callable[[Any], Any]) -> Run:
    """Compiled, and busy on every device at once, as training is."""
    mesh = Mesh(np.array(jax.local_devices()), ("member",))
    apart = jax.shard_map(
        lambda count: jax.tree.map(lambda a: a[None], run(count)),
        mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec("member"), check_vma=False,
    )  # fmt: skip
    with conv.exactly():
        compiled = jax.jit(apart).lower(jax.ShapeDtypeStruct((), jnp.int32)).compile()
    return lambda count: compiled(np.int32(count))


def repeat(run: Run, count: int) -> Callable[[], Any]:
    """So many repetitions as one call."""
    return lambda: run(count)


def norm_alone(problem: Problem) -> Callable[[Any], Any]:
    """So many evaluations of what follows one convolution, and of its gradient, for all members of a block."""
    shape = (problem.images, *problem.geometry.response(), problem.outputs)

    def run(count: Any) -> Any:
        maps = jnp.asarray(np.random.default_rng(0).standard_normal((problem.members, *shape)), problem.dtype)
        scale = jnp.ones((problem.members, problem.outputs))

        def again(_: Any, maps: Any) -> Any:
            y, pull = jax.vjp(jax.vmap(norm.instance_norm_relu_pool), maps, scale, 0 * scale)
            return pull(y)[0]

        return jax.lax.fori_loop(0, count, again, maps)

    return run


if __name__ == "__main__":
    main()
