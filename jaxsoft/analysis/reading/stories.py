"""What `learned.json` tells of labels while they were learned, as arrays over subsets and moments of learning."""

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxsoft import errors
from jaxsoft.analysis.reading.read import read_json
from jaxsoft.analysis.reading.results import plain
from jaxsoft.analysis.statistics.inference import Estimate, estimate


class Pooled(NamedTuple):
    """The labels of pooled experts: accuracy of the judges trained on them, entropy, and divergence at each moment T.

    `smoothed` is the divergence of the true classes, each smoothed to the entropy of its learned label; NaN where the story
    does not tell.
    """

    accuracy: Float[np.ndarray, "n"]
    entropy: Float[np.ndarray, "n"]
    divergence: Float[np.ndarray, "n T"]
    smoothed: Float[np.ndarray, "n T"]

    @property
    def approach(self) -> Estimate:
        """Divergence at the end minus that at the start: below zero, learned labels came nearer."""
        return estimate(self.divergence[:, -1] - self.divergence[:, 0])

    @property
    def beyond(self) -> Estimate:
        """Divergence minus that of equal smoothing, at the end: below zero, softness is not all."""
        return estimate(self.divergence[:, -1] - self.smoothed[:, -1])


class Story(NamedTuple):
    """How the labels of n subsets of one IPC were learned; accuracy is of judges, on validation, and a fraction."""

    ipc: int
    model: str
    steps: Int[np.ndarray, "T"]
    accuracy: Float[np.ndarray, "n T"]
    entropy: Float[np.ndarray, "n T"]
    hard: Float[np.ndarray, "n"]
    pooled: dict[str, Pooled]

    @property
    def gain(self) -> Estimate:
        """Accuracy with learned labels minus that with hard ones, each subset against itself."""
        return estimate(self.accuracy[:, -1] - self.hard)


def read_stories(folder: Path) -> list[Story]:
    """The stories of a run's learned labels by IPC; none if it learned none.

    Raises:
      DataError: `learned.json` is damaged.
    """
    path = folder / "learned.json"
    if not (content := read_json(path)):
        return []
    try:
        subsets: dict[int, list[Any]] = defaultdict(list)
        for told in content["subsets"]:
            subsets[int(told["ipc"])].append(told)
        return [_story(ipc, str(content["model"]), subsets[ipc]) for ipc in sorted(subsets)]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as problem:
        raise errors.DataError(f"cannot read {path}: {type(problem).__name__}: {plain(str(problem))}") from None


def _story(ipc: int, model: str, subsets: Sequence[Mapping[str, Any]]) -> Story:
    def looks(*keys: str) -> np.ndarray:
        return np.array([[functools.reduce(dict.__getitem__, keys, s) for s in one["looks"]] for one in subsets], float)

    pooled = {}
    for r, reference in enumerate(subsets[0]["references"]):
        labels, same = str(reference["labels"]), [one["references"][r] for one in subsets]
        accuracy, entropy = (np.array([one[key] for one in same], float) for key in ("val_accuracy", "entropy"))
        divergence = looks("divergence", labels)
        told = all("smoothed_divergence" in look for one in subsets for look in one["looks"])
        smoothed = looks("smoothed_divergence", labels) if told else np.full_like(divergence, np.nan)
        pooled[labels] = Pooled(accuracy, entropy, divergence, smoothed)
    steps = np.array([look["outer_step"] for look in subsets[0]["looks"]], int)
    hard = np.array([one["hard_val_accuracy"] for one in subsets], float)
    story = Story(ipc, model, steps, looks("val_accuracy"), looks("entropy"), hard, pooled)
    numbers = [story.accuracy, story.entropy, hard, *(part for known in pooled.values() for part in known[:3])]
    if ipc < 1 or len(steps) < 1 or not all(np.isfinite(values).all() for values in numbers):
        raise ValueError("a story of learned labels needs an IPC, looks and finite numbers")
    if story.accuracy.shape != (len(hard), len(steps)):
        raise ValueError("subsets of one IPC have the same looks")
    return story
