"""Can the best labels of a budget be told before it is run? Each budget predicted from the others, and one beyond them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxsoft.analysis.questions._verbs import by_ipc
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, ORANGE, Chart, Panel, Series
from jaxsoft.analysis.showing.page import Section, table
from jaxsoft.analysis.statistics import fits
from jaxsoft.analysis.statistics.fits import chosen_epochs, predicted_accuracy, predicted_epoch
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import Estimate, drawn

ORDER = 52
_FEWEST_IPCS, _FEWEST_EPOCHS = 4, 3
_EPOCH, _CHOSEN = "epoch, predicted", "epoch, chosen"
_TEST, _MEASURED = "test, predicted, %", "test, measured, %"


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Predictions within one group; None where budgets or epochs are too few for a line to be tested."""
    dated = group.find(group.arms["labels"] != "hard", group.arms["epoch"].notna())
    if len(group.ipcs) < _FEWEST_IPCS or group.arms["epoch"].iloc[dated].nunique() < _FEWEST_EPOCHS:
        return None
    curve = fits.curve(group, group.soft, fits.BEST)
    for t in np.flatnonzero(np.isnan(curve.draws[0]))[::-1].tolist():  # run, but by no unit that others choose for
        curve = curve.without(t)
    checks = predictions(group, dated, curve)
    told = [c for c in checks if not math.isnan(c[_TEST].mean - c[_MEASURED])]
    if not told:
        return None
    misses = sorted(abs(c[_TEST].mean - c[_MEASURED]) for c in told)
    least, most = words.percent(misses[0]), words.percent(misses[-1])
    inside, of = sum(_holds(c[_EPOCH], c[_CHOSEN]) for c in checks), len(checks) - 1
    caption = (
        "Each budget left out and predicted from the others: teacher epoch by a line of ln(1 + epoch) in ln IPC, accuracy of "
        f"the best soft labels by a power law with a floor. {inside} of {of} chosen epochs lie in their intervals, "
        "which cover seeds, not the form of the law: where it holds, those of accuracy were measured to cover 92 to 96 %. The "
        "last row was not run."
    )
    title = f"Unseen budgets are missed by {least} to {most} points"
    if all(_holds(c[_TEST], c[_MEASURED]) for c in told):
        title = f"Accuracy of unseen budgets is foretold to within {most} points"
    lines = []
    for c in checks:
        epoch = words.Shown.of(c[_EPOCH], "{:.0f}".format) if c[_EPOCH].n else None
        lines.append({**c, _EPOCH: epoch, _CHOSEN: None if math.isnan(c[_CHOSEN]) else int(c[_CHOSEN])})
    seen = {ipc: drawn(line, curve.n) for ipc, line in zip(curve.x[0], curve.draws.T)}
    marks = [
        Series.of("measured, best soft labels", seen, "band", colour=BLUE, marker="o"),
        Series.of("predicted", by_ipc(checks, _TEST), line=False, colour=ORANGE, marker="s", hollow=True),
    ]
    shown = "The frontier, and its prediction.", "band and bars: 95 % intervals"
    title += f"; {inside} of {of} epochs in their intervals"
    return Section(title, [Chart("prediction", [Panel(marks)], *shown), table(lines, caption)])


def predictions(group: Group, dated: Arms, curve: fits.Curve) -> list[dict[str, Any]]:
    """Every budget predicted from the others, then one twice the largest from all; NaN where nothing was run."""
    (ipcs, epochs), run = chosen_epochs(group, dated), curve.x[0].astype(int).tolist()
    chosen, measured = dict(zip(ipcs, epochs[0].tolist())), dict(zip(run, curve.draws[0].tolist()))
    found = []
    for t, ipc in enumerate([*run, 2 * group.ipcs[-1]]):
        kept = [i for i, other in enumerate(ipcs) if other != ipc]
        epoch = predicted_epoch([ipcs[i] for i in kept], epochs[:, kept], len(group.units), ipc)
        accuracy = predicted_accuracy(curve.without(t) if ipc in measured else curve, ipc)
        line = {"IPC": ipc, _EPOCH: epoch, _CHOSEN: chosen.get(ipc, math.nan)}
        found.append({**line, _TEST: accuracy, _MEASURED: measured.get(ipc, math.nan)})
    return found


def _holds(value: Estimate, seen: float) -> bool:
    return bool(round(value.low, 6) <= seen <= round(value.high, 6))
