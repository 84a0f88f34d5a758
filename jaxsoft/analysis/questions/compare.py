"""What are the images of a set worth beside random real ones, and what are its labels worth beside hard ones?

Sets are ways to select: imported ones, `distilled(NAME)`, or choices of real images. Each is compared in the cells {its images,
random ones} x {its labels, hard, soft}, each at its own best label spec and rate. Asked where a set is imported, or where
ways to select and random images have hard and soft labels at several rates.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import pandas as pd

from jaxsoft.analysis.questions import _compare_bytes, _compare_tables
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import Chart, Panel, Series, cut, spread
from jaxsoft.analysis.showing.page import Block, Section, Table, Text, table
from jaxsoft.analysis.statistics import comparison
from jaxsoft.analysis.statistics.comparison import HARD, ITS, KINDS, OWN, RANDOM, SOFT, Cells, Condition, Terms
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import FEWEST, told

ORDER = 0
TOGETHER = ("select", "model", "augment")
ANSWERS = ("augmentations", "label_bytes", "optimism")
_MOST_PANELS, _LONGEST, _MOST_LINES = 4, 18, 24
_IMAGES: Mapping[str, Terms] = {f"images, {kind}, points": comparison.images(kind) for kind in KINDS}
_LABELS: Mapping[str, Terms] = {
    **{
        f"{kind} on {of}, points": comparison.labels(kind, of)
        for kind, of in ((OWN, ITS), (OWN, RANDOM), (SOFT, ITS), (SOFT, RANDOM))
    },
    **{f"{kind} more on its images, points": comparison.interaction(kind) for kind in (OWN, SOFT)},
}

Found = Mapping[Condition, Sequence[Cells]]


def private(members: pd.DataFrame) -> "pd.Series[bool]":
    """Members whose images were not drawn at random, or whose labels are a set's."""
    return comparison.is_of_set(members) | (members["select"].notna() & (members["select"] != "random"))


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """The cells of every set, what follows from them, and the rules under which they were made."""
    found = {under: comparison.cells(group, under, arms) for under, arms in _conditions(group).items()}
    found = {under: kept for under, of in found.items() if (kept := [c for c in of if _is_compared(c)])}
    if not found or not _is_asked(group, found):
        return None
    every = list(chain.from_iterable(found.values()))
    images = [own | _draws(group, of) for of in every if (own := _worth(group, of, _IMAGES))]
    labels = list(filter(None, (_worth(group, of, _LABELS) for of in every)))
    blocks: list[Block] = [
        _chart(group, found),
        table([_line(group, of) for of in every], _CELLS.format(group.on), folded=len(every) > _MOST_LINES),
        table(images, _OF_IMAGES, folded=len(every) > _MOST_LINES),
        table(labels, _OF_LABELS, folded=len(every) > _MOST_LINES),
        table(list(_ranked(group, found)), _RANKING.format(group.on)),
        *_rules(group, runs),
        *_compare_tables.transferred(group, found),
        *_compare_tables.robust(group, found),
        *_compare_tables.flattered(group, every),
        *_compare_tables.scored(group, every, runs),
        *_compare_bytes.stored(group, every, runs),
    ]
    return Section(
        _title(group, every), [block for block in blocks if not (isinstance(block, Table) and not block.rows)]
    )


_CELLS = (
    "Test accuracy of each set in six cells: its images or random real ones, drawn anew for each seed, with its labels, with hard "
    "ones and with an expert's soft ones. Every cell at the label spec and rate that are best on {}; equal steps and "
    "augmentation; 95 % intervals over seeds."
)
_OF_IMAGES = (
    "What the images are worth, with each kind of labels: its images minus random ones, each seed against itself, 95 % intervals. "
    "Draws as good: how many of the draws of random images reach the mean of its images, for a set is one set, and one draw may "
    "be a lucky one."
)
_OF_LABELS = (
    "What labels are worth, on each kind of images: minus hard labels. More on its images: the difference of the two. Each seed "
    "against itself, 95 % intervals."
)
_RANKING = (
    "All sets and random images, each with the labels and rate that suit it, in the order of {}; labels of a set on random images "
    "have no place. Behind the first: paired, on test. Told: by Holm's correction over all sets."
)


def _conditions(group: Group) -> dict[Condition, Arms]:
    """The arms of each architecture and augmentation; of one alone under an empty name."""
    one = [""] * len(group.arms)
    named = [group.arms[name].astype(str).tolist() if name in group.arms else one for name in Condition._fields]
    each = list(map(Condition, *named))
    return {under: [arm for arm, own in enumerate(each) if own == under] for under in dict.fromkeys(each)}


def _is_compared(of: Cells) -> bool:
    """Whether some images or labels of a set stand beside others."""
    return any(all(cell in of.arms for cell in terms) for terms in [*_IMAGES.values(), *_LABELS.values()])


def _is_asked(group: Group, found: Found) -> bool:
    """Whether a set is imported, or some way to select is crossed with hard and soft labels at several rates."""
    crossed = {(of, kind) for of in (ITS, RANDOM) for kind in (HARD, SOFT)}
    full = [of for every in found.values() for of in every if crossed <= of.arms.keys()]
    rates = group.arms.get("learning_rate")
    is_tuned = rates is not None and any(rates.iloc[list(of.arms[ITS, HARD])].nunique() > 1 for of in full)
    return is_tuned or bool(comparison.is_of_set(group.members).any())


def _line(group: Group, of: Cells) -> dict[str, Any]:
    """The six cells of a set."""
    cells = {f"{images}: {kind}, %": ((images, kind), 1.0) for images in (ITS, RANDOM) for kind in KINDS}
    values = {name: comparison.value(group, of, dict([term])) for name, term in cells.items()}
    n = max(value.n for value in values.values())
    return {**_compare_tables.named(of), **{name: value for name, value in values.items() if value.n}, "n": n}


def _worth(group: Group, of: Cells, differences: Mapping[str, Terms]) -> dict[str, Any]:
    """What images, or labels, of a set are worth; nothing if it lacks what they would stand beside."""
    values = {name: comparison.value(group, of, terms) for name, terms in differences.items()}
    known = {name: value for name, value in values.items() if value.n}
    return {**_compare_tables.named(of), **known} if known else {}


def _draws(group: Group, of: Cells) -> dict[str, str]:
    """How many draws of random images are as good as a set."""
    draws = {kind: found for kind in KINDS if (found := comparison.draws_as_good(group, of, kind))}
    return {f"draws as good, {kind}": f"{count} of {n}" for kind, (count, n) in draws.items()}


def _ranked(group: Group, found: Found) -> Iterator[dict[str, Any]]:
    """Every budget and condition with its sets in order."""
    for condition, every in found.items():
        for ipc in sorted({of.ipc for of in every}):
            here = [of for of in every if of.ipc == ipc]
            for i, place in enumerate(comparison.ranking(group, ipc, _rivals(here))):
                chosen = group.choose(ipc, place.arms)
                line = {**_compare_tables.named(Cells(place.name, ipc, condition, {})), "place": i + 1}
                line |= {"chosen label spec": None if chosen is None else words.code(group.labels(chosen))}
                line |= {"test, %": place.accuracy, "behind the first, points": place.behind if i else None}
                yield {**line, "told from the first": ("yes" if place.is_told else "no") if i else None}


def _rivals(here: Sequence[Cells]) -> dict[str, list[int]]:
    """The arms of each set with its own images, and of random images with labels that are nobody's own."""
    sets = {
        of.name: sorted({arm for (images, _), own in of.arms.items() if images == ITS for arm in own}) for of in here
    }
    random = {arm for of in here for kind in (HARD, SOFT) for arm in of.arms.get((RANDOM, kind), ())}
    return sets | ({"random": sorted(random)} if random else {})


def _title(group: Group, every: Sequence[Cells]) -> str:
    """In how many cases the images of a set beat random ones, by kind of labels, told beside all others."""
    many = "sets" if len({(of.ipc, of.condition) for of in every}) == 1 else "cases"
    said = []
    for kind in (SOFT, HARD, OWN):
        values = {i: comparison.value(group, of, comparison.images(kind)) for i, of in enumerate(every)}
        values = {i: value for i, value in values.items() if value.n}
        if values:
            wins = list(told(values).values()).count(1)
            said.append((kind, wins, len(values), max(value.n for value in values.values())))
    if not said:
        return "What labels are worth, on the images of sets and on random ones"
    if (n := max(most for *_, most in said)) < FEWEST:
        return f"Images of sets and random ones: too few seeds to tell (n = {n})"
    (kind, wins, of, _), *rest = said
    more = "".join(f", with {_own(name)} {won} of {n}" for name, won, n, _ in rest)
    return f"Images beat random ones in {wins} of {of} {many} with {_own(kind)}{more}"


def _own(kind: str) -> str:
    return f"their {kind.removeprefix('its ')}" if kind == OWN else _compare_tables.with_kind(kind)


def _rules(group: Group, runs: Sequence[Run]) -> list[Text]:
    """Under which rules the numbers were made; all settings stand at the end of a report."""
    told = [run.config.get("student", {}) for run in runs]
    same = {
        name: {str(own[name]) for own in told if name in own} for name in dict.fromkeys(k for own in told for k in own)
    }
    members = group.members
    columns = [
        c
        for c in ("model", "steps", "optimizer", "loss", "augment", "weight_decay", "learning_rate", "protocol")
        if c in members
    ]
    of_rows = {c: [words.code(v) for v in members[c].dropna().unique().tolist()] for c in columns}
    settings = {name: [words.code(value) for value in sorted(values)] for name, values in same.items() if values}
    lines = {**settings, **{name: values for name, values in of_rows.items() if values}}
    said = "; ".join(f"{name.replace('_', ' ')} {words.listed(values)}" for name, values in sorted(lines.items()))
    return [Text(f"The same for every cell, or tried in every cell: {said}.")]


def _chart(group: Group, found: Found) -> Chart:
    """Accuracy of every cell, a panel for each of a few budgets and conditions."""
    places = [(condition, ipc) for condition, every in found.items() for ipc in sorted({of.ipc for of in every})]
    panels = []
    for condition, ipc in (places[i] for i in spread(len(places), _MOST_PANELS)):
        here = [of for of in found[condition] if of.ipc == ipc]
        marks = []
        for images in (ITS, RANDOM):
            for kind in KINDS:
                values = {i: comparison.value(group, of, {(images, kind): 1.0}) for i, of in enumerate(here)}
                own = {i: value for i, value in values.items() if value.n}
                style: dict[str, Any] = {
                    "line": False,
                    "colour": _compare_tables.COLOURS[kind],
                    "marker": _compare_tables.MARKERS[kind],
                    "hollow": images == RANDOM,
                }
                marks += [Series.of(f"{images}, {_compare_tables.with_kind(kind)}", own, **style)] if own else []
        title = ", ".join([words.budgets([ipc]), *(cut(part, 30) for part in condition if part)])
        names = [cut(of.name, _LONGEST) for of in here]
        panels.append(Panel(marks, x="set", title=title, names=names, height=2.8))
    caption = "Test accuracy by set, images and kind of labels, each cell at its own best rate."
    return Chart("compare", panels, caption, "filled: its images; hollow: random ones; bars: 95 % intervals", across=1)
