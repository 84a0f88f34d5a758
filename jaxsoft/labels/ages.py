"""How old a teacher is who is as accurate, or whose labels are as certain, as a label spec wants."""

import math
from collections.abc import Mapping, Sequence

from jaxsoft import errors
from jaxsoft.types import History

_MEASURES = {"accuracy": ("val_accuracy", 1, "best"), "entropy": ("label_entropy", -1, "lowest")}
"""Column of a history, the sign of what is better, and the word for the best."""


def first(
    spec: str, when: Mapping[str, float], experts: Sequence[int], histories: Mapping[int, History] | Sequence[History]
) -> int:
    """The first epoch at which experts, judged by their mean, reach what is wanted.

    Args:
      spec: the label spec, for messages.
      when: the accuracy (a fraction, at least so much) or the entropy (nats, at most so much), by its name.
      experts: who is pooled.
      histories: for each expert one record of every epoch.

    Raises:
      ConfigError: no epoch reaches it, or an expert has no history.
    """
    ((measure, goal),) = when.items()
    column, sign, extreme = _MEASURES[measure]
    try:
        own = [[r for r in histories[expert] if r[column] is not None] for expert in experts]
        records = [{int(r["epoch"]): float(r[column]) for r in history} for history in own]
    except (KeyError, IndexError):
        raise errors.ConfigError(f"label spec '{spec}' needs {column} of experts {experts}") from None
    shared = sorted(set.intersection(*map(set, records)))
    means = {epoch: sum(record[epoch] for record in records) / len(records) for epoch in shared}
    means = {epoch: mean for epoch, mean in means.items() if math.isfinite(mean)}
    for epoch, mean in means.items():
        if sign * mean >= sign * goal - 1e-6:  # 0.35 measured in float32 is a little less than 0.35
            return epoch
    if not means:
        raise errors.ConfigError(f"label spec '{spec}': no epoch of experts {experts} has a finite {column}")
    nearest = max(means, key=lambda epoch: sign * means[epoch])
    found = f"{extreme} is {means[nearest]:.4g} at epoch {nearest}"
    raise errors.ConfigError(f"label spec '{spec}': no epoch reaches {measure} {goal:g}; {found}")
