"""Can the best labels of a budget be told before it is run? Each budget predicted from the others, and one beyond them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxsoft.analysis import fits, words
from jaxsoft.analysis.chart import BLUE, ORANGE, Chart, Panel, Series
from jaxsoft.analysis.groups import Group
from jaxsoft.analysis.inference import Estimate, drawn
from jaxsoft.analysis.page import Section, table
from jaxsoft.analysis.predict import chosen_epochs, predicted_accuracy, predicted_epoch
from jaxsoft.analysis.read import Run

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
    dated = group.find(group.arms["epoch"].notna().to_numpy(), group.arms["labels"] != "hard")
    if len(group.ipcs) < _FEWEST_IPCS or group.arms["epoch"].nunique() < _FEWEST_EPOCHS:
        return None
    curve = fits.curve(group, group.soft, fits.BEST)
    checks, beyond = _checks(group, dated, curve)
    misses = {c.ipc: abs(c.accuracy.mean - c.measured) for c in checks if not math.isnan(c.accuracy.mean - c.measured)}
    if not misses:
        return None
    inside = sum(_holds(c.epoch, c.chosen) for c in checks)
    caption = (
        "Each budget left out and predicted from the others: teacher epoch by a line of ln(1 + epoch) in ln IPC, accuracy of "
        f"the best soft labels by the law that AICc prefers. {inside} of {len(checks)} chosen epochs lie in their intervals, "
        "which cover seeds, not the form of the law. The last row was not run."
    )
    held = all(_holds(c.accuracy, c.measured) for c in checks if c.ipc in misses)
    least, most = words.percent(min(misses.values())), words.percent(max(misses.values()))
    title = (
        f"Accuracy of unseen budgets is foretold to within {most} points"
        if held
        else f"Unseen budgets are missed by {least} to {most} points"
    )
    title += f"; {inside} of {len(checks)} epochs lie in their intervals"
    lines = [_line(c) for c in [*checks, beyond]]
    return Section(title, [_chart(curve, checks, beyond), table(lines, caption)])


def _checks(group: Group, dated: Sequence[int], curve: fits.Curve) -> tuple[list[Check], Check]:
    """Every budget predicted from the others, and one twice the largest from all."""
    n, (ipcs, epochs) = len(group.units), chosen_epochs(group, dated)
    found = []
    for t, ipc in enumerate(curve.x[0].astype(int).tolist()):
        at = ipcs.index(ipc) if ipc in ipcs else None
        others = [i for i in range(len(ipcs)) if i != at]
        epoch = predicted_epoch([ipcs[i] for i in others], epochs[:, others], n, ipc)
        chosen = math.nan if at is None else float(epochs[0, at])
        found.append(Check(ipc, epoch, chosen, predicted_accuracy(curve.without(t), ipc), float(curve.draws[0, t])))
    further = 2 * group.ipcs[-1]
    return found, Check(
        further, predicted_epoch(ipcs, epochs, n, further), math.nan, predicted_accuracy(curve, further), math.nan
    )


def _holds(value: Estimate, seen: float) -> bool:
    return bool(round(value.low, 6) <= seen <= round(value.high, 6))


def _line(check: Check) -> dict:
    return {
        "IPC": check.ipc,
        "epoch, predicted": words.interval(
            check.epoch, lambda epoch: words.NONE if math.isnan(epoch) else f"{epoch:.0f}"
        ),
        "epoch, chosen": words.NONE if math.isnan(check.chosen) else f"{check.chosen:.0f}",
        "test, predicted, %": check.accuracy,
        "test, measured, %": check.measured,
    }


def _chart(curve: fits.Curve, checks: Sequence[Check], beyond: Check) -> Chart:
    """Test accuracy of the best soft labels by budget, with its band, beside what the other budgets predict."""
    measured = [drawn(np.asarray(line), curve.n) for line in curve.draws.T]
    told = [c for c in [*checks, beyond] if c.accuracy.n]
    marks = [
        Series("measured, best soft labels", curve.x[0].tolist(), measured, "band", colour=BLUE, marker="o"),
        Series(
            "predicted",
            [c.ipc for c in told],
            [c.accuracy for c in told],
            line=False,
            colour=ORANGE,
            marker="s",
            hollow=True,
        ),
    ]
    return Chart("prediction", [Panel(marks)], "The frontier, and its prediction.", "band and bars: 95 % intervals")
