"""What a TPU holds of students beside what comes and goes: its arrays lie in tiles, and it has a memory of its own.

Tiles are 8 lines by 128 columns (fewer lines, where an array has but 1, 2 or 4), and the last of them are padded. Arguments
lie with the axes as lines and columns that pad least. A loop over members writes each one's arrays in tiles of their own
last two axes, where a kernel of 16 by 16 channels takes eight times its bytes; networks that are evaluated are read so as
well. What of this fits is in the chip's own memory, which counts for nothing.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax

from jaxsoft.training import cost
from jaxsoft.training.buckets import Bucket
from jaxsoft.training.recipe import Recipe

# Of a v5e's own 128 MiB all but the 16 that its compiler lets a kernel have: 107 MiB were seen in use.
OWN_BYTES = 112 * 2**20
# Beside, for each loop over members: 1.3 to 1.8 MB in sixteen programs whose students all have room in the chip's own memory.
_LOOP_BYTES = 1_500_000
_LINES, _COLUMNS, _ALONE = 8, 128, 1024  # of a tile; columns of that of an array with one axis, at most
_BYTES = 4  # of parameters and indices


class Held(NamedTuple):
    """Bytes of the students of a bucket on one device."""

    given: int  # before a chunk: arguments, in whose place lie the results
    waiting: int  # from its loop to the end of the chunk: what becomes of them
    making: int  # more while its loop runs: the largest array in tiles of each member's own
    asked: int  # networks as they are evaluated, in the precision of products
    loops: int  # over its members, which is 1 or, if they are one block, 0


def lying(shape: Sequence[int]) -> int:
    """Places of an array [...] that a TPU is given: elements, with the padding of the tiles that pad least."""
    if len(shape) < 2:
        count = math.prod(shape)
        return _whole(count, min(_ALONE, max(_COLUMNS, _power(count)))) if shape else 1
    count = range(len(shape))
    return min(_tiled(shape, line, column) for line in count for column in count if line != column)


def inside(shape: Sequence[int]) -> int:
    """Places of one member's array [...] in what a loop over members writes: its last two axes are lines and columns.

    They are columns and lines if only the first of them fills a tile.
    """
    whole = (1, 1, *shape)
    line, column = len(whole) - 2, len(whole) - 1
    return _tiled(whole, *((column, line) if whole[column] < _COLUMNS <= whole[line] else (line, column)))


def held(bucket: Bucket, members: int, image_shape: tuple[int, ...]) -> Held:
    """What so many members of a bucket hold, but for what comes and goes in a step."""
    recipe, one = bucket.recipe, cost.student(bucket.recipe, image_shape)
    network, more = _shapes(one.variables), _shapes(one.projection)
    rest = sum(lying((members, *shape)) for shape in _shapes((one.optimizer, one.bad_step)))
    flat = {shape: lying((members, *shape)) for shape in (*network, *more)}
    apart = {shape: members * inside(shape) for shape in flat} if bucket.block < members else flat
    largest = max(flat, key=math.prod)
    trained = sum(flat[shape] for shape in (*network, *more)) + rest
    given = trained + sum(map(flat.__getitem__, network)) + _tables(recipe) * lying((members, recipe.slots))
    making = apart[largest] - flat[largest]
    waiting = sum(apart[shape] for shape in (*network, *more)) + rest - making
    asked = sum(map(apart.__getitem__, network)) * (2 if recipe.precision == "bfloat16" else _BYTES)
    return Held(_BYTES * given, _BYTES * waiting, _BYTES * making, asked, bucket.block < members)


def students_bytes(
    buckets: Iterable[Bucket],
    devices: int,
    image_shape: tuple[int, ...],
    copied: int = 0,
    training: int = 0,
    evaluation: int = 0,
) -> int:
    """Bytes of the main memory of a TPU that students hold, beside the larger of what comes and goes.

    Args:
      buckets, devices: who, and over how many devices the members of each are spread.
      image_shape: (H, W, C), or (T, H, W, C) of clips.
      copied: bytes of what steps gather from that are copied to the chip's own memory.
      training, evaluation: bytes that come and go, which are there first.
    """
    networks: dict[str, list[Held]] = {}
    for bucket in buckets:
        networks.setdefault(bucket.recipe.model, []).append(held(bucket, bucket.members // devices, image_shape))
    each = [one for some in networks.values() for one in some]
    # Networks of several buckets are put together to be evaluated, those of one are read as its loop wrote them.
    read = max([0, *(some[0].making for some in networks.values() if len(some) == 1)])
    trained = training + max(one.making for one in each) + copied
    evaluated = evaluation + sum(one.asked for one in each) + read
    temporary = max(training, evaluation)
    over = sum(one.waiting for one in each) + max(trained, evaluated) - max(temporary, OWN_BYTES)
    return sum(one.given + _LOOP_BYTES * one.loops for one in each) + max(0, over)


def _tables(recipe: Recipe) -> int:
    """Of images, of label rows, and of feature maps."""
    return 3 if recipe.features else 2


def _shapes(tree: object) -> list[tuple[int, ...]]:
    return [leaf.shape for leaf in jax.tree.leaves(tree)]


def _tiled(shape: Sequence[int], line: int, column: int) -> int:
    """Places, if these axes are lines and columns of tiles."""
    rest = math.prod(size for axis, size in enumerate(shape) if axis not in (line, column))
    return rest * _whole(shape[line], min(_LINES, _power(shape[line]))) * _whole(shape[column], _COLUMNS)


def _whole(count: int, tile: int) -> int:
    return count + -count % tile


def _power(count: int) -> int:
    """The least power of two that is no less."""
    return 1 << max(0, count - 1).bit_length()
