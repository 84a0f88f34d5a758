"""Is an image as cheap in a large subset as in a small one, and a member as cheap among many as among few?

  python benchmarks/ipc_scaling.py [--size=toy|cpu|gpu] [--repeats=5]

Budgets: microseconds of training for each image that a member sees, for subsets of 10 to 100 images per class of ten
classes in batches of at most 256, as the engine cuts them; a partial last batch is paid for, but only real images count.
Members: microseconds of a member's step, for more and more members. Ratios are to the first case of the same round.
"""

from typing import Any

import measure

from jaxsoft.training.recipe import Recipe, precision

D2, D3 = "convnet(depth=2, width=32)", "convnet(depth=3, width=128)"
SMALL, COLOR = (8, 8, 1), (32, 32, 3)

# `budgets`: (model, shape, members, about so many images of each member in a chunk). `crowds`: (model, shape, batch, steps).
SIZES: dict[str, dict[str, Any]] = {
    "toy": {
        "budgets": (("convnet(depth=1, width=4)", SMALL, 2, 500),),
        "ipc": (10, 50),
        "crowds": (("convnet(depth=1, width=4)", SMALL, 10, 2),),
        "members": (2, 4),
        "augment": "none",
    },
    "cpu": {
        "budgets": ((D2, SMALL, 8, 4000), (D3, COLOR, 2, 256)),
        "ipc": (10, 50, 100),
        "crowds": ((D2, SMALL, 100, 5),),
        "members": (8, 16, 32, 64),
        "augment": "dsa",
    },
    "gpu": {
        "budgets": ((D3, COLOR, 16, 10_000),),
        "ipc": (10, 50, 100),
        "crowds": ((D3, COLOR, 100, 20),),
        "members": (8, 16, 32, 64),
        "augment": "dsa",
    },
}


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__)
    size = SIZES[args.size]
    for model, shape, members, images in size["budgets"]:
        cases, seen = [], []
        for ipc in size["ipc"]:
            recipe = recipe_of(model, measure.CLASSES * ipc, size["augment"])
            steps = max(1, images // recipe.batch)
            cases.append(measure.training(recipe, shape, members, steps))
            seen.append(members * steps * recipe.slots / recipe.steps_per_epoch(recipe.slots))
        names = [{"model": model, "side": shape[0], "IPC": ipc} for ipc in size["ipc"]]
        tell(args, cases, names, seen, "us an image", f"x of IPC {size['ipc'][0]}")
    for model, shape, batch, steps in size["crowds"]:
        recipe = recipe_of(model, batch, size["augment"])
        cases = [measure.training(recipe, shape, members, steps) for members in size["members"]]
        names = [{"model": model, "side": shape[0], "batch": batch, "members": case.members} for case in cases]
        counted = [float(case.members * case.steps) for case in cases]
        tell(args, cases, names, counted, "us a member's step", f"x of {size['members'][0]} members")


def recipe_of(model: str, slots: int, augment: str) -> Recipe:
    """As the paper trains students: batches of at most 256."""
    how = ("sgd(momentum=0.9)", "constant", augment, precision("auto"))
    return Recipe(model, measure.CLASSES, slots, min(256, slots), *how)


def tell(args: Any, cases: list, names: list[dict[str, Any]], counted: list[float], unit: str, ratio: str) -> None:
    """Time the cases in turn; of each the cost of one of what is counted, and its ratio to the first case."""
    took = measure.interleaved([case.chunk for case in cases], args.repeats)
    for case, name, count, seconds in zip(cases, names, counted, took, strict=True):
        more = {"block": case.bucket.block, "tile": case.bucket.tile, "first_seconds": case.first_seconds}
        measure.tell("ipc_scaling", args.size, name, 1e6 * seconds / count, unit, **more)
    for name, count, seconds in list(zip(names, counted, took))[1:]:
        measure.tell("ipc_scaling", args.size, name, (seconds / count) / (took[0] / counted[0]), ratio)


if __name__ == "__main__":
    main()
