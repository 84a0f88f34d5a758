"""Does a loss hold across optimizers, each pair of them at its own best rate?

Members that differ in `optimizer`, and mostly in `loss`. What the optimizer is worth under a loss is the spread: the best
optimizer minus the worst one, where a unit is judged under the two that the other units choose on validation.

Reference: Shang et al., "GIFT" (ICLR 2025): a loss that knows no scale is robust to the choice of optimizer.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from jaxsoft.analysis.questions._verbs import best_of, by_loss, ran, rate, side_by_side, union
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import PALETTE, Chart, cut
from jaxsoft.analysis.showing.page import Section, Text, table
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import Estimate, Side, by_unit, contrast

ORDER = 1
TOGETHER = ("optimizer", "loss")
_RIVAL, _BASE = "gift", "kl"

Cells = Mapping[str, Mapping[str, Arms]]  # arms by loss and optimizer


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Accuracy by loss and optimizer, what the optimizer is worth under each loss, and what a choice loses under another."""
    cells = _cells(group) if "optimizer" in group.arms else {}
    pairs = [(ipc, loss) for ipc in group.ipcs for loss in cells if len(ran(group, ipc, cells[loss])) > 1]
    spreads = {pair: value for pair in pairs if (value := contrast(*_spread(group, pair[0], cells[pair[1]]))).n}
    if not spreads:
        return None
    rival, base = (next((loss for loss in cells if loss.partition("(")[0] == name), "") for name in (_RIVAL, _BASE))
    lessened = _lessened(group, spreads, cells[rival], cells[base]) if rival and base else {}
    caption = (
        f"Each pair at the label spec and rate that are best on {group.on}. Spread: the optimizer that is best there minus "
        "the worst one. 95 % intervals."
    )
    told = table([_line(group, ipc, loss, cells[loss], spreads) for ipc, loss in spreads], caption)
    caption = (
        "Tuned under one optimizer and used under another, minus the best there. Rate kept: that of the loss itself, where it "
        "was tried. Loss kept: the loss chosen, at the rate that suits it there."
    )
    crossed = table(list(_crossed(group, cells)), caption, folded=True)
    said = [Text(f"{text}.")] if (text := _rivals(group, cells, rival, base)) else []
    title = _lesser(lessened) if lessened else _differ(spreads)
    return Section(title, [*said, _chart(group, cells, spreads), told, *([crossed] if crossed.rows else [])])


def _cells(group: Group) -> dict[str, dict[str, list[int]]]:
    """Arms by loss and optimizer: of soft labels, of hard ones where there are no others."""
    losses = by_loss(group) or {"hard labels": group.hard}
    under = group.arms["optimizer"].fillna(words.NONE).astype(str)
    names = dict.fromkeys(group.members["optimizer"].fillna(words.NONE).astype(str))
    split = {loss: {name: [arm for arm in own if under[arm] == name] for name in names} for loss, own in losses.items()}
    return {loss: {name: own for name, own in of.items() if own} for loss, of in split.items()}


def _spread(group: Group, ipc: int, of: Mapping[str, Arms], weight: float = 1.0) -> tuple[Side, Side]:
    """The best optimizer and the worst one, as two sides; a unit has each at the rate that the others choose for it."""
    sides = [group.side(ipc, arms) for arms in ran(group, ipc, of).values()]
    selection = np.stack([by_unit(side._replace(test=side.selection)) for side in sides], -1)
    best = Side(np.stack([by_unit(side) for side in sides], -1), selection, weight)
    return best, best._replace(selection=-selection, weight=-weight)


def _lessened(
    group: Group, spreads: Mapping[tuple[int, str], Estimate], rival: Mapping[str, Arms], base: Mapping[str, Arms]
) -> dict[int, Estimate]:
    """By how much the optimizer is worth more under one loss than under another, at every budget that has both."""
    ipcs = [ipc for ipc in group.ipcs if all(len(ran(group, ipc, of)) > 1 for of in (rival, base))]
    values = {ipc: contrast(*_spread(group, ipc, rival), *_spread(group, ipc, base, -1.0)) for ipc in ipcs}
    return {ipc: value for ipc, value in values.items() if value.n}


def _line(
    group: Group, ipc: int, loss: str, of: Mapping[str, Arms], spreads: Mapping[tuple[int, str], Estimate]
) -> dict[str, Any]:
    """One loss at one budget: each optimizer's rate and accuracy, and the spread."""
    line: dict[str, Any] = {"IPC": ipc, "loss": words.code(loss)}
    for optimizer, arms in ran(group, ipc, of).items():
        chosen = rate(group, ipc, arms)
        line |= {f"{optimizer}: rate": chosen and f"{chosen[0]:g}{' (edge)' * chosen[1]}"}
        line |= {f"{optimizer}: test, %": group.accuracy(ipc, arms)}
    return {**line, "spread, points": spreads[ipc, loss], "n": spreads[ipc, loss].n}


def _crossed(group: Group, cells: Cells) -> Iterator[dict[str, Any]]:
    """What is lost by what was chosen under one optimizer, of every two, budget by budget: the rate, and the loss."""
    names = list(dict.fromkeys(name for of in cells.values() for name in of))
    under = {name: {loss: of[name] for loss, of in cells.items() if name in of} for name in names}
    for ipc in group.ipcs:
        there = {name: own for name in names if (own := ran(group, ipc, under[name]))}
        for one, other in permutations(there, 2):
            picked = best_of(group, ipc, there[one])
            for loss in (loss for loss in there[one] if loss in there[other]):
                arms, chosen = there[other][loss], rate(group, ipc, there[one][loss])
                kept = [arm for arm in arms if chosen and group.arms["learning_rate"].iat[arm] == chosen[0]]
                line = {"IPC": ipc, "tuned under": f"`{one}`", "used under": f"`{other}`", "loss": words.code(loss)}
                line |= {"rate kept, points": group.contrast(ipc, kept, arms) if kept else None}
                every = union(there[other])
                lost = group.contrast(ipc, arms, every) if loss == picked and len(there[other]) > 1 else None
                if kept or lost:
                    yield {**line, "loss kept, points": lost}


def _rivals(group: Group, cells: Cells, rival: str, base: str) -> str:
    """The one loss minus the other under each optimizer, where both were run."""
    both = [name for name in cells.get(rival, {}) if name in cells.get(base, {})]
    values = {name: group.contrasts(cells[rival][name], cells[base][name]) for name in both}
    said = [
        f"{words.signed(of[ipc])} under {words.code(name)} at IPC {ipc}"
        for name, of in values.items()
        for ipc in dict.fromkeys((min(of), max(of)))
    ]
    return f"{words.code(rival)} minus {words.code(base)}: {'; '.join(said)}" if said else ""


def _lesser(lessened: Mapping[int, Estimate]) -> str:
    """Whether the optimizer matters less under the one loss than under the other."""
    ipc, sign = words.most(lessened)
    one, other = f"`{_RIVAL}`", f"`{_BASE}`"
    size = f"{words.signed(lessened[ipc])} at IPC {ipc}" + (f" (of {len(lessened)})" if len(lessened) > 1 else "")
    if not sign:
        return f"The optimizer under {one} and {other}: no clear change, {size}"
    return f"The optimizer matters {'more' if sign > 0 else 'less'} under {one} than {other}: {size}"


def _differ(spreads: Mapping[tuple[int, str], Estimate]) -> str:
    """The largest spread of a loss, at the smallest budget."""
    ipc = min(ipc for ipc, _ in spreads)
    loss, value = max(((name, v) for (i, name), v in spreads.items() if i == ipc), key=lambda pair: pair[1].mean)
    return f"The optimizer is worth {words.signed(value)} under {words.code(cut(loss, 20))} at IPC {ipc}"


def _chart(group: Group, cells: Cells, spreads: Mapping[tuple[int, str], Estimate]) -> Chart:
    """Accuracy by loss, a series for each optimizer."""
    names = dict.fromkeys(name for of in cells.values() for name in of)
    series = {
        name: {(i, loss): group.accuracy(i, cells[loss][name]) for i, loss in spreads if name in cells[loss]}
        for name in names
    }
    colours = dict(zip(names, [PALETTE[i % len(PALETTE)] for i in range(len(names))]))
    caption = f"Test accuracy by loss and optimizer, each pair with its own labels and rate, chosen on {group.on}."
    return Chart("optimizers", side_by_side(series, "test accuracy, %", colours), caption)
