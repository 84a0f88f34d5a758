"""What would the programs of every experiment do on a chip that is not here, and does each of them compile?

  python benchmarks/compiled.py [--chip=h100,v5e] [--only=topk,digits] [--jobs=1] [--docs]

XLA compiles on this CPU for GPUs and TPUs, where it finds its compilers (chips.py); `make compiled` installs that for GPUs.
Every experiment of configs/ is planned at its full size as that chip would run it, and each of its programs compiled: the
chunk, the test and the initialisation of students, the chunk and the label bank of experts, those of learned labels.
Kernels, loops and bytes are counted in what XLA made of them (account.py) and hold as they stand. Seconds are floors: the
bytes at the chip's bandwidth, the operations at its peak, and a launch for every kernel, each alone.

Each experiment has a process of its own, so that a compiler that crashes costs one program; equal programs of several are
compiled once. Rows are added to `runs/compiled/CHIP.jsonl`, and no later pass compiles a program again that is there, as
long as XLA is given the same; `--docs` writes the tables to docs/results.md. Exit code 1: something did not compile; 2: there is no such
chip, or no compiler for it here.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what is not here need not be said for every program

import account
import chips
import jax
import programs
import suite
from compiled_tables import TYPICAL, Row, side_by_side, summary, table, typical_table

from jaxsoft import numerics, target
from jaxsoft.command import experiments
from jaxsoft.experiment.machine.environment import environment
from jaxsoft.training import cost, floors

ROOT = Path(__file__).resolve().parents[1]
MORE = "imagenet:ipc=10", "topk:data=tiny_imagenet", "soft_vs_hard:data=cifar100", "learned_labels:data=cifar10"
_COUNTING = "account.py", "chips.py"


def main(argv: Sequence[str] | None = None) -> int:
    """Compile what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chip", default="h100", help=f"of {', '.join(target.CHIPS)}, joined by commas")
    parser.add_argument("--only", default="", help=f"experiments or {TYPICAL}, joined by commas; all if not given")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--docs", action="store_true", help="write the tables to docs/results.md")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.worker:
        work(args.chip, args.worker, set(json.load(sys.stdin)))
        return 0
    if lacking := _lacking(args.chip.split(",")):
        print(f"compiled: {lacking}", file=sys.stderr)
        return 2
    names = args.only.split(",") if args.only else [TYPICAL, *experiments.names(), *MORE]
    begun, found = time.perf_counter(), {}
    for chip in args.chip.split(","):
        found[chip] = compiled(chip, names, args.jobs)
        print(f"\n{tables(chip, found[chip])}\n", flush=True)
    if args.docs:
        docs = ROOT / "docs" / "results.md"
        docs.write_text(_with_tables(docs.read_text(), found))
    failed = sum("error" in row for rows in found.values() for row in rows)
    print(f"{time.perf_counter() - begun:.0f} s in all; {failed} programs did not compile")
    return 1 if failed else 0


def tables(chip: str, rows: Sequence[Row]) -> str:
    """All that was counted for one chip."""
    return "\n\n".join(filter(None, [typical_table(rows), table(rows), _where(chip)]))


def _with_tables(text: str, found: dict[str, list[Row]]) -> str:
    """The document with the tables of chips that have a place of their own in it, and one line by line of all others."""
    others = {chip: rows for chip, rows in found.items() if f"<!-- benchmark compiled {chip} -->" not in text}
    for chip in found.keys() - others.keys():
        text = suite.written(text, "compiled", chip, tables(chip, found[chip]))
    if not others:
        return text
    return suite.written(text, "compiled", "others", f"{side_by_side(others)}\n\n{_where(', one '.join(others))}")


def _lacking(names: Sequence[str]) -> str:
    """Why one of these chips cannot be compiled for, as one line; empty if all can."""
    for name in names:
        if name not in target.CHIPS:
            return f"--chip expects some of {','.join(target.CHIPS)}; got {name!r}"
        if way_on := chips.missing(name):
            return f"no compiler for {name} here; {way_on}"
    return ""


def compiled(chip: str, names: Sequence[str], jobs: int) -> list[Row]:
    """The rows of all programs of some experiments; equal ones are compiled once, and what was compiled is kept."""
    log, made_by = ROOT / "runs" / "compiled" / f"{chip}.jsonl", _compiler()
    log.parent.mkdir(parents=True, exist_ok=True)
    known = kept(log, made_by)
    with ThreadPoolExecutor(jobs) as pool, log.open("a") as file:
        found = []
        for rows in pool.map(lambda name: process(chip, name, known), names):
            file.writelines(json.dumps({**row, "compiler": made_by}) + "\n" for row in rows)
            file.flush()
            found += rows
    return found


def kept(log: Path, made_by: str) -> dict[str, Row]:
    """What earlier passes found out about programs by the same compiler, by their keys; failures are tried again."""
    lines = log.read_text().splitlines() if log.exists() else []
    rows = [json.loads(line) for line in lines if line.endswith("}")]  # the last may be torn
    of_pass = "experiment", "what", "predicted", "compiler"
    return {
        row["key"]: {name: value for name, value in row.items() if name not in of_pass}
        for row in rows
        if row.get("compiler") == made_by and "error" not in row
    }


def _compiler() -> str:
    """A digest of what compiles and of what counts; the plugin for GPUs is of JAX's own version."""
    versions = [
        f"{one.name}={one.version}" for one in metadata.distributions() if one.name in ("jax", "jaxlib", "libtpu")
    ]
    parts = [repr(sorted(versions)).encode(), *((ROOT / "benchmarks" / name).read_bytes() for name in _COUNTING)]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def process(chip: str, name: str, known: dict[str, Row]) -> list[Row]:
    """The rows of an experiment, from a process of its own; begun again without the program in which it ended."""
    rows: list[Row] = []
    while True:
        command = [sys.executable, __file__, f"--chip={chip}", f"--worker={name}"]
        done = subprocess.run(command, input=json.dumps([*known]), capture_output=True, text=True)
        told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        known.update((row["key"], row) for row in told if "seconds" in row or "error" in row)
        if done.returncode == 0:
            rows = [{**known[row["key"]], **row} for row in told if "begin" not in row]
            break
        last = (done.stderr.strip() or "no word").splitlines()[-1]
        error = f"exit code {done.returncode}: {last[:200]}"
        begun = next((row for row in reversed(told) if "begin" in row and row["key"] not in known), None)
        if begun is None:  # not even planned
            rows = [{"experiment": name, "what": "plan", "key": "", "error": error}]
            break
        known[begun["key"]] = {"key": begun["key"], "error": error}
    for row in rows:
        print(f"{chip:5} {name:28} {row['what']:22} {summary(row)}", flush=True)
    return rows


def work(chip: str, name: str, known: set[str]) -> None:
    """Print the rows of an experiment, a JSON line each, and a line before each is compiled; known ones by key alone."""
    device = chips.device(chip)
    with numerics.pinned():
        for asked in programs.typical(chip, device) if name == TYPICAL else of_experiment(name, chip, device):
            key = asked.key
            row = {"experiment": name, "what": asked.what, "key": key}
            row |= {"predicted": asked.predicted} if asked.predicted else {}
            if key not in known:
                print(json.dumps({"begin": True, **row}), flush=True)
                row |= measured(asked, chip)
            print(json.dumps(row), flush=True)


def of_experiment(name: str, chip: str, device: Any) -> Iterator[programs.Asked]:
    """The programs of `NAME` or `NAME:ARGUMENT`."""
    stem, _, argument = name.partition(":")
    return programs.of_config(stem, argument or None, chip, device)


def measured(asked: programs.Asked, chip: str) -> Row:
    """What the compiler made of a program, or its first words if it made nothing."""
    begun = time.perf_counter()
    try:
        made = asked.lowered.compile()
    except (jax.errors.JaxRuntimeError, NotImplementedError) as problem:
        return {"error": str(problem).strip().splitlines()[0][:200]}
    found = account.kernels(made.as_text() or "")
    facts = target.CHIPS[chip]
    row: Row = {
        "seconds": time.perf_counter() - begun,
        "memory": cost.planned_bytes(made) + asked.more,
        "kernels": sum(k.times for k in found),
        "bytes": sum(k.times * k.bytes for k in found),
    }
    if asked.steps:
        inside = [k for k in found if k.trains]
        row["steps"], row["images"] = asked.steps, asked.images
        row["kernels_in_steps"] = sum(k.times for k in inside)
        row["loops"] = len(account.loops_in_steps(found))
        row["parts"] = {part: _sum(found, part) for part in (*account.PARTS, "evaluation")}
        least = row["bytes"] / facts.bandwidth, asked.flops / facts.peak, floors.LAUNCH[facts.platform] * row["kernels"]
        row["floors"] = dict(zip(("bandwidth", "peak", "launches"), least))
    return row


def _sum(found: list[account.Kernel], part: str) -> int:
    return sum(k.times * k.bytes for k in found if account.part(k) == part)


def _where(chip: str) -> str:
    """With what it was compiled."""
    seen = environment()
    versions = ", ".join(f"{name} {version}" for name, version in seen["versions"].items() if version)
    return f"Compiled for one {chip} on a CPU; {versions}; commit {seen['commit'] or 'unknown'}"


if __name__ == "__main__":
    sys.exit(main())
