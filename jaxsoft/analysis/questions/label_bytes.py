"""What are labels worth by their bytes? Accuracy against the bytes of labels alone, at equal images and equal steps.

It is asked where labels go through a codec, such as `stored(int8)`, or where experts are asked at every step, `online=true`:
such labels are not stored, and cost the bytes of their experts, once.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxsoft.analysis.questions._verbs import bytes_axis, bytes_shown, examples, online_bits, stored_bits
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, GREEN, INK, ORANGE, Chart, Panel, Series
from jaxsoft.analysis.showing.page import Section, Table, Text, table
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import Estimate
from jaxsoft.analysis.statistics.worth import Purchase, purchases

ORDER = 8
_HARD, _ONLINE = "hard", "online"
_DENSE, _CODED = "one label, dense", "one label, in a codec or cut"
_VIEWS, _CODED_VIEWS = "labels of views, dense", "labels of views, in a codec or cut"
_LOOKS = {
    _HARD: (INK, False),
    _DENSE: (BLUE, False),
    _CODED: (BLUE, True),
    _VIEWS: (ORANGE, False),
    _CODED_VIEWS: (ORANGE, True),
    _ONLINE: (GREEN, False),
}
"""Kinds of labels: their colours, and whether marks are hollow."""

Kinds = Mapping[str, list[int]]  # kind -> arms


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """The frontier at each budget, and labels of few bytes against dense ones that take as many bytes or more."""
    kinds, kept = _kinds(group), examples(group, runs)
    classes = group.classes or (len(kept.class_names) if kept else 0)
    is_stored = any("stored" in operations for operations in group.arms["operations"])
    if not classes or not (is_stored or kinds[_ONLINE]):
        return None
    each = stored_bits(group, runs, classes)
    found = [words.compare(one, other, values) for one, other, values in _contrasts(group, kinds, each)]
    if not found:
        return None
    once = {labels: bits for labels, bits in online_bits(group, runs).items() if bits is not None}
    known = {labels: bits for labels, bits in each.items() if labels in once}
    bought = {ipc: purchases(group, classes, 0, known, once, (ipc,)) for ipc in group.ipcs}
    said = "Coded labels are stored in a codec, or cut by `topk`; coded views are such labels of views that take no more bytes"
    tables = [_priced(group, bought, best=True), *_equal(group, kinds, each), _priced(group, bought, best=False)]
    return Section(found[0], [Text(f"{'. '.join((*found, said))}."), _chart(group, kinds, bought), *tables])


def _kinds(group: Group) -> Kinds:
    """The arms of each kind of labels."""
    found: dict[str, list[int]] = {kind: [] for kind in _LOOKS}
    for arm, line in enumerate(group.arms.to_dict("records")):
        found[_kind(line)].append(arm)
    return found


def _kind(arm: Mapping[Any, Any]) -> str:
    """Of which kind the labels of an arm are."""
    if arm["source"] == "hard":
        return _HARD
    if arm["online"]:
        return _ONLINE
    few = not {"stored", "topk"}.isdisjoint(arm["operations"])
    return (_CODED_VIEWS if few else _VIEWS) if arm["views"] else (_CODED if few else _DENSE)


def _within(group: Group, kinds: Kinds, each: Mapping[str, int], dense: Arms) -> list[int]:
    """The arms of views in a codec that take no more bytes than the dearest of some dense ones."""
    most = max((each.get(group.labels(arm), 0) for arm in dense), default=0)
    return [arm for arm in kinds[_CODED_VIEWS] if each[group.labels(arm)] <= most]


def _contrasts(
    group: Group, kinds: Kinds, each: Mapping[str, int]
) -> Iterator[tuple[str, str, Mapping[int, Estimate]]]:
    """What is compared, with the differences by budget; the first is what the answer says."""
    dense, hard = kinds[_DENSE], kinds[_HARD]
    sides = (
        ("Coded views", _within(group, kinds, each, dense), "dense labels", dense),
        ("Coded labels", kinds[_CODED], "dense ones", dense),
        ("Online labels", kinds[_ONLINE], "dense ones", dense),
        ("Coded labels", kinds[_CODED] + kinds[_CODED_VIEWS], "hard ones", hard),
        ("Online labels", kinds[_ONLINE], "hard ones", hard),
    )
    for one, arms, other, others in sides:
        if values := group.contrasts(arms, others):
            yield one, other, values


def _chart(group: Group, kinds: Kinds, bought: Mapping[int, Sequence[Purchase]]) -> Chart:
    """Accuracy against the bytes of all labels, one panel for each budget; the frontier as steps."""
    kind_of = {group.labels(arm): kind for kind, arms in kinds.items() for arm in arms}
    panels = []
    for ipc, each in bought.items():
        best = [p for p in each if p.pareto]
        marks = [Series("", [p.label_bits / 8 for p in best], [p.accuracy.mean for p in best], "steps", colour=INK)]
        for kind, (colour, hollow) in _LOOKS.items():
            own = [p for p in each if kind_of[p.labels] == kind]
            places, values = [p.label_bits / 8 for p in own], [p.accuracy for p in own]
            marks += [Series(kind, places, values, "bars", False, colour, "o", hollow)] if own else []
        panels.append(Panel([*marks, bytes_axis], x="bytes of all labels", title=f"IPC {ipc}", log=False, height=3.0))
    caption = f"Every label spec of the sweep on test; the line joins those that no cheaper labels match on {group.on}."
    return Chart("label-bytes", panels, caption, "bars: 95 % intervals of each mean; line: the frontier", across=1)


def _priced(group: Group, bought: Mapping[int, Sequence[Purchase]], best: bool) -> Table:
    """The labels of each budget by their bytes: those on the frontier, or all."""
    lines = []
    for ipc, each in bought.items():
        for p in each if not best else [p for p in each if p.pareto]:
            gain = group.contrast(ipc, group.of(p.labels), group.hard) if p.labels != "hard" else None
            line = {"IPC": ipc, "label spec": f"`{p.labels}`", "an image, bits": words.Shown(f"{p.bits:,}", p.bits)}
            line |= {"all labels, bytes": bytes_shown(p.label_bits), "test, %": p.accuracy}
            line |= {"minus hard, points": gain if gain and gain.n else None, "n": p.accuracy.n}
            lines.append(line | {"certain, %": None if p.accuracy.n < 2 else words.rounded(p.share)})
    which = f"The labels that no cheaper ones match on {group.on}" if best else "All labels by their bytes"
    caption = (
        f"{which}, with their accuracy on test. Dense labels as fp16, cut ones with indices, those of `stored` as their codec "
        "has them, hard ones as class indices; of online labels the float32 networks of their experts, once. Views are made "
        "anew from keys. Certain: how often labels stay on the frontier when seeds are resampled."
    )
    return table(lines, caption, folded=not best)


def _equal(group: Group, kinds: Kinds, each: Mapping[str, int]) -> list[Table]:
    """Dense labels, of images and of views, against labels of views in a codec that take no more bytes."""
    sets = [kinds[_DENSE], *([arm] for arm in kinds[_VIEWS])]
    lines = []
    for ipc in group.ipcs:
        for dense in filter(None, (group.ran(ipc, arms) for arms in sets)):
            own = group.ran(ipc, _within(group, kinds, each, dense))
            picks = group.choose(ipc, dense), group.choose(ipc, own)
            if None in picks or not (gain := group.contrast(ipc, own, dense)).n:
                continue
            line: dict[str, Any] = {"IPC": ipc}
            for name, pick in zip(("dense labels", "labels of views in a codec"), picks):
                labels = group.labels(pick or 0)
                line |= {name: f"`{labels}`", f"{name}: an image, bits": words.Shown(f"{each[labels]:,}", each[labels])}
            lines.append(line | {"gain, points": gain, "n": gain.n})
    caption = (
        "Labels of views in a codec against dense labels of as many bytes or more, at equal images and steps: paired differences, "
        "each side chosen by the other seeds; 95 % intervals. Published for ImageNet-1K (ResNet-18, IPC 10, 20, 50): pruned and "
        "quantised labels of a fortieth of the bytes +9.5, +7.6 and +4.5 points against all of them."
    )
    return [table(lines, caption)] if lines else []
