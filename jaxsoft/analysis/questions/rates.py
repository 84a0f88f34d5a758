"""Does the learning rate decide who wins? Hard and soft labels, each at every rate and at its own best one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jaxsoft.analysis import plots, words
from jaxsoft.analysis.grid import Grid, grid, tuned
from jaxsoft.analysis.page import Block, Picture, Section, Text
from jaxsoft.analysis.questions import _parts as parts
from jaxsoft.analysis.questions._bars import interval_bars
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate, estimate
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 30


class Course(NamedTuple):
    """One label spec at one IPC: test accuracy by learning rate, and the rate chosen."""

    labels: str
    rates: tuple[float, ...]
    test: list[Estimate]
    chosen: float

    @property
    def at_edge(self) -> bool:
        """Whether a better rate may lie beyond those that were tried."""
        return len(self.rates) > 1 and self.chosen in (self.rates[0], self.rates[-1])


class Duel(NamedTuple):
    """One IPC: hard labels and the chosen soft labels; soft minus hard at each shared rate, and each at its own best."""

    ipc: int
    hard: Course | None
    soft: Course | None
    shared: dict[float, Estimate]
    own: Estimate

    @property
    def turning(self) -> list[float]:
        """The rates at which the ranking is the opposite of that with each at its own best."""
        return [rate for rate, value in self.shared.items() if parts.sign(value) * parts.sign(self.own) < 0]


class Duels(NamedTuple):
    """All budgets of a group, and the split on which rates and soft labels were chosen."""

    all: list[Duel]
    on: str


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """One section: accuracy against learning rate, and who wins at which."""
    return parts.by_group(rows, duels, _sections)


def duels(rows: Sequence[Row]) -> Duels | None:
    """The duel of each IPC; None unless several rates were tried on the same labels and IPC."""
    rates: dict[tuple[int, str], set[float]] = {}
    for row in rows:
        rates.setdefault((row["ipc"], row["labels"]), set()).add(row["learning_rate"])
    if all(len(tried) < 2 for tried in rates.values()):
        return None
    chosen = {(r["ipc"], r["labels"]): r["learning_rate"] for r in tuned(rows)}
    whole = grid(rows)
    tables = {
        rate: grid([r for r in rows if r["learning_rate"] == rate]) for rate in sorted(set().union(*rates.values()))
    }
    found = []
    for ipc in sorted({ipc for (ipc, _), tried in rates.items() if len(tried) > 1}):
        specs = [labels for labels in whole.labels if labels != "hard" and (ipc, labels) in chosen]
        pick = parts.chosen(whole, ipc, specs)
        courses = [
            _course(tables, ipc, labels, chosen[ipc, labels]) if (ipc, labels) in chosen else None
            for labels in ("hard", pick or "")
        ]
        found.append(_duel(whole, tables, ipc, specs, *courses))
    return Duels(found, parts.chosen_on(rows))


def draw(found: Duels) -> Figure:
    """Test accuracy against learning rate for hard and soft labels, one panel for each IPC; large: the rate chosen."""
    figure, panels = parts.panels(len(found.all), 2.7 if len(found.all) < 3 else 2.1, sharex=True)
    rates = sorted({rate for d in found.all for course in (d.hard, d.soft) if course for rate in course.rates})
    for axes, duel in zip(panels, found.all):
        series = ((duel.hard, plots.INK, "o", "hard labels"), (duel.soft, plots.BLUE, "s", "soft labels"))
        for course, colour, marker, label in series:
            if course:
                interval_bars(axes, course.rates, course.test, fmt=f"{marker}-", color=colour, label=label)
                best = course.test[course.rates.index(course.chosen)].mean
                axes.plot(course.chosen, 100 * best, marker, ms=10, mfc="none", mec=plots.ORANGE, mew=1.8, zorder=5)
        parts.measured_axis(axes, rates, "learning rate", part=1 / min(len(panels), 2))
        axes.set_ylabel("test accuracy, %")
        axes.set_title(f"IPC {duel.ipc}", loc="left", fontsize=9)
    parts.name_outer(panels, same_y=False)
    handles = {label: handle for p in panels for handle, label in zip(*p.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2)
    counts = [e.n for d in found.all for course in (d.hard, d.soft) if course for e in course.test]
    parts.say_n(figure, counts, f"bars: 95 % intervals; orange: chosen on {found.on}")
    return figure


def _course(tables: dict[float, Grid], ipc: int, labels: str, chosen: float) -> Course:
    tried = {
        rate: parts.accuracy(table, ipc, labels)
        for rate, table in tables.items()
        if ipc in table.ipcs and labels in table.labels
    }
    tried = {rate: value for rate, value in tried.items() if value.n}
    return Course(labels, tuple(tried), list(tried.values()), chosen)


def _duel(
    whole: Grid,
    tables: dict[float, Grid],
    ipc: int,
    specs: Sequence[str],
    hard: Course | None,
    soft: Course | None,
) -> Duel:
    """`specs`: the soft labels of which those of `soft` were chosen."""
    if hard is None or soft is None:
        return Duel(ipc, hard, soft, {}, estimate(np.empty(0)))
    both = [rate for rate in hard.rates if rate in soft.rates]
    shared = {rate: parts.paired(tables[rate], ipc, soft.labels, "hard") for rate in both}
    return Duel(ipc, hard, soft, shared, parts.chosen_minus(whole, ipc, specs, ["hard"]))


def _sections(found: Duels, suffix: str) -> list[Section]:
    title = _title(found.all)
    caption = (
        f"Test accuracy by learning rate. Soft: at each IPC the label spec that is best on {found.on}, at its own rate. "
        f"Orange: the rate chosen on {found.on}, for hard and soft labels alike."
    )
    alt = f"Test accuracy against learning rate for hard and soft labels, one panel for each IPC. {title}."
    picture = Picture(f"rates{suffix}", plots.png(draw, found), alt, caption)
    courses = [(d.ipc, course) for d in found.all for course in (d.hard, d.soft) if course]
    edge = [f"`{course.labels}` at IPC {ipc}" for ipc, course in courses if course.at_edge]
    blocks: list[Block] = [picture, _table(found)]
    if edge:
        shown = words.listed(edge if len(edge) <= 4 else [*edge[:3], f"{len(edge) - 3} more"])
        said = f"The rate chosen is the smallest or largest tried for {shown}; a better one may lie beyond."
        blocks.append(Text(said, "warning"))
    return [Section(title, blocks)]


def _title(found: Sequence[Duel]) -> str:
    """Whether the ranking of hard and soft labels depends on the rate; without both, which rate is best."""
    fought = [d for d in found if d.own.n]
    if not fought:
        best = {d.ipc: f"{course.chosen:g}" for d in found if (course := d.soft or d.hard)}
        whose = "soft" if any(d.soft for d in found) else "hard"
        if len(set(best.values())) == 1 < len(best):
            return f"The best learning rate of {whose} labels is {best[found[0].ipc]} at every budget"
        ends = dict.fromkeys((found[0].ipc, found[-1].ipc))
        told = words.listed([f"{best[ipc]} at {words.budgets([ipc])}" for ipc in ends])
        return f"The best learning rate of {whose} labels is {told}"
    turned = [d for d in fought if d.turning]
    ipc, among = parts.largest({d.ipc: d.own for d in turned or fought})
    most = next(d for d in fought if d.ipc == ipc)
    where, verbs = f"at {words.budgets([ipc])}{among}", ("gain", "lose") if most.own.mean > 0 else ("lose", "gain")
    if turned:
        rate = max(most.turning, key=lambda rate: abs(most.shared[rate].mean))
        return (
            f"The learning rate decides who wins {parts.where([d.ipc for d in turned], [d.ipc for d in fought])}: each at its "
            f"best rate soft labels {verbs[0]} {parts.size(most.own)} at IPC {ipc}, at {rate:g} they {verbs[1]} "
            f"{parts.size(most.shared[rate])}{among}"
        )
    if not parts.sign(most.own):
        number = f"{parts.signed(most.own)} {where}"
        return f"At their own best learning rates no difference between soft and hard labels can be told: {number}"
    start = "At no rate tried can the ranking of soft and hard labels be told to turn: each" if most.shared else "Each"
    return f"{start} at its best rate, soft labels {verbs[0]} {parts.size(most.own)} {where}"


def _table(found: Duels) -> Table:
    lines = []
    for d in found.all:
        cells = [
            (f"{course.chosen:g}", words.accuracy(_best(course))) if course else (words.NONE,) * 2
            for course in (d.hard, d.soft)
        ]
        turning = ", ".join(f"{rate:g}: {words.difference(d.shared[rate])}" for rate in d.turning) or words.NONE
        own = words.difference(d.own) if d.own.n else words.NONE
        label = f"`{d.soft.labels}`" if d.soft else words.NONE
        lines.append((str(d.ipc), *cells[0], label, *cells[1], own, turning, str(d.own.n or _best(d.soft or d.hard).n)))
    header = ("IPC", "hard: rate", "test, %", "soft labels", "soft: rate", "test, %", "soft − hard", "turned at", "n")
    caption = (
        f"Each at the rate chosen on {found.on}: test accuracy, and the difference in points, each seed against itself. Turned: "
        "the shared rates at which the other side wins, with the difference there. Soft minus hard: a seed judges the label spec "
        "that the other seeds choose. 95 % intervals."
    )
    return Table(header, lines, caption)


def _best(course: Course | None) -> Estimate:
    return course.test[course.rates.index(course.chosen)] if course else estimate(np.empty(0))
