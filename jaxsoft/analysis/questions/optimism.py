"""How much does selecting on the test set flatter the numbers?

Two things are selected: the checkpoint of each student, and the label spec (with its rate) of each budget. Members of the
protocol `both` hold what either protocol would have reported of one and the same student, so the gap of the checkpoint
is seen member by member. Of two joined runs, one sealed and one of the paper's protocol, only the whole gap is.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxsoft.analysis.questions._verbs import by_ipc
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, INK, Chart, Level, Panel, Series
from jaxsoft.analysis.showing.page import Section, table
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import Side, contrast

ORDER = 15
TOGETHER = ("protocol",)
_CHECKPOINT, _WHOLE = "checkpoint, points", "all that is selected, points"

Reported = tuple[Float[np.ndarray, "U I A"], Float[np.ndarray, "U I A"]]  # and selected on; NaN: of the other protocol


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """What each budget gains where the same students were selected on validation and on test."""
    sealed, paper = protocols(group)
    known = "protocol" not in group.arms
    lines = []
    for i, ipc in enumerate(group.ipcs):
        for kind, arms in (("hard", group.hard), ("soft", group.soft)):
            ours, theirs = side(sealed, i, arms, -1.0), side(paper, i, arms)
            if not (ours and theirs and (whole := contrast(theirs, ours)).n):
                continue
            line = {"IPC": ipc, "labels": kind}
            if known:  # of the members that the sealed protocol selects, so that it is a part of the whole
                line[_CHECKPOINT] = contrast(theirs._replace(selection=ours.selection), ours)
            lines.append({**line, _WHOLE: whole, "n": whole.n})
    if not lines:
        return None
    marks = []
    for kind in dict.fromkeys(line["labels"] for line in lines):
        for part in (_CHECKPOINT, _WHOLE):
            values = by_ipc((line for line in lines if line["labels"] == kind), part)
            style = {"line": False, "colour": INK if kind == "hard" else BLUE, "hollow": part == _CHECKPOINT}
            marks += [Series.of(f"{kind} labels: {part.removesuffix(', points')}", values, **style)] if values else []
    panel = Panel([Level(0.0), *marks], "selected on test minus\non validation, points")
    caption = (
        "Test accuracy with selection on test minus with selection on validation, each seed against itself, with 95 % "
        "intervals. All that is selected: label spec, rate and checkpoint; all seeds choose at once, as published tables "
        f"do.{' Checkpoint: the same student at its best look on test, with what validation selects.' if known else ''}"
    )
    chart = Chart("optimism", [panel], "What selecting on test adds, by IPC.")
    place, sign = words.most({i: line[_WHOLE] for i, line in enumerate(lines)})
    kind, size = lines[place]["labels"], f"{words.signed(lines[place][_WHOLE])} at IPC {lines[place]['IPC']}"
    title = f"Selecting on test {'flatters' if sign > 0 else 'lowers'} {kind} labels: {size}"
    if not sign:
        title = f"Selecting on test: no clear gain, {size} with {kind} labels"
    return Section(title, [chart, table(lines, caption)])


def protocols(group: Group) -> tuple[Reported, Reported]:
    """What a sealed protocol reports of these members and selects on, and what the paper's does."""
    test, val = group.values("test_accuracy"), group.values("val_accuracy")
    if "paper_accuracy" in group.members and (group.members["protocol"] == "both").any():
        both = group.values("paper_accuracy")
        test, val, both = (np.where(np.isfinite(both + val), values, np.nan) for values in (test, val, both))
        return (test, val), (both, both)
    protocol = group.arms["protocol"].to_numpy(str) if "protocol" in group.arms else np.array(["sealed"])
    ours, chosen = (np.where(protocol == "sealed", values, np.nan) for values in (test, val))
    theirs = np.where(protocol == "paper", test, np.nan)
    return (ours, chosen), (theirs, theirs)


def side(of: Reported, at: int, arms: Arms, weight: float = 1.0) -> Side | None:
    """The arms of one protocol at a budget, of which all units choose at once; None where there are none."""
    own = [arm for arm in arms if np.isfinite((of[0] + of[1])[:, at, arm]).any()]
    return Side(*(part[:, [at]][:, :, own] for part in of), weight=weight, together=True) if own else None
