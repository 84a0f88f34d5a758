"""Which cells a comparison of sets has: {its images, random ones} x {its labels, hard, an expert's soft ones}.

Known without JAX, so that experiments are listed at once; `lookup.py` finds the sets that a user names.
"""

import bisect
import re
from collections.abc import Sequence
from typing import NamedTuple

from jaxsoft import errors
from jaxsoft.labels import codecs
from jaxsoft.presets import Age

RANDOM, HARD = "random", "hard"
BITS = "any", "equal"

Cell = tuple[str, str, int]
"""Way to select, label spec and images per class: one entry of the axis `select labels ipc`."""


class Compared(NamedTuple):
    """A set that is compared: an imported one, or what a way to select takes of the train images.

    Attributes:
      name: what it is called.
      select: the way to select that takes its images.
      labels: the label spec that gives its labels, empty where these are its images' classes.
      ipc: images of each class that it has; 0 where that is not bounded.
      label_bytes: of one label as it was published; 0 where labels are classes.
      classes: how many; 0 where that is not known.
      data: the data set that it was imported for.
    """

    name: str
    select: str
    labels: str = ""
    ipc: int = 0
    label_bytes: float = 0
    classes: int = 0
    data: str = ""


def experiment(template: str, sets: Sequence[Compared]) -> str:
    """The name of an experiment with those of the sets that it compares.

    >>> experiment("compare-{data}-quick", [Compared("mtt", ""), Compared("decile(i=0)", "")])
    'compare-mtt-decile-i-0-{data}-quick'
    """
    names = [re.sub(r"[^\w.]+", "-", one.name).strip("-.") for one in sets]
    return template.replace("{data}", "-".join([*names, "{data}"]))


def cells(sets: Sequence[Compared], ipcs: Sequence[int], teachers: Sequence[str], bits: str = "any") -> list[Cell]:
    """The cells of some sets, each once; labels of one set never meet the images of another.

    Args:
      sets: at least one.
      ipcs: budgets; those that a set has not are left out for it. For imported sets none means all that they have, and
        a way to select then has the budgets of all of them.
      teachers: label specs, of which validation chooses one in each cell.
      bits: `equal`, if an expert's rows may take no more bytes than the set's own labels.

    Raises:
      ConfigError: there is no set, a set has none of the budgets, or `bits` is neither `equal` nor `any`.
    """
    if not sets:
        raise errors.ConfigError(f"a comparison expects at least one set beside {RANDOM}")
    if bits not in BITS:
        raise errors.ConfigError(f"bits expects one of {', '.join(BITS)}, got {errors.quoted(bits)}")
    own = {one: _budgets(one, ipcs) for one in sets}
    every = sorted({ipc for budgets in own.values() for ipc in budgets})
    found = []
    for one in sets:
        soft = [text for teacher in teachers if (text := _stored(teacher, one) if bits == "equal" else teacher)]
        texts = [*filter(None, [one.labels]), HARD, *soft]
        for ipc in own[one] or every:
            found += [(way, text, ipc) for way in (one.select, RANDOM) for text in texts]
    return list(dict.fromkeys(found))


def near(stages: Sequence[Age], best: Sequence[Age]) -> tuple[Age, ...]:
    """Of the stages of an expert, ascending, two at least: from the smallest best one to one beyond the largest.

    >>> near((5, 20, 45), [20]), near((5, 20, 45), [5]), near((5, 20, 45), [5, 45]), near((5, 20, 45), [45])
    ((20, 45), (5, 20), (5, 20, 45), (20, 45))
    """
    places = [bisect.bisect_left(stages, age) for age in best]
    return tuple(stages[min(*places, len(stages) - 2) : max(places) + 2])


def _budgets(one: Compared, ipcs: Sequence[int]) -> tuple[int, ...]:
    """The budgets of a set; none where it has those of the others."""
    if not (one.ipc and ipcs):
        return tuple(ipcs) or ((one.ipc,) if one.ipc else ())
    kept = tuple(ipc for ipc in ipcs if ipc <= one.ipc)
    if not kept:
        told = f"the set {one.name!r} has {one.ipc} images of each class"
        raise errors.ConfigError(f"ipc: {told}; wanted at least one budget up to that, got {'+'.join(map(str, ipcs))}")
    return kept


def _stored(teacher: str, one: Compared) -> str:
    """A label spec whose rows take at most the bytes of a set's own labels, as exactly as these allow; empty where none does."""
    if not one.labels:
        return ""  # its labels are classes: nothing soft is as small
    known = [f"top{n}:{numbers}" for n in range(1, one.classes) for numbers in codecs.NUMBERS]
    sizes = {codec: codecs.row_bytes(codec, one.classes) for codec in (*codecs.NUMBERS, *known)}
    fitting = [codec for codec in sizes if sizes[codec] <= one.label_bytes]
    best = max(fitting, key=lambda codec: (codec in codecs.NUMBERS, sizes[codec]), default="")
    return f"{teacher}|stored('{best}')" if best else ""
