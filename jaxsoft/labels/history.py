"""How experts came along, epoch by epoch, and at which epoch they first were as good or as sure as is asked for."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxsoft import errors

History = Sequence[Mapping[str, Any]]
"""One expert, one record an epoch: `epoch`, `val_accuracy` (fraction), `label_entropy` (nats)."""
Histories = Mapping[int, History] | Sequence[History]
"""For each expert its records."""

_MEASURES = {"accuracy": ("val_accuracy", 1, "best"), "entropy": ("label_entropy", -1, "lowest")}
"""Column of a record, the sign of what is better, and the word for the best."""


def first_epoch(histories: Histories, experts: Sequence[int], measure: str, goal: float, spec: str) -> int:
    """The first epoch at which the experts' mean reaches an accuracy from below, or an entropy from above.

    Args:
      histories: for each expert its records.
      experts: which of them; pooled experts are judged by their mean at each epoch.
      measure: `accuracy`, a fraction of validation images, or `entropy`, of the labels, in nats.
      goal: what is to be reached.
      spec: the label spec that asks, for the message.

    Raises:
      ConfigError: no epoch reaches it, or an expert has no history.
    """
    column, sign, extreme = _MEASURES[measure]
    means = _means(histories, experts, column, spec)
    for epoch, mean in means.items():
        if sign * mean >= sign * goal - 1e-6:  # 0.35 measured in float32 is a little less than 0.35
            return epoch
    nearest = max(means, key=lambda epoch: sign * means[epoch])
    found = f"{extreme} is {means[nearest]:.4g} at epoch {nearest}"
    raise errors.ConfigError(f"label spec '{spec}': no epoch reaches {measure} {goal:g}; {found}")


def _means(histories: Histories, experts: Sequence[int], column: str, spec: str) -> dict[int, float]:
    """Mean of a column over the experts at every epoch where it is finite for all of them."""
    try:
        records = [{int(r["epoch"]): float(r[column]) for r in histories[expert]} for expert in experts]
    except (KeyError, IndexError):
        raise errors.ConfigError(f"label spec '{spec}' needs {column} of experts {experts}") from None
    means = {
        epoch: sum(r[epoch] for r in records) / len(records) for epoch in sorted(set.intersection(*map(set, records)))
    }
    means = {epoch: mean for epoch, mean in means.items() if math.isfinite(mean)}
    if not means:
        raise errors.ConfigError(f"label spec '{spec}': no epoch of experts {experts} has a finite {column}")
    return means
