"""The numbers of the documents, from runs: what stands between marks is written anew, what is told in words is looked up.

  python benchmarks/documents.py [--runs=FOLDER] [--run] [--only=NAME,NAME]

`--run` first runs the experiments in FOLDER (`runs`), or goes on with them; what is finished is only read. Between
`<!-- numbers NAME -->` and `<!-- end numbers -->` the documents then say what the reports of these runs say. An experiment
without a finished run keeps what stands there. Then every `value [low, high]` of a row of the tables of experiments is
looked for in the report of the experiment that the row names; what is not found is told, and the exit code is 1.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxsoft.analysis import report, tables
from jaxsoft.analysis.findings import findings
from jaxsoft.analysis.reading.read import Run, read_run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.statistics.groups import groups, tidy
from jaxsoft.command import experiments
from jaxsoft.experiment.machine.commit import commit

ROOT = Path(__file__).resolve().parents[1]
TOLD = ("docs/experiments.md", "docs/results.md")
"""Documents whose rows tell numbers in words."""
END = "<!-- end numbers -->"
_MARK = re.compile(r"<!-- numbers (\w+) -->\n(.*?)\n<!-- end numbers -->", re.DOTALL)
_TABLE = re.compile(r"^\*.*\*\n\n(?:\|.*\n)+", re.MULTILINE)
"""A caption and its table."""
_NUMBER = re.compile(r"([-+−]?[\d.]+)(?: ?%| points)? \[([^\[\]]+)\]")


class Found(NamedTuple):
    """A finished run of an experiment and the Markdown of its report, with the commit that wrote it."""

    run: Run
    summary: str
    reported: str

    @property
    def starts(self) -> list[Mapping[str, Any]]:
        """Versions, device and commit of each start of the run."""
        return self.run.env.get("starts", [self.run.env])

    @property
    def commits(self) -> list[str]:
        """The commits of all starts, short, each once."""
        return [*dict.fromkeys((start.get("commit") or "unknown")[:7] for start in self.starts)]

    @property
    def title(self) -> str:
        """The answer of the report."""
        return self.summary.partition("\n")[0].removeprefix("# ")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the documents; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of run folders; runs if not given")
    parser.add_argument("--run", action="store_true", help="run the experiments first, on digits")
    parser.add_argument("--only", default="", help="names of experiments, joined by commas; all of digits if not given")
    args = parser.parse_args(argv)
    names = args.only.split(",") if args.only else of_digits()
    for name in names if args.run else ():
        command = [sys.executable, "-m", "jaxsoft", "run", name, f"--workdir={args.runs / folder(name)}"]
        subprocess.run(command, check=True)
    found = {
        name: read(args.runs / folder(name)) for name in names if (args.runs / folder(name) / "manifest.json").exists()
    }
    for path in sorted({path for path, _ in BLOCKS}):
        (ROOT / path).write_text(written((ROOT / path).read_text(), path, found))
    missing = [line for path in TOLD for line in unknown((ROOT / path).read_text(), found)]
    print("\n".join([f"read: {', '.join(found) or 'nothing'}", *missing, f"{len(missing)} numbers without a report"]))
    return 1 if missing else 0


_OF_OTHERS = "cifar10", "cifar100", "tiny_imagenet", "imagenet", "imagenet64"


def of_digits() -> list[str]:
    """The experiments that are told of on digits."""
    return [name for name in experiments.names() if name not in _OF_OTHERS]


def folder(name: str) -> str:
    """The folder of an experiment's run on digits."""
    return name if name == "digits" else f"{name}-digits"


def read(path: Path) -> Found:
    """A finished run and what its report says now."""
    with tempfile.TemporaryDirectory() as out:
        report.write_report([path], out)
        return Found(read_run(path), (Path(out) / "summary.md").read_text(), (commit() or "unknown")[:7])


def written(text: str, path: str, found: Mapping[str, Found]) -> str:
    """A document with what stands between its marks written anew.

    Raises:
      ValueError: the marks are not those of this document, or not in pairs.
    """
    check(text, path)
    return _MARK.sub(lambda m: f"<!-- numbers {m[1]} -->\n{BLOCKS[path, m[1]](m[2], found)}\n{END}", text)


def check(text: str, path: str) -> None:
    """ValueError unless the document has its marks, each once and closed."""
    names = [match[1] for match in _MARK.finditer(text)]
    wanted = [name for where, name in BLOCKS if where == path]
    if sorted(names) != sorted(wanted) or text.count("<!-- numbers ") != len(wanted) or text.count(END) != len(wanted):
        raise ValueError(f"{path} needs the marks {', '.join(wanted)}, each once and closed; it has {names}")


def _demo_text(old: str, found: Mapping[str, Found]) -> str:
    """The table at the end of the demo, as a terminal shows it."""
    if "digits" not in found:
        return old
    (group,) = groups(tidy(found["digits"].run.rows))
    shown = tables.budget_table(findings(group))
    text = tables.plain(shown._replace(caption="")).rstrip()
    return f"```\n{text}\n```\n\n{_where('Means over n seeds with 95% intervals, each row by itself', found['digits'])}"


def _demo_table(old: str, found: Mapping[str, Found]) -> str:
    """The same in Markdown."""
    if "digits" not in found:
        return old
    lines = found["digits"].summary.partition("\n| IPC |")[2].splitlines()
    rows = ["| IPC |" + lines[0], *(line for line in lines[1 : lines.index("")])]
    return "\n".join([*map(_plain, rows), "", _where("Means over n seeds", found["digits"])])


def _where(what: str, found: Found) -> str:
    """Where, with which code and to what end numbers were measured."""
    of_all = f"All budgets counted together, {found.title[:1].lower()}{_plain(found.title[1:])}."
    return f"{what}; {_measured(found)}.\n{of_all}"


def _measured(found: Found) -> str:
    """Where and with which code."""
    devices = words.listed([*dict.fromkeys(_device(start) for start in found.starts)])
    return f"{devices}, run at commit {words.listed(found.commits)}, reported at {found.reported}"


def _answer(name: str) -> Callable[[str, Mapping[str, Found]], str]:
    """What writes an experiment's answer and the tables that stand right below it, those that are folded left out."""

    def told(old: str, found: Mapping[str, Found]) -> str:
        if name not in found:
            return old
        opening = re.sub("<details>.*?</details>", "", found[name].summary.partition("\n## ")[0], flags=re.DOTALL)
        shown = [_plain(table) for table in _TABLE.findall(opening)]
        return "\n".join([f"{_plain(found[name].title)}; {_measured(found[name])}.\n", *shown]).rstrip()

    return told


def _device(start: Mapping[str, Any]) -> str:
    cores = start["device"] == "cpu"  # jaxsoft makes each core of a CPU a device
    return f"{start['device_count']} CPU cores" if cores else f"{start['device_count']} x {start['device']}"


def _dated(old: str, found: Mapping[str, Found]) -> str:
    """What is told of several experiments, with the commits of their runs and reports, if all are there."""
    names = [name for name in of_digits() if f"`{name}`" in old]
    if not names or set(names) - found.keys():
        return old
    commits = dict.fromkeys(commit for name in names for commit in found[name].commits)
    when = rf"\1 at commit {words.listed([*commits])}, \2 at {found[names[0]].reported}"
    return re.sub(r"(runs?) at commit [\w, ]+, (report(?:s|ed)) at \w+", when, old)


def _plain(text: str) -> str:
    """As the documents write numbers."""
    return re.sub(r"(?<=[\d\]]) %", "%", text.replace("−", "-"))


def unknown(text: str, found: Mapping[str, Found]) -> list[str]:
    """The numbers with intervals, in rows that name an experiment, that are not in its report; a line for each."""
    lines = []
    told = _MARK.sub(lambda m: "" if m[1] in ANSWERS else m[0], text)  # losses are called like experiments
    for row in (line for line in told.splitlines() if line.startswith("| ")):
        if names := [word for word in re.findall("`(\\w+)`", row) if word in found]:
            known = {_key(number) for name in names for number in _NUMBER.findall(found[name].summary)}
            lines += [f"{names[0]}: {m[0]}" for m in _NUMBER.finditer(row) if _key(m.groups()) not in known]
    return lines


def _key(number: tuple[str, ...]) -> tuple[str, ...]:
    """A number with its interval, whichever way around the difference is told."""
    value, ends = (re.findall(r"[\d.]+", part) for part in number)
    return (*value, *sorted(ends))


ANSWERS = "loss", "gift", "teachers_apart", "committee", "label_bytes", "feature_labels", "hard_truths"
"""Experiments whose answer is written with its tables."""
BLOCKS: dict[tuple[str, str], Callable[[str, Mapping[str, Found]], str]] = {
    ("README.md", "demo"): _demo_text,
    ("docs/results.md", "demo"): _demo_table,
    ("docs/results.md", "claims"): _dated,
    **{("docs/results.md", name): _answer(name) for name in ANSWERS},
}
"""What stands between the marks of each document."""


if __name__ == "__main__":
    sys.exit(main())
