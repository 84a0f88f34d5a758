"""Are several teachers better than one, and are they pooled as logits or as probabilities?

`teachers(n, pool=P, epoch=e)` pools the experts 0 to n-1; `teacher(epoch=e)` is the first of them alone.
"""

from collections.abc import Mapping, Sequence

from jaxsoft.analysis.questions._verbs import best_of, by_ipc, ran, reached, taught, union
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, ORANGE, Chart, Panel, Series
from jaxsoft.analysis.showing.page import Section, Text, table
from jaxsoft.analysis.statistics.groups import Group
from jaxsoft.analysis.statistics.inference import NOTHING

ORDER = 13
_LOGITS = "logits − probabilities, points"
_STYLES = {"logits": (BLUE, "mean of logits"), "probabilities": (ORANGE, "mean of probabilities")}

Pools = dict[tuple[str, int], list[int]]  # arms by pool and number of experts; of one expert the pool is ""


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Accuracy by number of pooled experts, where some source was pooled over several numbers of them."""
    sources = {source: pools for source, pools in pooled(group).items() if len({n for _, n in pools}) > 1}
    lines, best, chosen = [], {}, {}
    for ipc in group.ipcs:
        ends = {source: found for source, pools in sources.items() if (found := _ends(group, ipc, pools))}
        if ends:
            chosen[ipc] = best_of(group, ipc, {source: union(sources[source]) for source in ends})
            best[ipc] = ends[chosen[ipc]]
        for source, (*_, line) in ends.items():
            mark = " (chosen)" if len(sources) > 1 and source == chosen[ipc] else ""
            lines.append({"IPC": ipc, "source": f"`{source}`{mark}", **line})
    if not lines:
        return None
    fewest, most = ({ends[i] for ends in best.values()} for i in (0, 1))
    one = f"{max(most)} pooled experts" if len(most) == 1 else "Most experts"
    other = "the first alone" if fewest == {1} else f"{max(fewest)} experts" if len(fewest) == 1 else "the fewest"
    title = words.compare(one, other, {ipc: line["gain, points"] for ipc, (*_, line) in best.items()})
    said = "All seeds share one set of experts, so no interval covers which experts they happened to be"
    if any(line["experts"].startswith("1 ") for line in lines):
        said += ": another first expert would move these numbers about as much as experts differ"
    if logits := by_ipc(({"IPC": ipc, **line} for ipc, (*_, line) in best.items()), _LOGITS):
        said = f"{words.compare('Pooled logits', 'probabilities', logits)}. {said}"
    caption = f"Test accuracy of the pool chosen on {group.on} at the most experts; paired differences; 95 % intervals."
    return Section(title, [Text(f"{said}."), _chart(group, sources, chosen), table(lines, caption)])


def pooled(group: Group) -> dict[str, Pools]:
    """What remains of label specs without number and pool: the first expert alone, or any number of them."""
    found: dict[str, Pools] = {}
    for arm, line in enumerate(group.arms.to_dict("records")):
        if line["source"] == "teachers" or (line["source"] == "teacher" and line["expert"] == 0):
            pools = found.setdefault(taught(line["labels"], "n", "pool", "expert"), {})
            pools.setdefault(("" if line["experts"] == 1 else line["pool"], line["experts"]), []).append(arm)
    return found


def _ends(group: Group, ipc: int, pools: Pools) -> tuple[int, int, dict] | None:
    """The fewest and the most experts that were run at a budget, and the record of both; None where they are the same."""
    own = dict(sorted(ran(group, ipc, pools).items()))
    numbers = sorted({n for _, n in own})
    if len(numbers) < 2:
        return None
    fewest, most = numbers[0], numbers[-1]
    pool, _ = best_of(group, ipc, {key: arms for key, arms in own.items() if key[1] == most})
    start = own.get((pool, fewest)) or next(arms for (_, n), arms in own.items() if n == fewest)
    # Where both pools start from one expert, the pool is chosen for each seed by the others.
    end = union({key: arms for key, arms in own.items() if key[1] == most and (fewest == 1 or key[0] == pool)})
    both = [n for n in numbers if all((name, n) in own for name in _STYLES)]
    logits = group.contrast(ipc, *(own[name, both[-1]] for name in _STYLES)) if both else NOTHING
    gain, values = group.contrast(ipc, end, start), {"fewest, %": start, "most, %": end}
    line = {"experts": f"{fewest} → {most}", "pool": pool} | {n: group.accuracy(ipc, a) for n, a in values.items()}
    line |= {"gain, points": gain, _LOGITS: logits, "n": gain.n}
    return fewest, most, line


def _chart(group: Group, sources: Mapping[str, Pools], chosen: Mapping[int, str]) -> Chart:
    """Test accuracy against the number of pooled experts, one panel for each IPC, with the source chosen there."""
    most = max(n for pools in sources.values() for _, n in pools)
    panels = []
    for ipc, source in chosen.items():
        values, marks = reached(group, ipc, dict(sorted(sources[source].items()))), []
        for name, (colour, label) in _STYLES.items():
            own = {n: value for (pool, n), value in values.items() if pool in ("", name)}
            marks += [Series.of(label, own, colour=colour)] if max(own, default=1) > 1 else []
        title = f"IPC {ipc}{f': {source}' if len(sources) > 1 else ''}"
        panels.append(Panel(marks, x="number of pooled experts", title=title, log=most > 12, height=2.3))
    picked = f", with the source that is best on {group.on} at each IPC" if len(sources) > 1 else ""
    caption = f"Test accuracy by the number of experts whose outputs are averaged{picked}: means over seeds."
    return Chart("pooling", panels, caption, "bars: 95 % intervals of each mean")
