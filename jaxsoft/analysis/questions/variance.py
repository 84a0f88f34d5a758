"""Where does the variance come from: the choice of images, the expert, or the initialisation?

Asked where the subsets, the seeds and perhaps the experts of one treatment are crossed: a member for each combination,
or for nearly each. A published standard deviation mostly holds one of these sources; an interval ought to hold all.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from jaxsoft.analysis.questions._verbs import taught
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, GREEN, GREY, ORANGE, Chart, Panel, Series
from jaxsoft.analysis.showing.page import Section, Table, Text, table
from jaxsoft.analysis.statistics import variance
from jaxsoft.analysis.statistics.factors import factors
from jaxsoft.analysis.statistics.groups import Group
from jaxsoft.analysis.statistics.inference import Estimate
from jaxsoft.analysis.statistics.variance import REST, Components

ORDER = 20
_FACTORS = ("image", "expert", "seed")  # axes of a design
_NAMES = {
    "image": "the choice of images",
    "expert": "the expert",
    "seed": "initialisation and order",
    REST: "interactions and the rest",
}
_COLOURS = dict(zip(_NAMES, (BLUE, ORANGE, GREEN, GREY)))
_FULL = 0.9  # a design with a smaller share of its members says too little of the others
_POINT = 0.01


class Crossed(NamedTuple):
    """One treatment at one IPC, its components, and the variance inside a cell of the difference to each other treatment."""

    ipc: int
    labels: str
    levels: tuple[int, ...]  # of subsets, experts and seeds
    found: Components
    pairs: tuple[tuple[str, float], ...]


Design = dict[tuple[int, int, int], float]  # test accuracy by (subset, expert, seed)


def private(members: pd.DataFrame) -> "pd.Series[bool]":
    """Labels of a further expert, which are no labels to choose: the luckiest of several experts would win."""
    return members["expert"] > 0


def answer(group: Group, runs: Sequence[Run]) -> list[Section]:
    """One section for each IPC, the first with a figure of them all."""
    kinds = [run.teachers.get("teacher", {}).get("models") or () for run in runs]
    found = crossed(group, alike=all(len(set(models)) <= 1 for models in kinds))
    by_ipc = [list(own) for _, own in itertools.groupby(found, key=lambda one: one.ipc)]
    sections = []
    for own in by_ipc:
        (images, experts, seeds), parts = own[0].levels, own[0].found
        said = (
            f"`{own[0].labels}` reaches {words.percent(parts.mean)} % over {images} subsets × "
            f"{f'{experts} experts × ' if experts > 1 else ''}{seeds} seeds, one member each. A single member varies by "
            f"{_deviation(parts.total).text} points (standard deviation) if everything is drawn anew."
        )
        if experts == 1:
            said += " There is one expert, so its part is not known and not in these numbers."
        if parts.missing:
            said += (
                f" Of {parts.cells} members {parts.missing} did not finish; their cells are filled in from the others."
            )
        top = max(parts.parts, key=lambda part: part.share.mean)
        name, verb = _NAMES[top.factor], "explain" if top.factor in ("seed", REST) else "explains"
        title = f"{name[:1].upper()}{name[1:]} {verb} {_share(top.share)} of the variance at IPC {own[0].ipc}"
        figure = [] if sections else [_chart([first for first, *_ in by_ipc])]
        sections.append(Section(title, [Text(said), *figure, _components(own), _seeds(own)]))
    return sections


def crossed(group: Group, alike: bool = True) -> list[Crossed]:
    """The crossed designs of one group, by IPC; the one with the most members of each IPC first.

    `alike`: whether experts differ by chance alone. Those of several architectures are treatments of their own.
    """
    found, members = [], group.members.loc[group.members["status"] == "done"].to_dict("records")
    for ipc in group.ipcs:
        designs: dict[str, Design] = {}
        best = {group.choose(ipc, group.of(labels)) for labels in set(group.arms["labels"])}  # each at its best rate
        for row in (row for row in members if row["ipc"] == ipc and row["arm"] in best):
            labels, expert = treatment(row["labels"]) if alike else (row["labels"], 0)
            designs.setdefault(labels, {})[row["subset_seed"], expert, row["seed"]] = row["test_accuracy"]
        of_ipc = {labels: array for labels, cells in designs.items() if (array := _array(cells)) is not None}
        for labels in sorted(of_ipc, key=lambda labels: (-of_ipc[labels].size, labels == "hard")):
            parts, pairs = variance.components(of_ipc[labels], _FACTORS), _pairs(labels, designs)
            found.append(Crossed(ipc, labels, of_ipc[labels].shape, parts, pairs))
    return found


@functools.cache
def treatment(labels: str) -> tuple[str, int]:
    """A label spec without the expert that it names, and that expert.

    >>> treatment("teacher(expert=2, epoch=20)|topk(3)"), treatment("hard")
    (('teacher(epoch=20)|topk(3)', 2), ('hard', 0))
    """
    expert = factors(labels)["expert"]
    return (taught(labels, "expert"), expert) if expert >= 0 else (labels, 0)


def _array(cells: Design) -> Float[np.ndarray, "S E T"] | None:
    """The design as an array, NaN where a member is missing; None if it is not crossed."""
    axes = [sorted(set(levels)) for levels in zip(*cells)]
    shape = tuple(map(len, axes))
    if not cells or shape[0] < 2 or shape[2] < 2 or len(cells) < _FULL * np.prod(shape):
        return None
    values = np.array([cells.get(cell, np.nan) for cell in itertools.product(*axes)]).reshape(shape)
    return values if len(cells) > sum(shape) - len(shape) + 1 else None


def _pairs(labels: str, designs: dict[str, Design]) -> tuple[tuple[str, float], ...]:
    """The other treatments of one IPC, and the variance of the difference to each inside a cell."""
    own, pairs = designs[labels], []
    several = len({expert for _, expert, _ in own}) > 1
    for other, cells in designs.items():
        experts = {expert for _, expert, _ in cells}
        if other == labels or (len(experts) > 1 and not several):  # told from the other side, where experts count
            continue
        # The one expert of the other treatment, or hard labels, serve all experts.
        partner = {(s, e, t): (s, e if len(experts) > 1 else next(iter(experts)), t) for s, e, t in own}
        same = {cell: own[cell] - cells[there] for cell, there in partner.items() if there in cells}
        if (array := _array(same)) is not None:
            pairs.append((other, variance.components(array, _FACTORS).total.mean))
    return tuple(pairs)


def _chart(found: Sequence[Crossed]) -> Chart:
    """Shares of the variance by IPC: bars side by side for each, one for each source."""
    marks = []
    for factor, colour in _COLOURS.items():
        shares = {x: part.share for x, one in enumerate(found) for part in one.found.parts if part.factor == factor}
        marks += [Series.of(_NAMES[factor], shares, "columns", colour=colour)] if shares else []
    caption = (
        "Share of each source in the variance of test accuracy, with 95 % intervals: of a source with few levels they "
        "are wide, however many members there are."
    )
    counts = sorted({one.found.cells - one.found.missing for one in found})
    panel = Panel(marks, "share of the variance, %", names=[str(one.ipc) for one in found], from_zero=True)
    return Chart("variance", [panel], caption, f"{' to '.join(map(str, counts))} members an IPC; bars: 95 % intervals")


def _components(found: Sequence[Crossed]) -> Table:
    lines = []
    for labels, part in [(one.labels, part) for one in found for part in one.found.parts]:
        line = {"treatment": f"`{labels}`", "source": _NAMES[part.factor] + " *" * part.negative}
        line |= {"levels": None if part.factor == REST else part.levels}
        line |= {
            "variance, square points": words.Shown.of(_each(part.variance, lambda end: 1e4 * end), "{:.2f}".format)
        }
        lines.append(
            {
                **line,
                "standard deviation, points": _deviation(part.variance),
                "share": words.Shown(_share(part.share), part.share),
            }
        )
    caption = (
        "Variance components of test accuracy: random effects of a crossed design with one member a cell, by expected "
        "mean squares; interactions are in the rest. Generalized 95 % intervals."
    )
    starred = any(line["source"].endswith(" *") for line in lines)
    return table(lines, caption + " * The estimate was negative and is shown as 0." * starred)


def _seeds(found: Sequence[Crossed]) -> Table:
    lines = []
    for one in found:
        unpaired = variance.seeds_needed(one.found.total.mean, _POINT, paired=False)
        needed: dict[str, Any] = {"another treatment, on its own seeds": words.Shown(f"{unpaired} each", unpaired)}
        for other, spread in one.pairs:
            needed[f"`{other}`, each seed against itself"] = variance.seeds_needed(spread, _POINT, paired=True)
        lines += [{"treatment": f"`{one.labels}`", "against": who, "seeds": n} for who, n in needed.items()]
    caption = (
        "Seeds, each with its own images, expert and initialisation, that a t test needs to tell a difference of one "
        "point (two-sided 5 %, power 80 %). Paired: both treatments share all three."
    )
    return table(lines, caption)


def _deviation(value: Estimate) -> words.Shown:
    """The root of a variance, in points."""
    return words.Shown.of(_each(value, lambda end: end**0.5), lambda end: f"{100 * end:.2f}")


def _share(value: Estimate) -> str:
    mean, *ends = (f"{100 * part:.0f}" for part in (value.mean, value.low, value.high))
    return f"{mean} % [{', '.join(ends)}]"


def _each(value: Estimate, function: Callable[[float], float]) -> Estimate:
    """An estimate of a rising function of what is estimated."""
    return value._replace(mean=function(value.mean), low=function(value.low), high=function(value.high))
