"""Does the learning rate decide who wins? Hard and soft labels, each at every rate and at its own best one."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, INK, ORANGE, Chart, Mark, Panel, Series
from jaxsoft.analysis.showing.page import Section, Text, table
from jaxsoft.analysis.statistics.groups import Group
from jaxsoft.analysis.statistics.inference import Estimate, told

ORDER = 30
_RATE = "learning_rate"
_COLOURS = {"hard": INK, "soft": BLUE}


class Duel(NamedTuple):
    """One IPC: of hard labels and of the chosen soft ones accuracy by rate, and the rate chosen; soft minus hard.

    `arms`: all of either kind. `own`: each at its best rate, the soft labels chosen by the others; `turning`: differences at
    the rates at which the other side wins.
    """

    ipc: int
    arms: dict[str, list[int]]
    accuracy: dict[str, dict[float, Estimate]]
    chosen: dict[str, float]
    own: Estimate
    turning: dict[float, Estimate]


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Accuracy against learning rate, and who wins at which."""
    duels = [_duel(group, ipc) for ipc in group.ipcs] if _RATE in group.arms else []
    duels = [d for d in duels if max(map(len, d.accuracy.values()), default=0) > 1]
    if not duels:
        return None
    lines, edges = [], []
    for d in duels:
        line, n = {"IPC": d.ipc}, 0
        for kind, rate in d.chosen.items():
            value, tried = group.accuracy(d.ipc, d.arms[kind]), list(d.accuracy[kind])
            labels = {"soft labels": group.chosen(d.ipc, d.arms[kind])} if kind == "soft" else {}
            line |= {**labels, f"{kind}: rate": f"{rate:g}", f"{kind}: test, %": value}
            edges += [f"{kind} labels at IPC {d.ipc}"] if len(tried) > 1 and rate in (tried[0], tried[-1]) else []
            n = value.n
        turned = ", ".join(f"{rate:g}: {words.difference(value)}" for rate, value in d.turning.items())
        lines.append({**line, "soft − hard, points": d.own, "turned at": turned or None, "n": n})
    caption = (
        f"Each at the rate chosen on {group.on}: test accuracy, and the difference, each seed against itself. Turned: the shared "
        "rates at which the other side wins. A seed judges the rate and the label spec that the other seeds choose. 95 % intervals."
    )
    shown = words.listed(edges if len(edges) <= 4 else [*edges[:3], f"{len(edges) - 3} more"])
    edge = f"The rate chosen is the smallest or largest tried for {shown}; a better one may lie beyond."
    warnings = [Text(edge, "warning")] if edges else []
    return Section(_title(duels), [_chart(group, duels), table(lines, caption), *warnings])


def _duel(group: Group, ipc: int) -> Duel:
    arms = {"hard": group.ran(ipc, group.hard), "soft": group.ran(ipc, group.soft)}
    picks = {kind: arm for kind, own in arms.items() if (arm := group.choose(ipc, own)) is not None}
    rates = group.arms[_RATE].astype(float)
    by_rate = {
        kind: {
            rate: own.index.tolist() for rate, own in rates[group.ran(ipc, group.of(group.labels(arm)))].groupby(rates)
        }
        for kind, arm in picks.items()
    }
    hard, soft = (by_rate.get(kind, {}) for kind in ("hard", "soft"))
    at_rate = {rate: group.contrast(ipc, soft[rate], hard[rate]) for rate in hard if rate in soft}
    own = group.contrast(ipc, arms["soft"], arms["hard"])
    turning = {rate: at_rate[rate] for rate, sign in told(at_rate).items() if sign * own.sign < 0}
    accuracy = {kind: {r: group.accuracy(ipc, a) for r, a in of.items()} for kind, of in by_rate.items()}
    return Duel(ipc, arms, accuracy, {kind: float(rates[arm]) for kind, arm in picks.items()}, own, turning)


def _title(duels: Sequence[Duel]) -> str:
    """Whether the ranking of hard and soft labels depends on the rate; without both, which rate is best."""
    own = {d.ipc: d.own for d in duels if d.own.n}
    if not own:
        return _best(duels)
    turned = {d.ipc: d for d in duels if d.turning}
    if not turned:
        return words.compare("Tuned, soft labels", "hard labels", own)
    ipc, _ = words.most({n: own[n] for n in turned})
    rate, value = max(turned[ipc].turning.items(), key=lambda item: abs(item[1].mean))
    sizes = f"soft − hard {words.points(own[ipc].mean)} at best rates, {words.points(value.mean)} at {rate:g}"
    return f"The learning rate decides who wins at IPC {ipc}: {sizes}"


def _best(duels: Sequence[Duel]) -> str:
    """The best rates of the one kind of labels there is."""
    kind = "soft" if any("soft" in d.chosen for d in duels) else "hard"
    best = {d.ipc: f"{d.chosen[kind]:g}" for d in duels if kind in d.chosen}
    first, last = min(best), max(best)
    if len(set(best.values())) == 1 < len(best):
        return f"The best learning rate of {kind} labels is {best[first]} at every budget"
    at = [f"{best[ipc]} at IPC {ipc}" for ipc in dict.fromkeys((first, last))]
    return f"The best learning rate of {kind} labels is {words.listed(at)}"


def _chart(group: Group, duels: Sequence[Duel]) -> Chart:
    """Test accuracy against learning rate for hard and soft labels, one panel for each IPC; ringed: the rate chosen."""
    panels = []
    for d in duels:
        marks: list[Mark] = []
        for kind, values in d.accuracy.items():
            best = d.chosen[kind]
            ring = Series("", [best], [values[best].mean], "band", colour=ORANGE, marker="o", size=10, hollow=True)
            line = Series(f"{kind} labels", list(values), list(values.values()), colour=_COLOURS[kind])
            marks = [ring, *marks, line]
        panels.append(Panel(marks, x="learning rate", title=f"IPC {d.ipc}", height=2.3))
    caption = (
        f"Test accuracy by learning rate. Soft: at each IPC the label spec that is best on {group.on}, at its own rate. Ringed: "
        f"the rate chosen on {group.on}, for hard and soft labels alike."
    )
    return Chart("rates", panels, caption, f"bars: 95 % intervals; ringed: chosen on {group.on}")
