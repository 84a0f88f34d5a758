"""How much of a soft label should a student get, for how many images? The data-knowledge scaling of the paper.

`SOURCE|topk(k)` keeps the k largest probabilities; the source itself keeps all, hard labels say the least.
"""

import math
import statistics
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from jaxsoft.analysis.questions._verbs import best_of, judged, treated, union
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import Chart, Heat, Panel
from jaxsoft.analysis.showing.page import Section, Table, Text, table
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import Estimate, told
from jaxsoft.analysis.statistics.worth import images_for

ORDER = 5

Cuts = dict[float, list[int]]  # the arms of one source by the k that is kept, infinite for all, ascending


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Accuracy by the number of label entries that were kept, where a source was cut to several."""
    cut = cut_sources(group)
    ipcs = {source: where for source, cuts in cut.items() if (where := judged(group, union(cuts)))}
    if not ipcs:
        return None
    sources = {source: cut[source] for source in ipcs}
    least = {min(cuts) for cuts in sources.values()}
    smallest = f"k = {_name(min(least))}" if len(least) == 1 else "the smallest k"
    over, chosen, lines = f"over {smallest}, points", {}, {}
    for ipc in sorted(set(sum(ipcs.values(), []))):
        here = {source: union(cuts) for source, cuts in sources.items() if ipc in ipcs[source]}
        for source, arms in here.items():
            value, cuts = group.accuracy(ipc, arms), sources[source]
            line = {"IPC": ipc, "source": f"`{source}`", "best k": _name(best_of(group, ipc, cuts)), "test, %": value}
            line |= {"over hard, points": group.contrast(ipc, arms, group.hard)}
            lines[ipc, source] = line | {over: group.contrast(ipc, arms, cuts[min(cuts)]), "n": value.n}
        chosen[ipc] = best_of(group, ipc, here)
    caption = f"The source and the k chosen on {group.on} at each IPC: test accuracy and paired gains, 95 % intervals. Seeds choose k inside of it; among all sources they may choose another."
    path = {ipc: f"{lines[ipc, source]['best k']} of `{source}`" for ipc, source in chosen.items()}
    every, most = [arm for cuts in sources.values() for arm in union(cuts)], statistics.mode(chosen.values())
    tables = [table([lines[pair] for pair in chosen.items()], caption), *_iso(group, sources[most], ipcs[most])]
    if len(sources) > 1:
        caption = caption.replace("The source and the k", "Of every source the k")
        tables.append(table(list(lines.values()), caption, folded=True))
    title = words.compare("Larger k", smallest, {ipc: lines[ipc, source][over] for ipc, source in chosen.items()})
    return Section(title, [Text(_said(group, every, path)), *_charts(group, sources, ipcs), *tables])


def cut_sources(group: Group) -> dict[str, Cuts]:
    """Every source that was cut to several k, in the order of teacher epochs."""
    cut = {source: cuts for source, cuts in treated(group, "topk").items() if len(cuts) > 1}
    return {base: cuts | ({math.inf: whole} if (whole := group.of(base)) else {}) for base, cuts in cut.items()}


def _name(k: float) -> str:
    return "all" if math.isinf(k) else str(int(k))


def _said(group: Group, every: Arms, path: dict[int, str]) -> str:
    """Where soft labels beat hard ones, and the path of the best k."""
    said, ipcs = "", list(path)
    if over := group.contrasts(every, group.hard):
        sure = [ipc for ipc, sign in told(over).items() if sign > 0]
        said = f"With the k and the source chosen on {group.on} soft labels beat hard labels {words.where(sure, list(over))}. "
    same = words.where(ipcs, ipcs) if len(set(path.values())) == 1 else ""
    return f"{said}Best k: {path[ipcs[0]]} {same or f'at IPC {ipcs[0]}, {path[ipcs[-1]]} at IPC {ipcs[-1]}'}."


def _surface(group: Group, sets: Iterable[Arms], ipcs: Sequence[int]) -> np.ndarray:
    """Mean test accuracy by set of arms and IPC, of the best of each."""
    return np.array([[group.accuracy(ipc, group.ran(ipc, arms)).mean for ipc in ipcs] for arms in sets])


def _charts(group: Group, sources: dict[str, Cuts], ipcs: dict[str, list[int]]) -> list[Chart]:
    """Accuracy by k and IPC with lines of equal accuracy, hard labels as a row below; dots: the k chosen."""
    maps = {source: _surface(group, [group.hard, *cuts.values()], ipcs[source]) for source, cuts in sources.items()}
    ends = np.array([[np.nanmin(values), np.nanmax(values)] for values in maps.values()])
    limits = float(ends[:, 0].min()), float(ends[:, 1].max())
    levels = list(MaxNLocator(12, steps=[1, 2, 5, 10]).tick_values(*(100 * end for end in limits)))
    charts = []
    for source, cuts in sources.items():
        hard, values = maps[source][:1], maps[source][1:]
        columns, ks = [str(ipc) for ipc in ipcs[source]], list(cuts)
        best = [best_of(group, ipc, cuts) for ipc in ipcs[source]]
        heat = Heat(values, [_name(k) for k in ks], columns, "test accuracy, %", limits, levels=levels,
                    dots=[(ks.index(k), c) for c, k in enumerate(best)])  # fmt: skip
        panels = [Panel([heat], "k, probabilities kept", height=0.5 + 0.3 * len(ks))]
        if np.isfinite(hard).any():
            panels.append(Panel([Heat(hard, ["hard"], columns, "test accuracy, %", limits)], "", height=0.35))
        caption = f"Test accuracy with `{source}|topk(k)`: all but the k largest zeroed. Dots: chosen on {group.on}."
        picks = "; ".join(f"IPC {ipc}: k = {_name(k)}" for ipc, k in zip(columns, best))
        alt = f"Heat map of accuracy by k and IPC, {source}. Chosen: {picks}."
        said = "lines: equal accuracy, %; dots: the k chosen"
        charts.append(Chart("knowledge", panels, caption, said, alt, across=1))
    return charts


def _iso(group: Group, cuts: Cuts, ipcs: Sequence[int]) -> list[Table]:
    """The images per class that a few round accuracies take, by label spec; beyond those measured a bound."""
    ends = 100 * np.nanquantile(_surface(group, cuts.values(), ipcs), (0, 1))
    targets = [t / 100 for t in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(*ends) if ends[0] < t < ends[1]]
    if not targets:
        return []

    def images(ipc: float) -> str:
        return f"≤ {min(ipcs)}" if math.isnan(ipc) else f"> {max(ipcs)}" if math.isinf(ipc) else words.times(ipc)

    def cell(ipc: float, low: float, high: float) -> words.Shown:
        known = math.isfinite(ipc) and not math.isnan(high)
        text = images(ipc) + (f" [{images(low)}, {images(high)}]" if known else "")
        return words.Shown(text, Estimate(ipc, math.nan, low, high, 0))

    lines = []
    for arms in filter(None, (group.hard, *cuts.values())):
        cells = map(cell, *images_for(group, arms, targets))
        texts = {f"images for {100 * t:g} %": text for t, text in zip(targets, cells)}
        lines.append({"labels": f"`{group.labels(arms[0])}`"} | texts)
    caption = "Images per class that an accuracy takes, interpolated between the measured budgets; intervals were measured to cover 91 to 96 %."
    return [table(lines, caption)]
