"""The report of one or more runs: an answer in words first, then what shows it, then how it was made."""

import functools
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pandas as pd

from jaxsoft import errors, files
from jaxsoft.analysis import courses, overview, questions, teachers
from jaxsoft.analysis.findings import Findings, findings
from jaxsoft.analysis.provenance import provenance
from jaxsoft.analysis.reading.read import Run, read_run
from jaxsoft.analysis.reading.results import join_results, plain
from jaxsoft.analysis.showing import drawing, words
from jaxsoft.analysis.showing.formats import to_csv, to_latex
from jaxsoft.analysis.showing.page import (
    FIGURES,
    TABLES,
    Page,
    Picture,
    Section,
    Table,
    Text,
    links,
    numbered,
    table,
    to_html,
    to_markdown,
)
from jaxsoft.analysis.statistics.groups import collide, groups, tidy
from jaxsoft.types import Row

T = TypeVar("T")
_MOST_GROUPS, _MOST_SECTIONS = 4, 6
"""More groups of members share one table; more sections of one question are told by their titles alone."""
FILES = ("report.html", "summary.md", "plots/", "tables/")
"""What a report writes to a run folder, and may write anew."""
SUMMARY, _PLOTS = "summary.md", "plots"
_LINK = re.compile(r"\]\(((?:plots|tables)/[a-z0-9-]+\.(?:png|svg|pdf|csv|tex))\)")
_MOST_BYTES = 2**28
_MAPPED = (".epochs", ".temperature")
"""Questions that draw teacher epochs against budgets themselves."""
_TOLD = ["member", "ipc", "labels", "seed", "learning_rate", "first_bad_step"]
"""What is told of a member that failed."""
_LEFT_OUT = "The same question in further settings; report fewer runs or settings at once to see more of each."
log = logging.getLogger(__name__)


def write_report(
    folders: Sequence[str | os.PathLike],
    out: str | os.PathLike | None = None,
    mix: bool = False,
    formats: Sequence[str] = (),
) -> Path:
    """Write report.html, summary.md and plots/*.png; equal results give equal bytes.

    Args:
      folders: run folders.
      out: where to write, a folder or the .html file in it; by default the run folder, if there is one alone.
      mix: join runs of different data or protocols, each told by itself.
      formats: figures also as "svg" or "pdf", in plots/; tables also as "csv" or "latex", in tables/.

    Returns:
      The path of the HTML file.

    Raises:
      DataError: a folder holds no results, or they are damaged.
      ConfigError: the runs do not belong together, `out` is missing where there are several, or a format is unknown.
      CheckpointError: the report cannot be written.
    """
    if not folders or (out is None and len(folders) > 1):
        raise errors.ConfigError(f"a report of {len(folders)} run folders needs --out, the folder to write it to")
    if unknown := [form for form in formats if form not in (*FIGURES, *TABLES)]:
        choices = ", ".join((*FIGURES, *TABLES))
        raise errors.ConfigError(f"--formats expects some of {choices}, got {errors.quoted(unknown[0])}")
    page = make_page([read_run(folder) for folder in folders], mix)
    target = Path(folders[0] if out is None else out)
    target, name = (target.parent, target.name) if target.suffix == ".html" else (target, "report.html")
    shown = [block for section in page.sections for block in section.blocks if isinstance(block, Picture | Table)]
    written = {f"{_PLOTS}/{block.name}.png": block.png for block in shown if isinstance(block, Picture)}
    written |= {path: _as_file(b, form) for b in shown for form, path in links(b, formats).items()}
    written |= {SUMMARY: to_markdown(page, formats).encode(), name: to_html(page, formats).encode()}
    try:
        _write(target, written)
    except OSError as problem:
        raise errors.CheckpointError(f"cannot write the report to {target}: {problem.strerror}") from None
    return target / name


def _as_file(block: Picture | Table, form: str) -> bytes:
    if isinstance(block, Picture):
        return drawing.drawn(block.chart, form) if block.chart else block.png
    return (to_csv(block) if form == "csv" else to_latex(block)).encode()


def _write(target: Path, written: Mapping[str, bytes]) -> None:
    """Put all files in place, or none; what an earlier report linked to and this one does not is taken away.

    Raises:
      OSError: something is in the way, or the disk is full; an earlier report is intact.
    """
    target.mkdir(parents=True, exist_ok=True)
    for folder in sorted({_PLOTS, *(name.partition("/")[0] for name in written if "/" in name)}):
        if (target / folder).is_symlink():
            raise OSError(0, f"{folder} is a link")
        (target / folder).mkdir(exist_ok=True)
    if folders := [name for name in written if (target / name).is_dir() and not (target / name).is_symlink()]:
        raise OSError(0, f"{folders[0]} is a folder")
    try:
        earlier = files.read(target / SUMMARY, _MOST_BYTES).decode(errors="replace")
    except OSError:
        earlier = ""
    files.replace_all(target, written)
    for name in {*_LINK.findall(earlier)} - written.keys():
        if not (target / name).parent.is_symlink():
            (target / name).unlink(missing_ok=True)


def make_page(runs: Sequence[Run], mix: bool = False) -> Page:
    """The whole report as values: what was asked, each group of members, each teacher, and how it was made.

    Of a part that fails a section says so, and the others stand.
    """
    members, lost = tidy(_joined(runs, mix)), list[Section]()
    asked = _answers(members, runs, lost)
    late = {module for module in asked if module.ORDER >= questions.BACKGROUND}
    sections = [section for module, found in asked.items() if module not in late for section in found]
    common = _tried("the choice of members for curves", lost, members, questions.common, members, list(asked))
    parts = _tried("the groups of members", lost, [], groups, common) if len(common) else []
    few = len(parts) <= _MOST_GROUPS
    found = [one for part in parts if (one := _tried("a group of members", lost, None, findings, part))]
    sections += [] if few else _tried("the table of settings", lost, [], lambda: [overview.settings_section(found)])
    title = sections[0].title if sections else _title(found, lost)
    answers = [section._replace(title="") if i == 0 else section for i, section in enumerate(sections)]
    maps = not any(module.__name__.endswith(_MAPPED) for module in asked)
    sections = [
        *answers,
        *_of_groups(found if few else [], runs, bool(answers), len(members) - len(common), maps, lost),
    ]
    learned = [] if few else _tried("the curves of students", lost, [], courses.of_many, found, runs)
    sections += [questions.drawn(section) for section in learned]
    if not (found and few) and (warnings := [w for part in groups(members)[:1] for w in overview.warnings(part)]):
        sections.append(Section("What to bear in mind", warnings))
    sections += _failed(members) + [section for module in asked if module in late for section in asked[module]]
    choices = found[0].choices if len(found) == 1 else []
    for run, suffix in _taught(runs):
        told = _tried("the teacher's course", lost, [], teachers.sections, run, choices)
        sections += [questions.drawn(section, suffix) for section in told]
    made = _tried("how the numbers were made", lost, [], lambda: [provenance(members, runs)])
    shown = {"dataset": "{}", "model": "`{}`", "protocol": "{} protocol"}
    alike = [text.format(members[c].iat[0]) for c, text in shown.items() if len(set(members[c])) == 1]
    kicker = " · ".join(["jaxsoft", *alike, f"{(members['status'] == 'done').sum()} members"])
    first, *others = [*sections, *lost, *made]
    return Page(kicker, title, numbered([first._replace(blocks=[*first.blocks, *_notes(runs)]), *others]))


def _notes(runs: Sequence[Run]) -> list[Text]:
    """What runs say beneath their tables, each once."""
    notes = [run.config.get("note") for run in runs]
    return [Text(note, "warning") for note in dict.fromkeys(n for n in notes if isinstance(n, str) and n)]


def _tried(what: str, lost: list[Section], instead: T, make: Callable[..., T], *args: Any) -> T:
    """What `make` returns; where it fails, `instead`, and a section in `lost` and a warning that say so.

    Whatever it raises is told, as a report of all else is worth more than none.
    """
    try:
        return make(*args)
    except Exception as problem:
        said = f"{type(problem).__name__}: {str(problem) or 'no more is known'}"
        log.warning("the report goes on without %s: %s", what, words.code(said))
        told = Text(f"The report goes on without {what}. {words.code(said)}", "warning")
        lost.append(Section("This question could not be answered", [told]))
        return instead


def _joined(runs: Sequence[Run], mix: bool) -> list[Row]:
    """The rows of all runs; where members differ in what no column says, a column `run` keeps them apart."""
    folders = [run.folder for run in runs]
    rows = join_results([run.rows for run in runs], folders, mix)
    if len(runs) == 1 or not collide(tidy(rows)):
        return rows
    distinct = len({folder.name for folder in folders}) == len(folders)
    names = [plain(folder.name if distinct else str(folder)) for folder in folders]
    return join_results([[{**row, "run": name} for row in run.rows] for run, name in zip(runs, names)], folders, mix)


def _answers(members: pd.DataFrame, runs: Sequence[Run], lost: list[Section]) -> dict[ModuleType, list[Section]]:
    """The sections of every question that is asked; of many the last are told by their titles."""
    split, answers = functools.cache(functools.partial(groups, members)), dict[ModuleType, list[Section]]()
    for module in questions.modules():
        name = module.__name__.rpartition(".")[2]
        if any(name in getattr(other, "ANSWERS", ()) for other in answers):
            continue
        what = f"the question of {name.replace('_', ' ')}"
        if not (found := _tried(what, lost, [], questions.ask, module, split, runs)):
            continue
        *shown, last = answers[module] = found[:_MOST_SECTIONS]
        if rest := found[_MOST_SECTIONS:]:
            titles = table(
                [{"what else was found": section.title} for section in rest], _LEFT_OUT, folded=True, name="others"
            )
            answers[module] = [*shown, last._replace(blocks=[*last.blocks, titles])]
    return answers


def _of_groups(
    found: Sequence[Findings], runs: Sequence[Run], told: bool, hidden: int, maps: bool, lost: list[Section]
) -> list[Section]:
    """The sections of a few groups of the members of some runs.

    `told`: the page's title answers a question, so that theirs must be said; `hidden`: members that are left out;
    `maps`: whether to draw teacher epochs against budgets; `lost` takes what is said of parts that fail.
    """
    sections = []
    for i, one in enumerate(found, 1):
        name, suffix = one.group.name, f"-{i}" if len(found) > 1 else ""
        first, *rest = [
            questions.drawn(section, suffix)
            for what, make in overview.sections(one, name[:1].upper() + name[1:], maps)
            for section in _tried(what, lost, [Section(name, [])] if what == "the answer of a group" else [], make)
        ]
        note = f"{hidden} members that are probes, or speak to the questions above alone, are left out from here on."
        blocks = [*first.blocks, *([Text(note)] if hidden and i == 1 else [])]
        learned = _tried("the curves of students", lost, [], courses.sections, one.group, runs)
        rest += [questions.drawn(section, suffix) for section in learned]
        sections += [Section(first.title or (overview.headline(one) if told else ""), blocks), *rest]
    return sections


def _title(found: Sequence[Findings], lost: Sequence[Section]) -> str:
    if lost and not found:
        return "What the members say could not be told"
    if not any("done" in set(one.group.members["status"]) for one in found):
        return "No member has finished"
    return overview.headline(found[0]) if len(found) == 1 else f"Soft against hard labels in {len(found)} settings"


def _failed(members: pd.DataFrame) -> list[Section]:
    """The members that failed; none if none did."""
    bad = members[members["status"] == "failed"]
    if not len(bad):
        return []
    shown = bad.reindex(columns=_TOLD).rename(columns=lambda name: name.replace("ipc", "IPC").replace("_", " "))
    lines = [{str(name): f"`{value}`" for name, value in row.dropna().items()} for _, row in shown.head(50).iterrows()]
    more = f" The first 50 of {len(bad)}." if len(bad) > 50 else ""
    told = table(lines, f"Members whose numbers stopped being finite.{more}", name="failed")
    return [Section(f"{len(bad)} of {len(members)} members failed and count as guessing", [told])]


def _taught(runs: Sequence[Run]) -> list[tuple[Run, str]]:
    """Runs with the endings of their files; of those that share their experts the first."""
    kept: dict[object, Run] = {}
    for run in runs:
        kept.setdefault(run.teachers.get("teacher", {}).get("key", run.folder), run)
    return [(run, f"-{i}" if len(kept) > 1 else "") for i, run in enumerate(kept.values(), 1)]
