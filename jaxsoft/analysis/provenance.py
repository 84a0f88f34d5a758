"""How the numbers of a report were made: what members share, which seeds there are, and what a run folder says of itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.page import Block, Section, Table, Text

_SHARED = ("dataset", "fingerprint", "model", "protocol", "select", "learning_rate", "weight_decay", "steps", "device")
_SHOWN = 8


def provenance(members: pd.DataFrame, runs: Sequence[Run]) -> Section:
    """Everything that is needed to trust or repeat the numbers of all members of a page."""
    done = list(members["status"]).count("done")
    lines = [("members", f"{done} finished, {len(members) - done} failed")]
    for column in (column for column in _SHARED if column in members):
        values = sorted(map(str, members[column].dropna().unique()))
        more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
        lines += [(column.replace("_", " "), ", ".join(map(words.code, values[:_SHOWN])) + more)] if values else []
    lines.append(("seeds", _seeds(members)))
    shared = Table(
        ("what", "value"), lines, "What the members share, or every value where they differ.", name="members"
    )
    where = [f" of {words.code(run.folder.name)}" if len(runs) > 1 else "" for run in runs]
    return Section(
        "How these numbers were made", [shared, *(b for run, at in zip(runs, where) for b in _of_run(run, at))]
    )


def _of_run(run: Run, where: str) -> list[Block]:
    """What one run folder says of itself, and what it does not."""
    blocks: list[Block] = []
    if resolved := _flat(run.teachers.get("resolved", {})):
        blocks.append(
            Table(
                ("asked for", "became"),
                resolved,
                f"Label specs{where} and the epochs they resolved to.",
                name="resolved",
            )
        )
    starts = run.env["starts"] if isinstance(run.env.get("starts"), list) else [run.env]  # older runs tell of one
    differ = [start for i, start in enumerate(starts) if isinstance(start, Mapping) and start not in starts[:i]]
    told = [("env", "Versions and device", start) for start in differ]
    told += [("timing", "Times", run.timing), ("config", "All settings", run.config)]
    for name, title, document in told:
        if flat := _flat(document):
            blocks.append(Table(("key", "value"), flat, f"{title}{where} (`{name}.json`).", True, name))
    planned, held = run.plan.get("members"), len(run.rows)
    if isinstance(planned, list):
        keys = {member.get("member") for member in planned if isinstance(member, dict)}
        if others := sum(row["member"] not in keys for row in run.rows):
            said = f"{others} of {held} members{where} are of code or settings that were edited since; the run goes on with others."
            blocks.append(Text(said, "warning"))
        elif held < len(planned):
            said = f"{held} of {len(planned)} planned members{where} are in; the run is not finished."
            blocks.append(Text(said, "warning"))
    if run.damaged:
        named = words.listed([words.code(name) for name in run.damaged])
        blocks.append(Text(f"Left out, because it is damaged in the run folder{where}: {named}.", "warning"))
    untaught = run.teachers.get("experts") == []  # nothing asked a teacher
    artefacts = {
        "teachers.json": ("the teacher's course", untaught or run.teachers.get("experts")),
        "examples.npz": ("images with labels", untaught or run.examples),
        "config.json": ("settings", run.config),
        "env.json": ("versions", run.env),
    }
    absent = [
        f"{what} (`{name}`)" for name, (what, there) in artefacts.items() if not there and name not in run.damaged
    ]
    if absent:
        blocks.append(Text(f"Left out, because the run folder{where} does not hold it: {words.listed(absent)}."))
    return blocks


def _seeds(members: pd.DataFrame) -> str:
    """What the intervals cover."""
    pairs = members[["seed", "subset_seed"]].drop_duplicates()
    subsets = len(set(pairs["subset_seed"]))
    if len(pairs) == 1:
        return "1, so there are no intervals"
    if subsets == len(pairs):
        covered = "each with its own images, initialisation and order; intervals cover all three, but not the teacher"
    elif subsets == 1:
        covered = "all on one set of images; intervals do not cover the choice of images, nor the teacher"
    else:
        covered = f"on {subsets} sets of images, which are the units of all intervals; seeds are averaged inside each"
    return f"{len(pairs)}, {covered}"


def _flat(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    lines = []
    for key, value in document.items():
        if isinstance(value, Mapping):
            lines += _flat(value, f"{prefix}{key}.")
        else:
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append((words.code(f"{prefix}{key}"), words.code(text)))
    return lines
