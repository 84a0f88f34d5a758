"""The report of one or more runs: an answer in words first, then what shows it, then how it was made."""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from jaxsoft import errors, files
from jaxsoft.analysis import plots, questions, words
from jaxsoft.analysis.frontier import Choice
from jaxsoft.analysis.grid import collide, finished, group_names, groups
from jaxsoft.analysis.isolation import tried
from jaxsoft.analysis.page import Page, Picture, Section, Text, to_html, to_markdown
from jaxsoft.analysis.provenance import provenance
from jaxsoft.analysis.read import Run, read_run
from jaxsoft.analysis.results import join_results, plain
from jaxsoft.analysis.sections import failed_sections, group_sections, headline, settings_section, warning_blocks
from jaxsoft.analysis.table import Findings, Table, findings
from jaxsoft.types import Row

_MOST_GROUPS, _MOST_SECTIONS = 4, 6
"""More groups of members share one table; more sections of one question are told by their titles alone."""
FILES = ("report.html", "summary.md", "plots/")
"""What a report writes to a run folder, and may write anew."""
_SUMMARY, _PLOTS = "summary.md", "plots"
_MOST_BYTES = 2**28
_MAPPED = ("epochs", "temperature")
"""Questions that draw teacher epochs against budgets themselves."""
_LEFT_OUT = "The same question in further settings; report fewer runs or settings at once to see more of each."


def write_report(folders: Sequence[str | os.PathLike], out: str | os.PathLike | None = None, mix: bool = False) -> Path:
    """Write report.html, summary.md and plots/*.png; equal results give equal bytes.

    Args:
      folders: run folders.
      out: where to write, a folder or the .html file in it; by default the run folder, if there is one alone.
      mix: join runs of different data or protocols, each told by itself.

    Returns:
      The path of the HTML file.

    Raises:
      DataError: a folder holds no results, or they are damaged.
      ConfigError: the runs do not belong together, or `out` is missing where there are several.
      CheckpointError: the report cannot be written.
    """
    if not folders or (out is None and len(folders) > 1):
        raise errors.ConfigError(f"a report of {len(folders)} run folders needs --out, the folder to write it to")
    page = make_page([read_run(folder) for folder in folders], mix)
    target = Path(folders[0] if out is None else out)
    target, name = (target.parent, target.name) if target.suffix == ".html" else (target, "report.html")
    pictures = [block for section in page.sections for block in section.blocks if isinstance(block, Picture)]
    written = {f"{_PLOTS}/{picture.name}.png": picture.png for picture in pictures}
    written |= {_SUMMARY: to_markdown(page).encode(), name: to_html(page).encode()}
    try:
        _write(target, written)
    except OSError as problem:
        raise errors.CheckpointError(f"cannot write the report to {target}: {problem.strerror}") from None
    return target / name


def _write(target: Path, written: Mapping[str, bytes]) -> None:
    """Put all files in place, or none; figures of an earlier report that this one does not show are taken away.

    Raises:
      OSError: something is in the way, or the disk is full; an earlier report is intact.
    """
    target.mkdir(parents=True, exist_ok=True)
    if (target / _PLOTS).is_symlink():
        raise OSError(0, f"{_PLOTS} is a link")
    (target / _PLOTS).mkdir(exist_ok=True)
    if folders := [name for name in written if (target / name).is_dir() and not (target / name).is_symlink()]:
        raise OSError(0, f"{folders[0]} is a folder")
    with tempfile.TemporaryDirectory(prefix=".report.", suffix=".tmp", dir=target) as folder:
        staged = {name: Path(folder) / str(i) for i, name in enumerate(written)}
        for name, content in written.items():
            files.replace(staged[name], content)
        stale = _pictures(target) - written.keys()
        for name, path in staged.items():
            os.replace(path, target / name)
    for name in stale:
        (target / name).unlink(missing_ok=True)


def _pictures(target: Path) -> set[str]:
    """The figures that the report in a folder shows."""
    try:
        text = files.read(target / _SUMMARY, _MOST_BYTES).decode(errors="replace")
    except OSError:
        return set()
    return set(re.findall(rf"\]\(({_PLOTS}/[a-z0-9-]+\.png)\)", text))


def make_page(runs: Sequence[Run], mix: bool = False) -> Page:
    """The whole report as values: what was asked, each group of members, each teacher, and how it was made.

    Of a part that fails a section says so, and the others stand.
    """
    rows, lost = _joined(runs, mix), list[Section]()
    sections, background, asked = _answers(rows, runs, lost)
    left = tried("the choice of members for curves", lost, rows, questions.common, rows, asked)
    parts = tried("the groups of members", lost, [], groups, left)
    few = len(parts) <= _MOST_GROUPS
    found = [tried("a group of members", lost, None, findings, part) for part in parts if few]
    found = [one for one in found if one is not None]
    sections += [] if few else tried("the table of settings", lost, [], lambda: [settings_section(parts)])
    title = sections[0].title if sections else _title(found, lost)
    answers = [section._replace(title="") if i == 0 else section for i, section in enumerate(sections)]
    maps = not any(module.__name__.rsplit(".", 1)[-1] in _MAPPED for module in asked)
    sections = [*answers, *_of_groups(found, bool(answers), len(rows) - len(left), maps, lost)]
    if not found and (warnings := warning_blocks(rows)):
        sections.append(Section("What to bear in mind", warnings))
    sections += failed_sections(rows)
    choices = found[0].choices if len(found) == 1 else []
    sections += background
    for run, suffix in _taught(runs):
        sections += tried("the teacher's course", lost, [], _teacher, run, choices, suffix)
    made = tried("how the numbers were made", lost, [], lambda: [provenance(rows, runs)])
    kicker = " · ".join(["jaxsoft", *_constant(rows), f"{len(finished(rows))} members"])
    return Page(kicker, title, [*sections, *lost, *made])


def _joined(runs: Sequence[Run], mix: bool) -> list[Row]:
    """The rows of all runs; where members differ in what no column says, a column `run` keeps them apart."""
    folders = [run.folder for run in runs]
    rows = join_results([run.rows for run in runs], folders, mix)
    if len(runs) == 1 or not collide(finished(rows)):
        return rows
    distinct = len({folder.name for folder in folders}) == len(folders)
    names = [plain(folder.name if distinct else str(folder)) for folder in folders]
    return join_results([[{**row, "run": name} for row in run.rows] for run, name in zip(runs, names)], folders, mix)


def _answers(
    rows: Sequence[Row], runs: Sequence[Run], lost: list[Section]
) -> tuple[list[Section], list[Section], list[ModuleType]]:
    """The sections of every question, those of the background apart, and the questions that were asked."""
    sections, background, asked, done = [], [], [], finished(rows)
    for module in questions.modules():
        name = module.__name__.rsplit(".", 1)[-1].replace("_", " ")
        found = tried(f"the question of {name}", lost, [], module.answer, done, runs)
        asked += [module] if found else []
        shown = list(found[:_MOST_SECTIONS])
        if rest := found[_MOST_SECTIONS:]:
            titles = Table(("what else was found",), [(section.title,) for section in rest], _LEFT_OUT, folded=True)
            shown[-1] = shown[-1]._replace(blocks=[*shown[-1].blocks, titles])
        part = background if module.ORDER >= questions.BACKGROUND else sections
        part += shown
    return sections, background, asked


def _of_groups(found: Sequence[Findings], told: bool, hidden: int, maps: bool, lost: list[Section]) -> list[Section]:
    """The sections of a few groups.

    `told`: the page's title answers a question, so that theirs must be said; `hidden`: members that are left out;
    `maps`: whether to draw teacher epochs against budgets; `lost` takes what is said of parts that fail.
    """
    sections, several = [], len(found) > 1
    for i, (finding, name) in enumerate(zip(found, group_names([f.rows for f in found])), 1):
        first, *rest = group_sections(finding, name[:1].upper() + name[1:], f"-{i}" if several else "", maps, lost)
        note = f"{hidden} members that are probes, or speak to the questions above alone, are left out from here on."
        blocks = [*first.blocks, *([Text(note)] if hidden and i == 1 else [])]
        sections += [Section(first.title or (headline(finding) if told else ""), blocks), *rest]
    return sections


def _title(found: Sequence[Findings], lost: Sequence[Section]) -> str:
    if lost and not found:
        return "What the members say could not be told"
    if not any(finished(finding.rows) for finding in found):
        return "No member has finished"
    return headline(found[0]) if len(found) == 1 else f"Soft against hard labels in {len(found)} settings"


def _constant(rows: Sequence[Row]) -> list[str]:
    shown = {"dataset": "{}", "model": "`{}`", "protocol": "{} protocol"}
    return [text.format(rows[0][c]) for c, text in shown.items() if len({row[c] for row in rows}) == 1]


def _taught(runs: Sequence[Run]) -> list[tuple[Run, str]]:
    """Runs with the endings of their files; of those that share their experts the first."""
    kept: dict[object, Run] = {}
    for run in runs:
        kept.setdefault(run.teachers.get("teacher", {}).get("key", run.folder), run)
    return [(run, f"-{i}" if len(kept) > 1 else "") for i, run in enumerate(kept.values(), 1)]


def _teacher(run: Run, choices: Sequence[Choice], suffix: str) -> list[Section]:
    """The teacher's course with the chosen epochs, and real images with its labels."""
    experts = [expert["history"] for expert in run.teachers.get("experts", []) if expert["history"]]
    sections = []
    if experts:
        known = [h for h in experts[0] if h.get("val_accuracy") is not None and h.get("label_entropy") is not None]
        budgets: dict[int, list[str]] = {}
        for c in choices:
            if c.teacher_epoch is not None:
                budgets.setdefault(c.teacher_epoch, []).append(str(c.ipc))
        marks = {epoch: f"IPC {', '.join(ipcs)}" for epoch, ipcs in budgets.items()}
        title = "How the teacher learned"
        if known:
            first, last = known[0], known[-1]
            whose = "its" if len(experts) == 1 else "the first one's"
            title = (
                f"{_reached(experts)} on validation while the entropy of {whose} labels goes from "
                f"{first['label_entropy']:.2f} to {last['label_entropy']:.2f} nats"
            )
        caption = (
            f"{len(experts)} expert{'s' * (len(experts) > 1)} by epoch. Dashed: the epochs chosen, with their budgets."
        )
        told = run.teachers.get("warnings")
        caption += "".join(f" {line}." for line in told) if isinstance(told, list) else ""
        png = plots.png(plots.teacher_history, experts, marks)
        sections.append(Section(title, [Picture(f"teacher{suffix}", png, f"{title}.", caption)]))
    if run.examples is not None:
        names = words.named([run.examples.class_names[k] for k in run.examples.labels])
        caption = "Real images and the labels that the teacher gives them; orange is the true class."
        alt = f"Images of the classes {names} beside bars of class probabilities at several teacher epochs."
        png = plots.png(plots.label_bars, run.examples)
        epochs = run.examples.epochs.tolist()
        title = f"What the teacher says of single images at epoch {epochs[0]}"
        title = f"{title} and at epoch {epochs[-1]}" if len(epochs) > 1 else title
        sections.append(Section(title, [Picture(f"labels{suffix}", png, alt, caption)]))
    return sections


def _reached(experts: Sequence[Sequence[dict]]) -> str:
    """What the experts reach on validation at their last epoch, the least and the most of several."""
    known = [[h["val_accuracy"] for h in history if h.get("val_accuracy") is not None] for history in experts]
    last = [values[-1] for values in known if values]
    if len(last) == 1:
        return f"The teacher reaches {words.percent(last[0])} %"
    return f"The experts reach {words.percent(min(last))} to {words.percent(max(last))} %"
