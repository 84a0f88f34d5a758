"""Does the learning rate decide who wins? Hard and soft labels, each at every rate and at its own best one."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxsoft.analysis import words
from jaxsoft.analysis.chart import BLUE, INK, ORANGE, Chart, Mark, Panel, Series
from jaxsoft.analysis.groups import Arms, Group
from jaxsoft.analysis.inference import NOTHING, Estimate, told
from jaxsoft.analysis.page import Block, Section, Text, table
from jaxsoft.analysis.read import Run

ORDER = 30
_RATE = "learning_rate"


class Duel(NamedTuple):
    """One IPC: the arms of hard labels and of the chosen soft ones by rate, the rates chosen, and soft minus hard.

    `own`: each at its best rate, the soft labels chosen by the others; `turning`: the rates at which the other side wins.
    """

    ipc: int
    hard: dict[float, Arms]
    soft: dict[float, Arms]
    chosen: dict[str, float]
    own: Estimate
    turning: dict[float, Estimate]
    shared: bool


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Accuracy against learning rate, and who wins at which."""
    if _RATE not in group.arms:
        return None
    duels = [_duel(group, ipc) for ipc in group.ipcs]
    duels = [d for d in duels if max(len(d.hard), len(d.soft)) > 1]
    if not duels:
        return None
    lines, edges = [], []
    for d in duels:
        line: dict = {"IPC": d.ipc}
        for kind, by_rate in (("hard", d.hard), ("soft", d.soft)):
            if by_rate:
                arms = [arm for own in by_rate.values() for arm in own]
                labels = {"soft labels": group.chosen(d.ipc, arms)} if kind == "soft" else {}
                value = group.accuracy(d.ipc, arms)
                line |= labels | {f"{kind}: rate": f"{d.chosen[kind]:g}", f"{kind}: test, %": value, "n": value.n}
                ends = list(by_rate)
                if len(ends) > 1 and d.chosen[kind] in (ends[0], ends[-1]):
                    edges.append(f"{kind} labels at IPC {d.ipc}")
        turned = ", ".join(f"{rate:g}: {words.difference(value)}" for rate, value in d.turning.items())
        n = line.pop("n")
        lines.append({**line, "soft − hard, points": d.own if d.own.n else None, "turned at": turned or None, "n": n})
    caption = (
        f"Each at the rate chosen on {group.on}: test accuracy, and the difference, each seed against itself. Turned: the shared "
        "rates at which the other side wins. A seed judges the rate and the label spec that the other seeds choose. 95 % intervals."
    )
    blocks: list[Block] = [_chart(group, duels), table(lines, caption)]
    if edges:
        shown = words.listed(edges if len(edges) <= 4 else [*edges[:3], f"{len(edges) - 3} more"])
        said = f"The rate chosen is the smallest or largest tried for {shown}; a better one may lie beyond."
        blocks.append(Text(said, "warning"))
    return Section(_title(duels), blocks)


def _duel(group: Group, ipc: int) -> Duel:
    soft, hard = group.ran(ipc, group.soft), group.ran(ipc, group.hard)
    pick = group.choose(ipc, soft)
    own = group.ran(ipc, group.of(group.labels(pick))) if pick is not None else []
    by_rate = {kind: _by_rate(group, arms) for kind, arms in (("hard", hard), ("soft", own))}
    picks = {kind: group.choose(ipc, arms) for kind, arms in (("hard", hard), ("soft", own))}
    chosen = {kind: float(group.arms[_RATE].iat[arm]) for kind, arm in picks.items() if arm is not None}
    shared = [rate for rate in by_rate["hard"] if rate in by_rate["soft"]]
    at_rate = {rate: group.contrast(ipc, by_rate["soft"][rate], by_rate["hard"][rate]) for rate in shared}
    value = group.contrast(ipc, soft, hard) if soft and hard else NOTHING
    turning = {rate: at_rate[rate] for rate, sign in told(at_rate).items() if sign * value.sign < 0}
    return Duel(ipc, by_rate["hard"], by_rate["soft"], chosen, value, turning, bool(shared))


def _by_rate(group: Group, arms: Arms) -> dict[float, Arms]:
    rates = group.arms[_RATE].to_numpy(float)
    return {rate: [arm for arm in arms if rates[arm] == rate] for rate in sorted({float(rates[arm]) for arm in arms})}


def _title(duels: Sequence[Duel]) -> str:
    """Whether the ranking of hard and soft labels depends on the rate; without both, which rate is best."""
    fought = {d.ipc: d for d in duels if d.own.n}
    if not fought:
        kind = "soft" if any(d.soft for d in duels) else "hard"
        best = {d.ipc: f"{d.chosen[kind]:g}" for d in duels if kind in d.chosen}
        if len(set(best.values())) == 1 < len(best):
            return f"The best learning rate of {kind} labels is {best[duels[0].ipc]} at every budget"
        ends = dict.fromkeys((duels[0].ipc, duels[-1].ipc))
        return f"The best learning rate of {kind} labels is {words.listed([f'{best[n]} at IPC {n}' for n in ends if n in best])}"
    turned = {ipc: d.own for ipc, d in fought.items() if d.turning}
    if turned:
        ipc, _ = words.most(turned)
        rate, value = max(fought[ipc].turning.items(), key=lambda item: abs(item[1].mean))
        where = words.where(list(turned), list(fought))
        sizes = (
            f"soft minus hard {words.points(turned[ipc].mean)} at best rates, {words.points(value.mean)} at {rate:g}"
        )
        return f"The learning rate decides who wins {where}: {sizes} (IPC {ipc})"
    own = {ipc: d.own for ipc, d in fought.items()}
    return words.compare("At best rates, soft labels", "hard labels", own)


def _chart(group: Group, duels: Sequence[Duel]) -> Chart:
    """Test accuracy against learning rate for hard and soft labels, one panel for each IPC; ringed: the rate chosen."""
    panels = []
    for d in duels:
        marks: list[Mark] = []
        for kind, by_rate, colour in (("hard", d.hard, INK), ("soft", d.soft, BLUE)):
            values = {rate: group.accuracy(d.ipc, arms) for rate, arms in by_rate.items()}
            if values:
                marks.append(Series(f"{kind} labels", list(values), list(values.values()), colour=colour))
                best = d.chosen[kind]
                ring = Series("", [best], [values[best].mean], "band", colour=ORANGE, marker="o", size=10, hollow=True)
                marks.insert(0, ring)
        panels.append(Panel(marks, x="learning rate", title=f"IPC {d.ipc}", height=2.3))
    caption = (
        f"Test accuracy by learning rate. Soft: at each IPC the label spec that is best on {group.on}, at its own rate. Ringed: "
        f"the rate chosen on {group.on}, for hard and soft labels alike."
    )
    return Chart("rates", panels, caption, f"bars: 95 % intervals; ringed: chosen on {group.on}")
