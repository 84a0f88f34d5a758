"""What is fastest on this machine: measured once for a shape, remembered, and repeated by whoever resumes.

Two things that no rule knows for every machine: how many members to vmap together (and how many of their images at a
time), and by which lowering each map of each convolution is computed. A `Layout` answers both for one recipe. It is
found by a short search from the rules' layout: each map of each convolution alone, by every lowering; then whole
training steps, in neighbouring blocks and tiles, as long as one of them is faster.
"""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsoft import files
from jaxsoft.ops import conv
from jaxsoft.ops.conv import Problem
from jaxsoft.ops.lowerings import Geometry
from jaxsoft.training import timing
from jaxsoft.training.fit import Recipe
from jaxsoft.training.timing import Run

# A neighbour is taken if it is so much faster: less may be noise.
_BETTER = 1.03
_MOST_BYTES = 2**26  # of a table that is worth reading


class Layout(NamedTuple):
    """How members of one recipe are computed.

    Attributes:
      block: members that are vmapped together.
      tile: images of a batch that are taken at a time.
      lowering: of convolutions: one for all, `auto` for the rule, or a table of what was measured.
    """

    block: int
    tile: int
    lowering: conv.Choice = "auto"


class Table:
    """Answers by question, for this device and compiler; kept in a file that several processes may share.

    It saves time and nothing else: a file that cannot be read counts as empty, one that cannot be written is not.

    Args:
      folder: where `tuning.json` lies; in memory alone if not given.
    """

    def __init__(self, folder: str | os.PathLike | None = None):
        self._path = Path(folder) / "tuning.json" if folder else None
        self._answers = self._read().get(device(), {})

    def ask(self, question: Sequence[Any], measure: Callable[[], Any], check: Callable[[Any], Any] = bool) -> Any:
        """The answer that is known, else the measured one, which is remembered. Both are JSON.

        Args:
          question: what all depends on.
          measure: finds the answer.
          check: raises ValueError if an answer is none; then it counts as not known.
        """
        key = json.dumps(question)
        try:
            check(self._answers[key])
        except (KeyError, ValueError):
            self._answers[key] = measure()
            self._write()
        return self._answers[key]

    def knows(self, question: Sequence[Any]) -> bool:
        """Whether an answer is known."""
        return json.dumps(question) in self._answers

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(files.read(self._path, _MOST_BYTES)) if self._path else {}
            return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}
        except (OSError, ValueError, RecursionError):
            return {}

    def _write(self) -> None:
        """Add to what others have written since, and replace the file whole or not at all."""
        if self._path is None:
            return
        there = self._read()
        there[device()] = {**there.get(device(), {}), **self._answers}
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            files.replace(self._path, json.dumps(there, indent=1).encode())


def device() -> str:
    """What measured times depend on beside the question: processor, how many, and the compiler's version."""
    kind = jax.devices()[0].device_kind
    with contextlib.suppress(OSError, StopIteration):
        if kind == "cpu":
            kind = next(
                line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
            )
    return f"{jax.local_device_count()} x {kind.split(': ')[-1]}, jax {jax.__version__}"


def question(recipe: Recipe, image_shape: tuple[int, ...], members: int, start: Layout, free: Sequence[str]) -> list:
    """What a search answers: all that it depends on, as JSON."""
    steps = recipe._replace(slots=0, schedule="", views=0)  # room and rates change no time
    forced = [] if "lowering" in free else [start.lowering]
    return ["layout", list(steps), list(image_shape), members, start.block, start.tile, sorted(free), *forced]


def search(
    recipe: Recipe,
    image_shape: tuple[int, ...],
    members: int,
    start: Layout,
    table: Table,
    free: Sequence[str] = Layout._fields,
) -> Layout:
    """The fastest layout that a short search finds: half a minute for a network of three layers, on two cores.

    Args:
      recipe: of the members.
      image_shape: (H, W, C).
      members: on a device.
      start: the rules' layout.
      table: what is known, and where to remember.
      free: parts of the layout that may be changed.
    """

    def lowered(layout: Layout) -> Layout:
        if "lowering" not in free:
            return layout
        return layout._replace(lowering=fastest_lowerings(recipe, image_shape, layout, table))

    @functools.cache
    def steps(layout: Layout) -> Run:
        run = timing.steps(recipe, image_shape, layout.block, layout.tile)
        return timing.on_all_devices(run, layout.lowering)

    def found() -> Any:
        best = lowered(start)
        for move in _moves(recipe, members, free):
            while (other := move(best)) and _is_faster(steps, other := lowered(other), best):
                best = other
        return best

    check = functools.partial(layout_of, members=members, batch=recipe.batch)
    return check(table.ask(question(recipe, image_shape, members, start, free), found, check))


def layout_of(stored: Any, members: int, batch: int) -> Layout:
    """A layout that was stored as JSON.

    Args:
      stored: its parts.
      members: how many there are to share a block.
      batch: images of a step, of which a tile is a whole part.

    Raises:
      ValueError: it is none.
    """
    if not isinstance(stored, list | tuple) or len(stored) != len(Layout._fields):
        raise ValueError("a layout has a block, a tile and a lowering")
    block, tile, lowering = stored
    if type(block) is not int or not 1 <= block <= members:
        raise ValueError(f"block expects an integer from 1 to {members}, got {block!r:.40}")
    if type(tile) is not int or tile < 1 or batch % tile:
        raise ValueError(f"tile expects a whole part of {batch} images, got {tile!r:.40}")
    if isinstance(lowering, str):
        return Layout(block, tile, _one_of(lowering, ("auto", *conv.LOWERINGS)))
    if not isinstance(lowering, list | tuple):
        raise ValueError(f"no lowering: {lowering!r:.40}")
    return Layout(block, tile, tuple(map(_measured, lowering)))


def _measured(entry: Any) -> tuple[Problem, str]:
    """A map of a convolution, and the lowering that was fastest."""
    if not isinstance(entry, list | tuple) or len(entry) != 2 or not isinstance(entry[0], list | tuple):
        raise ValueError(f"no lowering of a map: {entry!r:.40}")
    if len(entry[0]) != len(Problem._fields):
        raise ValueError(f"no map of a convolution: {entry[0]!r:.40}")
    problem = Problem(*entry[0])
    if not all(type(size) is int and size > 0 for size in problem[1:-1]) or not isinstance(problem.dtype, str):
        raise ValueError(f"no map of a convolution: {entry[0]!r:.40}")
    _one_of(problem.map, conv.MAPS)
    return problem, _one_of(entry[1], conv.LOWERINGS)


def _one_of(value: Any, choices: Sequence[str]) -> str:
    if value not in choices:
        raise ValueError(f"lowering expects one of {', '.join(choices)}, got {value!r:.40}")
    return value


def _check_seconds(answer: Any) -> None:
    if not isinstance(answer, dict) or not answer or not all(isinstance(s, float) for s in answer.values()):
        raise ValueError("no times")
    [_one_of(name, conv.LOWERINGS) for name in answer]


def fastest_lowerings(recipe: Recipe, image_shape: tuple[int, ...], layout: Layout, table: Table) -> conv.Choice:
    """For each map of each convolution in a training step, the lowering that is fastest by itself."""
    mine = needed(recipe, image_shape, layout)
    times = {
        p: table.ask(list(p), functools.partial(timing.lowering_seconds, p, g), _check_seconds) for p, g in mine.items()
    }
    return tuple((problem, min(seconds, key=seconds.__getitem__)) for problem, seconds in times.items())


def needed(recipe: Recipe, image_shape: tuple[int, ...], layout: Layout) -> dict[Problem, Geometry]:
    """The maps of all convolutions in a training step of a block; nobody needs the gradient in the images."""
    with conv.meeting() as met, conv.lowering("auto"):
        jax.eval_shape(timing.steps(recipe, image_shape, layout.block, layout.tile), jnp.int32(1))
    first = {p for p, g in met.items() if p.map == "input_gradient" and (*g.size, p.inputs) == image_shape}
    mine = {p: g for p, g in met.items() if (p.members, p.images) == (layout.block, layout.tile)}
    return {p: g for p, g in mine.items() if p not in first}


def _moves(recipe: Recipe, members: int, free: Sequence[str]) -> Iterator[Callable[[Layout], Layout | None]]:
    """From a layout to its neighbours; None where there is none."""
    tiles = [t for t in range(1, recipe.batch + 1) if recipe.batch % t == 0]

    def block(change: Callable[[int], int], layout: Layout) -> Layout | None:
        block = max(1, min(members, change(layout.block)))
        return layout._replace(block=block) if block != layout.block else None

    def tile(step: int, layout: Layout) -> Layout | None:
        place = tiles.index(layout.tile) + step
        return layout._replace(tile=tiles[place]) if 0 <= place < len(tiles) else None

    if "block" in free:
        yield functools.partial(block, lambda b: b // 2)
        yield functools.partial(block, lambda b: b * 2)
    if "tile" in free:
        yield functools.partial(tile, 1)
        yield functools.partial(tile, -1)


def _is_faster(steps: Callable[[Layout], Run], new: Layout, old: Layout) -> bool:
    """Whether a step of a member takes less time; a layout that does not fit in memory is not faster."""
    try:
        times = timing.seconds([steps(new), steps(old)])
    except jax.errors.JaxRuntimeError:
        return False
    return times[0] / new.block * _BETTER < times[1] / old.block
