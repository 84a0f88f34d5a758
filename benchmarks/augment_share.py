"""Which share of a training step do random numbers, gathers and augmentation take?

  python benchmarks/augment_share.py [--size=toy|cpu|gpu] [--repeats=5]

Four programs take turns, with equal blocks and tiles, and each share is of one round's augmented step (DSA, images drawn
in a random order):
  whole batch        less a step whose images are there already: no random number, no gather, no augmentation
  augmentation       less a step that draws and gathers its images, but leaves them as they are
  batch made alone   a loop that makes the same batches and only sums them up, with nothing to hide the work behind
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import measure
import numpy as np

from jaxsoft.training import fit
from jaxsoft.training.fit import Batch, Member
from jaxsoft.training.recipe import Recipe, precision

# (model, shape, batch, members, steps of a chunk)
D2, D3 = "convnet(depth=2, width=32)", "convnet(depth=3, width=128)"
SIZES: dict[str, dict[str, Any]] = {
    "toy": {"augment": "dsa", "cases": (("convnet(depth=1, width=4)", (8, 8, 1), 4, 2, 2),)},
    "cpu": {
        "augment": "dsa",
        "cases": (
            (D2, (8, 8, 1), 10, 16, 100),
            (D2, (8, 8, 1), 100, 16, 20),
            (D3, (32, 32, 3), 10, 2, 10),
            (D3, (32, 32, 3), 100, 2, 2),
        ),
    },
    "gpu": {"augment": "dsa", "cases": ((D3, (32, 32, 3), 10, 256, 50), (D3, (32, 32, 3), 256, 16, 20))},
}
NO_NETWORK = "mlp(hidden=1)"


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__)
    size = SIZES[args.size]
    for model, shape, batch, members, steps in size["cases"]:
        # Room for two batches, so that a step draws which images it sees.
        recipe = Recipe(model, measure.CLASSES, 2 * batch, batch, "sgd", "constant", size["augment"], precision("auto"))
        whole = measure.training(recipe, shape, members, steps)
        same: dict[str, Any] = dict(members=members, steps=steps, block=whole.bucket.block, tile=whole.bucket.tile)
        plain = measure.training(recipe._replace(augment="none"), shape, **same)
        with only(batch_of=fixed_batch):
            fixed = measure.training(recipe, shape, **same, who=with_batches(recipe, shape, members))
        with only(loss_and_gradient=summed):
            alone = measure.training(recipe._replace(model=NO_NETWORK), shape, **same)
        took = measure.interleaved([case.chunk for case in (whole, plain, fixed, alone)], args.repeats)
        what = {"model": model, "side": shape[0], "batch": batch, "members": members}
        step = {"us_a_step": (1e6 * took[0] / (members * steps)).tolist(), "block": whole.bucket.block}
        shares = {
            "whole batch": 1 - took[2] / took[0],
            "augmentation": 1 - took[1] / took[0],
            "batch made alone": took[3] / took[0],
        }
        for part, share in shares.items():
            measure.tell("augment_share", args.size, {**what, "part": part}, 100 * share, "% of a step", **step)


@contextlib.contextmanager
def only(**functions: Any) -> Iterator[None]:
    """The training loop with other functions for some of its parts, while a program is compiled."""
    with mock.patch.multiple(fit, **functions):
        yield


def with_batches(recipe: Recipe, shape: tuple[int, int, int], members: int) -> Member:
    """Members that hold one finished batch instead of indices."""
    random = np.random.default_rng(2)
    images: Any = random.standard_normal((members, recipe.batch, *shape), np.float32)
    rows: Any = np.eye(recipe.num_classes, dtype=np.float32)[random.integers(0, 10, (members, recipe.batch))]
    return measure.random_members(recipe, members)._replace(images=images, rows=rows)


def fixed_batch(recipe: Recipe, bank: Any, member: Member, ahead: Any, shards: int = 1) -> Batch:
    """The member's batch, behind a barrier: else the compiler would do part of the network once for all steps."""
    images, rows, _ = jax.lax.optimization_barrier((member.images, member.rows, ahead.t))
    return Batch(images, rows, jnp.ones(recipe.batch, bool))


def summed(
    recipe: Recipe, batch: Batch, vector: Any, unravel: Any, stats: Any, tile: int = 0, shards: int = 1
) -> tuple[Any, Any, Any]:
    """No network and no gradient: what the batch holds, summed up."""
    return batch.images.sum() + batch.rows.sum(), stats, jnp.zeros_like(vector)


if __name__ == "__main__":
    main()
