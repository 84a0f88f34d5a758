"""Which images a subset holds: one function for each way to choose.

Every public function is a way (the module is the registry). It takes

    labels      classes of the train images, [N]; every class 0..K-1 occurs
    ipc         images per class
    key         a typed JAX key, which alone decides what is drawn, and orders what is equal
    difficulty  an expert's cross-entropy on each image against its class, nats, [N]
    embeddings  what an expert's last layer is given of each image, [N, D]

and returns positions in the train split, [K, ipc]: row k holds images of class k. Tables of one key are nested: IPC i is
the first i columns. ConfigError says so when `ipc` exceeds what the smallest class has. Adding a way is adding a function
whose last lines are `return _table(order, labels, ipc)`.

Who takes neither of the last two needs no expert. `k_centers` and `herding` draw nothing: the key orders equal images
alone, so that subsets of all seeds hold the same images, and students differ in where they begin and in their batches.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Int32

from jaxsoft import errors
from jaxsoft.data import classes

_TENTHS = 10

Labels = Int[np.ndarray, "N"]
Difficulty = Float[np.ndarray, "N"] | Float[Array, "N"]
Embeddings = Float[np.ndarray, "N D"] | Float[Array, "N D"]
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


def k_centers(labels: Labels, ipc: int, *, key: jax.Array, embeddings: Embeddings) -> Table:
    """Images of each class far from one another: the nearest to the mean, then always the farthest from those before.

    Distances are Euclidean. How far the farthest image is from the chosen ones is at most twice the least possible.

    Reference: Sener and Savarese (2018), "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
    algorithm 1; within each class as in coresets for condensation.
    """
    return _greedy(_farthest, labels, ipc, key, embeddings)


def herding(labels: Labels, ipc: int, *, key: jax.Array, embeddings: Embeddings) -> Table:
    """Images of each class whose mean embedding, with every one that is added, is as near as it gets to the class mean.

    Reference: Welling (2009), "Herding Dynamical Weights to Learn"; Rebuffi et al. (2017), "iCaRL", algorithm 4, here on
    embeddings as they are, not scaled to unit length.
    """
    return _greedy(_nearest_mean, labels, ipc, key, embeddings)


def indices(
    labels: Labels, ipc: int, *, key: Any, given: Any, file: str, nested: bool = False, digest: str = ""
) -> Table:
    """Images of one's own choice, the same for every key, as `Indices` of `jaxsoft/data/chosen.py` holds them.

    Args:
      given: positions in train: [K, I], row k of class k, or a flat list, which is sorted into classes.
      file: that they come from, sought beside the config, then in the current folder; or their name.
      nested: whether a smaller IPC is the first columns; else `ipc` has to be I.
      digest: of the positions, by which results know them; if given, the file must hold these.

    Raises:
      DataError: what is given is no such table; names what is wrong.
    """
    classes.check_ipc(ipc, labels)
    table = _by_class(np.asarray(given), labels, f"indices({file})")
    most = table.shape[1]
    if ipc > most or (ipc < most and not nested):
        hint = "" if nested else f"; of fewer, the first ones, only with nested=true; ipc={most} as it is"
        raise errors.ConfigError(
            f"ipc={ipc} but indices({file}) has {most} images; the largest possible is {most}{hint}"
        )
    return table[:, :ipc]


def distilled(labels: Labels, ipc: int, *, key: Any, pool: Any, name: str, digest: str = "") -> Table:
    """The first images of each class of an imported set, the same for every key.

    Args:
      pool: of train images and imported sets, see `jaxsoft/distilled/pool.py`; positions are in there.
      name: of the set, or the path of its folder, as `jaxsoft import` keeps it.
      digest: of the set, by which results know it; if given, the folder must hold this.

    Raises:
      ConfigError: `ipc` exceeds what the set has of a class.
    """
    return pool.table(digest, ipc)


def _by_class(given: np.ndarray, labels: Labels, what: str) -> Table:
    """Positions in train as a table of classes, [K, I]; DataError if they are none."""
    count = int(labels.max()) + 1
    if outside := given[(given < 0) | (given >= len(labels))].tolist():
        raise errors.DataError(f"{what} holds {outside[0]}; wanted positions in train, 0..{len(labels) - 1}")
    images, times = np.unique(given, return_counts=True)
    if (times > 1).any():
        raise errors.DataError(f"{what} holds {images[times > 1][0]} more than once")
    if given.ndim == 2 and len(given) == count:
        if (wrong := labels[given] != np.arange(count)[:, None]).any():
            k, i = np.argwhere(wrong)[0]
            told = f"{given[k, i]} in row {k}, an image of class {labels[given[k, i]]}; wanted class {k}"
            raise errors.DataError(f"{what} holds {told}")
        return given.astype(np.int32)
    if given.ndim == 2:
        raise errors.DataError(f"{what} has {len(given)} rows; wanted {count}, one for each class, or a flat list")
    each = np.bincount(labels[given], minlength=count)
    if each.min() < each.max():
        few, most = int(each.argmin()), int(each.argmax())
        told = f"{each[few]} images of class {few} and {each[most]} of class {most}; wanted as many of every class"
        raise errors.DataError(f"{what} has {told}")
    return _table(given, labels, int(each[0]))


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


_Pick = Callable[[Float[np.ndarray, "n D"], int], list[int]]


def _greedy(pick: _Pick, labels: Labels, ipc: int, key: jax.Array, embeddings: Embeddings) -> Table:
    """Of each class those that `pick(points, ipc)` takes, in its order; points are embeddings less their mean."""
    classes.check_ipc(ipc, labels)
    shuffle, found = _shuffle(labels, key), np.asarray(embeddings)
    taken = []
    for rows in (shuffle[labels[shuffle] == k] for k in range(int(labels.max()) + 1)):
        points = found[rows].astype(np.float64)
        taken.append(rows[pick(points - points.mean(axis=0), ipc)])
    return _table(np.concatenate(taken), labels, ipc)


def _farthest(points: np.ndarray, count: int) -> list[int]:
    squares = (points**2).sum(axis=1)
    taken, gaps = [int(squares.argmin())], np.full(len(points), np.inf)
    while len(taken) < count:
        last = taken[-1]
        gaps = np.minimum(gaps, squares - 2 * (points @ points[last]) + squares[last])
        gaps[last] = -np.inf
        taken.append(int(gaps.argmax()))
    return taken


def _nearest_mean(points: np.ndarray, count: int) -> list[int]:
    squares, total = (points**2).sum(axis=1), np.zeros(points.shape[1])
    taken: list[int] = []
    for _ in range(count):
        taken.append(int((squares + 2 * (points @ total)).argmin()))  # |total + point|^2, up to what all share
        total += points[taken[-1]]
        squares[taken[-1]] = np.inf
    return taken


def _table(order: np.ndarray, labels: Labels, ipc: int) -> Table:
    """The first `ipc` images of each class in the given order, [K, ipc]."""
    classes.check_ipc(ipc, labels[order])
    rows = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels[order])
    starts = np.cumsum(counts) - counts
    return rows[starts[:, None] + np.arange(ipc)].astype(np.int32)
