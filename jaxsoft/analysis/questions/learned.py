"""Can labels be learned without an expert, and do they come to resemble those of pooled experts?

Asked of runs that learned labels: `learned.json` tells how validation accuracy, entropy and the Jensen-Shannon divergence
to pooled experts' labels went while they were learned, subset by subset. Test accuracy is in the rows, as of any labels.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.reading.stories import Story, read_stories
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, ORANGE, Chart, Level, Panel, Series, shades
from jaxsoft.analysis.showing.page import Section, Table, Text, table
from jaxsoft.analysis.statistics.groups import Group
from jaxsoft.analysis.statistics.inference import Estimate, estimate

ORDER = 6
_MOVES = {
    (True, 1): "Learned labels are farther from experts' than smoothing",
    (True, -1): "Learned labels are nearer to experts' than smoothing",
    (True, 0): "Learned or smoothed, no clear difference to experts'",
    (False, 1): "Learned labels move away from experts'",
    (False, -1): "Learned labels near experts', as smoothing may, too",
    (False, 0): "Learned labels show no clear move to experts'",
}
"""How labels went, by whether smoothing to equal entropies is known, and the sign of the difference."""


def of_runs(runs: Sequence[Run]) -> list[Section]:
    """How labels were learned: what learning gains on validation with its figures, and where the labels went."""
    said = (
        "Labels began as the true classes and followed the gradient of the loss on other training images, through the "
        "training of students. Validation chose nothing: the last labels count. All labels are judged by students of "
        "equal seeds."
    )
    sections = []
    for stories in filter(None, (read_stories(run.folder) for run in runs)):
        gains = {s.ipc: s.gain for s in stories}
        ipc, sign = words.most(gains)
        how = {1: "beat hard labels", -1: "lose to hard labels", 0: "show no clear gain"}[sign]
        title = f"On validation learned labels {how}: {words.signed(gains[ipc])} at IPC {ipc}"
        sections.append(Section(title, [Text(said), *map(_chart, stories), _gains(stories)]))
        if all(s.pooled for s in stories):  # against those of the most experts
            last = {s.ipc: list(s.pooled.values())[-1] for s in stories}
            known = all(pooled.beyond.n for pooled in last.values())
            moves = {ipc: pooled.beyond if known else pooled.approach for ipc, pooled in last.items()}
            ipc, sign = words.most(moves)
            title = f"{_MOVES[known, sign]}: {_nats(moves[ipc])} nats at IPC {ipc}"
            sections.append(Section(title, [_distances(stories)]))
    return sections


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """How learned labels do on test against hard ones and the best untreated labels of experts."""
    bare = group.arms["operations"].str.len() == 0
    learned = group.find(bare, source="learned")
    experts = group.find(bare, group.arms["source"].isin(["teacher", "teachers"]))
    others = {"hard labels": group.hard, "experts' labels": experts}
    found = {name: values for name, arms in others.items() if (values := group.contrasts(learned, arms))}
    if not found or not any((run.folder / "learned.json").exists() for run in runs):
        return None
    lines = []
    for ipc in group.ipcs:
        for name, values in found.items():
            if value := values.get(ipc):
                line = {"IPC": ipc, "against": group.chosen(ipc, others[name])}
                line |= {"learned, %": group.accuracy(ipc, learned), "other, %": group.accuracy(ipc, others[name])}
                lines.append({**line, "learned − other, points": value, "n": value.n})
    title, *said = [words.compare("Learned labels", name, values) for name, values in found.items()]
    how = f"{group.on} chose the expert labels, each seed judging what the others choose; 95 % intervals."
    return Section(title, [*(Text(f"{text}.") for text in said), table(lines, f"Accuracy on test; {how}")])


def _chart(story: Story) -> Chart:
    """Validation accuracy, entropy and divergence by outer step, beside hard and pooled experts' labels."""

    def line(name: str, values: np.ndarray, colour: Any) -> Series:
        means = [estimate(column) for column in values.T]
        return Series(name, story.steps.tolist(), means, "band", marker="o", size=3, colour=colour)

    accuracy, entropy = line("learned labels", story.accuracy, BLUE), line("learned labels", story.entropy, BLUE)
    levels = [(labels, pooled.accuracy, pooled.entropy) for labels, pooled in list(story.pooled.items())[-1:]]
    top = [accuracy, Level(float(story.hard.mean()), "hard labels", "black")]
    top += [Level(float(values.mean()), labels, ORANGE) for labels, values, _ in levels]
    middle = [entropy, *(Level(float(values.mean()), labels, ORANGE) for labels, _, values in levels)]
    colours = zip(shades(len(story.pooled)), story.pooled.items())
    bottom = [line(f"from {labels}", pooled.divergence, colour) for colour, (labels, pooled) in colours]
    panel = functools.partial(Panel, x="outer steps, updates of the labels", log=False)
    panels = [panel(top, "validation, %", height=1.8), panel(middle, "entropy, nats", height=1.5, from_zero=True)]
    panels += [panel(bottom, "divergence, nats", height=1.8)] if bottom else []
    caption = (
        f"Learning at {words.budgets([story.ipc])}; divergence is Jensen-Shannon, from labels of one teacher or of several "
        "pooled."
    )
    return Chart(f"learned-ipc-{story.ipc}", panels, caption, "bands: 95 % intervals", across=1, units="subsets")


def _gains(stories: Sequence[Story]) -> Table:
    lines = []
    for s in stories:
        each = {"hard": (s.hard, np.zeros(1)), "learned": (s.accuracy[:, -1], s.entropy[:, -1])}
        each |= {name: (pooled.accuracy, pooled.entropy) for name, pooled in s.pooled.items()}
        for labels, (accuracy, entropy) in each.items():
            gain = None if labels == "hard" else estimate(accuracy - s.hard)
            line = {"IPC": s.ipc, "labels": f"`{labels}`", "validation, %": estimate(accuracy)}
            lines.append({**line, "minus hard, points": gain, "entropy, nats": float(entropy.mean()), "n": len(s.hard)})
    caption = f"Validation accuracy of `{stories[0].model}` on n subsets, each against itself; 95 % intervals."
    return table(lines, caption)


def _distances(stories: Sequence[Story]) -> Table:
    lines = []
    for s in stories:
        for labels, pooled in s.pooled.items():
            mean, change, beyond = pooled.divergence.mean(0), pooled.approach, pooled.beyond
            line = {"IPC": s.ipc, "pooled experts": f"`{labels}`", "first, nats": _fine(mean[0])}
            line |= {"least, nats": _fine(mean.min()), "last, nats": _fine(mean[-1])}
            line |= {"change, nats": words.Shown(_nats(change), change)}
            past = words.Shown(_nats(beyond), beyond) if beyond.n else None
            lines.append({**line, "minus smoothing, nats": past, "n": change.n})
    caption = (
        "Jensen-Shannon divergence from learned labels to pooled experts', in nats: at the start, least and last; change: last "
        "minus first, with 95 % intervals. Minus smoothing: at the end, minus that of true classes smoothed to equal entropies."
    )
    return table(lines, caption)


def _fine(value: float) -> words.Shown:
    return words.Shown(f"{value:.4f}", float(value))


def _nats(value: Estimate) -> str:
    """A difference of divergences with its interval."""
    return words.interval(value, lambda end: f"{end:+.4f}".replace("-", "−"))
