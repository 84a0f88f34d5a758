"""Can labels be learned without an expert, and do they come to resemble those of pooled experts?

Asked of runs that learned labels: `learned.json` tells how validation accuracy, entropy and the Jensen-Shannon divergence
to pooled experts' labels went while they were learned, subset by subset. Test accuracy is in the rows, as of any labels.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxsoft import spec
from jaxsoft.analysis import plots, words
from jaxsoft.analysis.grid import Grid, grid
from jaxsoft.analysis.page import Block, Picture, Section, Text
from jaxsoft.analysis.questions import _parts
from jaxsoft.analysis.questions._stories import Story, read_stories
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate, estimate
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 6
_SOURCE = "learned"


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """How labels were learned, then how they do on test."""
    sections, told = [], [found for run in runs if (found := read_stories(run.folder))]
    for i, stories in enumerate(told, 1):
        sections += _learning(stories, f"-{i}" if len(told) > 1 else "")
    return sections + (_parts.by_group(rows, compare, _on_test) if told else [])


def draw(story: Story) -> Figure:
    """Validation accuracy, entropy and divergence by outer step, beside hard and pooled experts' labels."""
    figure = Figure((plots.WIDTH, 5.6))
    top, middle, bottom = figure.subplots(3, 1, sharex=True)
    most = list(story.pooled)[-1:]
    _curve(top, story.steps, 100 * story.accuracy, plots.BLUE, "learned labels")
    _level(top, 100 * story.hard, "black", "hard labels")
    _curve(middle, story.steps, story.entropy, plots.BLUE)
    for labels in most:
        _level(top, 100 * story.pooled[labels].accuracy, plots.ORANGE, plots.cut(labels))
        _level(middle, story.pooled[labels].entropy, plots.ORANGE)
    for colour, (labels, pooled) in zip(_parts.shades(len(story.pooled)), story.pooled.items()):
        _curve(bottom, story.steps, pooled.divergence, colour, f"from {plots.cut(labels)}", band=labels in most)
    top.set_ylabel("validation\naccuracy, %")
    middle.set(ylabel="entropy, nats", ylim=(0, None))
    bottom.set(ylabel="divergence, nats", xlabel="outer steps, updates of the labels")
    figure.align_ylabels()
    figure.suptitle(
        f"mean of {len(story.hard)} subsets; bands: 95 % intervals", x=0.01, ha="left", fontsize=8.5, color=_parts.GREY
    )
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _curve(axes: Axes, steps: np.ndarray, values: np.ndarray, colour: Any, label: str = "", band: bool = True) -> None:
    found = [estimate(column) for column in values.T]
    mean, low, high = (np.array([getattr(e, part) for e in found]) for part in ("mean", "low", "high"))
    axes.plot(steps, mean, "o-", color=colour, ms=3, lw=1.6, label=label)
    if band:
        axes.fill_between(steps, low, high, color=colour, alpha=0.12, lw=0)


def _level(axes: Axes, values: np.ndarray, colour: Any, label: str = "") -> None:
    axes.axhline(float(values.mean()), color=colour, lw=1.4, ls=(0, (5, 3)), label=label)


def _learning(stories: Sequence[Story], suffix: str) -> list[Section]:
    """Two sections: what learning gains on validation with its figures, and where the labels went."""
    pictures: list[Block] = []
    for story in stories:
        where = words.budgets([story.ipc])
        caption = f"Learning at {where}; divergence is Jensen-Shannon, from labels of one teacher or of several pooled."
        alt = f"Three curves by outer step at {where}. {_title(stories)}."
        pictures.append(Picture(f"learned{suffix}-ipc-{story.ipc}", plots.png(draw, story), alt, caption))
    said = (
        "Labels began as the true classes and followed the gradient of the loss on other training images, through the training "
        "of students. Validation chose nothing: the last labels count. All labels are judged by students of equal seeds."
    )
    first = Section(_title(stories), [Text(said), *pictures, _gains(stories)])
    return [first, *([Section(_toward(stories), [_distances(stories)])] if all(s.pooled for s in stories) else [])]


def _title(stories: Sequence[Story]) -> str:
    """Does learning labels beat hard labels on validation?"""
    gains = {s.ipc: s.gain for s in stories}
    ipc, among = _parts.largest(gains)
    gain, where = gains[ipc], f"at {words.budgets([ipc])}"
    if not (sign := _parts.sign(gain)):
        return f"Learned and hard labels cannot be told apart on validation: {_parts.signed(gain)} {where}{among}"
    verb = "beat" if sign > 0 else "lose to"
    return f"Learned labels {verb} hard labels by {_parts.size(gain)} {where}, on validation{among}"


def _toward(stories: Sequence[Story]) -> str:
    """Did learned labels come nearer to those of the most experts than equally soft labels that say nothing?"""
    most = {s.ipc: list(s.pooled)[-1] for s in stories}
    known = all(s.beyond(most[s.ipc]).n for s in stories)
    values = {s.ipc: (s.beyond if known else s.approach)(most[s.ipc]) for s in stories}
    ipc, among = _parts.largest(values)
    story = next(s for s in stories if s.ipc == ipc)
    labels, move, beyond = most[ipc], story.approach(most[ipc]), story.beyond(most[ipc])
    where, pooled = f"of `{labels}` at {words.budgets([ipc])}{among}", story.pooled[labels]
    start, end = pooled.divergence[:, [0, -1]].mean(0)
    path = f"from {start:.3f} to {end:.3f} nats {where}"
    if known:
        against = f"{end:.3f} against {pooled.smoothed[:, -1].mean():.3f} nats {where}"
        if sign := _parts.sign(beyond):
            verb = "nearer to" if sign < 0 else "farther from"
            return f"Learned labels lie {verb} pooled experts' than equal smoothing of the true class does, {against}"
        return f"Learned labels cannot be told to lie nearer to pooled experts' than equal smoothing does: {against}"
    if not (sign := _parts.sign(move)):
        return f"No move toward pooled experts' labels can be told: {path}"
    if sign > 0:
        return f"Learning moves labels away from those of pooled experts, {path}"
    return f"Learned labels are softer and so nearer to pooled experts', {path}; smoothing alone may do as much"


def _gains(stories: Sequence[Story]) -> Table:
    lines = []
    for s in stories:
        n, learned = str(len(s.hard)), estimate(s.accuracy[:, -1])
        lines.append((str(s.ipc), "`hard`", words.accuracy(estimate(s.hard)), words.NONE, "0.00", n))
        lines.append(
            (
                str(s.ipc),
                f"`{_SOURCE}`",
                words.accuracy(learned),
                words.difference(s.gain),
                f"{s.entropy[:, -1].mean():.2f}",
                n,
            )
        )
        for labels, p in s.pooled.items():
            numbers = words.accuracy(estimate(p.accuracy)), words.difference(estimate(p.accuracy - s.hard))
            lines.append((str(s.ipc), f"`{labels}`", *numbers, f"{p.entropy.mean():.2f}", n))
    caption = f"Validation accuracy of `{stories[0].model}` on n subsets, each against itself; 95 % intervals."
    return Table(("IPC", "labels", "validation, %", "minus hard, points", "entropy, nats", "n"), lines, caption)


def _distances(stories: Sequence[Story]) -> Table:
    lines, known = [], any(s.beyond(labels).n for s in stories for labels in s.pooled)
    for s in stories:
        for labels, p in s.pooled.items():
            change, mean = s.approach(labels), p.divergence.mean(0)
            told = [f"{value:.4f}" for value in (mean[0], mean.min(), mean[-1])]
            smoothing = [_nats(s.beyond(labels))] if known else []
            lines.append((str(s.ipc), f"`{labels}`", *told, _nats(change), *smoothing, str(change.n)))
    caption = (
        "Jensen-Shannon divergence from learned labels to pooled experts', in nats: at the first look, where its mean was least, "
        "and at the last; the change is last minus first, each subset against itself, with 95 % intervals."
    )
    if known:
        caption += " Minus smoothing: at the last look, minus that of true classes smoothed to the same entropies."
    smoothing = ("minus smoothing",) if known else ()
    return Table(("IPC", "pooled experts", "first", "least", "last", "change", *smoothing, "n"), lines, caption)


def _nats(value: Estimate) -> str:
    """A difference of divergences with its interval."""
    mean, low, high = (f"{end:+.4f}".replace("-", "−") for end in (value.mean, value.low, value.high))
    return words.NONE if not value.n else mean if np.isnan(value.low) else f"{mean} [{low}, {high}]"


class Compared(NamedTuple):
    """Test accuracy of learned labels against hard ones and the best untreated expert labels, at one IPC."""

    ipc: int
    learned: Estimate
    others: tuple[tuple[str, Estimate, Estimate], ...]


def compare(rows: Sequence[Row]) -> list[Compared]:
    """By IPC: for hard labels and the expert labels chosen on the selection column, accuracy and learned minus it."""
    if not any(row["labels"] == _SOURCE for row in rows):
        return []
    table: Grid = grid(rows)
    experts = [s for s in table.labels if spec.parse(s)[0].name in ("teacher", "teachers") and len(spec.parse(s)) == 1]
    found = []
    for ipc in table.ipcs:
        rivals = [s for s in ("hard", _parts.chosen(table, ipc, experts)) if s and s in table.labels]
        pairs = [(s, _parts.accuracy(table, ipc, s), _parts.paired(table, ipc, _SOURCE, s)) for s in rivals]
        if pairs := [pair for pair in pairs if pair[2].n]:
            found.append(Compared(ipc, _parts.accuracy(table, ipc, _SOURCE), tuple(pairs)))
    return found


def _on_test(found: Sequence[Compared], _: str) -> list[Section]:
    ipc, among = _parts.largest({c.ipc: max((d for *_, d in c.others), key=lambda d: abs(d.mean)) for c in found})
    one = next(c for c in found if c.ipc == ipc)
    told = [f"{_parts.signed(d)} against `{labels}`" for labels, _, d in one.others]
    title = f"Learned labels on test: {words.listed(told)}, at {words.budgets([ipc])}{among}"
    lines = [
        (str(c.ipc), f"`{labels}`", words.accuracy(c.learned), words.accuracy(other), words.difference(d), str(d.n))
        for c in found
        for labels, other, d in c.others
    ]
    caption = "Test accuracy; validation chose the expert labels; each seed against itself, 95 % intervals."
    return [Section(title, [Table(("IPC", "against", "learned, %", "other, %", "points", "n"), lines, caption)])]
