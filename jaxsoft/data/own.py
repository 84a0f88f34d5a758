"""A user's own arrays as a dataset: by `jaxsoft.Dataset.from_arrays`, or returned by a function that a config names."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxsoft import errors, spec
from jaxsoft.data import arrays, classes, encoded, raw
from jaxsoft.types import Dataset, Split


def from_arrays(images: Any, labels: Any, class_names: Any, validation: Any, test: Any, name: str) -> Dataset:
    """The splits, given or cut, in the rows' own order and read-only; see `Dataset.from_arrays`."""
    who = errors.shown(str(name))
    names = arrays.class_names(_numbers(labels, who) if class_names is None else class_names, who)
    whole, parts = arrays.split(Split(images, labels), names, f"{who}:"), {}
    left = np.arange(len(whole))
    for split, asked in (("test", raw.TEST_SHARE if test is None else test), ("validation", validation)):
        if (given := _pair(asked)) is not None:
            held = arrays.split(given, names, f"{who}: {split}")
            parts[split] = _taken(held, np.arange(len(held)))
        else:
            counts = _counts(whole.labels[left], _share(asked, split), names, split)
            out = classes.held_out(whole.labels[left], counts)
            parts[split], left = _taken(whole, left[out]), left[~out]
    return arrays.checked(Dataset(name, names, train=_taken(whole, left), **parts))


def from_function(text: str, validation: float, limit: int | None) -> Dataset:
    """What the function of a spec such as `mylab.data:birds(side=32)` returns; the rest is as in `load`.

    Raises:
      ConfigError: there is no such function, it fails, or it returns neither a Dataset nor (images, labels).
      DataError: its arrays are not clear.
    """
    made = spec.resolve(text, {}, "dataset", "jaxsoft data list")()
    if isinstance(made, Dataset):
        data = arrays.checked(made)
        data = data if validation else dataclasses.replace(data, validation=_taken(data.validation, np.arange(0)))
    elif (pair := _pair(made)) is not None:
        data = from_arrays(pair.images, pair.labels, None, validation, None, text)
    else:
        told = f"should return a jaxsoft.Dataset or (images, labels), got {errors.quoted(type(made).__name__)}"
        raise errors.ConfigError(f"{spec.parse_one(text).name} {told}")
    if limit:
        beyond = np.maximum(np.bincount(data.train.labels) - limit, 0)
        kept = ~classes.held_out(data.train.labels, beyond)
        data = dataclasses.replace(data, train=_taken(data.train, np.flatnonzero(kept)))
    return arrays.checked(data)


def _numbers(labels: Any, who: str) -> tuple[str, ...]:
    """A name for each class number that there is; what is no number is refused later."""
    found = arrays.array_of(labels, f"{who}: labels")
    return tuple(map(str, range(len(np.unique(found)) if found.dtype.kind in "biuf" else 1)))


def _pair(asked: Any) -> Split | None:
    """The split that a user hands over, if it is one and no share."""
    is_pair = isinstance(asked, (tuple, list)) and len(asked) == 2
    return asked if isinstance(asked, Split) else Split(*asked) if is_pair else None


def _share(asked: Any, split: str) -> float:
    number = isinstance(asked, (int, float, np.number)) and not isinstance(asked, bool)
    if not number or not 0 <= asked < 1 or (asked == 0 and split == "test"):
        low = "(0" if split == "test" else "[0"
        raise errors.ConfigError(
            f"{split} expects a share in {low}, 1) or (images, labels), got {errors.quoted(asked)}"
        )
    return float(asked)


def _counts(labels: Int[np.ndarray, "N"], share: float, names: tuple[str, ...], split: str) -> Int[np.ndarray, "K"]:
    """How many images of each class a share is; refused if it is all of them."""
    counts = np.bincount(labels)
    held = classes.portion(labels, share) if share else np.zeros_like(counts)
    if not (kept := counts - held).all():
        empty = int(np.argmin(kept))
        raise errors.ConfigError(
            f"{split}={share} leaves class {empty} ({errors.shown(names[empty])}) without train images"
        )
    return held


def _taken(split: Split, rows: Int[np.ndarray, "n"]) -> Split:
    """A read-only copy of these rows."""
    taken = Split(encoded.taken(split.images, rows), split.labels[rows])
    for array in (taken.images, taken.labels):
        array.flags.writeable = False
    return taken
