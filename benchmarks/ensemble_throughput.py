"""How many student-steps a second does the engine take, for how many members, at which batch?

  python benchmarks/ensemble_throughput.py [--size=toy|cpu|gpu] [--repeats=5]

First for more and more members. Then, for one number of them, how the engine's convolutions may be lowered, and three ways
in which one would train them without it, on equal batches (same images, orders and augmentation) with an equal network and
optimizer:
  vmap in a scan         flax and optax, all members vmapped, the steps in one program
  vmap, loop             the same, a call for each step
  one by one, loop       a call for each step of each member
All measurements of one batch size take turns, and ratios are of one round.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import measure
import optax

from jaxsoft.training import fit, losses
from jaxsoft.training.recipe import Recipe, precision

# A case: (depth, width), (H, W, C), batch, numbers of members, the number at which ways are compared; student-steps of a
# measurement by the engine, by `grouped` and the vmapped ways, and one by one.
D2, D3 = (2, 32), (3, 128)
SMALL, COLOR = (8, 8, 1), (32, 32, 3)
SIZES: dict[str, dict[str, Any]] = {
    "toy": {"augment": "none", "lowerings": ("grouped",), "cases": (((1, 4), SMALL, 4, (1, 2), 2, 8, 4, 2),)},
    "cpu": {
        "augment": "dsa",
        "lowerings": ("patches", "map", "grouped"),
        "cases": (
            (D2, SMALL, 10, (1, 4, 16, 64), 16, 2000, 160, 320),
            (D2, SMALL, 100, (1, 4, 16, 64), 16, 256, 16, 32),
        ),
    },
    "gpu": {
        "augment": "dsa",
        "lowerings": ("grouped",),  # the others: calibration.py
        "cases": (
            (D3, COLOR, 10, (1, 4, 16, 64, 256, 512), 256, 10_000, 2560, 256),
            (D3, COLOR, 100, (1, 4, 16, 64, 256), 64, 2000, 640, 64),
            (D3, COLOR, 256, (1, 4, 16, 64), 16, 1000, 160, 64),
        ),
    },
}


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__)
    size = SIZES[args.size]
    for (depth, width), shape, batch, crowds, compared, work, slow_work, single_work in size["cases"]:
        model = f"convnet(depth={depth}, width={width})"
        rest = ("sgd(momentum=0.9)", "constant", size["augment"], precision("auto"))
        recipe = Recipe(model, measure.CLASSES, 10 * batch, batch, *rest)
        cases = [engine(recipe, shape, members, work, "auto") for members in crowds]
        for how in size["lowerings"]:
            cases.append(engine(recipe, shape, compared, slow_work if how == "grouped" else work, how))
        plain = Plain(recipe, depth, width, shape, compared)
        cases += [plain.scanned(slow_work // compared), plain.looped(slow_work // compared), plain.single(single_work)]
        took = measure.interleaved([chunk for _, chunk, _, _ in cases], args.repeats)
        rates = [steps / seconds for (_, _, steps, _), seconds in zip(cases, took)]
        what = {"model": model, "side": shape[0], "batch": batch}
        tell = functools.partial(measure.tell, "ensemble_throughput", args.size)
        for (name, _, _, more), rate in zip(cases, rates):
            tell(what | name, rate, "student-steps/s", **more)
        ours = crowds.index(compared)
        for (name, _, _, _), rate in list(zip(cases, rates))[len(crowds) :]:
            tell(what | cases[ours][0], rates[ours] / rate, f"x of {name['way']}")


Case = tuple[dict[str, Any], Callable[[], Any], int, dict[str, Any]]
"""Its name, what is measured, student-steps of that, and what else is told."""


def engine(recipe: Recipe, shape: tuple[int, int, int], members: int, work: int, lowering: str) -> Case:
    """About so many student-steps by the engine, in blocks and tiles as it chooses them."""
    case = measure.training(recipe, shape, members, max(1, work // members), lowering=lowering)
    more = {"block": case.bucket.block, "tile": case.bucket.tile, "first_seconds": case.first_seconds}
    return {"way": lowering, "members": members}, case.chunk, members * case.steps, more


class PlainConvNet(nn.Module):
    """The same network out of flax's own layers."""

    depth: int
    width: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Any) -> Any:
        for _ in range(self.depth):
            x = nn.Conv(self.width, (3, 3), dtype=self.dtype)(x)
            x = nn.GroupNorm(num_groups=self.width, epsilon=1e-5, dtype=self.dtype)(x)
            x = nn.avg_pool(nn.relu(x), (2, 2), (2, 2))
        return nn.Dense(measure.CLASSES, dtype=self.dtype)(x.reshape(x.shape[0], -1))


class Plain:
    """Members trained without the engine: one student's step, and what `jax.vmap` makes of it."""

    def __init__(self, recipe: Recipe, depth: int, width: int, shape: tuple[int, int, int], members: int):
        self.members, self.recipe = members, recipe
        self.model = PlainConvNet(depth, width, jnp.dtype(recipe.precision))
        self.optimizer = optax.sgd(1e-3, momentum=0.9)
        self.bank, _ = jax.device_put(measure.material(shape, 8))
        self.who = jax.device_put(measure.random_members(recipe, members))
        images = jnp.zeros((1, *shape))

        def start(seed: Any) -> Any:
            params = self.model.init(jax.random.key(seed), images)
            return params, self.optimizer.init(params)

        self.state = jax.jit(jax.vmap(start))(self.who.seed)

    def step(self, bank: Any, member: Any, state: Any, t: Any) -> Any:
        """One student's."""
        batch = fit.batch_at(self.recipe, bank, member, t)

        def loss(params: Any) -> Any:
            logits = self.model.apply(params, batch.images)
            return losses.soft_cross_entropy(logits, batch.rows).mean()  # pyright: ignore[reportArgumentType]

        params, memory = state
        updates, memory = self.optimizer.update(jax.grad(loss)(params), memory)
        return optax.apply_updates(params, updates), memory

    def scanned(self, steps: int) -> Case:
        @jax.jit
        def chunk(bank: Any, who: Any, state: Any) -> Any:
            step = jax.vmap(self.step, (None, 0, 0, None))
            return jax.lax.scan(lambda s, t: (step(bank, who, s, t), None), state, jnp.arange(steps))[0]

        return self._case("vmap in a scan", lambda: chunk(self.bank, self.who, self.state), self.members * steps)

    def looped(self, steps: int) -> Case:
        step = jax.jit(jax.vmap(self.step, (None, 0, 0, None)))
        return self._case("vmap, loop", lambda: self._loop(step, self.who, self.state, steps), self.members * steps)

    def single(self, steps: int) -> Case:
        """As many steps as are asked for, spread over the members one after the other."""
        step, each = jax.jit(self.step), max(1, steps // self.members)
        whole = jax.device_get((self.who, self.state))
        parts = [jax.device_put(jax.tree.map(lambda a, i=i: a[i], whole)) for i in range(self.members)]

        def run() -> Any:
            return [self._loop(step, member, state, each) for member, state in parts]

        return self._case("one by one, loop", run, self.members * each)

    def _loop(self, step: Callable[..., Any], who: Any, state: Any, steps: int) -> Any:
        for t in range(steps):
            state = step(self.bank, who, state, t)
        return state

    def _case(self, way: str, run: Callable[[], Any], steps: int) -> Case:
        jax.block_until_ready(run())
        return {"way": way, "members": self.members}, run, steps, {}


if __name__ == "__main__":
    main()
