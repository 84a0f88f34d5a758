"""What does the search for block, tile and lowerings find on this device, and how much faster is it than the rules?

  python benchmarks/tuned_layout.py [--size=toy|cpu|gpu] [--repeats=5]

For each case: microseconds of every map of every convolution by each lowering, for a block of members on every device
at once; then the layout that a search from the rules' layout ends at, and training in the one against the other, in
turns. Nothing that was measured before is used, and nothing is remembered.
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
    "cpu": {"cases": ((D2, 8, 1, 100, 16, 20), (D3, 32, 3, 10, 4, 6))},
    "gpu": {"cases": ((D3, 32, 3, 10, 256, 50), (D3, 32, 3, 256, 16, 20))},
}


class Remembered(Table):
    """Lists what was asked and answered."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Any, Any]] = []

    def ask(self, question: Any, measure: Any) -> Any:
        """See `Table.ask`."""
        answer = super().ask(question, measure)
        self.asked.append((question, answer))
        return answer


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__)
    for model, side, channels, batch, members, steps in SIZES[args.size]["cases"]:
        how = "sgd(momentum=0.9)", "constant", "dsa", precision("auto")
        recipe, shape = Recipe(model, measure.CLASSES, 2 * batch, batch, *how), (side, side, channels)
        rule = measure.training(recipe, shape, members, steps)
        start, table, begin = Layout(rule.bucket.block, rule.bucket.tile), Remembered(), time.perf_counter()
        found = tuning.search(recipe, shape, -(-members // jax.local_device_count()), start, table)
        took = time.perf_counter() - begin
        best = measure.training(recipe, shape, members, steps, *found)
        what = {"model": model, "side": side, "batch": batch}
        told: set[str] = set()
        for question, answer in table.asked:
            if question[0] == "layout" or str(question) in told or question[1:3] != list(start[:2]):
                continue
            told.add(str(question))
            which = {"map": question[0], "image": question[3], "channels": f"{question[5]} to {question[6]}"}
            for lowering, seconds in answer.items():
                case = {**what, "block": question[1], "tile": question[2], **which, "lowering": lowering}
                measure.tell("tuned_layout", args.size, case, [1e6 * seconds], "us")
        times = measure.interleaved([rule.chunk, best.chunk], args.repeats)
        lowering = found.lowering if isinstance(found.lowering, str) else conv_words(found)
        end = {"found": f"block {found.block}, tile {found.tile}, {lowering}"}
        more = {"rule": list(start[:2]), "search_seconds": took}
        measure.tell("tuned_layout", args.size, {**what, **end}, times[0] / times[1], "x of the rules' layout", **more)


def conv_words(found: Layout) -> str:
    """Which lowering was taken where."""
    return " ".join(f"{p.map.split('_')[0]}@{p.height}:{how}" for p, how in found.lowering if not isinstance(p, str))


if __name__ == "__main__":
    main()
