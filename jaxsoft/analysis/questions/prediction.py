"""Can the best labels of a budget be told before it is run? Each budget predicted from the others, and one beyond them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from jaxsoft.analysis import plots, words
from jaxsoft.analysis.frontier import frontier_band
from jaxsoft.analysis.grid import grid
from jaxsoft.analysis.page import Picture, Section
from jaxsoft.analysis.predict import Check, Prediction, leave_one_out, predict_accuracy, predict_epoch
from jaxsoft.analysis.questions import _bars, _parts
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 52
_FEWEST_IPCS, _FEWEST_EPOCHS = 4, 3


class Foresight(NamedTuple):
    """The frontier, every budget predicted from the others, and a budget twice the largest; n is the seeds of all."""

    band: dict[int, Estimate]
    checks: dict[int, Check]
    beyond: tuple[Prediction, Prediction]


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """One section for each group with four budgets and three teacher epochs at least."""
    return _parts.by_group(rows, foresee, _sections)


def foresee(rows: Sequence[Row]) -> Foresight | None:
    """Predictions within one group; None where budgets or epochs are too few for a line to be tested."""
    table = grid(rows)
    dated = {epoch for epoch in table.epochs if epoch is not None}
    if len(table.ipcs) < _FEWEST_IPCS or len(dated) < _FEWEST_EPOCHS:
        return None
    beyond = 2 * table.ipcs[-1]
    checks = {ipc: leave_one_out(rows, ipc) for ipc in table.ipcs}
    return Foresight(frontier_band(table), checks, (predict_epoch(table, beyond), predict_accuracy(table, beyond)))


def draw(found: Foresight) -> Figure:
    """Test accuracy of the best soft labels by budget, with its band, beside what the other budgets predict."""
    figure = Figure((plots.WIDTH, 3.4))
    axes, ipcs = figure.subplots(), list(found.band)
    low, high = ([100 * getattr(e, end) for e in found.band.values()] for end in ("low", "high"))
    mean = [100 * e.mean for e in found.band.values()]
    axes.plot(ipcs, mean, "o-", color=plots.BLUE, lw=1.6, ms=4, label="measured, best soft labels")
    axes.fill_between(ipcs, low, high, color=plots.BLUE, alpha=0.15, lw=0)
    told = {ipc: check.accuracy for ipc, check in found.checks.items()} | {found.beyond[1].ipc: found.beyond[1]}
    told = {ipc: p for ipc, p in told.items() if not math.isnan(p.value)}
    values = [Estimate(p.value, math.nan, p.low, p.high, p.n) for p in told.values()]
    _bars.interval_bars(axes, list(told), values, color=plots.ORANGE, mfc="white", mec=plots.ORANGE, label="predicted")
    _bars.ipc_axis(axes, sorted({*ipcs, *told}))
    axes.set_ylabel("test accuracy, %")
    _parts.say_n(figure, sorted({e.n for e in found.band.values()}), "band and bars: 95 % intervals")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _sections(found: Foresight, suffix: str) -> list[Section]:
    misses = {ipc: abs(c.accuracy.value - c.measured) for ipc, c in found.checks.items()}
    misses = {ipc: miss for ipc, miss in misses.items() if not math.isnan(miss)}
    if not misses:
        return []
    inside = sum(_holds(c.epoch, c.chosen_epoch) for c in found.checks.values())
    caption = (
        "Each budget left out and predicted from the others: teacher epoch by a line of ln(1 + epoch) in ln IPC, accuracy of "
        f"the best soft labels by the law that AICc prefers. {inside} of {len(found.checks)} chosen epochs lie in their "
        "intervals, which cover seeds, not the form of the law. The last row was not run."
    )
    title = _title(found, misses, inside)
    lines = [_line(ipc, c.epoch, c.chosen_epoch, c.accuracy, c.measured) for ipc, c in found.checks.items()]
    epoch, accuracy = found.beyond
    lines.append(_line(epoch.ipc, epoch, math.nan, accuracy, math.nan))
    header = ("IPC", "epoch, predicted", "epoch, chosen", "test, predicted, %", "test, measured, %")
    alt = "; ".join(f"IPC {line[0]}: predicted {line[3]}, measured {line[4]}" for line in lines)
    picture = Picture(
        f"prediction{suffix}", plots.png(draw, found), f"{title}. {alt}.", "The frontier, and its prediction."
    )
    return [Section(title, [picture, Table(header, lines, caption)])]


def _title(found: Foresight, misses: dict[int, float], inside: int) -> str:
    """How far off predictions are; they foretell a budget only where their intervals hold it."""
    held = [_holds(found.checks[ipc].accuracy, found.checks[ipc].measured) for ipc in misses]
    if all(held):
        start = f"The other budgets foretell what the best labels of each reach to within {words.percent(max(misses.values()))}"
    else:
        least, most = words.percent(min(misses.values())), words.percent(max(misses.values()))
        start = f"Left out and predicted, budgets are missed by {least} to {most}"
    return f"{start} points; {inside} of {len(found.checks)} epochs lie in their intervals"


def _line(ipc: int, epoch: Prediction, chosen: float, accuracy: Prediction, measured: float) -> tuple[str, ...]:
    ends = f" [{epoch.low:.0f}, {epoch.high:.0f}]" if not math.isnan(epoch.low) else ""
    told = words.NONE if math.isnan(epoch.value) else f"{epoch.value:.0f}{ends}"
    estimate = Estimate(accuracy.value, math.nan, accuracy.low, accuracy.high, accuracy.n)
    seen = words.NONE if math.isnan(chosen) else f"{chosen:.0f}"
    return str(ipc), told, seen, words.accuracy(estimate), words.percent(measured)


def _holds(told: Prediction, seen: float) -> bool:
    return round(told.low, 6) <= seen <= round(told.high, 6)
