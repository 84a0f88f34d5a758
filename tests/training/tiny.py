"""A small world for the tests of training: a bank, recipes, members and programs that compile in a second or two."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxsoft.training import ensemble
from jaxsoft.training.ensemble import Bucket, Program
from jaxsoft.training.evaluate import EvalSet, eval_set
from jaxsoft.training.fit import Bank, Member
from jaxsoft.training.recipe import Recipe

CLASSES, SHAPE, IMAGES = 3, (8, 8, 1), 24
# Ten slots in batches of four: three steps an epoch, and the last batch is half empty.
MLP = Recipe("mlp(hidden=6)", CLASSES, slots=10, batch=4, optimizer="sgd(momentum=0.9)")
CONV = MLP._replace(model="convnet(depth=1, width=4)", schedule="step(0.3, 2)", augment="dsa")


def bank(images=IMAGES, rows=IMAGES) -> Bank:
    """Random float images and soft rows; row i belongs to image i."""
    random = np.random.default_rng(0)
    pixels = random.standard_normal((images, *SHAPE)).astype(np.float32)
    scale, shift = np.full(SHAPE[-1:], 0.5, np.float32), np.full(SHAPE[-1:], 0.1, np.float32)
    labels = random.dirichlet(np.ones(CLASSES), rows).astype(np.float32)
    return Bank(*map(jnp.asarray, (pixels, scale, shift, labels)))


def members(seeds, slots=MLP.slots, steps=8, rate=0.1, decay=1e-3) -> Member:
    """Stacked members; images and rows depend on the seed alone, and none draws the last image. The rest may be lists."""
    seeds = np.asarray(seeds, np.int32)
    images = np.stack([np.random.default_rng(int(s)).permutation(IMAGES - 1)[:slots] for s in seeds]).astype(np.int32)

    def each(value, kind):
        return np.broadcast_to(np.asarray(value, kind), seeds.shape).copy()

    numbers = each(slots, np.int32), each(rate, np.float32), each(decay, np.float32), each(steps, np.int32)
    return Member(seeds, images, images.copy(), *numbers)


def one(stacked, i):
    """One of a stack, as device arrays."""
    return jax.tree.map(lambda a: jnp.asarray(a[i]), stacked)


def evals(*sizes) -> tuple[EvalSet, ...]:
    """Evaluation sets of these sizes in batches of at most 8."""
    random = np.random.default_rng(1)
    draw = [(random.standard_normal((n, *SHAPE)), random.integers(0, CLASSES, n)) for n in sizes]
    return tuple(eval_set(x.astype(np.float32), y.astype(np.int32), batch=8) for x, y in draw)


def program(recipe: Recipe, count: int, block: int = 0, chunk_steps: int = 2, select: int = 2, **options) -> Program:
    """A program of one bucket; all of its members in one block if not told otherwise."""
    bucket = Bucket(recipe, count, block or count, chunk_steps, lowering=options.pop("lowering", "auto"))
    return Program((bucket,), SHAPE, select=select, **options)


@functools.cache
def mlp_program() -> Program:
    """Four members in one block; every test that can shares what was compiled."""
    return program(MLP, 4)


def train(program, who, chunks=4, data=None, looked=None, **resume):
    """What a bucket is after each chunk, copied to the host: [(students, report), ...]."""
    data, looked = bank() if data is None else data, evals(11, 5) if looked is None else looked
    told = ensemble.fit(program, data, looked, (who,), chunks, **resume)
    return [host((students[0], reports[0])) for _, students, reports in told]


def host(tree):
    return jax.tree.map(lambda a: np.array(a), tree)


def assert_bitwise(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)
