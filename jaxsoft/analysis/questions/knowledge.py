"""How much of a soft label should a student get, for how many images? The data-knowledge scaling of the paper.

`SOURCE|topk(k)` keeps the k largest probabilities; the source itself keeps all, hard labels say the least.
"""

import math
import statistics
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from jaxsoft.analysis import words
from jaxsoft.analysis.chart import Chart, Heat, Panel
from jaxsoft.analysis.groups import Arms, Group
from jaxsoft.analysis.inference import told
from jaxsoft.analysis.page import Block, Section, Table, Text, table
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.worth import images_for

ORDER = 5

Cuts = dict[float, Arms]
"""The arms of one source by the k that is kept, infinite for all, ascending."""


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Accuracy by knowledge and data, a figure for each source of labels that was cut to several k."""
    sources = _sources(group)
    if not sources:
        return None
    owner = {arm: source for source, cuts in sources.items() for arm in _all(cuts)}
    best = {ipc: group.choose(ipc, list(owner)) for ipc in group.budgets(list(owner))}
    lines = {
        (ipc, source): _line(group, source, cuts, ipc)
        for source, cuts in sources.items()
        for ipc in group.budgets(_all(cuts))
    }
    chosen = {ipc: owner[arm] for ipc, arm in best.items() if arm is not None}
    beyond = {ipc: group.contrast(ipc, _all(sources[s]), next(iter(sources[s].values()))) for ipc, s in chosen.items()}
    least = _name(max(min(cuts) for cuts in sources.values()))
    caption = (
        f"The source and the k chosen on {group.on} at each IPC: test accuracy, and gains, each seed against itself with the "
        "k that the other seeds choose; 95 % intervals."
    )
    blocks: list[Block] = [Text(_said(group, list(owner), sources, chosen)), *_charts(group, sources)]
    blocks.append(table([lines[pair] for pair in chosen.items()], caption))
    blocks += _iso(group, sources[statistics.mode(chosen.values())])
    if len(sources) > 1:
        every = [lines[pair] for pair in sorted(lines, key=lambda pair: pair[0])]
        blocks.append(table(every, caption.replace("The source and the k", "Of every source the k"), folded=True))
    return Section(words.compare("Larger k", f"k = {least}", beyond), blocks)


def _sources(group: Group) -> dict[str, Cuts]:
    """Every source that was cut to several k, in the order of teacher epochs."""
    found = {}
    for base in dict.fromkeys(group.arms["base"].iloc[group.find(op="topk")]):
        cut = group.arms.iloc[group.find(op="topk", base=base)]
        cuts = {float(k): group.find(op="topk", base=base, value=k) for k in sorted(set(cut["value"]))}
        whole = {math.inf: group.of(base)} if group.of(base) else {}
        if len(cuts) > 1:
            found[base] = cuts | whole
    return found


def _all(cuts: Cuts) -> list[int]:
    return [arm for arms in cuts.values() for arm in arms]


def _name(k: float) -> str:
    return "all" if math.isinf(k) else str(int(k))


def _best_k(group: Group, cuts: Cuts, ipc: int) -> float:
    pick = group.choose(ipc, _all(cuts))
    return next(k for k, arms in cuts.items() if pick in arms)


def _line(group: Group, source: str, cuts: Cuts, ipc: int) -> dict:
    """One source at one IPC: the k chosen, its accuracy, and what it adds to hard labels and to the smallest k."""
    value, over = group.accuracy(ipc, _all(cuts)), group.contrast(ipc, _all(cuts), group.ran(ipc, group.hard))
    least = min(cuts)
    return {
        "IPC": ipc,
        "source": f"`{source}`",
        "best k": _name(_best_k(group, cuts, ipc)),
        "test, %": value,
        "over hard, points": over if over.n else None,
        f"over k = {_name(least)}, points": group.contrast(ipc, _all(cuts), cuts[least]),
        "n": value.n,
    }


def _said(group: Group, every: Arms, sources: dict[str, Cuts], chosen: dict[int, str]) -> str:
    """Where soft labels beat hard ones, and the path of the best k."""
    said, path = [], {ipc: f"{_name(_best_k(group, sources[s], ipc))} of `{s}`" for ipc, s in chosen.items()}
    if over := group.contrasts(every, group.hard):
        sure = [ipc for ipc, sign in told(over).items() if sign > 0]
        said.append(
            f"With the k and the source chosen on {group.on} soft labels beat hard labels {words.where(sure, list(over))}."
        )
    ipcs = list(path)
    if len(set(path.values())) == 1:
        said.append(f"Best k: {path[ipcs[0]]} {words.where(ipcs, ipcs)}.")
    else:
        said.append(f"Best k: {path[ipcs[0]]} at IPC {ipcs[0]}, {path[ipcs[-1]]} at IPC {ipcs[-1]}.")
    return " ".join(said)


def _surface(group: Group, cuts: Cuts, ipcs: Sequence[int]) -> np.ndarray:
    """Mean test accuracy by k and IPC, of the best setting of each."""
    return np.array([[group.accuracy(ipc, group.ran(ipc, arms)).mean for ipc in ipcs] for arms in cuts.values()])


def _charts(group: Group, sources: dict[str, Cuts]) -> list[Chart]:
    """Accuracy by k and IPC with lines of equal accuracy, hard labels as a row below; dots: the k chosen."""
    ipcs = {source: group.budgets(_all(cuts)) for source, cuts in sources.items()}
    surfaces = {source: _surface(group, cuts, ipcs[source]) for source, cuts in sources.items()}
    hard = {source: _surface(group, {0.0: group.hard}, ipcs[source]) for source in sources}
    values = np.concatenate([part.ravel() for side in (surfaces, hard) for part in side.values()])
    limits = float(np.nanmin(values)), float(np.nanmax(values))
    levels = list(MaxNLocator(12, steps=[1, 2, 5, 10]).tick_values(*(100 * end for end in limits)))
    charts = []
    for i, (source, cuts) in enumerate(sources.items(), 1):
        columns, ks = [str(ipc) for ipc in ipcs[source]], list(cuts)
        best = [_best_k(group, cuts, ipc) for ipc in ipcs[source]]
        heat = Heat(surfaces[source], list(map(_name, ks)), columns, "test accuracy, %", limits, levels=levels,
                    dots=[(ks.index(k), c) for c, k in enumerate(best)])  # fmt: skip
        panels = [Panel([heat], "k, probabilities kept", height=0.5 + 0.3 * len(ks))]
        if np.isfinite(hard[source]).any():
            panels.append(Panel([Heat(hard[source], ["hard"], columns, "test accuracy, %", limits)], "", height=0.35))
        caption = (
            f"Test accuracy with `{source}|topk(k)`: the k largest probabilities are kept, the others zeroed. On a line "
            f"knowledge is exchanged for images at equal accuracy. Dots: the k chosen on {group.on}."
        )
        alt = "; ".join(f"IPC {ipc}: k = {_name(k)}" for ipc, k in zip(columns, best))
        name, said = "knowledge" + (f"-{i}" if len(sources) > 1 else ""), "lines: equal accuracy, %; dots: the k chosen"
        charts.append(
            Chart(name, panels, caption, said, f"Heat map of accuracy by k and IPC, {source}. Chosen: {alt}.", 1)
        )
    return charts


def _iso(group: Group, cuts: Cuts) -> list[Table]:
    """The images per class that a few round accuracies take, by label spec; beyond those measured a bound."""
    ipcs = group.budgets(_all(cuts))
    ends = 100 * np.nanquantile(_surface(group, cuts, ipcs), (0, 1))
    targets = [t / 100 for t in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(*ends) if ends[0] < t < ends[1]]

    def told_(ipc: float) -> str:
        return f"≤ {min(ipcs)}" if math.isnan(ipc) else f"> {max(ipcs)}" if math.isinf(ipc) else words.times(ipc)

    def cell(ipc: float, low: float, high: float) -> str:
        known = math.isfinite(ipc) and not math.isnan(high)
        return told_(ipc) + (f" [{told_(low)}, {told_(high)}]" if known else "")

    specs = {group.labels(arms[0]): arms for arms in (group.hard, *cuts.values()) if arms}
    lines = []
    for labels, arms in specs.items():
        cells = map(cell, *images_for(group, arms, targets))
        lines.append({"labels": f"`{labels}`"} | {f"images for {100 * t:g} %": text for t, text in zip(targets, cells)})
    caption = "Images per class that an accuracy takes, interpolated between the measured budgets, with 95 % intervals."
    return [table(lines, caption)] if targets else []
