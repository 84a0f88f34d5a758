"""Can labels be learned without an expert, and do they come to resemble those of pooled experts?

Asked of runs that learned labels: `learned.json` tells how validation accuracy, entropy and the Jensen-Shannon divergence
to pooled experts' labels went while they were learned, subset by subset. Test accuracy is in the rows, as of any labels.
"""

from collections.abc import Sequence

from jaxsoft.analysis import words
from jaxsoft.analysis.chart import BLUE, ORANGE, Chart, Level, Panel, Series, shades
from jaxsoft.analysis.groups import Group
from jaxsoft.analysis.inference import Estimate, estimate
from jaxsoft.analysis.page import Block, Section, Table, Text, table
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stories import Story, read_stories

ORDER = 6


def of_runs(runs: Sequence[Run]) -> list[Section]:
    """How labels were learned: what learning gains on validation with its figures, and where the labels went."""
    told = [found for run in runs if (found := read_stories(run.folder))]
    sections = []
    for i, stories in enumerate(told, 1):
        suffix = f"-{i}" if len(told) > 1 else ""
        said = (
            "Labels began as the true classes and followed the gradient of the loss on other training images, through the "
            "training of students. Validation chose nothing: the last labels count. All labels are judged by students of "
            "equal seeds."
        )
        title = words.compare("On validation learned labels", "hard labels", {s.ipc: s.gain for s in stories})
        charts: list[Block] = [_chart(story, suffix) for story in stories]
        sections.append(Section(title, [Text(said), *charts, _gains(stories)]))
        if all(s.pooled for s in stories):
            sections.append(Section(_toward(stories), [_distances(stories)]))
    return sections


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """How learned labels do on test against hard ones and the best untreated labels of experts."""
    learned, bare = group.find(source="learned"), (group.arms["operations"].map(len) == 0).to_numpy()
    learned = [arm for arm in learned if bare[arm]]
    experts = group.find(bare, group.arms["source"].isin(["teacher", "teachers"]).to_numpy())
    if not learned or not any((run.folder / "learned.json").exists() for run in runs):
        return None
    lines, found = (
        [],
        {"hard labels": group.contrasts(learned, group.hard), "experts' labels": group.contrasts(learned, experts)},
    )
    found = {name: values for name, values in found.items() if values}
    for name, values in found.items():
        arms = group.hard if name == "hard labels" else experts
        for ipc, value in values.items():
            accuracies = {"learned, %": group.accuracy(ipc, learned), "other, %": group.accuracy(ipc, arms)}
            lines.append(
                {
                    "IPC": ipc,
                    "against": group.chosen(ipc, arms),
                    **accuracies,
                    "learned − other, points": value,
                    "n": value.n,
                }
            )
    if not found:
        return None
    lines.sort(key=lambda line: line["IPC"])
    said = [words.compare("On test learned labels", name, values) for name, values in found.items()]
    caption = (
        f"Test accuracy; {group.on} chose the expert labels, each seed judging what the others choose; 95 % intervals."
    )
    return Section(said[0], [*(Text(f"{text}.") for text in said[1:]), table(lines, caption)])


def _chart(story: Story, suffix: str) -> Chart:
    """Validation accuracy, entropy and divergence by outer step, beside hard and pooled experts' labels."""
    steps, x = story.steps.tolist(), "outer steps, updates of the labels"

    def line(name: str, values, **style) -> Series:
        return Series(name, steps, [estimate(column) for column in values.T], "band", marker="o", size=3, **style)

    top = [line("learned labels", story.accuracy, colour=BLUE), Level(float(story.hard.mean()), "hard labels", "black")]
    middle = [line("learned labels", story.entropy, colour=BLUE)]
    for labels, pooled in list(story.pooled.items())[-1:]:
        top.append(Level(float(pooled.accuracy.mean()), labels, ORANGE))
        middle.append(Level(float(pooled.entropy.mean()), labels, ORANGE))
    bottom = [
        line(f"from {labels}", pooled.divergence, colour=colour)
        for colour, (labels, pooled) in zip(shades(len(story.pooled)), story.pooled.items())
    ]
    panels = [
        Panel(top, "validation, %", x, log=False, height=1.8),
        Panel(middle, "entropy, nats", x, log=False, height=1.5, from_zero=True),
    ]
    panels += [Panel(bottom, "divergence, nats", x, log=False, height=1.8)] if bottom else []
    caption = f"Learning at {words.budgets([story.ipc])}; divergence is Jensen-Shannon, from labels of one teacher or of several pooled."
    return Chart(
        f"learned-ipc-{story.ipc}{suffix}", panels, caption, "bands: 95 % intervals", across=1, units="subsets"
    )


def _toward(stories: Sequence[Story]) -> str:
    """Did learned labels come nearer to those of the most experts than equally soft labels that say nothing?"""
    last = {s.ipc: list(s.pooled.values())[-1] for s in stories}
    known = all(pooled.beyond.n for pooled in last.values())
    values = {ipc: pooled.beyond if known else pooled.approach for ipc, pooled in last.items()}
    ipc, sign = words.most(values)
    size = f"{_nats(values[ipc])} nats at IPC {ipc}"
    if known:
        how = {1: "farther than", -1: "nearer than", 0: "no clearer nearer than"}[sign]
        return f"Learned labels lie {how} equal smoothing to pooled experts': {size}"
    if sign >= 0:
        return f"Learned labels {'move away from' if sign else 'show no clear move toward'} pooled experts': {size}"
    return f"Learned labels soften toward pooled experts': {size}; smoothing alone may do as much"


def _gains(stories: Sequence[Story]) -> Table:
    lines = []
    for s in stories:
        each = {"hard": (s.hard, None, 0.0), "learned": (s.accuracy[:, -1], s.gain, float(s.entropy[:, -1].mean()))}
        each |= {
            name: (p.accuracy, estimate(p.accuracy - s.hard), float(p.entropy.mean())) for name, p in s.pooled.items()
        }
        for labels, (accuracy, gain, entropy) in each.items():
            numbers = {"validation, %": estimate(accuracy), "minus hard, points": gain, "entropy, nats": entropy}
            lines.append({"IPC": s.ipc, "labels": f"`{labels}`", **numbers, "n": len(s.hard)})
    return table(
        lines, f"Validation accuracy of `{stories[0].model}` on n subsets, each against itself; 95 % intervals."
    )


def _distances(stories: Sequence[Story]) -> Table:
    lines = []
    for s in stories:
        for labels, p in s.pooled.items():
            mean = p.divergence.mean(0)
            told = {
                "first": f"{mean[0]:.4f}",
                "least": f"{mean.min():.4f}",
                "last": f"{mean[-1]:.4f}",
                "change": _nats(p.approach),
            }
            smoothing = {"minus smoothing": _nats(p.beyond) if p.beyond.n else None, "n": p.approach.n}
            lines.append({"IPC": s.ipc, "pooled experts": f"`{labels}`", **told, **smoothing})
    caption = (
        "Jensen-Shannon divergence from learned labels to pooled experts', in nats: at the start, where its mean was least, and "
        "at the end; the change is last minus first, each subset against itself, with 95 % intervals. Minus smoothing: at the "
        "end, minus that of true classes smoothed to the same entropies."
    )
    return table(lines, caption)


def _nats(value: Estimate) -> str:
    """A difference of divergences with its interval."""
    return words.interval(value, lambda end: f"{end:+.4f}".replace("-", "−"))
