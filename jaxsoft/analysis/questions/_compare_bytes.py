"""What the cells of a comparison cost: bytes of images and of labels, beside the accuracy that they give."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from jaxsoft.analysis.questions._compare_tables import COLOURS, MARKERS, named, with_kind
from jaxsoft.analysis.questions._verbs import bytes_axis
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import Chart, Panel, Series
from jaxsoft.analysis.showing.page import Block, table
from jaxsoft.analysis.statistics import comparison, worth
from jaxsoft.analysis.statistics.comparison import ITS, OWN, Cells
from jaxsoft.analysis.statistics.groups import Group
from jaxsoft.analysis.statistics.inference import Estimate, means

_MEASURED = "test, %", "n", "on"


def stored(group: Group, every: Sequence[Cells], runs: Sequence[Run]) -> list[Block]:
    """Accuracy against bytes, cell by cell; nothing where the number of classes is not known."""
    records = dict(chain.from_iterable(run.sets.items() for run in runs))
    found = [line for of in every for line in _lines(group, of, records)]
    lines = list({tuple((k, v) for k, v in line.items() if k not in _MEASURED): line for line in found}.values())
    if not lines:
        return []
    costs = np.array([line["bytes in all"].value for line in lines], float)
    best = worth.pareto(costs, np.array([[line.pop("on") for line in lines]]))[0]
    shown = [{**line, "frontier": "yes" if there else None} for line, there in zip(lines, best)]
    caption = (
        f"Bytes of each cell. Images of an imported set as they were published; real images as places of {worth.INDEX_BITS} bits "
        "in the published train set. Its labels as published, an expert's as float16 or as their codec has them, hard ones as "
        f"class indices. Frontier: nothing cheaper of the table is as accurate on {group.on}."
    )
    chart = [_chart(lines)] if len({line["bytes in all"].value for line in lines}) > 1 else []
    return [*chart, table(shown, caption, folded=True)]


def _lines(group: Group, of: Cells, records: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    record = records.get(of.way, {})
    classes = group.classes if group.classes > 1 else len(record.get("class_names", ()))
    if classes < 2:
        return
    for (images, kind), arms in of.arms.items():
        pick = group.choose(of.ipc, arms)
        labels = None if pick is None else _label_bytes(group, pick, kind, classes, record)
        each = _image_bytes(of, images, record)
        if pick is None or labels is None or each is None:
            continue
        count = classes * of.ipc
        sizes = {
            "images, bytes": count * each,
            "labels, bytes": count * labels,
            "bytes in all": count * (each + labels),
        }
        told = {name: words.Shown(words.bits(round(8 * size)), size) for name, size in sizes.items()}
        reached = comparison.value(group, of, {(images, kind): 1.0})
        on = float(means(group.selection[:, group.ipcs.index(of.ipc), [pick]])[0])
        own = of if images == ITS or kind == OWN else of._replace(name="random")
        yield {**named(own), "images": images, "labels": kind, **told, "test, %": reached, "n": reached.n, "on": on}


def _image_bytes(of: Cells, images: str, record: Mapping[str, Any]) -> float | None:
    """Bytes of one image: as published, or as a place in the train set; None where a set's record does not say."""
    if images != ITS or not _is_imported(of):
        return worth.INDEX_BITS / 8
    published = record.get("bytes", {}).get("images")
    return None if published is None else published / max(record.get("images", 1), 1)


def _is_imported(of: Cells) -> bool:
    return of.way != of.name


def _label_bytes(group: Group, arm: int, kind: str, classes: int, record: Mapping[str, Any]) -> float | None:
    """Bytes of one label; None for labels that are asked for at every step, or of which a record does not say."""
    if kind == OWN:
        published = record.get("bytes", {}).get("labels")
        return None if published is None else published / max(record.get("images", 1), 1)
    if group.arms["online"].iat[arm] or "features" in group.labels(arm):
        return None
    return worth.label_bits(group.labels(arm), classes) / 8


def _chart(lines: Sequence[Mapping[str, Any]]) -> Chart:
    marks = []
    for images, kind in dict.fromkeys((line["images"], line["labels"]) for line in lines):
        own = [line for line in lines if (line["images"], line["labels"]) == (images, kind)]
        size = [line["bytes in all"].value for line in own]
        values: list[Estimate] = [line["test, %"] for line in own]
        style: dict[str, Any] = {
            "line": False,
            "colour": COLOURS[kind],
            "marker": MARKERS[kind],
            "hollow": images != ITS,
        }
        marks.append(Series(f"{images}, {with_kind(kind)}", size, values, **style))
    panel = Panel([*marks, bytes_axis], x="bytes of images and labels", log=False, height=3.0)
    caption = "Test accuracy against bytes of images and labels, every cell of the comparison."
    return Chart("compare-bytes", [panel], caption, "filled: its images; hollow: random ones; bars: 95 % intervals")
