"""Are several teachers better than one, and are they pooled as logits or as probabilities?

`teachers(n, pool=P, epoch=e)` pools the experts 0 to n-1; `teacher(epoch=e)` is the first of them alone.
"""

from collections.abc import Sequence

from jaxsoft import spec
from jaxsoft.analysis import words
from jaxsoft.analysis.chart import BLUE, ORANGE, Chart, Panel, Series
from jaxsoft.analysis.groups import Arms, Group
from jaxsoft.analysis.inference import NOTHING, Estimate
from jaxsoft.analysis.page import Section, Text, table
from jaxsoft.analysis.read import Run

ORDER = 13
_STYLES = {"logits": (BLUE, "mean of logits"), "probabilities": (ORANGE, "mean of probabilities")}

Pools = dict[tuple[str, int], Arms]
"""The arms of one source by pool and number of experts; one expert is its own mean, of the pool ""."""


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Accuracy by number of pooled experts, where some source was pooled over several numbers of them."""
    sources = {source: pools for source, pools in _sources(group).items() if len({n for _, n in pools}) > 1}
    found = {
        (ipc, source): value
        for source, pools in sources.items()
        for ipc in group.ipcs
        if (value := _gain(group, pools, ipc))
    }
    if not found:
        return None
    owner = {arm: source for source, pools in sources.items() for arms in pools.values() for arm in arms}
    best = {ipc: group.choose(ipc, list(owner)) for ipc in group.budgets(list(owner))}
    chosen = {ipc: owner[arm] for ipc, arm in best.items() if arm is not None and (ipc, owner[arm]) in found}
    lines = [
        _line(ipc, source, *value, chosen.get(ipc) == source and len(sources) > 1)
        for (ipc, source), value in found.items()
    ]
    lines.sort(key=lambda line: line["IPC"])
    gains = {ipc: found[ipc, source][1] for ipc, source in chosen.items()}
    logits = {ipc: found[ipc, source][2] for ipc, source in chosen.items() if found[ipc, source][2].n}
    first = found[next(iter(chosen.items()))][0]
    start = "the first alone" if first["fewest"] == 1 else f"{first['fewest']} experts"
    said = "All seeds share one set of experts, so no interval covers which experts they happened to be"
    if any(value[0]["fewest"] == 1 for value in found.values()):
        said += ": another first expert would move these numbers about as much as experts differ"
    texts = [*([f"{words.compare('Pooled logits', 'probabilities', logits)}."] if logits else []), f"{said}."]
    caption = (
        f"Accuracy with the fewest and with the most experts, of the pool chosen on {group.on} at the most; differences, each seed "
        "against itself, 95 % intervals."
    )
    title = words.compare(f"{first['most']} pooled experts", start, gains)
    return Section(title, [Text(" ".join(texts)), _chart(group, sources, chosen), table(lines, caption)])


def _sources(group: Group) -> dict[str, Pools]:
    """What remains of label specs without number and pool: the first expert alone, or any number of them."""
    found: dict[str, Pools] = {}
    for arm in group.soft:
        experts, pool = int(group.arms["experts"].iat[arm]), str(group.arms["pool"].iat[arm])
        call, *rest = spec.parse(group.labels(arm))
        alone = call.name == "teacher" and group.arms["expert"].iat[arm] == 0
        if alone or call.name == "teachers":
            when = {key: value for key, value in call.kwargs.items() if key not in ("n", "pool", "expert")}
            source = spec.render((spec.Call("teacher", (), when), *rest))
            found.setdefault(source, {}).setdefault(("" if experts == 1 else pool, experts), []).append(arm)
    return found


def _gain(group: Group, pools: Pools, ipc: int) -> tuple[dict, Estimate, Estimate] | None:
    """The most experts against the fewest at one IPC, and logits minus probabilities; None where one number finished."""
    there = {key: own for key, arms in sorted(pools.items()) if (own := group.ran(ipc, arms))}
    numbers = sorted({n for _, n in there})
    if len(numbers) < 2:
        return None
    fewest, most = numbers[0], numbers[-1]
    ends = [arm for (_, n), arms in there.items() if n == most for arm in arms]
    pick = group.choose(ipc, ends)
    pool = next(name for (name, n), arms in there.items() if n == most and pick in arms)
    key = (pool, fewest) if (pool, fewest) in there else next(key for key in there if key[1] == fewest)
    # Where both pools start from one expert, the pool is chosen for each seed by the others.
    top = ends if fewest == 1 else there[pool, most]
    both = [n for n in numbers if all((name, n) in there for name in _STYLES)]
    logits = group.contrast(ipc, *(there[name, both[-1]] for name in _STYLES)) if both else NOTHING
    values = {
        "fewest": fewest,
        "most": most,
        "pool": pool,
        "low": group.accuracy(ipc, there[key]),
        "high": group.accuracy(ipc, top),
    }
    return values, group.contrast(ipc, top, there[key]), logits


def _line(ipc: int, source: str, ends: dict, gain: Estimate, logits: Estimate, mark: bool) -> dict:
    return {
        "IPC": ipc,
        "source": f"`{source}`{' (chosen)' * mark}",
        "experts": f"{ends['fewest']} → {ends['most']}",
        "pool": ends["pool"],
        "fewest, %": ends["low"],
        "most, %": ends["high"],
        "gain, points": gain,
        "logits − probabilities, points": logits if logits.n else None,
        "n": gain.n,
    }


def _chart(group: Group, sources: dict[str, Pools], chosen: dict[int, str]) -> Chart:
    """Test accuracy against the number of pooled experts, one panel for each IPC, with the source chosen there."""
    panels = []
    for ipc, source in chosen.items():
        marks = []
        for name, (colour, label) in _STYLES.items():
            arms = {n: own for (pool, n), arms in sorted(sources[source].items(), key=lambda item: item[0][1]) if pool in ("", name)
                    and (own := group.ran(ipc, arms))}  # fmt: skip
            if any(n > 1 for n in arms):
                marks.append(
                    Series(label, list(arms), [group.accuracy(ipc, own) for own in arms.values()], colour=colour)
                )
        title = f"IPC {ipc}{f': {source}' if len(sources) > 1 else ''}"
        numbers = max(n for pools in sources.values() for _, n in pools)
        panels.append(Panel(marks, x="number of pooled experts", title=title, log=numbers > 12, height=2.3))
    picked = f", with the source that is best on {group.on} at each IPC" if len(sources) > 1 else ""
    caption = f"Test accuracy by the number of experts whose outputs are averaged{picked}: means over seeds."
    return Chart("pooling", panels, caption, "bars: 95 % intervals of each mean")
