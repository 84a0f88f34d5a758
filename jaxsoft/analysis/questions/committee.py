"""Is a committee better where its experts are weighed by their prior, and is an expert better by batch statistics?

`committee(n, prior=P, epoch=e)` weighs the logits of n experts, `teachers(n, epoch=e)` averages them, `teacher(expert=k, epoch=e)`
is one of them alone. `statistics=batch` lets batch norm see the images that are labelled.
"""

from collections.abc import Mapping, Sequence

from jaxsoft import spec
from jaxsoft.analysis.questions._verbs import ran, taught, union
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import PALETTE, Chart, Level, Panel, Series
from jaxsoft.analysis.showing.page import Section, Text, table
from jaxsoft.analysis.statistics.groups import TUNABLE, Group
from jaxsoft.analysis.statistics.inference import Estimate

ORDER = 7  # before where labels come from, which views of its labels ask
_GAIN, _BATCH = "gain over equal weights, points", "batch − running, points"
WAYS = {
    "students": "weights by students' accuracies",
    "experts": "weights by experts' accuracies",
    "given": "weights by a given prior",
    "random": "random weights",
    "one": "the best expert alone",
    "equal": "equal weights",
}
"""How experts are made one teacher."""


def answer(group: Group, runs: Sequence[Run]) -> list[Section] | None:
    """The sections of weights and of statistics, where a group has several of either."""
    return [section for section in (_weights(group), _statistics(group)) if section] or None


def ways(group: Group) -> list[dict[str, list[int]]]:
    """The arms by way to weigh experts, for each kind of labels (their epoch, views, statistics) that a committee gives."""
    found: dict[tuple[str, int], dict[str, list[int]]] = {}
    for arm, line in enumerate(group.arms.to_dict("records")):
        if way := _way(line["labels"]):
            same = taught(line["labels"], "n", "pool", "prior", "tau", "expert")
            found.setdefault((same, line["experts"]), {}).setdefault(way, []).append(arm)
    single = {same: {"one": own["one"]} for (same, _), own in found.items() if "one" in own}
    return [single.get(same, {}) | own for (same, _), own in found.items() if own.keys() - {"one", "equal"}]


def sides(kinds: Sequence[Mapping[str, list[int]]], way: str, other: str) -> tuple[list[int], list[int]]:
    """The arms of two ways, of the kinds of labels that have both."""
    both = [own for own in kinds if way in own and other in own]
    return [arm for own in both for arm in own[way]], [arm for own in both for arm in own[other]]


def _way(labels: str) -> str:
    """How a label spec weighs experts; empty if it asks none, or averages what is no logits."""
    source = spec.parse(labels)[0]
    pool, prior = source.kwargs.get("pool"), source.kwargs.get("prior", "students")
    if source.name == "teachers":
        return "equal" if pool is None else ""
    if source.name == "committee":
        return "random" if pool == "random" else prior if isinstance(prior, str) else "given"
    return "one" if source.name == "teacher" else ""


def _weights(group: Group) -> Section | None:
    """What the ways to weigh experts gain over equal weights."""
    kinds = ways(group)
    others = [way for way in WAYS if way != "equal"]
    gains = {way: values for way in others if (values := group.contrasts(*sides(kinds, way, "equal")))}
    sets = {way: arms for way in WAYS if (arms := sides(kinds, way, way)[0])}
    weighed = [way for way in gains if way != "one"]
    if not weighed:
        return None
    lines = []
    for ipc in group.ipcs:
        for way, arms in ran(group, ipc, sets).items():
            line = {"IPC": ipc, "teacher": WAYS[way], "chosen label spec": group.chosen(ipc, arms)}
            test = group.accuracy(ipc, arms)
            lines.append({**line, "test, %": test, _GAIN: gains.get(way, {}).get(ipc), "n": test.n})
    first = WAYS[weighed[0]]
    title = words.compare(first[0].upper() + first[1:], WAYS["equal"], gains[weighed[0]])
    alone = group.contrasts(*sides(kinds, weighed[0], "one"))
    said = [Text(f"{words.compare(first[0].upper() + first[1:], WAYS['one'], alone)}.")] if alone else []
    shown = "Test accuracy of each way to weigh the experts of a committee minus that of equal weights, by images per class."
    caption = (
        f"Of each the label spec best on {group.on}; gains are of equal views and statistics, paired; 95 % intervals."
    )
    chart = Chart("committee", [_panel({WAYS[way]: values for way, values in gains.items()}, _GAIN)], shown)
    return Section(title, [*said, chart, table(lines, caption, folded=len(lines) > 24)])


def _statistics(group: Group) -> Section | None:
    """Labels by batch statistics against the same labels by running ones."""
    pairs = statistics(group)
    if not pairs:
        return None
    batch, running = union({b: [b] for b in pairs}), union({r: [r] for r in pairs.values()})
    values = group.contrasts(batch, running)
    if not values:
        return None
    lines = []
    for ipc in values:
        line = {
            "IPC": ipc,
            "running: test, %": group.accuracy(ipc, running),
            "batch: test, %": group.accuracy(ipc, batch),
        }
        line |= {"chosen label spec": group.chosen(ipc, batch), _BATCH: values[ipc], "n": values[ipc].n}
        lines.append(line)
    title = words.compare("Batch statistics", "running statistics", values)
    shown = "Test accuracy with labels by batch statistics minus that with the same labels by running ones, by images per class."
    caption = f"Of either side the label spec best on {group.on}, paired; 95 % intervals."
    chart = Chart("statistics", [_panel({"batch statistics": values}, _BATCH)], shown)
    return Section(title, [chart, table(lines, caption)])


def statistics(group: Group) -> dict[int, int]:
    """The arms of batch statistics, each with that of the same labels by running ones."""
    settings = [name for name in group.arms if name in TUNABLE]
    place = {
        (line["labels"], *(line[s] for s in settings)): arm for arm, line in enumerate(group.arms.to_dict("records"))
    }
    found = {}
    for (labels, *rest), arm in place.items():
        source, *others = spec.parse(labels)
        if source.kwargs.get("statistics") == "batch":
            other = place.get((spec.render((source.without("statistics"), *others)), *rest))
            found |= {} if other is None else {arm: other}
    return found


def _panel(series: Mapping[str, Mapping[int, Estimate]], y: str) -> Panel:
    marks = [Series.of(name, values, colour=colour) for colour, (name, values) in zip(PALETTE, series.items())]
    return Panel([Level(0.0), *marks], y=y, height=2.6)
