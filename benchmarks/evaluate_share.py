"""Which share of a run's time do its looks at the validation images take?

  python benchmarks/evaluate_share.py [--size=toy|cpu|gpu] [--repeats=5]

A chunk that ends with a look at all validation images is timed in turn with the same chunk and a look at 8 images: the
difference, as a share of the former, round by round. Steps between looks, batch, members and images are those of the
demo (ten seeds of seven label specs) on a CPU, and of the baseline on CIFAR-10 on an accelerator.
"""

from typing import Any

import measure
import sweeps

from jaxsoft import config
from jaxsoft.training.recipe import Recipe, precision

LEAST = 8

# `changes` of the settings of configs/<config>.py; `images` of validation.
SIZES: dict[str, dict[str, Any]] = {
    "toy": {
        "config": "digits",
        "changes": {"student.model": "convnet(depth=1, width=4)", "student.steps": 20},
        "shape": (8, 8, 1),
        "images": 32,
        "members": 4,
        "ipc": (1, 2),
    },
    "cpu": {"config": "digits", "changes": {}, "shape": (8, 8, 1), "images": 259, "members": 70, "ipc": (1, 10)},
    "gpu": {"config": "cifar10", "changes": {}, "shape": (32, 32, 3), "images": 5000, "members": 64, "ipc": (1, 10)},
}


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__)
    size = SIZES[args.size]
    settings = sweeps.settings(size["config"], changes=size["changes"])
    for ipc in size["ipc"]:
        recipe, steps = recipe_of(settings, ipc)
        whole, least = (
            measure.training(recipe, size["shape"], size["members"], steps, look=look)
            for look in (size["images"], LEAST)
        )
        what = {"model": recipe.model, "IPC": ipc, "steps between looks": steps, "images": size["images"]}
        with_all, with_least = measure.interleaved([whole.chunk, least.chunk], args.repeats)
        more = {"members": size["members"], "block": whole.bucket.block, "chunk_seconds": with_all.tolist()}
        share = 100 * (with_all - with_least) / with_all
        measure.tell("evaluate_share", args.size, what, share, "% of the time", **more)


def recipe_of(settings: config.Settings, ipc: int) -> tuple[Recipe, int]:
    """The students of a budget, and how many steps they take between two looks."""
    student, slots = settings.student, measure.CLASSES * ipc
    how = (student.optimizer, student.schedule, student.augment, precision(settings.precision))
    recipe = Recipe(student.model, measure.CLASSES, slots, min(student.batch, slots), *how)
    steps = student.steps or student.epochs * recipe.steps_per_epoch(slots)
    return recipe, -(-steps // student.evaluations)


if __name__ == "__main__":
    main()
