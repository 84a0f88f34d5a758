"""Where does the variance come from: the choice of images, the expert, or the initialisation?

Asked where the subsets, the seeds and perhaps the experts of one treatment are crossed: a member for each combination,
or for nearly each. A published standard deviation mostly holds one of these sources; an interval ought to hold all.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from jaxsoft import spec
from jaxsoft.analysis import variance, words
from jaxsoft.analysis.chart import BLUE, GREEN, GREY, ORANGE, Chart, Panel, Series
from jaxsoft.analysis.groups import Group
from jaxsoft.analysis.inference import Estimate
from jaxsoft.analysis.page import Block, Section, Table, Text, table
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.variance import REST, Components, Part

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
    """One treatment at one IPC: its accuracies by subset, expert and seed, and their components.

    `pairs` are the differences to the treatments that share its subsets and seeds: their name, and the variance of the
    difference inside a cell.
    """

    ipc: int
    labels: str
    levels: tuple[int, ...]
    found: Components
    pairs: tuple[tuple[str, float], ...]


Design = dict[tuple[int, int, int], float]
"""Test accuracy by (subset, expert, seed)."""


def private(members: pd.DataFrame) -> "pd.Series[bool]":
    """Labels of a further expert, which are no labels to choose: the luckiest of several experts would win."""
    return members["expert"] > 0


def answer(group: Group, runs: Sequence[Run]) -> list[Section]:
    """One section for each IPC, the first with a figure of them all."""
    kinds = [run.teachers.get("teacher", {}).get("models") or () for run in runs]
    found = crossed(group, alike=all(len(set(models)) <= 1 for models in kinds))
    first = [c for before, c in zip((None, *found), found) if before is None or before.ipc != c.ipc]
    sections = []
    for main in first:
        of_ipc = [c for c in found if c.ipc == main.ipc]
        blocks: list[Block] = [Text(_said(main)), *([_chart(first)] if main is first[0] else [])]
        sections.append(Section(_title(main), [*blocks, _components(of_ipc), _seeds(of_ipc)]))
    return sections


def crossed(group: Group, alike: bool = True) -> list[Crossed]:
    """The crossed designs of one group, by IPC; the one with the most members of each IPC first.

    `alike`: whether experts differ by chance alone. Those of several architectures are treatments of their own.
    """
    found = []
    for ipc in group.ipcs:
        designs: dict[str, Design] = {}
        best = {group.choose(ipc, group.of(labels)) for labels in set(group.arms["labels"])}  # each at its best rate
        members = group.members[(group.members["ipc"] == ipc) & group.members["arm"].isin(best - {None})]
        for row in members[members["status"] == "done"].itertuples():
            labels, expert = treatment(row.labels) if alike else (row.labels, 0)
            designs.setdefault(labels, {})[row.subset_seed, expert, row.seed] = row.test_accuracy
        of_ipc = {labels: array for labels, cells in designs.items() if (array := _array(cells)) is not None}
        first = sorted(of_ipc, key=lambda labels: (-of_ipc[labels].size, labels == "hard"))
        found += [_crossed(ipc, labels, designs, of_ipc[labels]) for labels in first]
    return found


@functools.cache
def treatment(labels: str) -> tuple[str, int]:
    """A label spec without the expert that it names, and that expert.

    >>> treatment("teacher(expert=2, epoch=20)|topk(3)"), treatment("hard")
    (('teacher(epoch=20)|topk(3)', 2), ('hard', 0))
    """
    source, *rest = spec.parse(labels)
    if source.name != "teacher":
        return labels, 0
    others = {name: value for name, value in source.kwargs.items() if name != "expert"}
    return spec.render((source._replace(kwargs=others), *rest)), int(source.kwargs.get("expert", 0))


def _array(cells: Design) -> Float[np.ndarray, "S E T"] | None:
    """The design as an array, NaN where a member is missing; None if it is not crossed."""
    axes = [sorted({cell[axis] for cell in cells}) for axis in range(3)]
    shape = tuple(map(len, axes))
    if shape[0] < 2 or shape[2] < 2 or len(cells) < _FULL * np.prod(shape):
        return None
    values = np.full(shape, np.nan)
    for cell, accuracy in cells.items():
        values[tuple(axis.index(level) for axis, level in zip(axes, cell))] = accuracy
    return values if len(cells) > sum(shape) - len(shape) + 1 else None


def _crossed(ipc: int, labels: str, designs: dict[str, Design], values: np.ndarray) -> Crossed:
    own, pairs = designs[labels], []
    experts = len({expert for _, expert, _ in own})
    for other, cells in designs.items():
        named = len({expert for _, expert, _ in cells}) > 1  # else one of its members serves all experts
        if named and experts == 1:  # told from the other side, where experts count
            continue
        expert = next(iter(cells))[1]
        partner = {cell: cells.get(cell if named else (cell[0], expert, cell[2])) for cell in own}
        same = {cell: own[cell] - value for cell, value in partner.items() if value is not None}
        if other != labels and (array := _array(same)) is not None:
            pairs.append((other, variance.components(array, _FACTORS).total.value))
    return Crossed(ipc, labels, values.shape, variance.components(values, _FACTORS), tuple(pairs))


def _title(one: Crossed) -> str:
    """The source with the largest share."""
    top = max(one.found.parts, key=lambda p: p.share.value)
    verb = "explain" if top.factor in ("seed", REST) else "explains"
    name = _NAMES[top.factor]
    return f"{name[:1].upper()}{name[1:]} {verb} {_share(top.share)} of the variance at IPC {one.ipc}"


def _said(one: Crossed) -> str:
    (images, experts, seeds), found = one.levels, one.found
    held = f"{images} subsets × " + (f"{experts} experts × " if experts > 1 else "") + f"{seeds} seeds"
    text = (
        f"`{one.labels}` reaches {words.percent(found.mean)} % over {held}, one member each. A single member varies by "
        f"{_with_ends(_root(found.total), 100.0)} points (standard deviation) if everything is drawn anew."
    )
    if experts == 1:
        text += " There is one expert, so its part is not known and not in these numbers."
    if found.missing:
        text += f" Of {found.cells} members {found.missing} did not finish; their cells are filled in from the others."
    return text


def _chart(found: Sequence[Crossed]) -> Chart:
    """Shares of the variance by IPC: bars side by side for each, one for each source."""
    marks, names = [], [str(c.ipc) for c in found]
    for factor in (name for name in _COLOURS if any(p.factor == name for c in found for p in c.found.parts)):
        shares = {x: p.share for x, c in enumerate(found) for p in c.found.parts if p.factor == factor}
        values = [Estimate(share.value, 0.0, share.low, share.high, 0) for share in shares.values()]
        marks.append(Series(_NAMES[factor], list(shares), values, "columns", colour=_COLOURS[factor]))
    caption = (
        "Share of each source in the variance of test accuracy, with 95 % intervals: of a source with few levels they "
        "are wide, however many members there are."
    )
    counts = sorted({c.found.cells - c.found.missing for c in found})
    panel = Panel(marks, "share of the variance, %", names=names, from_zero=True)
    return Chart("variance", [panel], caption, f"{' to '.join(map(str, counts))} members an IPC; bars: 95 % intervals")


def _components(found: Sequence[Crossed]) -> Table:
    lines = []
    for one in found:
        for p in one.found.parts:
            name = {"treatment": f"`{one.labels}`", "source": _NAMES[p.factor] + " *" * p.negative}
            numbers = {
                "levels": None if p.factor == REST else p.levels,
                "variance, points^2": _with_ends(p.variance, 1e4),
            }
            lines.append(
                name | numbers | {"standard deviation": _with_ends(_root(p.variance), 100.0), "share": _share(p.share)}
            )
    star = (
        " * The estimate was negative and is shown as 0." if any(line["source"].endswith("*") for line in lines) else ""
    )
    caption = (
        "Variance components of test accuracy: random effects of a crossed design with one member a cell, by expected "
        "mean squares; interactions are in the rest. Standard deviations in points; generalized 95 % intervals." + star
    )
    return table(lines, caption)


def _seeds(found: Sequence[Crossed]) -> Table:
    lines = []
    for one in found:
        unpaired = variance.seeds_needed(one.found.total.value, _POINT, paired=False)
        lines.append(
            {
                "treatment": f"`{one.labels}`",
                "against": "another treatment, on its own seeds",
                "seeds": f"{unpaired} each",
            }
        )
        for other, spread in one.pairs:
            needed = variance.seeds_needed(spread, _POINT, paired=True)
            lines.append(
                {"treatment": f"`{one.labels}`", "against": f"`{other}`, each seed against itself", "seeds": needed}
            )
    caption = (
        "Seeds, each with its own images, expert and initialisation, that a t test needs to tell a difference of one "
        "point (two-sided 5 %, power 80 %). Paired: both treatments share all three."
    )
    return table(lines, caption)


def _root(part: Part) -> Part:
    return Part(*np.sqrt(part).tolist())


def _share(part: Part) -> str:
    return f"{100 * part.value:.0f} % [{100 * part.low:.0f}, {100 * part.high:.0f}]"


def _with_ends(part: Part, scale: float) -> str:
    value, low, high = (f"{scale * number:.2f}" for number in part)
    return f"{value} [{low}, {high}]"
