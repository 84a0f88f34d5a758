"""Where does the variance come from: the choice of images, the expert, or the initialisation?

Asked where the subsets, the seeds and perhaps the experts of one treatment are crossed: a member for each combination,
or for nearly each. A published standard deviation mostly holds one of these sources; an interval ought to hold all.
"""

import functools
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from jaxsoft import spec
from jaxsoft.analysis import plots, variance, words
from jaxsoft.analysis.grid import tuned
from jaxsoft.analysis.page import Block, Picture, Section, Text
from jaxsoft.analysis.questions import _parts
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.table import Table
from jaxsoft.analysis.variance import REST, Components, Part
from jaxsoft.types import Row

ORDER = 20
_FACTORS = ("image", "expert", "seed")  # axes of a design
_NAMES = {
    "image": "the choice of images",
    "expert": "the expert",
    "seed": "initialisation and order",
    REST: "what is left, interactions",
}
_COLOURS: dict[str, str] = dict(zip((*_FACTORS, REST), (plots.BLUE, plots.ORANGE, "#009e73", _parts.GREY)))
_FULL = 0.9  # a design with a smaller share of its members says too little of the others
_POINT = 0.01


class Crossed(NamedTuple):
    """One treatment at one IPC: its accuracies by subset, expert and seed, and their components.

    `pairs` are the differences to the treatments that share its subsets and seeds: their name, and the variance of the
    difference inside a cell.
    """

    ipc: int
    labels: str
    levels: tuple[int, int, int]
    found: Components
    pairs: tuple[tuple[str, float], ...]


Design = dict[tuple[int, int, int], float]
"""Test accuracy by (subset, expert, seed)."""


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """One section for each IPC, the first with a figure of them all."""
    kinds = [run.teachers.get("teacher", {}).get("models") or () for run in runs]
    alike = all(len(set(models)) <= 1 for models in kinds)
    return _parts.by_group(rows, functools.partial(crossed, alike=alike), _tell)


def understands(row: Row) -> bool:
    """Labels of a further expert, which are no labels to choose: the luckiest of several experts would win."""
    return treatment(row["labels"])[1] > 0


def crossed(rows: Sequence[Row], alike: bool = True) -> list[Crossed]:
    """The crossed designs of one group of members, by IPC; the one with the most members of each IPC first.

    Args:
      rows: finished members.
      alike: whether experts differ by chance alone. Those of several architectures are treatments of their own.
    """
    designs: dict[int, dict[str, Design]] = defaultdict(lambda: defaultdict(dict))
    for row in tuned(rows):
        labels, expert = treatment(row["labels"]) if alike else (row["labels"], 0)
        designs[row["ipc"]][labels][row["subset_seed"], expert, row["seed"]] = row["test_accuracy"]
    found = []
    for ipc in sorted(designs):
        of_ipc = {labels: array for labels, cells in designs[ipc].items() if (array := _array(cells)) is not None}
        first = sorted(of_ipc, key=lambda labels: (-np.prod(of_ipc[labels].shape), labels == "hard"))
        found += [_crossed(ipc, labels, designs[ipc], of_ipc[labels]) for labels in first]
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


def draw(found: Sequence[Crossed]) -> Figure:
    """Shares of the variance by IPC: a group of bars for each, one bar for each source."""
    figure = Figure((plots.WIDTH, 3.4))
    axes = figure.subplots()
    factors = [name for name in _COLOURS if any(p.factor == name for c in found for p in c.found.parts)]
    width = 0.8 / len(factors)
    for i, name in enumerate(factors):
        shares = [(x, p.share) for x, c in enumerate(found) for p in c.found.parts if p.factor == name]
        places = [x + (i - (len(factors) - 1) / 2) * width for x, _ in shares]
        value, low, high = 100 * np.array([share for _, share in shares]).T
        error = np.maximum([value - low, high - value], 0)  # an interval may leave out its own estimate of 0
        style = {"ecolor": plots.INK, "capsize": 3, "error_kw": {"lw": 1.2}}
        axes.bar(places, value, 0.92 * width, yerr=error, color=_COLOURS[name], label=_NAMES[name], **style)
    axes.set_xticks(range(len(found)), [str(c.ipc) for c in found])
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="x", visible=False)
    axes.set(xlabel="IPC, images per class", ylabel="share of the variance, %", ylim=(0, 105))
    counts = [c.found.cells - c.found.missing for c in found]
    n = str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
    axes.set_title(f"{n} members an IPC; bars: 95 % intervals", loc="left", fontsize=8.5, color=_parts.GREY)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


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


def _tell(found: Sequence[Crossed], suffix: str) -> list[Section]:
    first = [c for before, c in zip((None, *found), found) if before is None or before.ipc != c.ipc]
    caption = (
        "Share of each source in the variance of test accuracy, with 95 % intervals: of a source with few levels they "
        "are wide, however many members there are."
    )
    told = (f"IPC {c.ipc}: " + ", ".join(f"{_NAMES[p.factor]} {_share(p.share)}" for p in c.found.parts) for c in first)
    alt = f"Bars of shares of variance. {'; '.join(told)}."
    picture = Picture(f"variance{suffix}", plots.png(draw, first), alt, caption)
    sections = []
    for main in first:
        of_ipc = [c for c in found if c.ipc == main.ipc]
        blocks: list[Block] = [Text(_said(main)), *([picture] if main is first[0] else [])]
        sections.append(Section(_title(main), [*blocks, _components(of_ipc), _seeds(of_ipc)]))
    return sections


def _title(one: Crossed) -> str:
    """The source with the largest share."""
    top = max(one.found.parts, key=lambda p: p.share.value)
    name = "interactions and the rest" if top.factor == REST else _NAMES[top.factor]
    verb = "explain" if top.factor in ("seed", REST) else "explains"
    return f"{name[:1].upper()}{name[1:]} {verb} {_share(top.share)} of the variance at {words.budgets([one.ipc])}"


def _said(one: Crossed) -> str:
    images, experts, seeds = one.levels
    found = one.found
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


def _components(found: Sequence[Crossed]) -> Table:
    lines = []
    for one in found:
        for p in one.found.parts:
            levels = str(p.levels) if p.factor != REST else words.NONE
            name = _NAMES[p.factor] + (" *" if p.negative else "")
            numbers = (_with_ends(p.variance, 1e4), _with_ends(_root(p.variance), 100.0), _share(p.share))
            lines.append((f"`{one.labels}`", name, levels, *numbers))
    star = " * The estimate was negative and is shown as 0." if any(line[1].endswith("*") for line in lines) else ""
    caption = (
        "Variance components of test accuracy: random effects of a crossed design with one member a cell, by expected "
        "mean squares; interactions are in what is left. Generalized 95 % intervals." + star
    )
    header = ("treatment", "source", "levels", "variance, points^2", "standard deviation, points", "share")
    return Table(header, lines, caption)


def _seeds(found: Sequence[Crossed]) -> Table:
    lines = []
    for one in found:
        unpaired = variance.seeds_needed(one.found.total.value, _POINT, paired=False)
        lines.append((f"`{one.labels}`", "another treatment, on its own seeds", f"{unpaired} each"))
        for other, spread in one.pairs:
            needed = variance.seeds_needed(spread, _POINT, paired=True)
            lines.append((f"`{one.labels}`", f"`{other}`, each seed against itself", str(needed)))
    caption = (
        "Seeds, each with its own images, expert and initialisation, that a t test needs to tell a difference of one "
        "point (two-sided 5 %, power 80 %). Paired: both treatments share all three."
    )
    return Table(("treatment", "against", "seeds"), lines, caption)


def _root(part: Part) -> Part:
    return Part(*np.sqrt(part).tolist())


def _share(part: Part) -> str:
    return f"{100 * part.value:.0f} % [{100 * part.low:.0f}, {100 * part.high:.0f}]"


def _with_ends(part: Part, scale: float) -> str:
    value, low, high = (f"{scale * number:.2f}" for number in part)
    return f"{value} [{low}, {high}]"
