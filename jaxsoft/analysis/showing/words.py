"""Numbers as words: the formats of every table, and the one vocabulary in which an estimate is told."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxsoft.analysis.reading.results import plain
from jaxsoft.analysis.statistics.fits import Parameter
from jaxsoft.analysis.statistics.inference import FEWEST, Estimate, told

NONE = "–"
FIXED = (
    "A cell is one choice for all seeds; elsewhere a seed is judged by what the other seeds choose, so numbers differ."
)
"""What tells the numbers of a map from those of a choice that is judged."""
LONGEST = 100
"""Characters of a title."""


class Shown(NamedTuple):
    """A value that has a text of its own, for people; a file for programs takes the value."""

    text: str
    value: Estimate | float

    @classmethod
    def of(cls, value: Estimate, form: Callable[[float], str]) -> "Shown":
        """An estimate as `form` writes numbers."""
        return cls(interval(value, form), value)


def scale(name: str) -> float:
    """What fractions are multiplied with to be in the unit that a name ends with: 100 for percent and points."""
    return 100.0 if name.rstrip().endswith(("%", "points")) else 1.0


def cell(name: str, value: Any) -> str:
    """A value as a table shows it; the unit at the end of the column's name says how.

    >>> cell("test, %", 0.3149), cell("gain, points", -0.02), cell("entropy, nats", 1.234), cell("n", 5), cell("x", None)
    ('31.5', '−2.0', '1.23', '5', '–')
    """
    if value is None:
        return NONE
    if isinstance(value, Parameter):
        return parameter(value)
    if isinstance(value, Shown):
        return value.text
    form = percent if name.endswith("%") else points if name.endswith("points") else number
    if isinstance(value, Estimate):
        return interval(value, form)
    return form(value) if isinstance(value, float) else str(value)


def number(value: float, form: str = ".2f") -> str:
    """A number with two decimals, or in another `form`; a dash for NaN."""
    return NONE if math.isnan(value) else f"{value:{form}}".replace("-", "−")


def percent(fraction: float) -> str:
    """A fraction in percent with one decimal, without the sign."""
    return number(100 * fraction, ".1f")


def rounded(fraction: float) -> Shown:
    """A fraction in whole percent."""
    return Shown(f"{100 * fraction:.0f}", fraction)


def points(fraction: float) -> str:
    """A difference of fractions in points, with its sign; what rounds to zero has none."""
    text = number(100 * fraction, "+.1f")
    return "0.0" if text[1:] == "0.0" else text


def interval(value: Estimate, form: Any = number) -> str:
    """A mean and its interval, as `form` writes numbers."""
    ends = "" if math.isnan(value.low) else f" [{form(value.low)}, {form(value.high)}]"
    return form(value.mean) + ends


def accuracy(value: Estimate) -> str:
    """Mean and interval in percent."""
    return interval(value, percent)


def difference(value: Estimate) -> str:
    """Mean and interval in points."""
    return interval(value, points)


def signed(value: Estimate) -> str:
    """A difference with its unit: "+0.4 points [−0.1, +0.8]", or with what stands in the way of an interval."""
    mean, *ends = difference(value).split(" ", 1)
    few = f"(n = {value.n})" if value.n < FEWEST else ""
    return " ".join([f"{mean} points", *ends, *([few] if few else [])])


def bounded(value: Estimate, form: Callable[[float], str]) -> Shown:
    """An estimate that `form` may write as a bound, such as "> 1": then in words, and once where its ends are that bound.

    >>> bounded(Estimate(math.inf, 0.0, math.inf, math.inf, 9), lambda end: "> 1").text
    'more than 1 (whole interval)'
    """
    mean, low, high = form(value.mean), form(value.low), form(value.high)
    bound = {"<": "less than", ">": "more than"}.get(mean[0])
    said = bound + mean[1:] if bound else mean
    ends = (
        "" if math.isnan(value.low) else " (whole interval)" if bound and low == mean == high else f" [{low}, {high}]"
    )
    return Shown(said + ends, value)


def parameter(value: Parameter) -> str:
    """A fitted value with its interval; a star marks what the data do not identify."""
    if math.isnan(value.value):
        return NONE
    ends = "" if math.isnan(value.low) else f" [{value.low:.2f}, {value.high:.2f}]"
    return f"{value.value:.2f}{ends}{'' if value.identified else ' *'}"


def times(value: float) -> str:
    """A ratio with two digits that count: 2.3, 12, 0.90, 0.02."""
    digits = 0 if value >= 9.95 else 1 if value >= 0.995 else 2
    return f"{value:.{digits}f}" if value >= 0.1 else f"{value:.2g}"


def listed(items: Sequence[Any]) -> str:
    """Items in a row, the last after "and"; no item is "none"."""
    *first, last = map(str, items or ["none"])
    return f"{', '.join(first)} and {last}" if first else last


def budgets(ipcs: Sequence[int]) -> str:
    """IPC values in words: "1, 2 and 5 images per class"."""
    return f"{listed(ipcs)} image{'' if list(ipcs) == [1] else 's'} per class"


def where(some: Sequence[int], of: Sequence[int]) -> str:
    """At which of several budgets: "at every budget", "at IPC 5", "at 4 of 6 budgets"."""
    if len(some) == len(of) > 1:
        return "at every budget"
    if not some:
        return "at no budget"
    return f"at IPC {listed(some)}" if len(some) < 4 else f"at {len(some)} of {len(of)} budgets"


def most(values: Mapping[int, Estimate]) -> tuple[int, int]:
    """The budget whose difference to tell, and its sign: the largest of those that pass Holm's correction, else of all."""
    signs = told(values)
    pick = max(values, key=lambda ipc: (signs[ipc] != 0, abs(np.nan_to_num(values[ipc].mean))))
    return pick, signs[pick]


def compare(one: str, other: str, values: Mapping[int, Estimate], verbs: tuple[str, str] = ("beat", "lose to")) -> str:
    """One finding in plain words, for a title: who is better, at how many budgets, and by how much where it is most.

    Args:
      one, other: plural subjects.
      values: accuracy of `one` minus that of `other` by budget, at least one.
      verbs: for a positive and for a negative difference.

    >>> sure, near = Estimate(0.031, 0.002, 0.026, 0.036, 10), Estimate(0.004, 0.003, -0.001, 0.008, 10)
    >>> compare("Soft labels", "hard labels", {1: sure, 10: near})
    'Soft labels beat hard labels at 1 of 2 budgets, at IPC 1 by +3.1 points [+2.6, +3.6]'
    """
    ipc, sign = most(values)
    size, signs = signed(values[ipc]), list(told(values).values())
    if not sign:
        clear = "too few seeds to tell" if values[ipc].n < FEWEST else "no clear difference"
        among = f" (of {len(values)})" if len(values) > 1 else ""
        return f"{one} and {other}: {clear}, {size} at IPC {ipc}{among}"
    verb, back = verbs if sign > 0 else verbs[::-1]
    if len(values) == 1:
        return f"{one} {verb} {other} at IPC {ipc}: {size}"
    also = f", {back.split()[0]} at {signs.count(-sign)}" if -sign in signs else ""
    many = "every budget" if signs.count(sign) == len(values) else f"{signs.count(sign)} of {len(values)} budgets"
    start, end = f"{one} {verb} {other} at {many}", f", at IPC {ipc} by {size}"
    return start + also + end if len(start + also + end) <= LONGEST else start + end


def code(text: object, most: int = 300) -> str:
    """Text from outside between backticks, which nothing in it can end."""
    return f"`{plain(str(text)[:most]) or ' '}`"


def named(names: Sequence[str]) -> str:
    """Names in a row; those that are no plain words as code."""
    return ", ".join(name if re.fullmatch(r"[\w .,+-]+", name) else code(name) for name in names)


def bits(count: int) -> str:
    """Bits as bytes, in a unit that fits: 512 B, 1.5 kB, 1.0 GB."""
    size, units = count / 8, ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.0f} {units[0]}" if size >= 99.5 or units[0] == "B" else f"{size:.1f} {units[0]}"
