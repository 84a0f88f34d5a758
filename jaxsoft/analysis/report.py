"""The report of one or more runs: an answer in words first, then what shows it, then how it was made."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxsoft import errors
from jaxsoft.analysis import plots, questions, words
from jaxsoft.analysis.frontier import Choice, optimism
from jaxsoft.analysis.grid import IDENTITY, finished, group_names, groups
from jaxsoft.analysis.page import Block, Page, Picture, Section, Text, to_html, to_markdown
from jaxsoft.analysis.read import Run, join_results, read_run
from jaxsoft.analysis.sections import group_sections, headline, optimism_section
from jaxsoft.analysis.table import Findings, Table, findings
from jaxsoft.types import Row


def write_report(folders: Sequence[str | os.PathLike], out: str | os.PathLike | None = None, mix: bool = False) -> Path:
    """Write report.html, summary.md and plots/*.png; equal results give equal bytes.

    Args:
      folders: run folders.
      out: where to write, a folder or the .html file in it; by default the run folder, if there is one alone.
      mix: join runs of different data or protocols, each told by itself.

    Returns:
      The path of the HTML file.

    Raises:
      DataError: a folder holds no results, or something in it is damaged.
      ConfigError: the runs do not belong together, or `out` is missing where there are several.
      CheckpointError: the report cannot be written.
    """
    if not folders or (out is None and len(folders) > 1):
        raise errors.ConfigError(f"a report of {len(folders)} run folders needs --out, the folder to write it to")
    page = make_page([read_run(folder) for folder in folders], mix)
    target = Path(folders[0] if out is None else out)
    target, name = (target.parent, target.name) if target.suffix == ".html" else (target, "report.html")
    pictures = [block for section in page.sections for block in section.blocks if isinstance(block, Picture)]
    try:
        (target / "plots").mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            _replace(target / "plots" / f"{picture.name}.png", picture.png)
        _replace(target / "summary.md", to_markdown(page).encode())
        _replace(target / name, to_html(page).encode())
    except OSError as problem:
        raise errors.CheckpointError(f"cannot write the report to {target}: {problem.strerror}") from None
    return target / name


def make_page(runs: Sequence[Run], mix: bool = False) -> Page:
    """The whole report as values: sections of each group of members, of each run's teacher, and how it was made."""
    rows = join_results([run.rows for run in runs], [run.folder for run in runs], mix)
    sections = questions.answers(rows, runs)
    answer = sections[0].title if sections else ""
    parts = groups(questions.common(rows))
    found, several = [findings(part) for part in parts], len(parts) > 1
    for i, (finding, name) in enumerate(zip(found, group_names(parts)), 1):
        sections += group_sections(finding, name[:1].upper() + name[1:], f"-{i}" if several else "")
    sections += [optimism_section(gap) for gap in _optimism(found)]
    for i, run in enumerate(runs, 1):
        choices = found[0].choices if len(found) == 1 else []
        sections += _teacher(run, choices, f"-{i}" if len(runs) > 1 else "")
    title = answer or (f"Soft against hard labels in {len(found)} settings" if several else headline(found[0]))
    kicker = " · ".join(["jaxsoft", *_constant(rows), f"{len(finished(rows))} members"])
    return Page(kicker, title, [*sections, _how(rows, runs)])


def _constant(rows: Sequence[Row]) -> list[str]:
    shown = {"dataset": "{}", "model": "`{}`", "protocol": "{} protocol"}
    return [text.format(rows[0][c]) for c, text in shown.items() if len({row[c] for row in rows}) == 1]


def _optimism(found: Sequence[Findings]) -> list[dict]:
    """The gap between protocols for groups that differ in nothing else."""
    sealed = {_but_protocol(f.rows): f.rows for f in found if f.rows[0]["protocol"] == "sealed"}
    paper = {_but_protocol(f.rows): f.rows for f in found if f.rows[0]["protocol"] == "paper"}
    both = [key for key in sealed if key in paper and finished(sealed[key]) and finished(paper[key])]
    return [optimism(finished(sealed[key]), finished(paper[key])) for key in both]


def _but_protocol(rows: Sequence[Row]) -> tuple:
    return tuple(rows[0][c] for c in IDENTITY if c != "protocol")


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
            title = (
                f"The teacher reaches {words.percent(last['val_accuracy'])} % on validation while the entropy of its "
                f"labels goes from {first['label_entropy']:.2f} to {last['label_entropy']:.2f} nats"
            )
        caption = (
            f"{len(experts)} expert{'s' * (len(experts) > 1)} by epoch. Dashed: the epochs chosen, with their budgets."
        )
        png = plots.png(plots.teacher_history, experts, marks)
        sections.append(Section(title, [Picture(f"teacher{suffix}", png, f"{title}.", caption)]))
    if run.examples is not None:
        names = [run.examples.class_names[k] for k in run.examples.labels]
        caption = "Real images and the labels that the teacher gives them; orange is the true class."
        alt = f"Images of the classes {', '.join(names)} beside bars of class probabilities at several teacher epochs."
        png = plots.png(plots.label_bars, run.examples)
        title = "The same images, labelled by a younger and an older teacher"
        sections.append(Section(title, [Picture(f"labels{suffix}", png, alt, caption)]))
    return sections


def _how(rows: Sequence[Row], runs: Sequence[Run]) -> Section:
    """Everything that is needed to trust or repeat the numbers."""
    lines = [("members", f"{len(finished(rows))} finished, {len(rows) - len(finished(rows))} failed")]
    for column in ("dataset", "fingerprint", "model", "protocol", "learning_rate", "weight_decay", "steps", "device"):
        values = sorted({str(row.get(column)) for row in rows})
        lines.append((column.replace("_", " "), ", ".join(f"`{value}`" for value in values[:8])))
    lines.append(("seeds", _seeds(rows)))
    blocks: list[Block] = [Table(("what", "value"), lines, "What the members share, or every value where they differ.")]
    for run in runs:
        where = f" of `{run.folder.name}`" if len(runs) > 1 else ""
        resolved = [(f"`{asked}`", f"`{got}`") for asked, got in run.teachers.get("resolved", {}).items()]
        if resolved:
            blocks.append(
                Table(("asked for", "became"), resolved, f"Label specs{where} and the epochs they resolved to.")
            )
        for name, title in (("env", "Versions and device"), ("timing", "Times"), ("config", "All settings")):
            if flat := _flat(getattr(run, name)):
                blocks.append(Table(("key", "value"), flat, f"{title}{where} (`{name}.json`).", folded=True))
        members = run.plan.get("members")
        planned, held = len(members) if isinstance(members, list) else 0, len(run.rows)
        if held < planned:
            blocks.append(
                Text(f"{held} of {planned} planned members{where} are in; the run is not finished.", "warning")
            )
        absent = [name for name, there in _artefacts(run).items() if not there]
        if absent:
            blocks.append(Text(f"Left out, because the run folder{where} does not hold it: {words.listed(absent)}."))
    return Section("How these numbers were made", blocks)


def _artefacts(run: Run) -> dict[str, bool]:
    return {
        "the teacher's course (`teachers.json`)": bool(run.teachers.get("experts")),
        "images with labels (`examples.npz`)": run.examples is not None,
        "settings (`config.json`)": bool(run.config),
        "versions (`env.json`)": bool(run.env),
    }


def _seeds(rows: Sequence[Row]) -> str:
    """What the intervals cover."""
    units = {(row["seed"], row["subset_seed"]) for row in rows}
    subsets = len({subset for _, subset in units})
    if len(units) == 1:
        return "1, so there are no intervals"
    if subsets == len(units):
        covered = "each with its own images, initialisation and order; intervals cover all three, but not the teacher"
    elif subsets == 1:
        covered = "all on one set of images; intervals do not cover the choice of images, nor the teacher"
    else:
        covered = (
            f"on {subsets} sets of images; intervals take pairs of seed and set for independent and are too narrow"
        )
    return f"{len(units)}, {covered}"


def _flat(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    lines = []
    for key, value in document.items():
        if isinstance(value, Mapping):
            lines += _flat(value, f"{prefix}{key}.")
        else:
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append((f"`{prefix}{key}`", f"`{text[:300]}`"))
    return lines


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)
