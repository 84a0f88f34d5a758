"""Images of one's own choice, of a file or an array: read at the door, and known by a digest from then on."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32

from jaxsoft import config, errors, files, spec
from jaxsoft.data import refusals, select
from jaxsoft.data.formats import array
from jaxsoft.spec import Call

_NAME = "indices"
_LARGEST = np.iinfo(np.int32).max


class Indices(str):
    """A way to select, with the positions that it speaks of; `config.select` and `Sweep.select` take it.

    Attributes:
      given: positions in the train split, int32: [K, I], row k of class k, or a flat list of any order.
    """

    given: Int32[np.ndarray, "*_"]

    @classmethod
    def from_array(cls, given: Any, nested: bool = False, name: str = "images") -> "Indices":
        """Images of your own choice, the same for every seed.

        Args:
          given: positions in `dataset.train`: [K, I], row k of class k, or a flat list with as many of every class.
          nested: whether a smaller IPC is the first columns; else the only IPC is I.
          name: what results call them.

        Raises:
          DataError: these are no integers. What does not fit a dataset is told when there is one.

        >>> Indices.from_array([[4, 1], [0, 2]], name="core")
        'indices(core, digest=x2fb8ad348287)'
        """
        what = f"indices({name})"
        with refusals.naming(f"{what} make no array"):
            found = np.asarray(given)
        if found.dtype.kind not in "iu" or found.ndim not in (1, 2) or not found.size:
            told = f"{what} holds {found.dtype.name}, shape {refusals.size(found.shape) or 'of one number'}"
            raise errors.DataError(f"{told}; wanted integers, classes by images, or a flat list")
        if (outside := found[(found < 0) | (found > _LARGEST)]).size:
            raise errors.DataError(f"{what} holds {outside[0]}; wanted positions in train, from 0")
        found = np.ascontiguousarray(found, np.int32)
        digest = "x" + files.digest([f"{found.shape};", found.data])[:12]
        named: dict[str, Any] = {"nested": True} if nested else {}
        made = cls(Call(_NAME, (name,), {**named, "digest": digest}))
        made.given = found
        return made

    def __deepcopy__(self, _: Any) -> "Indices":
        return self  # neither text nor positions change


def read(settings: config.Settings, folders: Sequence[Path] = (Path(),)) -> config.Settings:
    """The settings, with positions in the place of selections that name a file in one of the folders.

    Raises:
      ConfigError: a selection cannot be read.
      DataError: there is no such file, or it does not hold positions.
    """
    found = functools.partial(_found, folders)
    sweep = dataclasses.replace(settings.sweep, select=tuple(found(t, "sweep.select") for t in settings.sweep.select))
    return dataclasses.replace(settings, select=found(settings.select, "select"), sweep=sweep)


def content(text: str) -> str:
    """A selection as keys know it: what has a digest by that alone, whatever its name is."""
    call = spec.parse_one(text)
    return str(Call(call.name, (), {"digest": call.kwargs["digest"]})) if "digest" in call.kwargs else text


def _found(folders: Sequence[Path], text: str, key: str) -> str:
    if isinstance(text, Indices):
        return text
    try:
        if (call := spec.parse_one(text)).name != _NAME:
            return text
        asked = spec.bind(call, select.indices, ("labels", "ipc", "key", "given"))
        given = array.listed(array.sought(folders, file := asked["file"], _NAME))
        if Path(file).suffix == ".csv" and 1 in given.shape:
            given = given.ravel()
        made = Indices.from_array(given, asked.get("nested", False), Path(file).stem)
        held, wanted = spec.parse_one(made).kwargs["digest"], asked.get("digest", "")
        if wanted not in ("", held):
            raise errors.DataError(f"{file} holds the positions {held}; wanted {wanted}")
        return made
    except (errors.ConfigError, errors.DataError) as problem:
        raise type(problem)(f"config.{key}: {problem}") from None
