"""What several questions ask: of sets of arms, such as all cuts of one source, of label specs, and of their own records."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool
from matplotlib.axes import Axes

from jaxsoft import spec
from jaxsoft.analysis.reading.read import Examples, Run, examples_of, expert_sizes, map_entries
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import Level, Panel, Series, spread
from jaxsoft.analysis.showing.drawing import Bytes
from jaxsoft.analysis.showing.page import Text
from jaxsoft.analysis.statistics import worth
from jaxsoft.analysis.statistics.groups import LOSS, Arms, Group
from jaxsoft.analysis.statistics.inference import Estimate

K = TypeVar("K")
_RATE, _MOST_PANELS = "learning_rate", 3


def union(sets: Mapping[K, Arms]) -> list[int]:
    """All arms of several sets."""
    return [arm for arms in sets.values() for arm in arms]


def ran(group: Group, ipc: int, sets: Mapping[K, Arms]) -> dict[K, list[int]]:
    """Of several sets of arms what was run at a budget, sets of which nothing was left out."""
    return {key: own for key, arms in sets.items() if (own := group.ran(ipc, arms))}


def reached(group: Group, ipc: int, sets: Mapping[K, Arms]) -> dict[K, Estimate]:
    """The accuracies of several sets of arms at a budget, of the best of each."""
    return {key: group.accuracy(ipc, own) for key, own in ran(group, ipc, sets).items()}


def best_of(group: Group, ipc: int, sets: Mapping[K, Arms]) -> K:
    """Of several sets of arms, some of which were run at a budget, the one that holds what is chosen there."""
    pick = group.choose(ipc, union(sets))
    return next(key for key, arms in sets.items() if pick in arms)


def judged(group: Group, arms: Arms) -> list[int]:
    """The budgets at which some unit was run with the arm that the other units choose."""
    return [ipc for ipc in group.budgets(arms) if group.accuracy(ipc, arms).n]


def by_ipc(lines: Iterable[Mapping[str, Any]], column: str) -> dict[int, Estimate]:
    """What records of a table have in a column, by budget; those without are left out."""
    return {line["IPC"]: line[column] for line in lines if line.get(column) and line[column].n}


def by_loss(group: Group) -> dict[str, Arms]:
    """The arms of soft labels by what students minimise, the loss that all are measured against first: the default, if it is there."""
    found: dict[str, list[int]] = {LOSS: []}
    for loss in dict.fromkeys(group.members["loss"]):
        found[str(loss)] = [arm for arm in group.soft if group.losses[arm] == loss]
    return {loss: arms for loss, arms in found.items() if arms}


def by_view(group: Group) -> Bool[np.ndarray, "A"]:
    """Which arms have a label for each view of an image, stored or asked at every step."""
    return ((group.arms["views"] > 0) | group.arms["online"]).to_numpy(bool)


def regimes(group: Group) -> dict[str, Arms]:
    """The arms by how students are told: true classes, one soft label of each image, soft labels of its views."""
    views = by_view(group).tolist()
    soft = {
        kind: [arm for arm in group.soft if views[arm] == seen] for kind, seen in (("soft", False), ("per-view", True))
    }
    return {kind: arms for kind, arms in {"hard": group.hard, **soft}.items() if arms}


def rate(group: Group, ipc: int, arms: Arms) -> tuple[float, bool] | None:
    """The learning rate of what is chosen among arms, and whether it is the smallest or largest tried; None: there is one alone."""
    pick = group.choose(ipc, arms)
    if pick is None or _RATE not in group.arms:
        return None
    rates = group.arms[_RATE].astype(float)
    tried = set(rates[group.ran(ipc, arms)])
    return float(rates[pick]), len(tried) > 1 and rates[pick] in (min(tried), max(tried))


def edge(where: Sequence[str]) -> list[Text]:
    """The warning that the best rate may lie beyond those tried, and where; none where it is nowhere so."""
    shown = words.listed(where if len(where) <= 4 else [*where[:3], f"{len(where) - 3} more"])
    said = f"The rate chosen is the smallest or largest tried for {shown}; a better one may lie beyond."
    return [Text(said, "warning")] if where else []


def side_by_side(
    series: Mapping[str, Mapping[tuple[int, str], Estimate]], y: str, colours: Mapping[str, str]
) -> list[Panel]:
    """Values by budget and name, several series of them: one panel for each of a few budgets, with a place for each name."""
    cells = [cell for values in series.values() for cell, value in values.items() if value.n]
    ipcs, names = sorted({ipc for ipc, _ in cells}), list(dict.fromkeys(name for _, name in cells))
    panels = []
    for ipc in (ipcs[i] for i in spread(len(ipcs), _MOST_PANELS)):
        marks: list[Level | Series] = [Level(0.0)] if y.endswith("points") else []
        for name, values in series.items():
            own = {names.index(place): value for (i, place), value in values.items() if i == ipc and value.n}
            marks += [Series.of(name, own, line=False, colour=colours[name])] if own else []
        panels.append(Panel(marks, y, "", words.budgets([ipc]), names=names, height=2.2))
    return panels


def examples(group: Group, runs: Sequence[Run]) -> Examples | None:
    """The images that some run kept of the data set of a group."""
    return examples_of(runs, str(group.members["dataset"].iat[0]))


def stored_bits(group: Group, runs: Sequence[Run], classes: int) -> dict[str, int]:
    """Of each label spec of a group the bits of one image's label; specs are left out whose feature maps no run tells of."""
    maps = {labels: entries for run in runs for labels, entries in map_entries(run).items()}
    told = (
        labels for labels in group.arms["labels"] if labels in maps or "features" not in spec.parse(labels)[0].kwargs
    )
    return {labels: worth.label_bits(labels, classes, maps.get(labels, 0)) for labels in told}


def online_bits(group: Group, runs: Sequence[Run]) -> dict[str, int | None]:
    """Of each label spec of a group the bits that it takes once for all images; None where no run tells."""
    sizes = {row["labels"]: expert_sizes(run) for run in runs for row in run.rows}
    return {labels: worth.online_bits(labels, sizes.get(labels, ())) for labels in group.arms["labels"]}


def bytes_axis(axes: Axes) -> None:
    """A mark that makes the x of a panel one of bytes."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(Bytes())
    axes.xaxis.set_minor_formatter(Bytes())


def bytes_shown(bits: int) -> words.Shown:
    """Bits as bytes, in a unit that fits."""
    return words.Shown(words.bits(bits), bits / 8)


def treated(group: Group, operation: str) -> dict[str, dict[Any, list[int]]]:
    """The arms that end in an operation, by the spec without it and by its argument, ascending; arms without one are left out."""
    arms = group.arms.iloc[group.find(op=operation)]
    bases = arms.groupby("base", sort=False)
    return {str(base): {k: a.index.tolist() for k, a in own.groupby("value")} for base, own in bases}


def taught(labels: str, *apart: str) -> str:
    """A label spec of a teacher or of several, as one of a teacher without some of its arguments.

    >>> taught("teachers(3, pool=logits, epoch=20)|topk(3)", "pool")
    'teacher(epoch=20)|topk(3)'
    """
    source, *rest = spec.parse(labels)
    return spec.render((source.without(*apart)._replace(name="teacher", args=()), *rest))
