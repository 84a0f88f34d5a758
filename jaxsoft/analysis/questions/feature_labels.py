"""What do feature maps in labels add, beyond hard rows and beyond soft rows?

`teacher(epoch=e, features=-1)|hard` holds the true class and a feature map of the teacher, `teacher(epoch=e, features=-1)`
its probabilities and that map. Each is compared to the same rows without maps, learned by soft cross-entropy: the hard
rows are `hard` itself.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from jaxsoft import spec
from jaxsoft.analysis.questions._verbs import edge, ran, rate, side_by_side, union
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, ORANGE, Chart
from jaxsoft.analysis.showing.page import Section, Text, table
from jaxsoft.analysis.statistics.groups import LOSS, Arms, Group
from jaxsoft.analysis.statistics.inference import Estimate, told

ORDER = 1
TOGETHER = ("loss",)
_GAIN = "gain, points"
_COLOURS = {"hard rows": BLUE, "soft rows": ORANGE}

Sets = Mapping[tuple[str, str, str], Arms]  # by rows as a label spec, layer, loss


def private(members: pd.DataFrame) -> "pd.Series[bool]":
    """Members whose labels hold feature maps."""
    return pd.Series([_maps(labels)[1] != "" for labels in members["labels"]], members.index, dtype=bool)


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Labels with feature maps against the same rows without, by rows, layer and loss, where both were run."""
    sets = _sets(group)
    bare = {rows: [arm for arm in group.of(rows) if group.losses[arm] == LOSS] for rows, _, _ in sets}
    lines, gains, edges = [], {}, []
    for ipc in group.ipcs:
        for (rows, layer, loss), arms in ran(group, ipc, sets).items():
            if not (gain := group.contrast(ipc, arms, bare[rows])).n:
                continue
            gains[ipc, rows, layer, loss] = gain
            line = {"IPC": ipc, "rows": f"`{rows}`", "maps after block": layer, "loss": words.code(loss)}
            line |= {"without, %": group.accuracy(ipc, bare[rows]), "with, %": group.accuracy(ipc, arms)}
            lines.append({**line, _GAIN: gain, "n": gain.n})
            chosen = rate(group, ipc, arms)
            edges += [f"{words.code(loss)} at IPC {ipc}"] if chosen and chosen[1] else []
    if not lines:
        return None
    kinds = {kind: _of_kind(sets, kind) for kind in _COLOURS}
    best = {
        kind: group.contrasts(union(own), union({k: bare[k[0]] for k in own})) for kind, own in kinds.items() if own
    }
    said = [words.compare("Feature maps", f"{kind} alone", values) for kind, values in best.items() if values]
    caption = f"Rates, and what the title says, chosen on {group.on}; paired differences; 95 % intervals."
    shown = "Test accuracy with feature maps in the labels minus that of the same rows without, by block and weight."
    chart = Chart("feature-labels", side_by_side(_series(gains), _GAIN, _COLOURS), shown)
    texts = [Text(f"{'. '.join(said[1:])}.")] if said[1:] else []
    return Section(said[0], [*texts, Text(_clear(gains)), chart, table(lines, caption), *edge(edges)])


def _maps(labels: str) -> tuple[str, str]:
    """The same rows without feature maps, and after which block those are of; empty if there are none."""
    source, *operations = spec.parse(labels)
    is_hard = bool(operations) and operations[0].name == "hard"
    first = [] if is_hard else [source.without("features")]
    return spec.render((*first, *operations)), str(source.kwargs.get("features", ""))


def _sets(group: Group) -> Sets:
    """The arms whose labels hold feature maps."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for arm, loss in enumerate(group.losses):
        rows, layer = _maps(group.labels(arm))
        if layer:
            found.setdefault((rows, layer, str(loss)), []).append(arm)
    return found


def _kind(rows: str) -> str:
    return "hard rows" if rows == "hard" else "soft rows"


def _of_kind(sets: Sets, kind: str) -> Sets:
    return {key: arms for key, arms in sets.items() if _kind(key[0]) == kind}


def _series(gains: Mapping[tuple[int, str, str, str], Estimate]) -> dict[str, dict[tuple[int, str], Estimate]]:
    """Gains by kind of rows, then by budget, block and what the loss says of itself; of several soft rows the last."""
    found: dict[str, dict[tuple[int, str], Estimate]] = {}
    for (ipc, rows, layer, loss), gain in gains.items():
        found.setdefault(_kind(rows), {})[
            ipc, f"block {layer}: {loss.removeprefix('features').strip('()') or 'features'}"
        ] = gain
    return found


def _clear(gains: Mapping[tuple[int, str, str, str], Estimate]) -> str:
    """How many of all differences can be told from zero beside the others."""
    signs = list(told(gains).values())
    return f"Of {len(signs)} differences {signs.count(1)} are clear gains beside the others, {signs.count(-1)} clear losses."
