"""How long does the demo wait for its compiler, and does that depend on how many students there are and how long they train?

  python benchmarks/compile_time.py [--size=toy|cpu|gpu] [--repeats=5]

Everything is timed in fresh processes. Cold: the program of `configs/digits.py` (its buckets and members, hard labels)
with an empty compilation cache; warm: the same again, with the cache that the cold process left. `first chunk` is the
call that compiles and trains a chunk, which is four steps here, not the demo's forty, so that training hardly counts;
`process` is all of it, from the start of Python. Then, in one more process and without a cache, one bucket of digits
with more members, and with longer chunks (as many chunks, each with more steps): a first chunk less a second one, which
is compiled already.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measure

# `bucket`: the least members and steps, then each of them alone raised to `more`. `rounds`: at most so many repeats.
WHOLE: dict[str, Any] = {
    "model": "convnet(depth=2, width=16)",
    "demo": {"ipc": (1, 2, 5, 10, 20, 50), "seeds": 70, "steps": 40, "evaluations": 10},
    "bucket": {"members": 8, "steps": 100},
    "more": {"members": 256, "steps": 10_000},
}
SIZES: dict[str, dict[str, Any]] = {
    "toy": {
        "model": "mlp(hidden=4)",
        "demo": {"ipc": (1, 5), "seeds": 2, "steps": 4, "evaluations": 2},
        "bucket": {"members": 2, "steps": 4},
        "more": {"members": 4, "steps": 8},
        "rounds": 1,
    },
    "cpu": {**WHOLE, "rounds": 2},
    "gpu": {**WHOLE, "rounds": 2},
}


def main() -> None:
    """Run the processes, all before anything is told: this one must not hold the device while they need it."""
    args = measure.arguments(__doc__)
    size = SIZES[args.size]
    bucket, found, told = size["bucket"], [], {"program": "the demo"}
    for _ in range(min(args.repeats, size["rounds"])):
        with tempfile.TemporaryDirectory() as cache:
            demo = {state: process("demo", args.size, cache) for state in ("cold", "warm")}
        with tempfile.TemporaryDirectory() as cache:
            found.append(demo | {"bucket": process("bucket", args.size, cache)})
    for state in ("cold", "warm"):
        for what, unit in (("chunk", "s to its first chunk's end"), ("process", "s of the whole process")):
            values = [one[state][what] for one in found]
            measure.tell("compile_time", args.size, {**told, "cache": state}, values, unit)
    first = [one["bucket"]["compile"]["least"] for one in found]
    measure.tell("compile_time", args.size, {"program": "one bucket", **bucket}, first, "s to compile")
    for name, value in size["more"].items():
        values, what = (
            [one["bucket"]["compile"][name] for one in found],
            {"program": "one bucket", **bucket, name: value},
        )
        measure.tell("compile_time", args.size, what, values, "s to compile")
        ratios = [value / least for value, least in zip(values, first, strict=True)]
        measure.tell(
            "compile_time", args.size, what, ratios, f"x of {bucket['members']} members, {bucket['steps']} steps"
        )


def process(which: str, size: str, cache: str) -> dict[str, Any]:
    """What a fresh process finds, and how long it took."""
    call = f"import compile_time; compile_time.{which}({size!r})"
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", call],
        cwd=Path(__file__).parent,
        env=os.environ | {"XDG_CACHE_HOME": cache},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {**json.loads(done.stdout.splitlines()[-1]), "process": time.perf_counter() - start}


def demo(size: str) -> None:
    """In a process of its own: the first chunk of the demo's program."""
    print(json.dumps({"chunk": chunks(size, **SIZES[size]["demo"])[0]}))


def bucket(size: str) -> None:
    """In a process of its own: compile seconds of one bucket, as it is and with more members or more steps."""
    found, least = {}, SIZES[size]["bucket"]
    for name, case in {"least": least, **{k: least | {k: v} for k, v in SIZES[size]["more"].items()}}.items():
        evaluations = SIZES[size]["demo"]["evaluations"]
        first, second = chunks(size, (5,), case["members"], case["steps"], evaluations)
        found[name] = first - second
    print(json.dumps({"compile": found}))


def chunks(size: str, ipc: tuple[int, ...], seeds: int, steps: int, evaluations: int) -> tuple[float, float]:
    """Seconds of the first and of the second chunk of a sweep over digits."""
    import sweeps

    from jaxsoft import data
    from jaxsoft.command import starting

    starting.set_up_jax(keep_programs=True)
    student = {"student.model": SIZES[size]["model"], "student.steps": steps, "student.evaluations": evaluations}
    sweep = {"sweep.ipc": ipc, "sweep.labels": ("hard",), "sweep.seed": range(seeds)}
    wave = sweeps.wave(sweeps.settings("digits", changes=student | sweep), data.load("digits", validation=0.2))
    students, took = wave.program.initialize(wave.members), []
    for index in range(2):
        start = time.perf_counter()
        students, report = wave.program.chunk(wave.bank, wave.evals, wave.members, students, index)
        report[0].loss.block_until_ready()
        took.append(time.perf_counter() - start)
    return took[0], took[1]


if __name__ == "__main__":
    main()
