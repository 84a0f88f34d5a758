"""What all benchmarks share: sizes, interleaved timing, a compiled program on random images, and how a row is told."""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from jaxsoft.command import starting
from jaxsoft.experiment.machine.environment import environment
from jaxsoft.training import cost
from jaxsoft.training.ensemble import Bucket, Program
from jaxsoft.training.evaluate import EvalSet, eval_set
from jaxsoft.training.fit import Bank, Member, Recipe

SIZES = ("toy", "cpu", "gpu")
"""toy: the GPU set on small networks, so that any machine can try it; cpu: minutes on two cores; gpu: minutes on one GPU."""

CLASSES, POOL = 10, 1000


def arguments(doc: str | None, only: Sequence[str] = (), elsewhere: bool = False) -> argparse.Namespace:
    """`--size` and `--repeats`; `--only` where one may choose among cases, and `--for` where a chip may be far away.

    JAX is set up as `jaxsoft run` sets it up.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="cpu", help="what is measured, and how long it may take")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each case")
    if only:
        parser.add_argument("--only", choices=only, default="", help="measure the cases of this network alone")
    if elsewhere:
        parser.add_argument(
            "--for", dest="elsewhere", default="", help="a chip, as h200: its floor, and nothing measured"
        )
    args = parser.parse_args()
    starting.set_up_jax(keep_programs=True)
    return args


def seconds(function: Callable[[], Any]) -> float:
    """Wall time of a call; what it returns is waited for."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def interleaved(cases: Sequence[Callable[[], Any]], repeats: int) -> Float[np.ndarray, "cases repeats"]:
    """Seconds of each case, the cases taking turns, so that a busy moment of the machine meets all of them alike."""
    return np.array([[seconds(case) for case in cases] for _ in range(repeats)]).T


def tell(benchmark: str, size: str, what: dict[str, Any], values: Iterable[float], unit: str, **more: Any) -> None:
    """Print a row for people and the same as one JSON line.

    Args:
      benchmark: its name.
      size: of `SIZES`.
      what: names the row within its benchmark.
      values: the measurements, in `unit`; a ratio is of two measurements of one round.
      unit: such as `student-steps/s`.
      more: what else was found, such as seconds to compile; goes into the JSON line alone.
    """
    all_of_them = np.asarray(list(values), float)
    found = {"median": np.median(all_of_them), "low": all_of_them.min(), "high": all_of_them.max()}
    name = ", ".join(f"{key} {value}" for key, value in what.items())
    shown = " ".join(f"{found[key]:,.4g}" for key in ("low", "high"))
    print(f"{benchmark:20} {name:60} {found['median']:12,.4g} {unit} [{shown}] n={len(all_of_them)}")
    row = {"benchmark": benchmark, "size": size, "what": what, "unit": unit, **found, "n": len(all_of_them)}
    print(json.dumps({**row, **more, **environment()}, default=float), flush=True)


class Training(NamedTuple):
    """A compiled program of one bucket, warmed up.

    Attributes:
      chunk: trains every member for `steps` more steps.
      members, steps: how many; of each, in a chunk.
      bucket: with the block and tile that were chosen.
      first_seconds: compiling, and the first chunk.
      devices: among which the members are spread.
    """

    chunk: Callable[[], Any]
    members: int
    steps: int
    bucket: Bucket
    first_seconds: float
    devices: int

    def rates(self, seconds: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Student-steps a second."""
        return self.members * self.steps / seconds


def training(
    recipe: Recipe,
    shape: tuple[int, int, int],
    members: int,
    steps: int,
    block: int = 0,
    tile: int = 0,
    lowering: str = "auto",
    look: int = 8,
    who: Member | None = None,
) -> Training:
    """Compile a program of one bucket on random images; the members fill as many devices as divide them.

    Args:
      recipe: of each member; its images are `recipe.slots` of a pool of 1,000.
      shape: (H, W, C).
      members: how many.
      steps: of each in a chunk.
      block, tile: as in `Bucket`; 0 leaves it to `cost`.
      lowering: of convolutions.
      look: images that every member is evaluated on after a chunk.
      who: the members; random ones if not given.
    """
    local = jax.local_devices()
    count = max(d for d in range(1, len(local) + 1) if members % d == 0)
    share = members // count
    tile = tile or cost.choose_tile(recipe, shape)
    most = block or cost.choose_block(recipe, shape, share, tile, lowering)
    block = max(b for b in range(1, most + 1) if share % b == 0)
    bucket = Bucket(recipe, members, block, steps, tile, lowering)
    program = Program((bucket,), shape, select=0, devices=local[:count])
    shared = material(shape, look, recipe.num_classes, cost.evaluation_batch(recipe, shape))
    (bank, evals), them = program.place(shared, (who or random_members(recipe, members),))
    start = time.perf_counter()
    state = {"students": program.initialize(them), "index": 0}

    def chunk() -> Any:
        state["students"], report = program.chunk(bank, evals, them, state["students"], state["index"])
        state["index"] += 1
        return report

    jax.block_until_ready(chunk())
    return Training(chunk, members, steps, bucket, time.perf_counter() - start, count)


def material(
    shape: tuple[int, int, int], look: int, classes: int = CLASSES, batch: int = 256
) -> tuple[Bank, tuple[EvalSet]]:
    """A pool of random images with hard labels, and an evaluation set of `look` images, `batch` of them at a time."""
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (max(POOL, look), *shape), dtype=np.uint8)
    one: Any = np.full(shape[-1], 1 / 255, np.float32)
    fields: dict[str, Any] = dict(images=images[:POOL], scale=one, shift=-one, rows=np.eye(classes, dtype=np.float32))
    labels = random.integers(0, classes, look).astype(np.int32)
    return Bank(**fields), (eval_set(images[:look], labels, batch),)


def random_members(recipe: Recipe, members: int) -> Member:
    """Members that read random images of the pool and never finish."""
    random = np.random.default_rng(1)
    fields: dict[str, Any] = dict(
        seed=np.arange(members, dtype=np.int32),
        images=random.integers(0, POOL, (members, recipe.slots)).astype(np.int32),
        rows=random.integers(0, recipe.num_classes, (members, recipe.slots)).astype(np.int32),
        slots=np.full(members, recipe.slots, np.int32),
        learning_rate=np.full(members, 1e-3, np.float32),
        weight_decay=np.zeros(members, np.float32),
        steps=np.full(members, 10**6, np.int32),
    )
    return Member(**fields)
