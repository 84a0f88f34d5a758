"""Which images a subset holds: one function for each way to choose.

Every public function is a way (the module is the registry). It takes

    labels      classes of the train images, [N]; every class 0..K-1 occurs
    ipc         images per class
    key         a typed JAX key, which alone decides what is drawn, and orders what is equal
    difficulty  an expert's cross-entropy on each image against its class, nats, [N]

and returns positions in the train split, [K, ipc]: row k holds images of class k. Tables of one key are nested: IPC i is
the first i columns. ConfigError says so when `ipc` exceeds what the smallest class has. Adding a way is adding a function
whose last lines are `return _table(order, labels, ipc)`.
"""

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Int32

from jaxsoft import errors
from jaxsoft.data import classes

_TENTHS = 10

Labels = Int[np.ndarray, "N"]
Difficulty = Float[np.ndarray, "N"] | Float[Array, "N"]
Table = Int32[np.ndarray, "K ipc"]


def random(labels: Labels, ipc: int, *, key: jax.Array) -> Table:
    """Images of each class drawn uniformly without replacement."""
    return _table(_shuffle(labels, key), labels, ipc)


def easiest(labels: Labels, ipc: int, *, key: jax.Array, difficulty: Difficulty) -> Table:
    """The images of each class with the lowest difficulty, easiest first."""
    return _table(_by(np.asarray(difficulty), _shuffle(labels, key)), labels, ipc)


def hardest(labels: Labels, ipc: int, *, key: jax.Array, difficulty: Difficulty) -> Table:
    """The images of each class with the highest difficulty, hardest first."""
    return _table(_by(-np.asarray(difficulty), _shuffle(labels, key)), labels, ipc)


def decile(labels: Labels, ipc: int, *, key: jax.Array, difficulty: Difficulty, i: int) -> Table:
    """Images drawn at random from one tenth of each class: i = 0 for the easiest tenth to 9 for the hardest.

    Of n images the tenth i holds ranks r with floor(10 r / n) = i: the tenths cover the class, maximum included.
    """
    if not 0 <= i < _TENTHS:
        raise errors.ConfigError(f"decile expects i in 0..{_TENTHS - 1}, got {i}")
    shuffle = _shuffle(labels, key)
    inside = shuffle[_tenths(labels, difficulty, shuffle)[shuffle] == i]
    counts = np.bincount(labels[inside], minlength=int(labels.max()) + 1)
    if ipc > counts.min():
        raise errors.ConfigError(
            f"ipc={ipc} but decile {i} of class {np.argmin(counts)} has {counts.min()} train images; "
            f"the largest possible is {counts.min()}"
        )
    return _table(inside, labels, ipc)


def stratified(labels: Labels, ipc: int, *, key: jax.Array, difficulty: Difficulty) -> Table:
    """Images spread over the tenths of difficulty: each run of ten columns takes one image of every tenth."""
    shuffle = _shuffle(labels, key)
    cells = labels * _TENTHS + _tenths(labels, difficulty, shuffle)
    turn = classes.rank(cells[shuffle])  # the first image of its cell, the second, ...
    return _table(shuffle[np.argsort(turn, kind="stable")], labels, ipc)


def _shuffle(labels: Labels, key: jax.Array) -> Labels:
    return np.asarray(jax.random.permutation(key, len(labels)))


def _by(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """`order`, sorted by value; equal values keep their place."""
    return order[np.argsort(values[order], kind="stable")]


def _tenths(labels: Labels, difficulty: Difficulty, shuffle: np.ndarray) -> np.ndarray:
    """Which tenth of its class each image belongs to, [N]."""
    order = _by(np.asarray(difficulty), shuffle)
    ranks = np.empty(len(labels), np.int64)
    ranks[order] = classes.rank(labels[order])
    return ranks * _TENTHS // np.bincount(labels)[labels]


def _table(order: np.ndarray, labels: Labels, ipc: int) -> Table:
    """The first `ipc` images of each class in the given order, [K, ipc]."""
    classes.check_ipc(ipc, labels[order])
    rows = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels[order])
    starts = np.cumsum(counts) - counts
    return rows[starts[:, None] + np.arange(ipc)].astype(np.int32)
