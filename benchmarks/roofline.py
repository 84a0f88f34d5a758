"""How near does training come to what this device can multiply, and to what it can move?

  python benchmarks/roofline.py [--size=toy|cpu|gpu] [--repeats=5]

Ceilings, measured on all local devices at once and in turn with the training chunks: large matrix products (float32 on a
CPU, bfloat16 on an accelerator), and passes over memory that no cache holds, read and written. Training is counted on
paper, see `flops` and `least_bytes`; bytes are the least that must move if nothing stays in cache, so a CPU, which keeps
its tiles there, may go above 100% of the memory ceiling. A share is of the ceiling of the same round; the higher share is
the nearer ceiling.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import measure
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsoft.training.recipe import Recipe, precision

# `cases`: (depth, width, side, channels, batch, members, steps of a chunk). `product`: side of the matrices; `memory`: bytes
# on each device; `again`: how often in one measurement.
SIZES: dict[str, dict[str, Any]] = {
    "toy": {"cases": ((1, 4, 8, 1, 8, 2, 2),), "product": 64, "memory": 10**5, "again": 2},
    "cpu": {
        "cases": (
            (2, 16, 8, 1, 64, 64, 10),
            (2, 32, 8, 1, 10, 64, 20),
            (3, 128, 32, 3, 10, 2, 10),
            (3, 128, 32, 3, 100, 2, 2),
        ),
        "product": 1536,
        "memory": 3 * 10**8,
        "again": 8,
    },
    "gpu": {
        "cases": ((3, 128, 32, 3, 10, 256, 50), (3, 128, 32, 3, 256, 16, 20), (4, 128, 64, 3, 256, 10, 10)),
        "product": 8192,
        "memory": 10**9,
        "again": 20,
    },
}


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__)
    size = SIZES[args.size]
    kind, count = precision("auto"), jax.local_device_count()
    cases = []
    for depth, width, side, channels, batch, members, steps in size["cases"]:
        model = f"convnet(depth={depth}, width={width})"
        recipe = Recipe(model, measure.CLASSES, batch, batch, "sgd(momentum=0.9)", precision=kind)
        cases.append(measure.training(recipe, (side, side, channels), members, steps))
    again, edge, memory = size["again"], size["product"], size["memory"]
    multiply = repeated(lambda a: (a[0] @ a[0])[None], again, (edge, edge), 1 / edge, kind)
    move = repeated(lambda a: a + 1, again, (memory // 4,), 0.0, "float32")
    took = measure.interleaved([multiply, move, *(case.chunk for case in cases)], args.repeats)
    product_rate, memory_rate = again * count * np.array([[2 * edge**3], [2 * memory]]) / took[:2]
    measure.tell("roofline", args.size, {"ceiling": "matrix product", "type": kind}, product_rate / 1e9, "GFLOP/s")
    measure.tell("roofline", args.size, {"ceiling": "memory"}, memory_rate / 1e9, "GB/s")
    for (depth, width, side, channels, batch, members, _), case, seconds in zip(size["cases"], cases, took[2:]):
        sizes = (depth, width, side, channels)
        work, moved = flops(*sizes, batch), least_bytes(*sizes, batch, 4 if kind == "float32" else 2)
        shares = {
            "matrix product": 100 * work * case.rates(seconds) / product_rate,
            "memory": 100 * moved * case.rates(seconds) / memory_rate,
        }
        nearer = max(shares, key=lambda name: float(np.median(shares[name])))
        what = {"model": case.bucket.recipe.model, "side": side, "batch": batch, "members": members}
        more = {"step_flops": work, "step_bytes": moved, "block": case.bucket.block, "nearer": nearer}
        for ceiling, share in shares.items():
            measure.tell("roofline", args.size, {**what, "ceiling": ceiling}, share, "% of the ceiling", **more)
        print(f"  {what['model']}, batch {batch}: nearer to the {nearer} ceiling")


def flops(depth: int, width: int, side: int, channels: int, batch: int) -> int:
    """Multiplications and additions of one member's step: results, gradients in kernels and in what they read.

    The first layer needs no gradient in the images. Norms, pooling and the optimizer are left out.
    """
    total = 0
    for i in range(depth):
        one = 2 * batch * (side >> i) ** 2 * 9 * (width if i else channels) * width
        total += (3 if i else 2) * one
    return total + 3 * 2 * batch * (side >> depth) ** 2 * width * measure.CLASSES


def least_bytes(depth: int, width: int, side: int, channels: int, batch: int, itemsize: int) -> int:
    """Bytes that one member's step must move, if each result is written once, and read once by whoever needs it.

    Each convolution's result and each pooled map: written and read on the way forward, read again on the way back, its
    gradient written and read. Parameters, float32: read forward and back; gradient written and read; momentum and
    parameters read and written.
    """
    maps = sum((side >> i) ** 2 * width + (side >> i + 1) ** 2 * width for i in range(depth))
    inputs, features = side**2 * channels, (side >> depth) ** 2 * width
    params = 9 * channels * width + 9 * width**2 * (depth - 1) + 3 * width * depth + (features + 1) * measure.CLASSES
    return itemsize * batch * (5 * maps + 2 * inputs) + 4 * 8 * params


def repeated(function: Callable[[Any], Any], count: int, shape: tuple, value: float, kind: str) -> Callable[[], Any]:
    """A function of one array on each device, applied `count` times in the same memory, and compiled."""
    mesh, spec = Mesh(np.array(jax.local_devices()), ("member",)), PartitionSpec("member")
    filled = np.full((jax.local_device_count(), *shape), value, np.float32)
    state = [jax.device_put(jnp.asarray(filled, kind), NamedSharding(mesh, spec))]

    def loop(a: Any) -> Any:
        return jax.lax.fori_loop(0, count, lambda _, b: function(b), a)

    compiled = jax.jit(jax.shard_map(loop, mesh=mesh, in_specs=spec, out_specs=spec), donate_argnums=0)

    def run() -> Any:
        state[0] = compiled(state[0])
        return state[0]

    jax.block_until_ready(run())
    return run


if __name__ == "__main__":
    main()
