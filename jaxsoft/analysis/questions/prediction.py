"""Can the best labels of a budget be told before it is run? Each budget predicted from the others, and one beyond them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

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


class Check(NamedTuple):
    """One IPC predicted from the others, beside what was chosen and measured there; NaN where nothing was."""

    ipc: int
    epoch: Estimate
    chosen: float
    accuracy: Estimate
    measured: float


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Predictions within one group; None where budgets or epochs are too few for a line to be tested."""
    dated = group.find(group.arms["labels"] != "hard", group.arms["epoch"].notna())
    if len(group.ipcs) < _FEWEST_IPCS or group.arms["epoch"].iloc[dated].nunique() < _FEWEST_EPOCHS:
        return None
    curve = fits.curve(group, group.soft, fits.BEST)
    for t in np.flatnonzero(np.isnan(curve.draws[0]))[::-1].tolist():  # run, but by no unit that others choose for
        curve = curve.without(t)
    checks = predictions(group, dated, curve)
    told = [c for c in checks if not math.isnan(c.accuracy.mean - c.measured)]
    if not told:
        return None
    misses = sorted(abs(c.accuracy.mean - c.measured) for c in told)
    least, most = words.percent(misses[0]), words.percent(misses[-1])
    inside, of = sum(_holds(c.epoch, c.chosen) for c in checks), len(checks) - 1
    caption = (
        "Each budget left out and predicted from the others: teacher epoch by a line of ln(1 + epoch) in ln IPC, accuracy of "
        f"the best soft labels by a power law with a floor. {inside} of {of} chosen epochs lie in their intervals, "
        "which cover seeds, not the form of the law: where it holds, those of accuracy were measured to cover 92 to 96 %. The "
        "last row was not run."
    )
    title = f"Unseen budgets are missed by {least} to {most} points"
    if all(_holds(c.accuracy, c.measured) for c in told):
        title = f"Accuracy of unseen budgets is foretold to within {most} points"
    lines = [
        {
            "IPC": c.ipc,
            "epoch, predicted": words.interval(c.epoch, "{:.0f}".format) if c.epoch.n else None,
            "epoch, chosen": words.NONE if math.isnan(c.chosen) else f"{c.chosen:.0f}",
            "test, predicted, %": c.accuracy,
            "test, measured, %": c.measured,
        }
        for c in checks
    ]
    title += f"; {inside} of {of} epochs in their intervals"
    return Section(title, [_chart(curve, checks), table(lines, caption)])


def predictions(group: Group, dated: Arms, curve: fits.Curve) -> list[Check]:
    """Every budget predicted from the others, then one twice the largest from all."""
    (ipcs, epochs), run = chosen_epochs(group, dated), curve.x[0].astype(int).tolist()
    chosen, measured = dict(zip(ipcs, epochs[0].tolist())), dict(zip(run, curve.draws[0].tolist()))
    found = []
    for t, ipc in enumerate([*run, 2 * group.ipcs[-1]]):
        kept = [i for i, other in enumerate(ipcs) if other != ipc]
        epoch = predicted_epoch([ipcs[i] for i in kept], epochs[:, kept], len(group.units), ipc)
        accuracy = predicted_accuracy(curve.without(t) if ipc in measured else curve, ipc)
        found.append(Check(ipc, epoch, chosen.get(ipc, math.nan), accuracy, measured.get(ipc, math.nan)))
    return found


def _holds(value: Estimate, seen: float) -> bool:
    return bool(round(value.low, 6) <= seen <= round(value.high, 6))


def _chart(curve: fits.Curve, checks: Sequence[Check]) -> Chart:
    """Test accuracy of the best soft labels by budget, with its band, beside what the other budgets predict."""
    told = {c.ipc: c.accuracy for c in checks if c.accuracy.n}
    marks = [
        Series("measured, best soft labels", curve.x[0], [drawn(line, curve.n) for line in curve.draws.T], "band",
               colour=BLUE, marker="o"),
        Series("predicted", list(told), list(told.values()), line=False, colour=ORANGE, marker="s", hollow=True),
    ]  # fmt: skip
    return Chart("prediction", [Panel(marks)], "The frontier, and its prediction.", "band and bars: 95 % intervals")
