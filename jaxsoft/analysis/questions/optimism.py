"""How much does selecting on the test set flatter the numbers?

Two things are selected: the checkpoint of each student, and the label spec (with its rate) of each budget. Rows of the
protocol `both` hold what either protocol would have reported of one and the same student, so the gap of the checkpoint
is seen member by member. Of two joined runs, one sealed and one of the paper's protocol, only the whole gap is.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jaxsoft.analysis import frontier, plots, words
from jaxsoft.analysis.grid import Grid, column, grid, tuned
from jaxsoft.analysis.page import Picture, Section
from jaxsoft.analysis.plots import BLUE, INK, WIDTH
from jaxsoft.analysis.questions import _parts
from jaxsoft.analysis.questions._bars import beside, interval_bars, ipc_axis
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate, estimate
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 15


class Gap(NamedTuple):
    """What selecting on test adds at one IPC with one kind of labels ("hard" or "soft"); fractions.

    `checkpoint` is of the members that the sealed protocol selects, so that it is a part of the whole; NaN with n = 0 where
    no member tells both accuracies.
    """

    ipc: int
    kind: str
    checkpoint: Estimate
    whole: Estimate


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """The gap of the checkpoint and the whole gap, by IPC, for hard and for soft labels."""
    return _parts.by_group(rows, find_gaps, _tell, together=("protocol",))


def find_gaps(rows: Sequence[Row]) -> list[Gap]:
    """The gaps of rows that may differ in the protocol, IPC by IPC; empty when one protocol is all there is."""
    sealed, paper = _protocols(rows)
    if not (sealed and paper):
        return []
    tables = grid(sealed, "val_accuracy"), grid(paper, "test_accuracy")
    soft = frontier.optimism(*tables)
    chosen = {choice.ipc: choice.labels for choice in frontier.choose(tables[0])}
    told = [row for row in tuned(sealed, "val_accuracy") if _flattered(row)]
    gaps = []
    for ipc in sorted(set(tables[0].ipcs) & set(tables[1].ipcs)):
        for kind, whole in (("hard", _hard_gap(*tables, ipc)), ("soft", soft.get(ipc, estimate(np.array([]))))):
            if whole.n:
                labels = "hard" if kind == "hard" else chosen.get(ipc)
                own = [row for row in told if (row["ipc"], row["labels"]) == (ipc, labels)]
                gaps.append(Gap(ipc, kind, _checkpoint_gap(own), whole))
    return gaps


def draw_gaps(gaps: Sequence[Gap]) -> Figure:
    """Both gaps by IPC: open marks the checkpoint alone, full ones the whole selection."""
    figure = Figure((WIDTH, 3.3))
    axes = figure.subplots()
    axes.axhline(0, color=INK, lw=1)
    series = [(kind, part) for kind in ("hard", "soft") for part in ("checkpoint", "whole")]
    series = [(k, p) for k, p in series if any(g.kind == k and getattr(g, p).n for g in gaps)]
    ipcs = sorted({gap.ipc for gap in gaps})
    names = {"checkpoint": "checkpoint alone", "whole": "all that is selected"}
    for i, (kind, part) in enumerate(series):
        line = [gap for gap in gaps if gap.kind == kind]
        colour = INK if kind == "hard" else BLUE
        open_ = {"mfc": "white", "mec": colour, "mew": 1.4} if part == "checkpoint" else {}
        values, places = [getattr(gap, part) for gap in line], beside([gap.ipc for gap in line], i, len(series))
        interval_bars(axes, places, values, color=colour, label=f"{kind} labels: {names[part]}", **open_)
    ipc_axis(axes, ipcs)
    axes.set_ylabel("selected on test minus\non validation, test points")
    axes.margins(y=0.14)
    figure.legend(loc="outside lower center", ncols=2)
    _parts.say_n(figure, [gap.whole.n for gap in gaps], "bars: 95 % intervals")
    return figure


def _protocols(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """What a sealed protocol reports of these members, and what the paper's does."""
    if both := [row for row in rows if _flattered(row)]:
        return both, [{**row, "test_accuracy": row["paper_accuracy"], "protocol": "paper"} for row in both]
    sealed = [row for row in rows if row["protocol"] == "sealed" and row["val_accuracy"] is not None]
    return sealed, [row for row in rows if row["protocol"] == "paper"]


def _flattered(row: Row) -> bool:
    """Whether a row holds what both protocols report."""
    known = row.get("paper_accuracy") is not None and row["val_accuracy"] is not None
    return row["protocol"] == "both" and known


def _hard_gap(sealed: Grid, paper: Grid, ipc: int) -> Estimate:
    """The whole gap of hard labels, whose rate alone is selected, over the seeds that finished under both."""
    if not all("hard" in table.labels for table in (sealed, paper)):
        return estimate(np.array([]))
    found = []
    for table in (sealed, paper):
        found.append(dict(zip(table.units, table.test[:, table.ipcs.index(ipc), column(table, "hard")])))
    gaps = np.array([found[1][unit] - value for unit, value in found[0].items() if unit in found[1]])
    return estimate(gaps[np.isfinite(gaps)])


def _checkpoint_gap(rows: Sequence[Row]) -> Estimate:
    """Paper's minus sealed accuracy of one and the same member, averaged inside a seed, then over seeds."""
    by_unit: dict[tuple, list[float]] = {}
    for row in rows:
        by_unit.setdefault((row["seed"], row["subset_seed"]), []).append(row["paper_accuracy"] - row["test_accuracy"])
    return estimate(np.array([np.mean(gaps) for gaps in by_unit.values()]))


def _title(gaps: Sequence[Gap]) -> str:
    first = [gap for gap in gaps if gap.ipc == gaps[0].ipc]
    signs = {_parts.sign(gap.whole) for gap in first}
    number = _parts.size if signs == {1} else _parts.signed
    said = words.listed([f"{number(gap.whole)} with {gap.kind} labels" for gap in first])
    verb = "inflates" if signs == {1} else "moves"
    untold = "" if 1 in signs else "; no inflation can be told"
    return f"Selecting on the test set {verb} accuracy by {said} at {words.budgets([first[0].ipc])}{untold}"


def _tell(gaps: Sequence[Gap], suffix: str) -> list[Section]:
    known = any(gap.checkpoint.n for gap in gaps)
    lines = []
    for gap in gaps:
        checkpoint = (words.difference(gap.checkpoint),) if known else ()
        lines.append((str(gap.ipc), gap.kind, *checkpoint, words.difference(gap.whole), str(gap.whole.n)))
    header = ("IPC", "labels", *(("checkpoint, points",) if known else ()), "all that is selected, points", "n")
    caption = (
        "Test accuracy with selection on test minus with selection on validation, each seed against itself, with 95 % "
        "intervals. All that is selected: label spec, rate and checkpoint."
    ) + (" Checkpoint: the same student at its best look on test, with what validation selects." if known else "")
    alt = "Optimism in test points. " + "; ".join(
        f"IPC {gap.ipc}, {gap.kind} labels: {words.difference(gap.whole)}" for gap in gaps
    )
    picture = Picture(
        f"optimism{suffix}", plots.png(draw_gaps, gaps), f"{alt}.", "What selecting on test adds, by IPC."
    )
    return [Section(_title(gaps), [picture, Table(header, lines, caption)])]
