"""How many student-steps a second does the engine take, for how many members, at which batch, in which block?

  .venv/bin/python benchmarks/ensemble_throughput.py [--model=SPEC] [--side=8] [--batch=10,64] [--members=1,8,64] [--repeats=5]

Every (batch, members) is one compiled program on random images and labels; a chunk is timed `repeats` times after a
warm-up, the measurements of all programs interleaved. One readable row and one JSON line for each program: median,
smallest and largest student-steps a second, the block that was chosen, and seconds to compile.
"""

import argparse
import json
import os
import time
from typing import Any

import jax
import numpy as np

from jaxsoft.experiment.folder import environment
from jaxsoft.training import cost
from jaxsoft.training.ensemble import Bucket, Program
from jaxsoft.training.evaluate import eval_set
from jaxsoft.training.fit import Bank, Member, Recipe

CLASSES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="convnet(depth=2, width=16)")
    parser.add_argument("--side", type=int, default=8, help="pixels")
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--batch", type=_numbers, default=(10, 64))
    parser.add_argument("--members", type=_numbers, default=(1, 8, 64))
    parser.add_argument("--augment", default="none")
    parser.add_argument("--steps", type=int, default=50, help="of each member in a chunk")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    where = environment()
    cases = [prepare(args, batch, members) for batch in args.batch for members in args.members]
    times: list[list[float]] = [[] for _ in cases]
    for _ in range(args.repeats):
        for case, seconds in zip(cases, times):
            seconds.append(case["chunk"]())
    for case, seconds in zip(cases, times):
        rates = case["members"] * args.steps / np.array(seconds)
        found = {k: v for k, v in case.items() if k != "chunk"}
        found |= {"median": np.median(rates), "low": rates.min(), "high": rates.max(), "n": len(rates)}
        print(
            f"batch {found['batch']:4d}  members {found['members']:4d}  block {found['block']:3d}  "
            f"{found['median']:10,.0f} student-steps/s  [{found['low']:,.0f}, {found['high']:,.0f}]  n={found['n']}"
        )
        print(json.dumps({"benchmark": "ensemble_throughput", **vars(args), **found, **where}, default=float))


def prepare(args: argparse.Namespace, batch: int, members: int) -> dict[str, Any]:
    """Compile one program and warm it up; `chunk` runs it once and returns the seconds it took."""
    recipe = Recipe(args.model, CLASSES, batch, batch, "sgd(momentum=0.9)", "constant", args.augment)
    shape = (args.side, args.side, args.channels)
    devices = max(d for d in range(1, jax.local_device_count() + 1) if members % d == 0)
    share = members // devices
    block = max(b for b in range(1, cost.choose_block(recipe, shape, share) + 1) if share % b == 0)
    program = Program(
        (Bucket(recipe, members, block, args.steps),), shape, select=0, devices=jax.local_devices()[:devices]
    )
    (bank, evals), member = program.place(*material(shape, batch, members))
    start = time.perf_counter()
    state = {"students": program.initialize(member), "index": 0}

    def chunk() -> float:
        begin = time.perf_counter()
        state["students"], _ = program.chunk(bank, evals, member, state["students"], state["index"])
        jax.block_until_ready(state["students"])
        state["index"] += 1
        return time.perf_counter() - begin

    chunk()
    compile_seconds = round(time.perf_counter() - start, 2)
    return {"batch": batch, "members": members, "block": block, "compile_seconds": compile_seconds, "chunk": chunk}


def material(shape: tuple[int, int, int], batch: int, members: int) -> tuple[Any, tuple[Member]]:
    """Random images and labels, an evaluation set of one batch, and members that read all of it."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (1000, *shape), dtype=np.uint8)
    one: Any = np.full(shape[-1], 1 / 255, np.float32)
    rows: Any = np.eye(CLASSES, dtype=np.float32)
    arrays: dict[str, Any] = dict(
        seed=np.arange(members, dtype=np.int32),
        images=rng.integers(0, 1000, (members, batch)).astype(np.int32),
        rows=rng.integers(0, CLASSES, (members, batch)).astype(np.int32),
        slots=np.full(members, batch, np.int32),
        learning_rate=np.full(members, 1e-3, np.float32),
        weight_decay=np.zeros(members, np.float32),
        steps=np.full(members, 10**6, np.int32),
    )
    look = eval_set(images[:8], rng.integers(0, CLASSES, 8).astype(np.int32))
    bank = Bank(images=images, scale=one, shift=0 * one, rows=rows)  # pyright: ignore[reportArgumentType]
    return (bank, (look,)), (Member(**arrays),)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    main()
