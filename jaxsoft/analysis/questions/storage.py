"""Which labels should one store, if bytes are what a data set costs?"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from jaxsoft.analysis import plots, words
from jaxsoft.analysis.budget import Purchase, label_bits, pixel_bits, purchases
from jaxsoft.analysis.exchange import Saving, savings
from jaxsoft.analysis.frontier import choose
from jaxsoft.analysis.grid import grid
from jaxsoft.analysis.page import Picture, Section, Text
from jaxsoft.analysis.questions import _parts as parts
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import FEWEST
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 60
_INDEX_BITS = 32  # the size of the published train set is not in the results
_LIKELY = 0.5


class Shop(NamedTuple):
    """What one group could buy, the cheapest first, by how images are stored; and what a chosen soft label saves.

    `on` is the split on which it was chosen.
    """

    bought: dict[str, list[Purchase]]
    saved: list[Saving]
    on: str


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """One section: accuracy against bytes, where soft labels differ in what they take; the runs know the images."""
    return parts.by_group(rows, lambda group: shop(group, runs), _sections)


def shop(rows: Sequence[Row], runs: Sequence[Run]) -> Shop | None:
    """What one group could buy, with images stored as pixels and as indices into the published set.

    None unless soft labels differ in their bits, and some run knows what an image looks like.
    """
    known = (
        r.examples for r in runs if r.examples is not None and r.rows and r.rows[0]["dataset"] == rows[0]["dataset"]
    )
    if (examples := next(known, None)) is None:
        return None
    classes, soft = len(examples.class_names), {row["labels"] for row in rows} - {"hard"}
    if len({label_bits(labels, classes) for labels in soft}) < 2:
        return None
    sizes = {"pixels": pixel_bits(examples.images.shape[1:]), "indices": _INDEX_BITS}
    table = grid(rows)
    chosen = {choice.ipc: choice.labels for choice in choose(table)}
    saved = savings(table, chosen, classes) if "hard" in table.labels else []
    return Shop(
        {stored: purchases(table, classes, bits) for stored, bits in sizes.items()}, saved, parts.chosen_on(rows)
    )


def draw(found: Mapping[str, Sequence[Purchase]]) -> Figure:
    """Accuracy against bytes of images and labels; colour: bits of a label; the frontier as steps."""
    figure, panels = parts.panels(len(found), 3.0, sharey=True)
    for axes, (stored, each) in zip(panels, found.items()):
        levels = sorted({p.bits for p in each})
        shades = dict(zip(levels, parts.shades(len(levels))))
        for p in each:
            hard = p.labels == "hard"
            style = {"color": "black" if hard else shades[p.bits], "ms": 4.5, "mec": "white", "mew": 0.5}
            axes.plot(p.total / 8, 100 * p.accuracy.mean, "s" if hard else "o", **style)
        cost, mean = np.array([[p.total / 8, 100 * p.accuracy.mean] for p in each if p.pareto]).T
        axes.step(cost, mean, where="post", color=plots.ORANGE, lw=1.6, zorder=1)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(plots.Powers())
        axes.xaxis.set_minor_formatter(plots.Powers())
        axes.set_xlabel(f"bytes of labels and {stored}")
    panels[0].set_ylabel("test accuracy, %")
    counts = sorted({p.accuracy.n for each in found.values() for p in each})
    parts.say_n(figure, counts, "black: hard labels; light: labels of more bits; line: the frontier")
    return figure


def _sections(shop: Shop, suffix: str) -> list[Section]:
    found = shop.bought
    carried = {stored: _carried(each) for stored, each in found.items()}
    text = (
        f"Where the images are indices into the published train set, {_INDEX_BITS} bits each, and not pixels, the most "
        f"accurate data sets for their bytes carry {carried['indices']}."
    )
    tables = [_table(stored, [p for p in each if p.pareto], shop.on) for stored, each in found.items()]
    alt = f"Test accuracy against bytes. On the frontier with pixels: {carried['pixels']}; with indices: {carried['indices']}."
    picture = Picture(
        f"storage{suffix}",
        plots.png(draw, found),
        alt,
        f"Every data set of the sweep by its bytes, on test; the line joins those that nothing cheaper matches on {shop.on}.",
    )
    title = f"Byte for byte, pixels counted, the most accurate data sets carry {carried['pixels']}"
    return [Section(title, [Text(text), picture, *tables, *([_saved_table(shop.saved)] if shop.saved else [])])]


def _carried(each: Sequence[Purchase]) -> str:
    """The label specs that lie on the frontier in most sets of seeds, the cheapest always, three by name."""
    specs = [f"`{labels}`" for labels in dict.fromkeys(p.labels for p in each if p.share >= _LIKELY)]
    if not specs:  # as cheap and as good as each other
        return "labels that cannot be told apart"
    return f"{', '.join(specs[:3])} and {len(specs) - 3} others" if len(specs) > 4 else words.listed(specs)


def _saved_table(saved: Sequence[Saving]) -> Table:
    lines = []
    for s in saved:
        ends = f" [{_images(s.low)}, {_images(s.high)}]" if s.n >= FEWEST else ""
        each = words.NONE if not 0 <= s.per_label < math.inf else words.times(1000 * s.per_bit)
        lines.append((str(s.ipc), f"`{s.labels}`", f"{s.bits:,}", _images(s.per_label) + ends, each, str(s.n)))
    caption = (
        "Hard-labelled images that one label of the chosen soft spec saves, beside the image that it sits on, and the same for "
        "a thousand bits of it; entries as fp16. Bounds: what the measured budgets can show."
    )
    return Table(("IPC", "label spec", "bits", "images saved by a label", "by 1,000 bits", "n"), lines, caption)


def _images(value: float) -> str:
    """A number of images; -1 and infinity are the ends of what was measured."""
    if math.isnan(value):
        return words.NONE
    return "< 0" if value <= -1 else "> measured" if math.isinf(value) else f"{value:.2f}".replace("-", "−")


def _table(stored: str, best: Sequence[Purchase], on: str) -> Table:
    lines = [
        (
            str(p.ipc),
            f"`{p.labels}`",
            words.bits(p.images),
            words.bits(p.label_bits),
            words.accuracy(p.accuracy),
            str(p.accuracy.n),
            words.NONE if p.accuracy.n < FEWEST else f"{100 * p.share:.0f} %",
        )
        for p in best
    ]
    how = "uint8 pixels, not compressed" if stored == "pixels" else f"indices of {_INDEX_BITS} bits"
    caption = (
        f"The data sets that nothing cheaper matches on {on}, with their accuracy on test. Images as {how}; entries of soft labels as fp16, with indices where a "
        "label is cut; hard labels as class indices. Certain: how often a data set stays on the frontier when seeds are "
        "resampled."
    )
    return Table(
        ("IPC", "label spec", stored, "labels", "test, %", "n", "certain"), lines, caption, stored == "indices"
    )
