"""What does the search for block, tile and lowerings find on this device, and how much faster is it than the rules?

  python benchmarks/tuned_layout.py [--size=toy|cpu|gpu] [--repeats=5]

For each case: microseconds of every map of every convolution by each lowering, for a block of members on every device
at once; then training in other layouts against that of the rules, in turns: all members of a device in one block, all
images of a batch at once, and the layout at which a search ends. Nothing that was measured before is used.
"""

import time
from typing import Any

import jax
import measure

from jaxsoft.training import tuning
from jaxsoft.training.fit import Recipe, precision
from jaxsoft.training.tuning import Layout, Table

# (model, side, channels, batch, members, steps of a chunk)
D2, D3 = "convnet(depth=2, width=32)", "convnet(depth=3, width=128)"
SIZES: dict[str, dict[str, Any]] = {
    "toy": {"cases": (("convnet(depth=1, width=4)", 8, 1, 4, 2, 2),)},
    "cpu": {"cases": ((D2, 8, 1, 10, 32, 80), (D2, 8, 1, 100, 16, 20), (D3, 32, 3, 10, 4, 6))},
    "gpu": {"cases": ((D3, 32, 3, 10, 256, 50), (D3, 32, 3, 256, 16, 20))},
}


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__)
    for model, side, channels, batch, members, steps in SIZES[args.size]["cases"]:
        how = "sgd(momentum=0.9)", "constant", "dsa", precision("auto")
        recipe, shape = Recipe(model, measure.CLASSES, 2 * batch, batch, *how), (side, side, channels)
        rule = measure.training(recipe, shape, members, steps)
        start, share, table = (
            Layout(rule.bucket.block, rule.bucket.tile),
            -(-members // jax.local_device_count()),
            Table(),
        )
        begin = time.perf_counter()
        found = tuning.search(recipe, shape, share, start, table)
        took = time.perf_counter() - begin
        what = {"model": model, "side": side, "batch": batch}
        for problem in tuning.needed(recipe, shape, start):
            which = {"map": problem.map, "image": problem.height, "channels": f"{problem.inputs} to {problem.outputs}"}
            for lowering, seconds in table.ask(list(problem), dict).items():
                case = {**what, "block": problem.members, "tile": problem.images, **which, "lowering": lowering}
                measure.tell("tuned_layout", args.size, case, [1e6 * seconds], "us")
        layouts = {
            "one block": start._replace(block=share),
            "whole batch": start._replace(tile=batch),
            f"found: {words(found)}": found,
        }
        others = [measure.training(recipe, shape, members, steps, *layout) for layout in layouts.values()]
        times = measure.interleaved([rule.chunk, *(other.chunk for other in others)], args.repeats)
        what["rule"] = f"block {start.block}, tile {start.tile}"
        for name, other in zip(layouts, times[1:]):
            more = {"search_seconds": took}
            measure.tell("tuned_layout", args.size, {**what, "layout": name}, times[0] / other, "x of the rule", **more)


def words(found: Layout) -> str:
    """A layout in one line: block, tile, and which lowering was taken where."""
    assert not isinstance(found.lowering, str)
    where = (f"{problem.map}@{problem.height} {how}" for problem, how in found.lowering)
    return ", ".join([f"block {found.block}", f"tile {found.tile}", *where])


if __name__ == "__main__":
    main()
