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
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsoft.ops import conv
from jaxsoft.ops.conv import Problem
from jaxsoft.ops.lowerings import Geometry
from jaxsoft.training import timing
from jaxsoft.training.fit import Recipe
from jaxsoft.training.timing import Run

# A neighbour is taken if it is so much faster: less may be noise.
_BETTER = 1.03


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

    def ask(self, question: Sequence[Any], measure: Callable[[], Any]) -> Any:
        """The answer that is known, else the measured one, which is remembered. Both are JSON."""
        key = json.dumps(question)
        if key not in self._answers:
            self._answers[key] = measure()
            self._write()
        return self._answers[key]

    def knows(self, question: Sequence[Any]) -> bool:
        """Whether an answer is known."""
        return json.dumps(question) in self._answers

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_bytes()) if self._path else {}
            return found if isinstance(found, dict) else {}
        except (OSError, ValueError):
            return {}

    def _write(self) -> None:
        """Add to what others have written since, and replace the file whole or not at all."""
        if self._path is None:
            return
        there = self._read()
        there[device()] = {**there.get(device(), {}), **self._answers}
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=".tuning")
            with open(descriptor, "w") as file:
                json.dump(there, file, indent=1)
            os.replace(name, self._path)


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

    return layout_of(table.ask(question(recipe, image_shape, members, start, free), found))


def layout_of(stored: Sequence[Any]) -> Layout:
    """A layout that was stored as JSON."""
    block, tile, lowering = stored
    if not isinstance(lowering, str):
        lowering = tuple((Problem(*problem), how) for problem, how in lowering)
    return Layout(block, tile, lowering)


def fastest_lowerings(recipe: Recipe, image_shape: tuple[int, ...], layout: Layout, table: Table) -> conv.Choice:
    """For each map of each convolution in a training step, the lowering that is fastest by itself."""
    mine = needed(recipe, image_shape, layout)
    times = {p: table.ask(list(p), functools.partial(timing.lowering_seconds, p, g)) for p, g in mine.items()}
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
