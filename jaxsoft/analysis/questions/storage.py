"""Which labels should one store, if bytes are what a data set costs?"""

import math
from collections.abc import Mapping, Sequence

from jaxsoft.analysis.findings import choose
from jaxsoft.analysis.questions._verbs import bytes_axis, bytes_shown, examples, online_bits, stored_bits
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import ORANGE, Chart, Panel, Series, shades
from jaxsoft.analysis.showing.page import Section, Table, Text, table
from jaxsoft.analysis.statistics.groups import Group
from jaxsoft.analysis.statistics.inference import Estimate
from jaxsoft.analysis.statistics.worth import INDEX_BITS, Purchase, pixel_bits, purchases, worths

ORDER = 60
_LIKELY = 0.5


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """Accuracy against bytes, where soft labels differ in what they take, and some run knows what an image looks like."""
    kept = examples(group, runs)
    if kept is None:
        return None
    classes = len(kept.class_names)
    once = {labels: bits for labels, bits in online_bits(group, runs).items() if bits is not None}
    specs = {labels: bits for labels, bits in stored_bits(group, runs, classes).items() if labels in once}
    if len({bits for labels, bits in specs.items() if labels != "hard"}) < 2:
        return None
    sizes = {"pixels": pixel_bits(kept.images.shape[1:]), "indices": INDEX_BITS}
    found = {stored: purchases(group, classes, bits, specs, once) for stored, bits in sizes.items()}
    likely = {stored: [p.labels for p in each if p.share >= _LIKELY] for stored, each in found.items()}
    text = (
        f"With pixels counted the most accurate data sets for their bytes carry {_carried(likely['pixels'])}; with images as "
        f"indices into the published train set, {INDEX_BITS} bits each, {_carried(likely['indices'])}."
    )
    best, soft = likely["pixels"], sum(labels != "hard" for labels in likely["pixels"])
    title = f"Byte for byte, {soft} of the {len(best)} most accurate data sets carry soft labels"
    if not best:  # as cheap and as good as each other
        title = "Byte for byte, no labels are clearly better than others"
    tables = [_table(stored, [p for p in each if p.pareto], group.on) for stored, each in found.items()]
    return Section(title, [Text(text), _chart(found, group.on), *tables, *_saved(group, specs)])


def _carried(likely: Sequence[str]) -> str:
    """The label specs that lie on the frontier in most sets of seeds, the cheapest always, three by name."""
    specs = [f"`{labels}`" for labels in dict.fromkeys(likely)] or ["labels that are not clearly better than others"]
    return f"{', '.join(specs[:3])} and {len(specs) - 3} others" if len(specs) > 4 else words.listed(specs)


def _chart(found: Mapping[str, Sequence[Purchase]], on: str) -> Chart:
    """Accuracy against bytes of images and labels; colour: bits of a label; the frontier as steps."""
    panels = []
    for stored, each in found.items():
        best = [p for p in each if p.pareto]
        marks = [Series("", [p.total / 8 for p in best], [p.accuracy.mean for p in best], "steps", colour=ORANGE)]
        levels = sorted({p.bits for p in each if p.labels != "hard"})
        looks = [(None, "black", "s"), *((bits, shade, "o") for bits, shade in zip(levels, shades(len(levels))))]
        for bits, colour, marker in looks:
            own = [p for p in each if (None if p.labels == "hard" else p.bits) == bits]
            bare = [p.accuracy._replace(low=math.nan, high=math.nan) for p in own]
            marks.append(Series("", [p.total / 8 for p in own], bare, "band", False, colour, marker))
        panels.append(Panel([*marks, bytes_axis], x=f"bytes of labels and {stored}", log=False, height=3.0))
    caption = f"Every data set of the sweep on test; the line joins those that nothing cheaper matches on {on}."
    said = "black: hard labels; light: labels of more bits; line: the frontier"
    return Chart("storage", panels, caption, said, same_y=True)


def _table(stored: str, best: Sequence[Purchase], on: str) -> Table:
    lines = []
    for p in best:
        line = {"IPC": p.ipc, "label spec": f"`{p.labels}`", f"{stored}, bytes": bytes_shown(p.images)}
        line |= {"labels, bytes": bytes_shown(p.label_bits), "test, %": p.accuracy, "n": p.accuracy.n}
        lines.append({**line, "certain, %": None if math.isnan(p.accuracy.low) else words.rounded(p.share)})
    how = "uint8 pixels, not compressed" if stored == "pixels" else f"indices of {INDEX_BITS} bits"
    caption = (
        f"The data sets that nothing cheaper matches on {on}, with their accuracy on test. Images as {how}; soft labels as fp16, "
        "with indices where cut; hard ones as class indices. Certain: how often a data set stays when seeds are resampled; "
        "dearer labels that are worth no more were measured to reach 95 % by luck in 6 to 9 % of tables."
    )
    return table(lines, caption, folded=stored == "indices")


def _saved(group: Group, specs: Mapping[str, int]) -> list[Table]:
    """Hard-labelled images that one chosen soft label saves: its worth less the image that it sits on."""
    chosen = {c.ipc: c.labels for c in choose(group)}
    lines = []
    told = worths(group, group.soft)[0] if group.hard else []
    for w in (each for each in told if chosen[each.ipc] in specs):  # not those of experts of unknown size
        bits, saved = specs[chosen[w.ipc]], w.ratio - 1
        spared = words.bounded(Estimate(saved, math.nan, w.low - 1, w.high - 1, w.n), _images)
        each = words.times(1000 * saved / bits) if bits and 0 <= saved < math.inf else None
        numbers = {"bits": words.Shown(f"{bits:,}", bits), "images saved by a label": spared, "by 1,000 bits": each}
        lines.append({"IPC": w.ipc, "label spec": f"`{chosen[w.ipc]}`", **numbers, "n": w.n})
    caption = (
        "Hard-labelled images that one label of the chosen soft spec saves, beside the image that it sits on, and the same for "
        "a thousand bits of it; entries as fp16. Bounds: what the measured budgets can show."
    )
    return [table(lines, caption)] if lines else []


def _images(value: float) -> str:
    """A number of images; -1 and infinity are the ends of what was measured."""
    return "< 0" if value <= -1 else "> measured" if math.isinf(value) else words.number(value)
