"""Means with intervals, side by side on the axes of a figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from jaxsoft.analysis.stats import Estimate


def interval_bars(axes: Axes, places: Sequence[int | float], values: Sequence[Estimate], **style: Any) -> None:
    """Means in percent with their 95 % intervals; without an interval the mean stands alone."""
    told = [(x, value) for x, value in zip(places, values) if value.n]
    ends = 100 * np.array([[v.mean, v.low, v.high] for _, v in told]).reshape(-1, 3)
    mean, low, high = np.where(np.isnan(ends), ends[:, :1], ends).T
    style = {"fmt": "o", "ms": 5, "lw": 1.6, "capsize": 3, "mec": "white", "mew": 0.6} | style
    axes.errorbar([x for x, _ in told], mean, [mean - low, high - mean], **style)


def beside(ipcs: Sequence[int], i: int, count: int) -> list[float]:
    """Where series i of `count` stands on a logarithmic axis, so that series do not hide each other."""
    room = max(1.3, max(ipcs) / min(ipcs)) ** 0.018
    return [ipc * room ** (i - (count - 1) / 2) for ipc in ipcs]
