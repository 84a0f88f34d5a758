"""Means with intervals, side by side on the axes of a figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from jaxsoft.analysis.questions import _parts
from jaxsoft.analysis.stats import Estimate


def interval_bars(axes: Axes, places: Sequence[int | float], values: Sequence[Estimate], **style: Any) -> None:
    """Means in percent with their 95 % intervals; without an interval the mean stands alone."""
    told = [(x, value) for x, value in zip(places, values) if value.n]
    ends = 100 * np.array([[v.mean, v.low, v.high] for _, v in told]).reshape(-1, 3)
    mean, low, high = np.where(np.isnan(ends), ends[:, :1], ends).T
    style = {"fmt": "o", "ms": 5, "lw": 1.6, "capsize": 3, "capthick": 1.4, "mec": "white", "mew": 0.6} | style
    axes.errorbar([x for x, _ in told], mean, [mean - low, high - mean], **style)


def ipc_axis(axes: Axes, ipcs: Sequence[int]) -> None:
    """The budgets that were measured, on a logarithmic axis; one alone stands in the middle."""
    _parts.measured_axis(axes, ipcs, "IPC, images per class", log=len(ipcs) > 1)
    if len(ipcs) == 1:
        axes.set_xlim(0.96 * ipcs[0], 1.04 * ipcs[0])


def beside(ipcs: Sequence[int], i: int, count: int) -> list[float]:
    """Where series i of `count` stands on a logarithmic axis, so that series do not hide each other."""
    room = max(1.3, max(ipcs) / min(ipcs)) ** 0.018
    return [ipc * room ** (i - (count - 1) / 2) for ipc in ipcs]
