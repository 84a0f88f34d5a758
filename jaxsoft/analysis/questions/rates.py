"""Does the learning rate decide who wins? Hard and soft labels, each at every rate and at its own best one."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxsoft.analysis.questions._verbs import edge, reached
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, INK, ORANGE, Chart, Mark, Panel, Series
from jaxsoft.analysis.showing.page import Section, table
from jaxsoft.analysis.statistics.groups import Group
from jaxsoft.analysis.statistics.inference import Estimate, told

ORDER = 30
_RATE = "learning_rate"
_TOLD = "loss `", "optimizer `", "augment `"
"""Groups whose names say so are of several; without both hard and soft labels their rates are told where they are compared."""
_COLOURS = {"hard": INK, "soft": BLUE}


class Duel(NamedTuple):
    """One IPC: of hard labels and of the chosen soft ones accuracy by rate, and the rate chosen; soft minus hard.

    `own`: each at its best rate, the soft labels chosen by the others; `turning`: at the rates at which the other side wins.
    """

    accuracy: dict[str, dict[float, Estimate]]
    chosen: dict[str, float]
    own: Estimate
    turning: dict[float, Estimate]


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Soft against hard labels at each rate and at their own best, where the sweep has several rates."""
    duels = {ipc: _duel(group, ipc) for ipc in group.ipcs} if _RATE in group.arms else {}
    duels = {ipc: duel for ipc, duel in duels.items() if max(map(len, duel.accuracy.values()), default=0) > 1}
    alone = not any(duel.own.n for duel in duels.values())
    if not duels or (alone and any(told in group.name for told in _TOLD)):
        return None
    lines, edges = [], []
    for ipc, duel in duels.items():
        line, n = {"IPC": ipc}, 0
        for kind, rate in duel.chosen.items():
            arms, tried = getattr(group, kind), list(duel.accuracy[kind])
            value = group.accuracy(ipc, group.ran(ipc, arms))
            labels = {"soft labels": group.chosen(ipc, arms)} if kind == "soft" else {}
            line |= {**labels, f"{kind}: rate": f"{rate:g}", f"{kind}: test, %": value}
            edges += [f"{kind} labels at IPC {ipc}"] if len(tried) > 1 and rate in (tried[0], tried[-1]) else []
            n = value.n
        turned = ", ".join(f"{rate:g}: {words.difference(value)}" for rate, value in duel.turning.items())
        lines.append({**line, "soft − hard, points": duel.own, "turned at": turned or None, "n": n})
    caption = f"Each at the rate chosen on {group.on}, 95 % intervals. Turned: shared rates at which the other wins."
    return Section(_title(duels), [_chart(duels, group.on), table(lines, caption), *edge(edges)])


def _duel(group: Group, ipc: int) -> Duel:
    arms = {"hard": group.ran(ipc, group.hard), "soft": group.ran(ipc, group.soft)}
    picks = {kind: arm for kind, own in arms.items() if (arm := group.choose(ipc, own)) is not None}
    rates, by_rate = group.arms[_RATE].astype(float), {}
    for kind, arm in picks.items():
        own = rates[group.ran(ipc, group.of(group.labels(arm)))]
        by_rate[kind] = {float(rate): arms.index.tolist() for rate, arms in own.groupby(own)}
    hard, soft = (by_rate.get(kind, {}) for kind in ("hard", "soft"))
    at_rate = {rate: group.contrast(ipc, soft[rate], hard[rate]) for rate in hard if rate in soft}
    own = group.contrast(ipc, arms["soft"], arms["hard"])
    turning = {rate: at_rate[rate] for rate, sign in told(at_rate).items() if sign * own.sign < 0}
    accuracy = {kind: reached(group, ipc, of) for kind, of in by_rate.items()}
    return Duel(accuracy, {kind: float(rates[arm]) for kind, arm in picks.items()}, own, turning)


def _title(duels: Mapping[int, Duel]) -> str:
    """Whether the ranking of hard and soft labels depends on the rate; without both, which rate is best."""
    own = {ipc: duel.own for ipc, duel in duels.items() if duel.own.n}
    if turned := {ipc: own[ipc] for ipc in own if duels[ipc].turning}:
        ipc, _ = words.most(turned)
        rate, value = max(duels[ipc].turning.items(), key=lambda item: abs(item[1].mean))
        sizes = f"soft − hard {words.points(own[ipc].mean)} at best rates, {words.points(value.mean)} at {rate:g}"
        return f"The learning rate decides who wins at IPC {ipc}: {sizes}"
    if own:
        return words.compare("Tuned, soft labels", "hard labels", own)
    kind = "soft" if any("soft" in duel.chosen for duel in duels.values()) else "hard"
    best = {ipc: f"{duel.chosen[kind]:g}" for ipc, duel in duels.items() if kind in duel.chosen}
    at = [f"{best[ipc]} at IPC {ipc}" for ipc in dict.fromkeys((min(best), max(best)))]
    if len(set(best.values())) == 1 < len(best):
        at = [f"{best[min(best)]} at every budget"]
    return f"The best learning rate of {kind} labels is {words.listed(at)}"


def _chart(duels: Mapping[int, Duel], on: str) -> Chart:
    """Test accuracy against learning rate for hard and soft labels, one panel for each IPC; ringed: the rate chosen."""
    panels = []
    for ipc, duel in duels.items():
        marks: list[Mark] = []
        for kind, values in duel.accuracy.items():
            best = duel.chosen[kind]
            ring = Series("", [best], [values[best].mean], "band", colour=ORANGE, marker="o", size=10, hollow=True)
            marks = [ring, *marks, Series.of(f"{kind} labels", values, colour=_COLOURS[kind])]
        panels.append(Panel(marks, x="learning rate", title=f"IPC {ipc}", height=2.3))
    caption = f"Test accuracy by learning rate. Soft: at each IPC the label spec that is best on {on}, at its own rate."
    return Chart("rates", panels, caption, f"bars: 95 % intervals; ringed: chosen on {on}")
