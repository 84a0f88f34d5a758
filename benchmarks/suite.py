"""Every benchmark, one after another, each in fresh processes; the numbers go to a log and to docs/results.md.

  python benchmarks/suite.py [--size=cpu|gpu|toy] [--repeats=5] [--only=NAME,NAME] [--docs=FILE]

Rows are added up in `runs/benchmarks/<size>.jsonl`. Each benchmark has its table in the docs, between
`<!-- benchmark NAME SIZE -->` and `<!-- end -->`, which is replaced; one that is not there yet is put at the end of the
section `## Speed`. `toy` writes no docs unless a file is named. A benchmark that fails is told, the others go on, and the
exit code is 1.
"""

import argparse
import ast
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxsoft import errors

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
# Fresh processes of a benchmark, whose rows are pooled; one if it is not named.
PROCESSES = {"torch_baseline": {"gpu": 2}}
NEEDS = {"torch_baseline": "torch"}
# Before all others: the lowerings side by side, and what planned hours are made of.
FIRST = "calibration"

Row = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("toy", "cpu", "gpu"), default="cpu")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each case")
    parser.add_argument("--only", default="", help="names of benchmarks, joined by commas; all if not given")
    parser.add_argument("--docs", default="", help="file with the tables; docs/results.md, and none for toy")
    args = parser.parse_args(argv)
    docs = Path(args.docs) if args.docs else None if args.size == "toy" else ROOT / "docs" / "results.md"
    log = ROOT / "runs" / "benchmarks" / f"{args.size}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    failed, tables, begun = [], {}, time.perf_counter()
    for name in args.only.split(",") if args.only else names():
        if importlib.util.find_spec(NEEDS.get(name, "json")) is None:
            print(f"{name}: skipped, {NEEDS[name]} is missing: {errors.install('bench')}\n", flush=True)
            continue
        start, processes = time.perf_counter(), PROCESSES.get(name, {}).get(args.size, 1)
        rows = [run(name, args.size, args.repeats) for _ in range(processes)]
        print(f"{name}: {'' if all(rows) else 'failed, '}{time.perf_counter() - start:.0f} s\n", flush=True)
        if not all(rows):
            failed.append(name)
            continue
        with log.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for found in rows for row in found)
        tables[name] = f"{title(name, args.size)}\n\n{table(pooled(rows))}"
    if docs:  # only now: a changed document would mark the commit of the next rows as changed
        text = docs.read_text()
        for name, content in tables.items():
            text = written(text, name, args.size, content)
        docs.write_text(text)
    print(f"{time.perf_counter() - begun:.0f} s in all; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def names() -> list[str]:
    """Every script of this folder that measures something, with what all of them share."""
    texts = {path.stem: path.read_text().splitlines() for path in FOLDER.glob("*.py")}
    found = [name for name, lines in texts.items() if {"import measure", 'if __name__ == "__main__":'} <= set(lines)]
    return sorted(found, key=lambda name: (name != FIRST, name))


def title(name: str, size: str) -> str:
    """The question of a benchmark and its command."""
    doc = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or name
    return f"**{doc.splitlines()[0]}** `benchmarks/{name}.py --size={size}`"


def run(name: str, size: str, repeats: int) -> list[Row]:
    """The rows of one fresh process, none if it failed; what people read is passed on as it comes."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), f"--size={size}", f"--repeats={repeats}"]
    rows = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                rows.append(json.loads(line))
            else:
                print(line, end="", flush=True)
    return [] if process.returncode else rows


def pooled(processes: list[list[Row]]) -> list[Row]:
    """Rows of several processes that measured the same: the median, least and largest of their medians; n counts processes."""
    if len(processes) == 1:
        return processes[0]
    alike: dict[str, list[Row]] = {}
    for row in (row for rows in processes for row in rows):
        alike.setdefault(json.dumps([row["benchmark"], row["what"], row["unit"]]), []).append(row)
    pools = []
    for rows in alike.values():
        medians = [row["median"] for row in rows]
        found = {"median": statistics.median(medians), "low": min(medians), "high": max(medians), "n": len(medians)}
        pools.append({**rows[0], **found})
    return pools


def table(rows: list[Row]) -> str:
    """Rows in markdown, and under them where they were measured."""
    lines = ["| what | median | [low, high] | n |", "|---|---|---|---|"]
    for row in rows:
        what = ", ".join(f"{key} {value}" for key, value in row["what"].items())
        numbers = (row["low"], row["median"], row["high"])
        low, median, high = (f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.4g}" for x in numbers)
        lines.append(f"| {what} | {median} {row['unit']} | [{low}, {high}] | {row['n']} |")
    first = rows[0]
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items() if version)
    where = f"{first['device_count']} x {first['device']}; {versions}; commit {first['commit'] or 'unknown'}"
    return "\n".join([*lines, "", where])


def written(text: str, name: str, size: str, content: str) -> str:
    """The document with this between its marks; with new marks at the end of the section `## Speed` if it has none."""
    begin, end = f"<!-- benchmark {name} {size} -->", "<!-- end -->"
    block = f"{begin}\n{content}\n{end}"
    if begin in text:
        before, rest = text.split(begin, 1)
        return before + block + rest.split(end, 1)[1]
    heading = "\n## Speed\n"
    if heading not in "\n" + text:
        return f"{text.rstrip()}\n{heading}\n{block}\n"
    start = ("\n" + text).index(heading) + len(heading) - 1
    stop = text.find("\n## ", start)
    section, rest = (text[:stop], text[stop:]) if stop >= 0 else (text, "")
    return f"{section.rstrip()}\n\n{block}\n{rest}"


if __name__ == "__main__":
    sys.exit(main())
