"""What an IPC that was not run would want and reach: teacher epoch, label entropy and accuracy, and how to check it."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxsoft import errors
from jaxsoft.analysis import laws
from jaxsoft.analysis.fits import best_form
from jaxsoft.analysis.frontier import chosen_draws
from jaxsoft.analysis.grid import Grid, grid
from jaxsoft.analysis.scaling import frontier_curve, rivals
from jaxsoft.analysis.stats import RESAMPLES, interval
from jaxsoft.types import Row


class Prediction(NamedTuple):
    """A value for an IPC, with its 95 % interval over n seeds; `how` says what was fitted, or why there is nothing."""

    ipc: int
    value: float
    low: float
    high: float
    n: int
    how: str


class Check(NamedTuple):
    """One IPC predicted from the others, beside what was chosen and measured there; NaN where nothing was."""

    epoch: Prediction
    chosen_epoch: float
    accuracy: Prediction
    measured: float
    entropy: Prediction | None
    chosen_entropy: float


def predict_epoch(rows: Sequence[Row] | Grid, ipc: int, resamples: int = RESAMPLES) -> Prediction:
    r"""The teacher epoch that an IPC would choose: $\ln(1 + epoch) = \alpha + \beta \ln n$ by least squares.

    The line is fitted to the epochs chosen in the data and in every bootstrap draw of seeds, not in between the epochs
    that were tried; the interval says how far the draws agree.

    Args:
      rows: one group of members whose label specs name teacher epochs.
      ipc: images per class.
      resamples: bootstrap draws.
    """
    ipcs, epochs, n = _chosen_epochs(rows, resamples)
    return _line(ipcs, np.log1p(epochs), ipc, n, "ln(1 + epoch) is linear in ln IPC", np.expm1)


def predict_entropy(
    rows: Sequence[Row] | Grid, ipc: int, entropies: Mapping[int, float], resamples: int = RESAMPLES
) -> Prediction:
    r"""The label entropy that an IPC would choose: $H = \alpha + \beta \ln n$ by least squares, as `predict_epoch`.

    Args:
      rows: one group of members whose label specs name teacher epochs.
      ipc: images per class.
      entropies: mean label entropy (nats) of the teacher by epoch, from its history.
      resamples: bootstrap draws.

    Raises:
      ConfigError: an epoch that was chosen has no entropy.
    """
    ipcs, epochs, n = _chosen_epochs(rows, resamples)
    if missing := sorted(set(epochs.ravel().tolist()) - set(entropies)):
        raise errors.ConfigError(f"entropies has no epoch {', '.join(map(str, missing))}; give all that were chosen")
    values = np.vectorize(lambda epoch: entropies[int(epoch)], otypes=[float])(epochs)
    return _line(ipcs, values, ipc, n, "label entropy is linear in ln IPC", lambda entropy: np.maximum(entropy, 0.0))


def predict_accuracy(
    rows: Sequence[Row] | Grid, ipc: int, form: str | None = None, resamples: int = RESAMPLES
) -> Prediction:
    """The test accuracy of the best soft labels at an IPC, by a law of the frontier.

    In every bootstrap draw the labels are chosen anew and the law is fitted anew. The interval knows of seeds and of the
    choice of labels, not of the choice of the law.

    Args:
      rows: one group of members.
      ipc: images per class.
      form: one of `laws.FORMS`; by default the best by AICc, or a power law with a floor where points are too few.
      resamples: bootstrap draws.

    Raises:
      ConfigError: there is no such form.
    """
    table = grid(rows)
    curve, draws = frontier_curve(table), chosen_draws(table, resamples=resamples)
    best = best_form(rivals(curve)) if form is None else None
    law = laws.form_named(form or (best.form if best else laws.FLOOR.name))
    if len(draws.ipcs) < len(law.parameters):
        return _unknown(ipc, draws.n, f"{len(draws.ipcs)} IPC values cannot fix a {law.name} law")
    parameters, _ = laws.solve(law, curve.ipc, 1 - draws.test, curve.weight)
    values = 1 - laws.error_at(law, parameters, np.array([ipc], float))[:, 0]
    low, high = interval(values[1:], draws.n)
    return Prediction(ipc, float(values[0]), low, high, draws.n, law.name)


def leave_one_out(
    rows: Sequence[Row], ipc: int, entropies: Mapping[int, float] | None = None, resamples: int = RESAMPLES
) -> Check:
    """Predict an IPC from all others, and compare with what was chosen and measured there.

    Args:
      rows: one group of members.
      ipc: one that was run.
      entropies: mean label entropy (nats) of the teacher by epoch; without it there is no entropy.
      resamples: bootstrap draws.

    Raises:
      ConfigError: the IPC was not run, or an epoch that was chosen has no entropy.
    """
    own, others = ([row for row in rows if (row["ipc"] == ipc) == held] for held in (True, False))
    if not own or not others:
        known = sorted({row["ipc"] for row in rows})
        raise errors.ConfigError(f"ipc {ipc} cannot be left out; the rows have {known} and some must stay")
    own, others = grid(own), grid(others)
    held, (_, epochs, _) = chosen_draws(own, resamples=0), _chosen_epochs(own, 0)
    chosen = float(epochs[0, 0]) if epochs.size else math.nan
    entropy = predict_entropy(others, ipc, entropies, resamples) if entropies is not None else None
    return Check(
        predict_epoch(others, ipc, resamples),
        chosen,
        predict_accuracy(others, ipc, resamples=resamples),
        float(held.test[0, 0]) if held.test.size else math.nan,
        entropy,
        entropies.get(int(chosen), math.nan) if entropies is not None and epochs.size else math.nan,
    )


def _chosen_epochs(
    rows: Sequence[Row] | Grid, resamples: int
) -> tuple[Float[np.ndarray, "I"], Int[np.ndarray, "R I"], int]:
    """The IPC at which some spec names an epoch, the epochs chosen in the data and in each draw, and n."""
    table = grid(rows)
    draws = chosen_draws(table, dated=True, resamples=resamples)
    epochs = np.array([-1 if epoch is None else epoch for epoch in table.epochs])
    return np.array(draws.ipcs, float), epochs[draws.picks], draws.n


def _line(ipcs: np.ndarray, values: np.ndarray, ipc: int, n: int, how: str, back: Callable) -> Prediction:
    """Least squares lines in ln IPC, one for each row of values, and what they say of an IPC."""
    if len(ipcs) < 2:
        return _unknown(ipc, n, f"{len(ipcs)} IPC values cannot fix a line")
    slope, start = np.polyfit(np.log(ipcs), values.T, 1)
    found = back(start + slope * math.log(ipc))
    low, high = interval(found[1:], n)
    return Prediction(ipc, float(found[0]), low, high, n, how)


def _unknown(ipc: int, n: int, why: str) -> Prediction:
    return Prediction(ipc, math.nan, math.nan, math.nan, n, why)
