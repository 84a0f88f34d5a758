"""Do chosen images beat random ones under hard labels, under one soft label of each, under soft labels of its views?

Members that differ in `select`, random draws and core-sets among them. Each regime of labels at its own spec and rate, which are
one for all ways of choosing.

Reference: "Hard Truths about Soft Labels" (CVPR 2026): under soft labels core-sets do not beat random images.
"""

from collections.abc import Mapping, Sequence

from jaxsoft.analysis.questions import selection
from jaxsoft.analysis.questions._verbs import regimes, side_by_side
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing.chart import Chart
from jaxsoft.analysis.showing.page import Section, table
from jaxsoft.analysis.statistics.comparison import is_of_set
from jaxsoft.analysis.statistics.groups import Group
from jaxsoft.analysis.statistics.inference import Estimate, told

ORDER = 1
TOGETHER = ("select",)
_MINUS = "minus random, points"

Gains = Mapping[tuple[int, str], Estimate]  # by budget and way of choosing


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Each way of choosing minus random images, in every regime; asked where a way is no tenth of difficulty, and none an imported set."""
    select = group.arms["select"].astype(str).tolist() if "select" in group.arms else []
    if (
        "random" not in select
        or is_of_set(group.members).any()
        or all(way == "random" or selection.DECILE.fullmatch(way) for way in select)
    ):
        return None
    lines, gains, best = [], dict[str, dict[tuple[int, str], Estimate]](), dict[str, dict[int, Estimate]]()
    for kind, arms in regimes(group).items():
        for ipc in group.ipcs:
            ways = {select[arm]: arm for arm in selection.shared(group, ipc, arms)}
            random = [ways.pop("random")] if "random" in ways else []
            found = {way: value for way, arm in ways.items() if (value := group.contrast(ipc, [arm], random)).n}
            gains.setdefault(kind, {}).update({(ipc, way): value for way, value in found.items()})
            for way, value in found.items():
                line = {"IPC": ipc, "labels": kind, "label spec": f"`{group.labels(random[0])}`", "images": f"`{way}`"}
                both = {"test, %": group.accuracy(ipc, [ways[way]]), "random, %": group.accuracy(ipc, random)}
                lines.append({**line, **both, _MINUS: value, "n": value.n})
            if found:
                best.setdefault(kind, {})[ipc] = group.contrast(ipc, [ways[way] for way in found], random)
    if not lines:
        return None
    caption = (
        f"Of each kind of labels the spec and rate that are best on {group.on} over all ways of choosing; paired differences; "
        "95 % intervals."
    )
    shown = "Test accuracy with chosen images minus that with random ones, by way of choosing and kind of labels."
    chart = Chart("coresets", side_by_side(gains, _MINUS, selection.COLOURS), shown)
    return Section(_title(best), [chart, table(lines, caption, folded=len(lines) > 24)])


def _title(best: Mapping[str, Mapping[int, Estimate]]) -> str:
    """At how many budgets the way that is best on validation beats random images, regime by regime, told beside all others."""
    signs = told({(kind, ipc): value for kind, of in best.items() for ipc, value in of.items()})
    wins = {kind: sum(signs[kind, ipc] > 0 for ipc in of) for kind, of in best.items()}
    (first, *_), parts = best, [f"{kind} {wins[kind]} of {len(of)}" for kind, of in best.items()]
    parts[0] = f"{first} labels at {wins[first]} of {len(best[first])} budgets"
    return f"Chosen images beat random ones with {', '.join(parts)}"
