"""Which loss should students minimise, each loss at its own best rate?

Members that differ in `loss`, on the same images. All are measured against soft cross-entropy, or, where that was not run,
against the first loss of the table.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from jaxsoft.analysis.questions._verbs import best_of, by_loss, edge, ran, rate, side_by_side, union
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, Chart, cut
from jaxsoft.analysis.showing.page import Section, Text, table
from jaxsoft.analysis.statistics.groups import LOSS, Group
from jaxsoft.analysis.statistics.inference import Estimate, told

ORDER = 2
TOGETHER = ("loss",)
_HARD = "hard labels"

Gains = Mapping[tuple[int, str], Estimate]  # by budget and loss, or hard labels


def private(members: pd.DataFrame) -> "pd.Series[bool]":
    """Members with another loss than the default, where that is there too."""
    return (members["loss"] != LOSS) & bool((members["loss"] == LOSS).any())


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """What each loss is worth beside the first, at every budget, where soft labels were learned by several losses."""
    losses = by_loss(group)
    if len(losses) < 2:
        return None
    first, *others = losses
    rivals = group.contrasts(union({name: losses[name] for name in others}), losses[first])
    if not rivals:
        return None
    base, lines, edges, gains, best = _named(first), [], [], {}, {}
    for ipc in group.ipcs:
        there = ran(group, ipc, losses)
        best |= {ipc: best_of(group, ipc, there)} if there else {}
        for name, arms in ran(group, ipc, {**losses, _HARD: group.hard}).items():
            gain, chosen = group.contrast(ipc, arms, losses[first]), rate(group, ipc, arms)
            gains |= {(ipc, name): gain} if gain.n and name != first else {}
            shown, value = name if name == _HARD else words.code(name), group.accuracy(ipc, arms)
            line = {"IPC": ipc, "loss": shown + " (chosen)" * (best.get(ipc) == name)}
            line |= {
                "chosen label spec": group.chosen(ipc, arms),
                "rate": chosen and f"{chosen[0]:g}",
                "test, %": value,
            }
            lines.append({**line, f"minus {base}, points": gains.get((ipc, name)), "n": value.n})
            edges += [f"{shown} at IPC {ipc}"] if chosen and chosen[1] else []
    caption = f"Each loss at the label spec and rate that are best on {group.on}; paired differences; 95 % intervals."
    panels = side_by_side({"": gains}, f"minus {base}, points".replace("`", ""), {"": BLUE})
    shown = f"Test accuracy of each loss minus that of {base}, each with its own labels and rate, chosen on {group.on}."
    said = Text(f"Best on {group.on}: {_chosen(best)}. {_clear(gains)}")
    return Section(
        words.compare("Other losses", base, rivals),
        [said, Chart("losses", panels, shown), table(lines, caption), *edge(edges)],
    )


def _named(loss: str) -> str:
    return "soft cross-entropy" if loss == LOSS else f"`{cut(loss, 24)}`"


def _chosen(best: Mapping[int, str]) -> str:
    """Which loss is chosen at which budgets."""
    names = {name: [ipc for ipc in best if best[ipc] == name] for name in best.values()}
    return words.listed([f"{words.code(name)} {words.where(ipcs, list(best))}" for name, ipcs in names.items()])


def _clear(gains: Gains) -> str:
    """The differences between losses that can be told from zero beside all others."""
    signs = told({cell: value for cell, value in gains.items() if cell[1] != _HARD})
    clear = [
        f"{words.code(cell[1])} at IPC {cell[0]} by {words.points(gains[cell].mean)}" for cell in signs if signs[cell]
    ]
    many = f"Of {len(signs)} differences between losses {len(clear) or 'none'} can be told from zero beside the others"
    return f"{many}: {words.listed(clear)}." if clear else f"{many}."
