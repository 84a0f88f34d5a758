"""How much longer than its floor does a training step take, by each lowering?

  python benchmarks/calibration.py [--size=toy|cpu|gpu] [--repeats=5]

A floor counts what a step has to move and to multiply, at a chip's full bandwidth and peak (jaxsoft/training/floors.py);
`jaxsoft run NAME --dry_run --for=h200` multiplies it by what real chips took: the ratios of this table, `floors.MEASURED`.
What the rules choose, `auto`, takes turns with each lowering that can be forced. Where no floor is known, as on a CPU, there
are rates alone.
"""

import re
from typing import Any

import jax
import measure

from jaxsoft import target
from jaxsoft.training import cost, floors
from jaxsoft.training.ensemble import Bucket
from jaxsoft.training.recipe import Recipe, precision

# A case: network, side of a colour image, batch, members, steps of a chunk. Those that matter most come first.
SIZES: dict[str, dict[str, Any]] = {
    "toy": {"lowerings": ("auto", "map"), "cases": (("convnet(depth=1, width=4)", 8, 4, 2, 2),)},
    "cpu": {"lowerings": ("auto", "patches", "map"), "cases": (("convnet(depth=2, width=32)", 8, 10, 16, 100),)},
    "gpu": {
        "lowerings": ("auto", "kernel", "patches", "map"),
        "cases": (
            ("convnet(depth=3)", 32, 10, 256, 40),
            ("convnet(depth=3)", 32, 256, 8, 60),
            ("convnet(depth=3)", 32, 100, 24, 60),
            ("convnet(depth=4)", 64, 256, 8, 20),
            ("convnet(depth=3)", 32, 10, 1, 400),
        ),
    },
}
_TPUS = {"TPU v4": "v4", "TPU v5 lite": "v5e", "TPU v5e": "v5e", "TPU v6 lite": "v6e", "TPU v6e": "v6e"}


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__)
    size, chip = SIZES[args.size], chip_of(jax.local_devices()[0].device_kind)
    for model, side, batch, members, steps in size["cases"]:
        recipe = Recipe(
            model, measure.CLASSES, 10 * batch, batch, "sgd(momentum=0.9)", "constant", "dsa", precision("auto")
        )
        shape = (side, side, 3)
        cases = {how: measure.training(recipe, shape, members, steps, lowering=how) for how in size["lowerings"]}
        took = measure.interleaved([case.chunk for case in cases.values()], args.repeats)
        for (how, case), seconds in zip(cases.items(), took):
            what = {"model": model, "side": side, "batch": batch, "members": members, "way": how}
            more = {"block": case.bucket.block, "first_seconds": case.first_seconds}
            measure.tell("calibration", args.size, what, case.rates(seconds), "student-steps/s", **more)
            if chip:
                least = floor(case.bucket, shape, chip) / case.devices
                measure.tell("calibration", args.size, what, seconds / least, "x of the floor", chip=chip, floor=least)


def chip_of(kind: str) -> str:
    """The name in `target.CHIPS` of a device by what JAX calls it; empty if it is none of them."""
    words = set(re.findall(r"\w+", kind.lower()))
    return _TPUS.get(kind) or next((name for name in target.CHIPS if name in words), "")


def floor(bucket: Bucket, shape: tuple[int, int, int], chip: str) -> float:
    """Seconds of a chunk on one chip, at least: its steps without the look at 8 images that follows them."""
    with target.aimed(target.named(chip)):
        done = cost.step(bucket.recipe, shape, bucket.block, bucket.tile, bucket.lowering)
    each = sum(floors.seconds(done, target.CHIPS[chip], bucket.recipe.precision).values())
    return each * bucket.chunk_steps * bucket.members / bucket.block


if __name__ == "__main__":
    main()
