"""Do sets that are good for one network serve others? What is lost on the way, and whether networks agree on a ranking."""

import itertools

import numpy as np
from jaxtyping import Float

from jaxsoft.analysis.statistics.inference import Estimate, curves, drawn, estimate

Accuracies = Float[np.ndarray, "U S A"]
"""By unit, set and architecture; NaN where a member was not run."""


def losses(values: Accuracies, home: int) -> list[Estimate]:
    """Of each set the mean accuracy on the other architectures minus that on `home`, each unit against itself.

    >>> [set_.mean for set_ in losses(np.array([[[0.5, 0.25, 0.25]]] * 3), home=0)]
    [-0.25]
    """
    others = np.delete(values, home, axis=2).mean(2)
    return [estimate(each) for each in (others - values[:, :, home]).T]


def agreement(values: Accuracies) -> dict[tuple[int, int], Estimate]:
    """Kendall's tau of the rankings of sets by every two architectures, with bootstrap intervals over units.

    1: they rank all sets alike; -1: the other way round; sets that tie count as neither. NaN of fewer than two sets.

    Reference: Kendall, "A new measure of rank correlation" (1938), tau a.
    """
    _, sets, architectures = values.shape
    ahead = curves(values)
    pairs = list(itertools.combinations(range(sets), 2))
    signs = np.sign(np.stack([ahead[:, a] - ahead[:, b] for a, b in pairs], 1)) if pairs else ahead[:, :1] * np.nan
    n = int(np.isfinite(values).all((1, 2)).sum())
    found = itertools.combinations(range(architectures), 2)
    return {(a, b): drawn((signs[:, :, a] * signs[:, :, b]).mean(1), n) for a, b in found}
