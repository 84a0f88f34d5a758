"""Which epochs of experts are kept: all, every so many, or those that labels ask for; the last one always."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxsoft import config, errors, spec
from jaxsoft.labels import ages
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.types import History

_KEY, _ASKED = "config.teacher.keep", "asked"


class Keeping(NamedTuple):
    """A rule by which the states of epochs are kept."""

    every: int  # of so many epochs one, from epoch 0 on; 0: those that are asked for
    last: int
    asked: tuple[LabelSpec, ...] = ()  # whose labels will be read, each at an epoch, an accuracy or an entropy

    def wants(self, epoch: int, places: Sequence[int], records: Sequence[Sequence[Mapping[str, Any]]]) -> bool:
        """Whether an epoch is kept of the experts at `places`, as all records up to it tell."""
        if epoch == self.last or self.every:
            return epoch == self.last or epoch % self.every == 0
        histories = dict(zip(places, zip(*records)))
        return any(_asks(one, epoch, histories) for one in self.asked)

    def missing(self, epoch: int, places: Sequence[int], histories: Sequence[History]) -> str:
        """Why an epoch is not there: nobody wanted it kept, or it is lost."""
        if self.wants(epoch, places, list(zip(*histories))[: epoch + 1]):
            return "is gone"
        return f"was not kept ({_KEY}={f'every({self.every})' if self.every else _ASKED})"

    def most(self) -> int:
        """How many epochs are kept at most."""
        if self.every:
            return len({*range(0, self.last, self.every), self.last})
        whens = {tuple(one.when.items()) for one in self.asked} - {(("epoch", self.last),)}
        return min(len(whens), self.last) + 1


def of(teacher: config.Teacher, asked: Sequence[LabelSpec] = ()) -> Keeping:
    """What `config.teacher.keep` says, where these labels are asked for.

    Raises:
      ConfigError: it is not `all`, `every(k)` with k of 1 or more, or `asked`.

    >>> [of(config.Teacher(epochs=25, keep=keep)).most() for keep in ("every(10)", "all", "asked")]
    [4, 26, 1]
    """
    text, last = teacher.keep, teacher.epochs
    if text in ("all", _ASKED):
        return Keeping(int(text != _ASKED), last, tuple(asked))
    with contextlib.suppress(errors.ConfigError):
        every = spec.resolve(text, {"every": _every}, "rule", __name__)()
        if every > 0:
            return Keeping(every, last)
    told = "expects all, every(k) with k of 1 or more, such as every(10), or asked"
    raise errors.ConfigError(f"{_KEY} {told}; got {text!r}")


def _every(k: int) -> int:
    return k


def _asks(one: LabelSpec, epoch: int, histories: Mapping[int, History]) -> bool:
    """Whether a label is of this epoch; of one that other experts too must reach, nobody knows before they are taught."""
    if one.epoch is not None or not {*one.experts} <= {*histories}:
        return one.epoch in (None, epoch)
    try:
        return ages.first(str(one), one.when, one.experts, histories) == epoch
    except errors.ConfigError:  # not reached yet
        return False
