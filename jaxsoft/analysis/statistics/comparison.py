"""Sets against random real images: the cells {its images, random} x {its labels, hard, soft}, and what follows from them.

Each cell is the best of its arms, label specs and rates alike, chosen by other units than it is judged by. Every difference
is one contrast of cells, so it is paired and has one interval.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxsoft import spec
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import NOTHING, Estimate, Side, by_unit, contrast, means, told

ITS, RANDOM = "its images", "random images"
OWN, HARD, SOFT = "its labels", "hard", "soft"
KINDS = (OWN, HARD, SOFT)
SOURCE = "distilled"
"""The label source, and the way to select, that name an imported set."""

Cell = tuple[str, str]  # which images, and which labels
Terms = Mapping[Cell, float]  # cells and their weights in a contrast


class Condition(NamedTuple):
    """What sets are compared under, as far as it differs within a group."""

    model: str = ""
    augment: str = ""


class Cells(NamedTuple):
    """One set at one budget under one condition: the arms of each of its cells, as far as some unit was run with them."""

    name: str
    ipc: int
    condition: Condition
    arms: Mapping[Cell, Arms]
    way: str = ""  # what tells it from others: a digest, or the way to select


class Place(NamedTuple):
    """A set in a ranking: its accuracy, how far the first is ahead, and whether that can be told."""

    name: str
    arms: Arms
    accuracy: Estimate
    behind: Estimate
    is_told: bool


def images(kind: str) -> Terms:
    """What the images of a set are worth with one kind of labels: its images less random ones."""
    return {(ITS, kind): 1.0, (RANDOM, kind): -1.0}


def labels(kind: str, of: str) -> Terms:
    """What one kind of labels is worth on some images: less hard labels."""
    return {(of, kind): 1.0, (of, HARD): -1.0}


def interaction(kind: str) -> Terms:
    """By how much labels are worth more on the images of a set than on random ones."""
    return {**labels(kind, ITS), **{cell: -weight for cell, weight in labels(kind, RANDOM).items()}}


def way_of(text: str) -> str:
    """What tells a set from others in a way to select, or in a label spec: its digest; another way is its own name.

    >>> way_of("distilled(mtt, digest=x0123456789ab)"), way_of("decile(i=0)")
    ('x0123456789ab', 'decile(i=0)')
    """
    first = spec.parse(text)[0]
    digest = first.kwargs.get("digest", first.kwargs.get("weights"))
    return str(digest or first.args[0]) if first.name == SOURCE and first.args else text


def names(texts: Iterable[str]) -> dict[str, str]:
    """What sets are called, by what tells them apart; those that would be called alike also by their digests.

    >>> names(["distilled(mtt, digest=x01)", "distilled('sets/mtt', digest=x02)", "herding"])
    {'x01': 'mtt (x01)', 'x02': 'mtt (x02)', 'herding': 'herding'}
    """
    found = {way_of(text): spec.parse(text)[0] for text in texts}
    called = {
        way: str(c.args[0]).rpartition("/")[2] if c.name == SOURCE and c.args else way for way, c in found.items()
    }
    alike = Counter(called.values())
    return {way: name if alike[name] == 1 else f"{name} ({way})" for way, name in called.items()}


def is_of_set(members: pd.DataFrame) -> "pd.Series[bool]":
    """Members whose images or labels are those of an imported set."""
    return members["select"].astype(str).str.match(rf"{SOURCE}\b") | (members["source"] == SOURCE)


def cells(group: Group, condition: Condition, among: Arms) -> list[Cells]:
    """Every set at every budget, of some arms that share a condition."""
    ways = group.arms["select"].astype(str) if "select" in group.arms else ["random"] * len(group.arms)
    of_way = {arm: way_of(way) for arm, way in enumerate(ways) if arm in {*among}}
    own = [way_of(group.labels(arm)) for arm in among if group.arms["source"].iat[arm] == SOURCE]
    called = names([*ways, *(group.labels(arm) for arm in among if group.arms["source"].iat[arm] == SOURCE)])
    found = []
    for way in dict.fromkeys([way for way in of_way.values() if way != "random"] + own):
        sides = {ITS: [arm for arm in among if of_way[arm] == way]}
        sides[RANDOM] = [arm for arm in among if of_way[arm] == "random"]
        kept = (Cells(called[way], ipc, condition, _of_set(group, way, ipc, sides), way) for ipc in group.ipcs)
        found += [of for of in kept if any(cell[0] == ITS or cell[1] == OWN for cell in of.arms)]
    return found


def _of_set(group: Group, way: str, ipc: int, sides: Mapping[str, Arms]) -> dict[Cell, list[int]]:
    there = {of: group.ran(ipc, arms) for of, arms in sides.items()}
    used = {group.labels(arm) for arm in there[ITS]}  # an expert's labels may be stored otherwise for another set
    arms: dict[Cell, list[int]] = {}
    for of, own in there.items():
        for arm in own:
            kind = _kind(group, arm, way)
            if kind and (kind != SOFT or not there[ITS] or group.labels(arm) in used):
                arms.setdefault((of, kind), []).append(arm)
    return arms


def _kind(group: Group, arm: int, way: str) -> str:
    """Whose labels an arm has, as seen by a set; empty for those of another set."""
    if group.arms["source"].iat[arm] == SOURCE:
        return OWN if way_of(group.labels(arm)) == way else ""
    return HARD if arm in group.hard else SOFT


def value(group: Group, of: Cells, terms: Terms) -> Estimate:
    """The weighted sum of some cells of a set; nothing where one was not run."""
    return total(group, [(of, terms)])


def total(group: Group, parts: Sequence[tuple[Cells, Terms]]) -> Estimate:
    """The weighted sum of cells of several sets, or of one under several conditions; a fraction."""
    if not all(cell in of.arms for of, terms in parts for cell in terms):
        return NOTHING
    return contrast(
        *(group.side(of.ipc, of.arms[cell], weight) for of, terms in parts for cell, weight in terms.items())
    )


def draws_as_good(group: Group, of: Cells, kind: str) -> tuple[int, int] | None:
    """How many draws of random images reach what the images of a set do on average, and of how many; None: not run.

    A set is one set: one draw of random images may itself be better than their mean. Each unit has a draw of its own.
    """
    if not {(ITS, kind), (RANDOM, kind)} <= of.arms.keys():
        return None
    its, random = (by_unit(group.side(of.ipc, of.arms[images, kind]))[:, 0] for images in (ITS, RANDOM))
    known = random[np.isfinite(random)]
    return int((known >= means(its)).sum()), len(known)


def ranking(group: Group, ipc: int, sets: Mapping[str, Arms]) -> list[Place]:
    """Sets in the order of their accuracy on validation, each with the arm that the other units choose.

    Whether a set can be told from the first says Holm's correction over all of them.
    """
    sides = {name: group.side(ipc, arms) for name, arms in sets.items() if len(group.ran(ipc, arms))}
    order = sorted(sides, key=lambda name: -_on_validation(sides[name]))
    if not order:
        return []
    first = sides[order[0]]
    behind = {name: contrast(first, sides[name]._replace(weight=-1.0)) for name in order[1:]}
    signs = told(behind)
    places = [Place(order[0], sets[order[0]], contrast(first), NOTHING, False)]
    return places + [Place(n, sets[n], contrast(sides[n]), behind[n], signs[n] > 0) for n in order[1:]]


def _on_validation(side: Side) -> float:
    found = float(means(by_unit(side._replace(test=side.selection)))[0])
    return -np.inf if np.isnan(found) else round(found, 12)
