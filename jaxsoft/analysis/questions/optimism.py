"""How much does selecting on the test set flatter the numbers?

Two things are selected: the checkpoint of each student, and the label spec (with its rate) of each budget. Members of the
protocol `both` hold what either protocol would have reported of one and the same student, so the gap of the checkpoint
is seen member by member. Of two joined runs, one sealed and one of the paper's protocol, only the whole gap is.
"""

from collections.abc import Sequence

import numpy as np

from jaxsoft.analysis import words
from jaxsoft.analysis.chart import BLUE, INK, Chart, Level, Panel, Series
from jaxsoft.analysis.groups import Arms, Group
from jaxsoft.analysis.inference import Estimate, Side, contrast
from jaxsoft.analysis.page import Section, table
from jaxsoft.analysis.read import Run

ORDER = 15
TOGETHER = ("protocol",)


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """The gap of the checkpoint and the whole gap, by IPC, for hard and for soft labels."""
    sealed, paper = _protocols(group)
    checkpoints = "protocol" not in group.arms
    gaps: dict[str, dict[int, tuple[Estimate, Estimate | None]]] = {"hard": {}, "soft": {}}
    for kind, arms in (("hard", group.hard), ("soft", group.soft)):
        for ipc in group.ipcs:
            ours, theirs = (_side(group, of, ipc, arms) for of in (sealed, paper))
            if ours and theirs:
                whole = contrast(theirs, ours._replace(weight=-1.0))
                # Of the members that the sealed protocol selects, so that it is a part of the whole.
                same = theirs._replace(selection=ours.selection)
                gaps[kind][ipc] = whole, contrast(same, ours._replace(weight=-1.0)) if checkpoints else None
    gaps = {kind: found for kind, found in gaps.items() if found}
    if not gaps:
        return None
    lines, marks = [], [Level(0.0)]
    for kind, found in gaps.items():
        for ipc, (whole, checkpoint) in found.items():
            numbers = {"checkpoint, points": checkpoint, "all that is selected, points": whole, "n": whole.n}
            lines.append({"IPC": ipc, "labels": kind, **numbers})
        colour, ipcs = INK if kind == "hard" else BLUE, list(found)
        if checkpoints:
            values = [checkpoint for _, checkpoint in found.values() if checkpoint]
            marks.append(
                Series(f"{kind} labels: checkpoint alone", ipcs, values, line=False, colour=colour, hollow=True)
            )
        marks.append(
            Series(
                f"{kind} labels: all that is selected", ipcs, [w for w, _ in found.values()], line=False, colour=colour
            )
        )
    caption = (
        "Test accuracy with selection on test minus with selection on validation, each seed against itself, with 95 % "
        "intervals. All that is selected: label spec, rate and checkpoint; all seeds choose at once, as published tables do."
    ) + (" Checkpoint: the same student at its best look on test, with what validation selects." if checkpoints else "")
    chart = Chart(
        "optimism",
        [Panel(marks, "selected on test minus\non validation, points")],
        "What selecting on test adds, by IPC.",
    )
    lines.sort(key=lambda line: line["IPC"])
    kind, found = max(gaps.items(), key=lambda item: next(iter(item[1].values()))[0].mean)
    title = words.compare(
        f"Selected on test, {kind} labels", "selection on validation", {n: w for n, (w, _) in found.items()}
    )
    return Section(title, [chart, table(lines, caption)])


Reported = tuple[np.ndarray, np.ndarray]
"""Accuracies reported, and those selected on [U, I, A]; NaN where a member is of the other protocol."""


def _protocols(group: Group) -> tuple[Reported, Reported]:
    """What a sealed protocol reports of these members and selects on, and what the paper's does."""
    test, val = group.values("test_accuracy"), group.values("val_accuracy")
    if "paper_accuracy" in group.members and (group.members["protocol"] == "both").any():
        both = group.values("paper_accuracy")
        return (np.where(np.isfinite(both), test, np.nan), val), (both, both)
    protocol = group.arms["protocol"].to_numpy(str) if "protocol" in group.arms else np.array(["sealed"])
    ours, theirs = (np.where(protocol == name, test, np.nan) for name in ("sealed", "paper"))
    return (ours, np.where(protocol == "sealed", val, np.nan)), (theirs, theirs)


def _side(group: Group, of: Reported, ipc: int, arms: Arms) -> Side | None:
    """The arms of one protocol at a budget, of which all units choose at once; None where there are none."""
    at = group.ipcs.index(ipc)
    own = [arm for arm in arms if np.isfinite(of[0][:, at, arm]).any() and np.isfinite(of[1][:, at, arm]).any()]
    return Side(*(part[:, [at]][:, :, own] for part in of), together=True) if own else None
