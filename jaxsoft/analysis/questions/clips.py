"""Do labels carry over to clips: true classes, one soft label of each clip, or soft labels of its views?

The three labelling regimes of a study of distilled video. Of each the label spec (epoch, mixing) is chosen on validation,
budget by budget. Asked where a run is of clips.

Reference: "A Large-Scale Study on Video Action Dataset Condensation" (2024), arXiv 2412.21197.
"""

from collections.abc import Mapping, Sequence

from jaxsoft.analysis.questions._verbs import ran, regimes
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import PALETTE, Chart, Level, Panel, Series
from jaxsoft.analysis.showing.page import Section, Text, table
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import Estimate

ORDER = 1
_NAMES = {"hard": "true classes", "soft": "one soft label a clip", "per-view": "soft labels of views"}
_PAIRS = (("soft", "hard"), ("per-view", "hard"), ("per-view", "soft"))


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """What each regime gains over true classes, by budget, where clips were labelled in two ways or more."""
    told = regimes(group)
    if len(told) < 2 or not any(_is_of_clips(run, str(group.members["dataset"].iat[0])) for run in runs):
        return None
    gains = {(one, other): group.contrasts(told[one], told[other]) for one, other in _PAIRS if {one, other} <= {*told}}
    gains = {pair: values for pair, values in gains.items() if values}
    if not gains:
        return None
    lines = [
        _line(group, ipc, regime, arms, told) for ipc in group.ipcs for regime, arms in ran(group, ipc, told).items()
    ]
    caption = f"Each regime at the label spec best on {group.on}; means over n seeds, paired gains, 95 % intervals."
    over = {one: values for (one, other), values in gains.items() if other == "hard"}
    marks = [Series.of(_NAMES[one], over[one], colour=colour) for colour, one in zip(PALETTE, over)]
    panel = Panel([Level(0.0), *marks], y="gain over true classes, test points", height=2.9)
    chart = [Chart("clips", [panel], "Test accuracy of soft labels of clips minus true classes, by clips per class.")]
    title = "; ".join(_compared(pair, gains[pair]) for pair in gains if pair != ("per-view", "hard"))
    return Section(title, [Text(_means(group, told, gains)), *(chart if over else []), table(lines, caption)])


def _is_of_clips(run: Run, dataset: str) -> bool:
    return bool(run.rows) and run.rows[0]["dataset"] == dataset and len(run.plan.get("image_shape", ())) == 4


def _line(group: Group, ipc: int, regime: str, arms: Arms, told: Mapping[str, Arms]) -> dict[str, object]:
    value = group.accuracy(ipc, arms)
    line = {"IPC": ipc, "labels": _NAMES[regime], "chosen label spec": group.chosen(ipc, arms), "test, %": value}
    for other in ("hard", "soft"):
        gain = group.contrast(ipc, arms, told.get(other, [])) if (regime, other) in _PAIRS else None
        line[f"minus {_NAMES[other]}, points"] = gain if gain and gain.n else None
    return {**line, "n": value.n}


def _compared(pair: tuple[str, str], values: Mapping[int, Estimate]) -> str:
    one, other = (_NAMES[name] for name in pair)
    verbs = ("beats", "loses to") if pair[0] == "soft" else ("beat", "lose to")
    return words.compare(f"{one[:1].upper()}{one[1:]}", other, values, verbs)


def _means(group: Group, told: Mapping[str, Arms], gains: Mapping[tuple[str, str], Mapping[int, Estimate]]) -> str:
    """The mean difference of every pair over the budgets that both have."""
    said = []
    for one, other in gains:
        value = group.contrast(group.budgets(told[one], told[other]), told[one], told[other])
        said.append(f"{_NAMES[one]} minus {_NAMES[other]} {words.signed(value)}")
    return f"Mean of the budgets that both have: {'; '.join(said)}."
