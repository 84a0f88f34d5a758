"""How much of a mixed sweep's one program is useful work, and does it cost more than its parts?

  python benchmarks/sweep_efficiency.py [--size=toy|cpu|gpu] [--repeats=5]

A grid of subsets of 1 to 50 images per class of the real digits, hard labels, planned as a run plans it. Useful share:
image slots that train a member, of all that the program computes. Then every chunk of the joint program is timed against
the chunks of its buckets as programs of their own, with the same blocks, tiles, steps and members: the ratio is the
joint program's seconds to the sum of theirs, round by round, and compiling is not in it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import measure
import sweeps

from jaxsoft import data
from jaxsoft.experiment.plan import make as planning
from jaxsoft.training.ensemble import Program

# `batches`: the plan is made for each of them, the first is timed too.
SIZES: dict[str, dict[str, Any]] = {
    "toy": {
        "model": "convnet(depth=1, width=4)",
        "ipc": (1, 5),
        "seeds": 2,
        "batches": (20, 50),
        "steps": 4,
        "evaluations": 2,
    },
    "cpu": {
        "model": "convnet(depth=2, width=16)",
        "ipc": (1, 2, 5, 10, 20, 50),
        "seeds": 10,
        "batches": (50, 256),
        "steps": 80,
        "evaluations": 2,
    },
    "gpu": {
        "model": "convnet(depth=2, width=16)",
        "ipc": (1, 2, 5, 10, 20, 50),
        "seeds": 10,
        "batches": (50, 256),
        "steps": 400,
        "evaluations": 10,
    },
}


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__)
    size = SIZES[args.size]
    dataset = data.load("digits", validation=0.2)
    grid = {"grid": f"IPC {', '.join(map(str, size['ipc']))} x {size['seeds']} seeds"}
    for batch in size["batches"]:
        plan = planning.make(settings_of(size, batch), dataset, None, {})
        what = {**grid, "batch": batch}
        more = {"buckets": len(plan.buckets), "waves": len(plan.waves)}
        measure.tell("sweep_efficiency", args.size, what, [100 * plan.useful_share()], "% of slots useful", **more)

    wave = sweeps.wave(settings_of(size, size["batches"][0]), dataset)
    what = {**grid, "batch": size["batches"][0]}
    joint, *alone = loops(wave)
    for loop in (joint, *alone):
        loop()  # compiles
    compiled = [wave.program.compilations["chunk"]]
    measure.tell("sweep_efficiency", args.size, what, compiled, "executable that trains all of it")
    took = measure.interleaved([joint, *alone], args.repeats)
    together, apart = took[0], took[1:].sum(axis=0)
    measure.tell("sweep_efficiency", args.size, {**what, "program": "joint"}, together, "s")
    measure.tell("sweep_efficiency", args.size, {**what, "program": "its buckets alone"}, apart, "s")
    measure.tell("sweep_efficiency", args.size, what, together / apart, "x of its buckets alone")


def settings_of(size: dict[str, Any], batch: int) -> Any:
    """The demo's students with hard labels, on another grid."""
    student = {name: size[name] for name in ("model", "steps", "evaluations")} | {"batch": batch}
    sweep = {"ipc": size["ipc"], "labels": ("hard",), "seed": range(size["seeds"])}
    changes = {f"student.{k}": v for k, v in student.items()} | {f"sweep.{k}": v for k, v in sweep.items()}
    return sweeps.settings("digits", changes=changes)


def loops(wave: sweeps.Wave) -> list[Callable[[], Any]]:
    """All chunks of the wave: of the joint program, then of a program for each bucket."""
    shape, sets = wave.plan.image_shape, wave.program.select
    students = wave.program.initialize(wave.members)
    parts = [(wave.program, wave.members, students)]
    for bucket, member, student in zip(wave.plan.buckets_of(), wave.members, students):
        own = jax.tree.map(jnp.copy, student)  # a program reuses the buffers of the students that it is given
        parts.append((Program((bucket,), shape, sets), (member,), (own,)))
    return [loop(wave, *part) for part in parts]


def loop(wave: sweeps.Wave, program: Program, members: Any, students: Any) -> Callable[[], Any]:
    """All chunks of a program; called again, its students go through the same steps once more."""
    state = {"students": students}

    def run() -> Any:
        for index in range(wave.plan.chunks):
            state["students"], report = program.chunk(wave.bank, wave.evals, members, state["students"], index)
        return report

    return run


if __name__ == "__main__":
    main()
