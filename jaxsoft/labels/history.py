"""How experts came along, epoch by epoch, and at which epoch they first were as good or as sure as is asked for."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxsoft import errors

History = Sequence[Mapping[str, Any]]
"""One expert, one record an epoch: `epoch`, `val_accuracy` (fraction), `label_entropy` (nats)."""


def first_epoch(
    histories: Mapping[int, History] | Sequence[History],
    experts: Sequence[int],
    labels: str,
    accuracy: float | None = None,
    entropy: float | None = None,
) -> int:
    """The first epoch at which the experts' mean reaches an accuracy from below, or an entropy from above.

    Args:
      histories: for each expert its records.
      experts: which of them; pooled experts are judged by their mean at each epoch.
      labels: the label spec that asks, for the message.
      accuracy: a fraction of validation images, or else
      entropy: of the labels, in nats.

    Raises:
      ConfigError: no epoch reaches it, or an expert has no history.
    """
    if accuracy is not None:
        word, column, goal, sign, extreme = "accuracy", "val_accuracy", accuracy, 1, "best"
    else:
        word, column, goal, sign, extreme = "entropy", "label_entropy", entropy or 0.0, -1, "lowest"
    means = _means(histories, experts, labels, column)
    for epoch, mean in means.items():
        if sign * mean >= sign * goal - 1e-6:  # 0.35 measured in float32 is a little less than 0.35
            return epoch
    nearest = max(means, key=lambda epoch: sign * means[epoch])
    found = f"{extreme} is {means[nearest]:.4g} at epoch {nearest}"
    raise errors.ConfigError(f"label spec '{labels}': no epoch reaches {word} {goal:g}; {found}")


def _means(
    histories: Mapping[int, History] | Sequence[History], experts: Sequence[int], labels: str, column: str
) -> dict[int, float]:
    """Mean of a column over the experts at every epoch where it is finite for all of them."""
    try:
        records = [{int(r["epoch"]): float(r[column]) for r in histories[expert]} for expert in experts]
    except (KeyError, IndexError):
        raise errors.ConfigError(f"label spec '{labels}' needs {column} of experts {experts}") from None
    epochs = sorted(set.intersection(*map(set, records)))
    means = {epoch: sum(r[epoch] for r in records) / len(records) for epoch in epochs}
    means = {epoch: mean for epoch, mean in means.items() if math.isfinite(mean)}
    if not means:
        raise errors.ConfigError(f"label spec '{labels}': no epoch of experts {experts} has a finite {column}")
    return means
