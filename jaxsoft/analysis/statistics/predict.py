"""What an IPC that was not run would want and reach: teacher epoch and accuracy, by lines and laws through the others."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxsoft.analysis.statistics import fits, laws
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import NOTHING, Estimate, drawn


def chosen_epochs(group: Group, arms: Arms) -> tuple[list[int], Float[np.ndarray, "R T"]]:
    """The budgets at which dated labels were run, and the teacher epoch chosen in the data and in every bootstrap draw.

    NaN in draws of units of which none was run at a budget.
    """
    ipcs = group.budgets(arms)
    picks = group.choices(ipcs, arms) if ipcs else np.empty((1, 0), int)
    return ipcs, np.where(picks >= 0, group.arms["epoch"].to_numpy(float)[picks], np.nan)


def predicted_epoch(ipcs: Sequence[int], epochs: Float[np.ndarray, "R T"], n: int, ipc: int) -> Estimate:
    r"""The teacher epoch that an IPC would choose: $\ln(1 + epoch) = \alpha + \beta \ln n$ by least squares in every draw.

    The line is fitted to epochs that were chosen, not in between those that were tried; the interval says how far draws agree.
    """
    if len(ipcs) < 2:
        return NOTHING
    slope, start = np.polyfit(np.log(ipcs), np.log1p(_whole(epochs)).T, 1)
    return drawn(np.expm1(start + slope * math.log(ipc)), n)


def predicted_accuracy(curve: fits.Curve, ipc: int) -> Estimate:
    """The test accuracy at an IPC by the power law with a floor of a curve.

    In every bootstrap draw the labels are chosen anew and the law is fitted anew. The interval knows of seeds and of the
    choice of labels, not of the choice of the law.
    """
    if curve.x.shape[1] < len(laws.FLOOR.parameters):
        return NOTHING
    found, _ = laws.solve(laws.FLOOR, curve.x, 1 - _whole(curve.draws), curve.weight)
    return drawn(1 - laws.error_at(laws.FLOOR, found, np.array([[ipc]], float))[:, 0], curve.n)


def _whole(draws: Float[np.ndarray, "R T"]) -> Float[np.ndarray, "Q T"]:
    """The draws in which every budget was run, and the data, which come first."""
    return draws[np.isfinite(draws).all(1)]
