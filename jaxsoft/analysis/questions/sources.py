"""Where should soft labels come from: from smoothing, from a teacher, from views of an image, from several teachers?

Smoothed hard labels are soft without structure; labels of CutMix views (`teacher(views=4)`) hold what the teacher says
of mixed images. Of each kind the spec (epoch, amount) is chosen on validation, budget by budget.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from jaxsoft import spec
from jaxsoft.analysis import plots, words
from jaxsoft.analysis.choice import choice_of_others
from jaxsoft.analysis.grid import column, grid
from jaxsoft.analysis.page import Picture, Section
from jaxsoft.analysis.plots import INK, PALETTE, WIDTH
from jaxsoft.analysis.questions import _parts
from jaxsoft.analysis.questions._bars import beside, interval_bars, ipc_axis
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate, estimate
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 9
KINDS = {
    "hard": "hard labels",
    "smoothed": "smoothed hard labels",
    "teacher": "one teacher",
    "views": "a teacher, by views",
    "pooled": "pooled teachers",
}


class Sources(NamedTuple):
    """Test accuracy by unit U, IPC I and kind of source S (names in `kinds`), and the spec chosen of each; NaN without."""

    ipcs: tuple[int, ...]
    kinds: tuple[str, ...]
    specs: tuple[tuple[str | None, ...], ...]
    test: Float[np.ndarray, "U I S"]
    on: str

    def difference(self, kind: str, baseline: str, ipc: int | None = None) -> Estimate:
        """One kind minus another, each seed against itself: at one IPC, or the mean over all that both have."""
        if not {kind, baseline} <= set(self.kinds):
            return estimate(np.array([]))
        values = self.test[:, :, self.kinds.index(kind)] - self.test[:, :, self.kinds.index(baseline)]
        values = values[:, [i for i, n in enumerate(self.ipcs) if ipc in (None, n) and np.isfinite(values[:, i]).any()]]
        return estimate(values[np.isfinite(values).all(1)].mean(1)) if values.size else estimate(np.array([]))

    def accuracy(self, kind: str, ipc: int) -> Estimate:
        """Test accuracy of one kind at one IPC."""
        values = self.test[:, self.ipcs.index(ipc), self.kinds.index(kind)]
        return estimate(values[np.isfinite(values)])


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """What every source of labels gains over hard labels, by IPC."""
    return _parts.by_group(rows, find_sources, _tell)


@functools.cache
def kind_of(labels: str) -> str | None:
    """The kind of source of a label spec; None for a spec that is treated further.

    >>> kind_of("hard|smooth(0.1)"), kind_of("teacher(epoch=5, views=4)"), kind_of("teacher(epoch=5)|topk(3)")
    ('smoothed', 'views', None)
    """
    source, *operations = spec.parse(labels)
    if source.name == "hard":
        names = [call.name for call in operations]
        return {(): "hard", ("smooth",): "smoothed"}.get(tuple(names))
    if operations:
        return None
    return "views" if "views" in source.kwargs else {"teacher": "teacher", "teachers": "pooled"}.get(source.name)


def find_sources(rows: Sequence[Row]) -> Sources | None:
    """The sources of one group of rows; None unless smoothed labels or labels of views are compared with others."""
    table = grid([row for row in rows if kind_of(row["labels"])])
    by_kind = {kind: [labels for labels in table.labels if kind_of(labels) == kind] for kind in KINDS}
    kinds = tuple(kind for kind, specs in by_kind.items() if specs)
    if len(kinds) < 2 or not {"smoothed", "views"} & set(kinds):
        return None
    specs = tuple(tuple(_parts.chosen(table, ipc, by_kind[kind]) for kind in kinds) for ipc in table.ipcs)
    test = np.full((len(table.units), len(table.ipcs), len(kinds)), np.nan)
    for s, kind in enumerate(kinds):
        columns = [column(table, labels) for labels in by_kind[kind]]
        picks = choice_of_others(table.selection[:, :, columns])[..., None]
        test[:, :, s] = np.take_along_axis(table.test[:, :, columns], np.maximum(picks, 0), 2)[..., 0]
    return Sources(table.ipcs, kinds, specs, test, _parts.chosen_on(rows))


def draw_sources(found: Sources) -> Figure:
    """Paired gain of every source over hard labels by IPC; without hard labels, accuracy."""
    gained = "hard" in found.kinds
    figure = Figure((WIDTH, 3.6))
    axes = figure.subplots()
    shown = [kind for kind in found.kinds if kind != "hard"]
    counts = []
    for s, kind in enumerate(shown):
        values = [found.difference(kind, "hard", n) if gained else found.accuracy(kind, n) for n in found.ipcs]
        places, looks = beside(found.ipcs, s, len(shown)), {"fmt": f"{_parts.MARKERS[s]}-", "color": PALETTE[s]}
        interval_bars(axes, places, values, label=KINDS[kind], **looks)
        counts += [value.n for value in values if value.n]
    if gained:
        axes.axhline(0, color=INK, lw=1)
    ipc_axis(axes, found.ipcs)
    axes.set_ylabel("gain over hard labels, test points" if gained else "test accuracy, %")
    axes.margins(y=0.1)
    figure.legend(loc="outside lower center", ncols=2)
    _parts.say_n(figure, counts, "bars: 95 % intervals")
    return figure


def _title(found: Sources) -> str:
    smooth, teacher = found.difference("smoothed", "hard"), found.difference("teacher", "hard")
    parts = []
    if smooth.n:
        verdict = ("hurts", "makes no difference that can be told", "helps")[_parts.sign(smooth) + 1]
        said = f"smoothing moves accuracy by {_parts.signed(smooth)}"
        parts.append(f"Softness without structure {verdict}: {said}")
        if teacher.n:
            parts[0] += f", a teacher's labels by {_parts.signed(teacher)}"
    views, base = found.difference("views", "teacher"), "one label of a teacher"
    if not views.n:
        views, base = found.difference("views", "hard"), "hard labels"
    if views.n:
        parts.append(f"against {base}, labels of views move accuracy by {_parts.signed(views)}")
    if not parts:
        return "Too few members have finished to compare sources of labels"
    where = words.budgets(found.ipcs) if len(found.ipcs) == 1 else f"mean of {len(found.ipcs)} budgets"
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]} ({where})"


def _tell(found: Sources, suffix: str) -> list[Section]:
    title, lines = _title(found), []
    for ipc, specs in zip(found.ipcs, found.specs):
        for kind, labels in zip(found.kinds, specs):
            if labels is not None:
                accuracy = found.accuracy(kind, ipc)
                gain = words.NONE if kind == "hard" else words.difference(found.difference(kind, "hard", ipc))
                lines.append((str(ipc), KINDS[kind], f"`{labels}`", words.accuracy(accuracy), gain, str(accuracy.n)))
    header = ("IPC", "source", "chosen label spec", "test, %", "gain over hard labels, points", "n")
    caption = f"Of each source the spec that is best on {found.on}, each seed judging what the others choose; means over n seeds with 95 % intervals, gains seed by seed."
    shown = "Test accuracy of each source of labels minus hard labels, by images per class."
    picture = Picture(f"sources{suffix}", plots.png(draw_sources, found), f"{shown} {title}.", shown)
    return [Section(title, [picture, Table(header, lines, caption, folded=len(lines) > 24)])]
