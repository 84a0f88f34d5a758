"""How many students of a PyTorch loop does jaxsoft train in the same time, on the same device?

  python benchmarks/torch_baseline.py [--size=toy|cpu|gpu] [--repeats=5] [--only=D3]

Network, images, batch, optimizer, loss, shuffling and augmentation are the same for all, and the tests hold them to it.
The measurements take turns, and ratios are of one round. On a CPU, jaxsoft uses all cores, and each PyTorch loop one or
all, whichever is faster at first sight. Engines:
  loop       one student at a time, as code of dataset distillation is written: single samples through a loader that is
             made anew each epoch, eager, float32, Python lists of angles, loss and accuracy fetched at each step
  tuned      one student at a time: data on the device, order by index, no list and nothing fetched inside an epoch,
             channels last, fused optimizer, network and loss compiled where a compiler is found; on a GPU also CUDA
             graphs and bfloat16
  grouped    jaxsoft's loop, but all members of a device in one block, and their convolutions as `vmap` makes them: grouped
  jaxsoft    many students in one program, as it chooses
"""

import functools
import importlib.util
import os
import sys
from typing import Any

import measure

from jaxsoft import errors
from jaxsoft.training.recipe import Recipe, precision

# A case: (depth, width), (H, W, C), slots, batch, numbers of members; epochs of a PyTorch measurement; steps of a chunk of
# jaxsoft, and of the largest number of members by `grouped`.
D2, D3, D4 = (2, 32), (3, 128), (4, 128)
SMALL, COLOR, LARGE = (8, 8, 1), (32, 32, 3), (64, 64, 3)
SIZES: dict[str, dict[str, Any]] = {
    "toy": {"compiled": False, "cases": (((1, 4), SMALL, 20, 10, (2,), 1, 2, 1),)},
    "cpu": {
        "compiled": True,
        "cases": (
            (D2, SMALL, 100, 10, (64,), 50, 80, 5),
            (D2, SMALL, 500, 100, (32,), 40, 15, 1),
            (D3, COLOR, 100, 10, (2,), 3, 20, 2),
            (D3, COLOR, 500, 100, (2,), 1, 2, 1),
        ),
    },
    "gpu": {
        "compiled": True,
        "cases": (
            (D3, COLOR, 1024, 256, (8, 16), 10, 100, 20),
            (D3, COLOR, 100, 10, (1, 64, 256), 5, 100, 20),
            (D4, LARGE, 1024, 256, (8,), 10, 50, 10),
        ),
    },
}


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__, only=("D1", "D2", "D3", "D4"))
    if importlib.util.find_spec("torch") is None:
        print(f"torch_baseline needs PyTorch: {errors.install('bench')}")
        sys.exit(3)
    # Both libraries live on one GPU, and JAX would take three quarters of it.
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.6")
    import torch  # pyright: ignore[reportMissingImports]
    import torch_student

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = SIZES[args.size]
    for (depth, width), shape, slots, batch, crowds, epochs, steps, grouped_steps in size["cases"]:
        if args.only not in ("", f"D{depth}"):
            continue
        model = f"convnet(depth={depth}, width={width})"
        how = ("sgd(momentum=0.9)", "constant", "dsa", precision("auto"))
        recipe = Recipe(model, measure.CLASSES, slots, batch, *how)
        peer = torch_student.Case(depth, width, shape[0], shape[2], measure.CLASSES, slots, batch)
        loops = [torch_student.Research(peer, device), torch_student.Tuned(peer, device, size["compiled"])]
        runs = [[functools.partial(torch_student.train, loop, epochs, n) for n in threads()] for loop in loops]
        fastest = [fastest_of(each) for each in runs]
        one_block: dict[str, Any] = dict(block=crowds[-1], tile=batch, lowering="grouped")
        grouped = measure.training(recipe, shape, crowds[-1], grouped_steps, **one_block)
        engines = [measure.training(recipe, shape, members, steps) for members in crowds]
        took = measure.interleaved([*fastest, grouped.chunk, *(engine.chunk for engine in engines)], args.repeats)

        steps_of_loop = epochs * recipe.steps_per_epoch(slots)
        rates = [steps_of_loop / took[0], steps_of_loop / took[1], grouped.rates(took[2])]
        names: list[dict[str, Any]] = [{"engine": name} for name in ("loop", "tuned", "grouped")]
        names[2]["members"] = grouped.members
        more: list[dict[str, Any]] = [{"how": loop.how, "threads": run.args[2]} for loop, run in zip(loops, fastest)]
        more.append({"block": grouped.bucket.block})
        for engine, seconds in zip(engines, took[3:]):
            rates.append(engine.rates(seconds))
            names.append({"engine": "jaxsoft", "members": engine.members})
            more.append({"block": engine.bucket.block, "tile": engine.bucket.tile})
        what = {"model": model, "side": shape[0], "batch": batch}
        tell = functools.partial(measure.tell, "torch_baseline", args.size)
        for name, rate, known in zip(names, rates, more):
            tell(what | name, rate, "student-steps/s", torch=torch.__version__, **known)
        for name, rate in zip(names[3:], rates[3:]):
            others = ("loop", "tuned", "grouped") if name["members"] == grouped.members else ("loop", "tuned")
            for other, slower in zip(others, rates):
                tell(what | name, rate / slower, f"x of {other}", torch=torch.__version__)


def threads() -> tuple[int, ...]:
    """Numbers of threads that PyTorch may use: one, or one for each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return (1, cores) if cores > 1 else (1,)


def fastest_of(runs: list[Any]) -> Any:
    """The fastest of a few functions, each warmed up before."""
    for run in runs:
        run()
    took = measure.interleaved(runs, 2).min(1)
    return runs[int(took.argmin())]


if __name__ == "__main__":
    main()
