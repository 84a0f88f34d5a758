"""Numbers as words: the formats of every table, and the sentences that answer what a run was made to ask."""

import math
import re
from collections.abc import Sequence
from typing import Any

from jaxsoft.analysis import laws
from jaxsoft.analysis.exchange import Worth
from jaxsoft.analysis.fits import Fit, best_form
from jaxsoft.analysis.frontier import Choice, family
from jaxsoft.analysis.results import plain
from jaxsoft.analysis.scaling import Law, Parameter
from jaxsoft.analysis.stats import FEWEST, Estimate

NONE = "–"


def percent(fraction: float) -> str:
    """A fraction in percent with one decimal, without the sign.

    >>> percent(0.3149)
    '31.5'
    """
    return NONE if math.isnan(fraction) else f"{100 * fraction:.1f}"


def points(fraction: float) -> str:
    """A difference of fractions in points, with its sign.

    >>> points(0.031), points(-0.0004), points(-0.2)
    ('+3.1', '0.0', '−20.0')
    """
    text = NONE if math.isnan(fraction) else f"{100 * fraction:+.1f}"
    return text.replace("-", "−") if float(text.strip(NONE) or 1) else text[1:]


def accuracy(value: Estimate) -> str:
    """Mean and interval in percent."""
    return percent(value.mean) + _between(percent(value.low), percent(value.high))


def difference(value: Estimate) -> str:
    """Mean and interval in points."""
    return points(value.mean) + _between(points(value.low), points(value.high))


def parameter(value: Parameter) -> str:
    """A fitted value with its interval; a star marks what the data do not identify."""
    if math.isnan(value.value):
        return NONE
    low, high = (NONE if math.isnan(end) else f"{end:.2f}" for end in (value.low, value.high))
    return f"{value.value:.2f}{_between(low, high)}{'' if value.identified else ' *'}"


def times(value: float) -> str:
    """A ratio with two digits that count.

    >>> times(2.345), times(12.4), times(0.02)
    ('2.3', '12', '0.02')
    """
    return (
        f"{value:.0f}"
        if value >= 9.95
        else f"{value:.1f}"
        if value >= 0.995
        else f"{value:.2f}"
        if value >= 0.1
        else f"{value:.2g}"
    )


def worth(value: Worth) -> str:
    """What one label is worth, with its interval; what lies outside the measured range is said to."""
    ends = [_ratio(end, value) for end in (value.low, value.high)]
    return _ratio(value.ratio, value) + _between(*ends)


def budgets(ipcs: Sequence[int]) -> str:
    """IPC values in words.

    >>> budgets([1, 2, 5]), budgets([1])
    ('1, 2 and 5 images per class', '1 image per class')
    """
    return f"{listed(ipcs)} image{'' if list(ipcs) == [1] else 's'} per class"


def listed(items: Sequence[Any]) -> str:
    """Items in a row, the last after "and"; no item is "none"."""
    *first, last = map(str, items or ["none"])
    return f"{', '.join(first)} and {last}" if first else last


def code(text: object, most: int = 300) -> str:
    """Text from outside between backticks, which nothing in it can end.

    >>> code("a`b")
    '`a\\\\x60b`'
    """
    return f"`{plain(str(text)[:most]) or ' '}`"


def named(names: Sequence[str]) -> str:
    """Names in a row; those that are no plain words as code."""
    return ", ".join(name if re.fullmatch(r"[\w .,+-]+", name) else code(name) for name in names)


def verdict(choice: Choice) -> str:
    """Who is better: "soft" or "hard" when the interval of the difference leaves out zero, else ""."""
    return "soft" if choice.difference.low > 0 else "hard" if choice.difference.high < 0 else ""


def headline(choices: Sequence[Choice]) -> str:
    """Does soft beat hard? One sentence without a full stop; there is at least one choice."""
    compared = [c for c in choices if c.difference.n]
    soft, hard = ([c for c in compared if verdict(c) == side] for side in ("soft", "hard"))
    if not compared:
        best = max(choices, key=lambda c: c.test.mean)
        return f"Soft labels reach {percent(best.test.mean)} % at {budgets([best.ipc])}"
    if soft and hard:
        where = budgets([c.ipc for c in soft])
        return f"Soft labels win at {where}, hard labels at {listed([c.ipc for c in hard])}"
    if max(c.difference.n for c in compared) < FEWEST:
        return "Too few seeds to tell soft from hard labels"
    if not soft and not hard:
        return "No difference between soft and hard labels can be told"
    side, other, winners = ("Soft", "hard", soft) if soft else ("Hard", "soft", hard)
    most = max(abs(c.difference.mean) for c in winners)
    whole = len(winners) == len(compared) and len(compared) > 1
    where = "every budget" if whole else budgets([c.ipc for c in winners])
    return f"{side} labels beat {other} labels at {where}, by {'up to ' if len(winners) > 1 else ''}{100 * most:.1f} points"


def comparison(choice: Choice) -> str:
    """One IPC in full: both accuracies, their difference, n."""
    start = f"At {budgets([choice.ipc])} `{choice.labels}` reaches {percent(choice.test.mean)} % on test"
    if not choice.difference.n:
        return f"{start} (n = {choice.test.n})."
    return (
        f"{start} and hard labels {percent(choice.hard.mean)} %: "
        f"{difference(choice.difference)} points (n = {choice.difference.n})."
    )


def frontier(choices: Sequence[Choice], trend: Estimate | None, offered: int) -> str:
    """How the best teacher epoch moves with IPC, as far as the seeds can tell.

    Empty where fewer than two epochs were `offered` to choose from, or where labels differ in more than their epochs.
    """
    known = [c for c in choices if c.teacher_epoch is not None]
    if len(known) < 2 or offered < 2 or len({family(c.labels) for c in known}) > 1:
        return ""
    first, last = known[0], known[-1]
    if len({c.teacher_epoch for c in known}) == 1:
        return f"Epoch {first.teacher_epoch} of the teacher is chosen at every budget"
    path = f"epoch {first.teacher_epoch} at {budgets([first.ipc])}, epoch {last.teacher_epoch} at {last.ipc}"
    if trend is None or math.isnan(trend.low):
        return f"The best teacher of each budget: {path}"
    if trend.low > 0 or trend.high < 0:
        return f"More images want {'a later' if trend.low > 0 else 'an earlier'} teacher: {path}"
    return f"The best teacher epoch shows no clear trend with images: {path}"


def value_of_a_label(whole: Worth) -> str:
    """The sentence of the paper's title, measured; of a bound only the end of the interval that was measured."""
    if whole.smallest == 0 and math.isinf(whole.largest):
        return "What one soft label is worth leaves the measured range on both sides; see the table."
    bound = "at least " if math.isinf(whole.largest) else "at most " if whole.smallest == 0 else ""
    return (
        f"One soft-labelled image is worth {bound}{times(whole.ratio)} hard-labelled images{_ends(whole)} "
        f"({'geometric mean over' if len(whole.over) > 1 else 'at'} {budgets(whole.over)}, n = {whole.n})."
    )


def _ends(whole: Worth) -> str:
    """The interval of a worth, or the one end of it that lies in the measured range."""
    low = NONE if math.isnan(whole.low) or whole.low == 0 or whole.smallest == 0 else times(whole.low)
    high = NONE if not math.isfinite(whole.high) or math.isinf(whole.largest) else times(whole.high)
    if low == high == NONE:
        return ""
    return f" (low end {low})" if high == NONE else f" (high end {high})" if low == NONE else f" [{low}, {high}]"


def short_value(whole: Worth) -> tuple[str, str]:
    """The same as a number and its meaning."""
    bound = "≥ " if math.isinf(whole.largest) else "≤ " if whole.smallest == 0 else ""
    bound = "" if whole.smallest == 0 and math.isinf(whole.largest) else bound
    return f"{bound}{times(whole.ratio)} ×", "hard-labelled images that one soft-labelled image is worth"


def law(fit: Law) -> str:
    """A fitted law as a formula."""
    if math.isnan(fit.floor.value):
        return f"{fit.labels}: no law, {fit.note}"
    formula = f"error = {fit.floor.value:.2f} + {fit.scale.value:.2f} · IPC^−{fit.exponent.value:.2f}"
    exponent = _between(f"{fit.exponent.low:.2f}", f"{fit.exponent.high:.2f}")
    return f"{fit.labels}: {formula}, exponent{exponent}" + (f" ({fit.note})" if fit.note else "")


def falls(fit: Law) -> str:
    """How error falls with IPC by the form that the data prefer; empty where that names no exponent, or none is told."""
    exponent = fit.best.parameters.get("exponent") if fit.best else None
    if fit.best is None or exponent is None or not exponent.identified:
        return ""
    floor = fit.best.parameters.get("floor")
    above = "above its floor " if floor and floor.identified else ""
    ends = _between(f"{exponent.low:.2f}", f"{exponent.high:.2f}")
    return (
        f"{above}as IPC^−{exponent.value:.2f}{ends} with {'hard' if fit.labels == 'hard' else 'the best soft'} labels"
    )


def form(rivals: Sequence[Fit]) -> str:
    """The form of law that AICc chooses, and those that it cannot tell from it."""
    if not (best := best_form(rivals)):
        return "too few budgets" if rivals else NONE
    near = [fit.form for fit in rivals if fit is not best and fit.aicc < best.aicc + 2]
    return best.form + (f", or {listed(near)}" if near else "")


def extrapolation(rivals: Sequence[Fit]) -> str:
    """Predicted minus measured accuracy of the largest IPC, which the law has not seen, in points.

    The law is the one that AICc chooses, or the power law with a floor where there are too few budgets to choose.
    """
    told = best_form(rivals) or next((fit for fit in rivals if fit.form == laws.FLOOR.name), None)
    if told is None or told.held_out is None:
        return NONE
    return f"{points(told.held_out.error)} at {told.held_out.ipc}"


def bits(count: int) -> str:
    """Bits as bytes, in a unit that fits.

    >>> bits(8 * 512), bits(8 * 1536), bits(8 * 10**9)
    ('512 B', '1.5 kB', '1.0 GB')
    """
    size, units = count / 8, ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.0f} {units[0]}" if size >= 99.5 or units[0] == "B" else f"{size:.1f} {units[0]}"


def _between(low: str, high: str) -> str:
    return "" if NONE in (low, high) else f" [{low}, {high}]"


def _ratio(value: float, of: Worth) -> str:
    if math.isnan(value):
        return NONE
    return (
        f"> {_bound(of.largest)}" if math.isinf(value) else f"< {_bound(of.smallest)}" if value == 0 else times(value)
    )


def _bound(value: float) -> str:
    """A bound is a ratio of two IPC values: 1/50, not 0.02."""
    return f"1/{1 / value:.3g}" if value < 1 else f"{value:.3g}"
