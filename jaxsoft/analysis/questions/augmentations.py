"""What is an augmentation worth, and do sets of images keep their lead without it?

Members that differ in `augment`. Each is measured against none, or, where that was not run, against the first of the table.

Reference: Li et al., "DD-Ranking" (2025): the augmentation-robust score.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxsoft.analysis.questions._verbs import ran, regimes
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.page import Section, table
from jaxsoft.analysis.statistics import scores
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import by_unit, estimate, told

ORDER = 2
TOGETHER = ("augment", "select")
_RANDOM = "random"
ARS = "ARS, (e^a − 1/e)/(e − 1/e) of the mean of both leads, as fractions, per seed; 26.9 % where there is none."

Cells = Mapping[str, Mapping[str, Sequence[int]]]  # arms by way of choosing images and augmentation


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Accuracy with each augmentation minus that without, by kind of labels and images; scores of images beside random ones."""
    names = list(dict.fromkeys(group.arms["augment"].astype(str))) if "augment" in group.arms else []
    if len(names) < 2:
        return None
    plain = base(names)
    kinds = {kind: _cells(group, arms) for kind, arms in regimes(group).items()}
    lines = [line for kind, cells in kinds.items() for line in _gains(group, kind, cells, plain)]
    scored = [line for kind, cells in kinds.items() for line in _scores(group, kind, cells, plain)]
    if not lines:
        return None
    on = f"Each at the label spec and rate that are best on {group.on}"
    shown = table(lines, f"{on}; paired differences; 95 % intervals.", folded=len(lines) > 24)
    tables = [shown, table(scored, f"{on}. {ARS}")] if scored else [shown]
    clear = sum(map(bool, told({i: line[_minus(plain)] for i, line in enumerate(lines)}).values()))
    return Section(f"Augmentation changes {clear} of {len(lines)} accuracies", tables)


def base(names: Sequence[str]) -> str:
    """The augmentation that others are measured against: none, else the first."""
    return "none" if "none" in names else names[0]


def robust(group: Group, ipc: int, arms: Sequence[Arms], base: str) -> dict[str, Any]:
    """Leads over random images with an augmentation and with the base, and the score that weighs both; columns of a table.

    Args:
      arms: of the images that are judged and of random ones, with the augmentation, then of both with the base.
    """
    own, random, own_plain, random_plain = (by_unit(group.side(ipc, each))[:, 0] for each in arms)
    score = scores.augmentation_scores(own, random, own_plain, random_plain)
    leads = group.contrast(ipc, *arms[:2]), group.contrast(ipc, *arms[2:])
    both = {"lead over random with, points": leads[0], f"with {base}, points": leads[1]}
    return {**both, "ARS, %": estimate(score.ars), "n": leads[0].n}


def _minus(base: str) -> str:
    return f"minus {base}, points"


def _cells(group: Group, arms: Sequence[int]) -> Cells:
    one = [group.members["select"].iat[0]] * len(group.arms)
    ways = [str(way or _RANDOM) for way in group.arms.get("select", one)]
    found: dict[str, dict[str, list[int]]] = {}
    for arm in arms:
        found.setdefault(ways[arm], {}).setdefault(str(group.arms["augment"].iat[arm]), []).append(arm)
    return found


def _gains(group: Group, kind: str, cells: Cells, base: str) -> Iterator[dict[str, Any]]:
    """Every augmentation but the base, by budget and images."""
    for ipc in group.ipcs:
        for way, own in cells.items():
            there = ran(group, ipc, own)
            plain = there.pop(base, [])
            for name, arms in there.items():
                if (gain := group.contrast(ipc, arms, plain)).n:
                    line = {"IPC": ipc, "labels": kind, "images": words.code(way), "augmentation": words.code(name)}
                    both = {"test, %": group.accuracy(ipc, arms), f"{base}, %": group.accuracy(ipc, plain)}
                    yield {**line, **both, _minus(base): gain, "n": gain.n}


def _scores(group: Group, kind: str, cells: Cells, base: str) -> Iterator[dict[str, Any]]:
    """The augmentation-robust score of images that are not random, beside random ones, budget by budget."""
    for ipc in group.ipcs:
        there = {way: ran(group, ipc, own) for way, own in cells.items()}
        random = there.pop(_RANDOM, {})
        for way, own in there.items():
            for name in [name for name in own if name != base and {name, base} <= own.keys() & random.keys()]:
                line = {"IPC": ipc, "labels": kind, "images": words.code(way), "augmentation": words.code(name)}
                yield line | robust(group, ipc, [own[name], random[name], own[base], random[base]], base)
