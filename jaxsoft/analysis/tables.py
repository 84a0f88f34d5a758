"""The tables of budgets and of laws, and their plain text for the end of a run."""

import itertools
import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxsoft import errors
from jaxsoft.analysis.findings import Findings, findings
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.page import Table, table
from jaxsoft.analysis.statistics import laws
from jaxsoft.analysis.statistics.fits import BEST, Law
from jaxsoft.analysis.statistics.groups import TUNABLE, groups, tidy
from jaxsoft.analysis.statistics.inference import Estimate
from jaxsoft.analysis.statistics.worth import Worth
from jaxsoft.types import Row


def budget_lines(found: Findings) -> list[dict[str, Any]]:
    """Each budget as a record: hard labels, the chosen soft labels, their difference and what a label is worth."""
    group, worths = found.group, {w.ipc: _worth(w) for w in found.worths if not math.isnan(w.ratio)}
    if not found.choices:
        own = {ipc: group.accuracy(ipc, group.hard) for ipc in group.budgets(group.hard)}
        return [{"IPC": ipc, "hard labels, %": value, "n": value.n} for ipc, value in own.items()]
    return [
        {
            "IPC": c.ipc,
            "hard labels, %": c.hard,
            "soft labels, %": c.test,
            "difference, points": c.difference,
            "one label is worth": worths.get(c.ipc),
            "chosen label spec": f"`{c.labels}`",
            "n": c.difference.n or c.test.n,
        }
        for c in found.choices
    ]


def budget_table(found: Findings) -> Table:
    """One row per IPC; without soft labels those of hard ones alone."""
    tried = [c.replace("_", " ") for c in TUNABLE if c in found.group.arms]
    alike = f" and {words.listed(tried)}, for hard labels too," if tried else ""
    caption = (
        f"Test accuracy, label spec{alike} chosen on {found.group.on}; means over n seeds with 95 % intervals, each row "
        "by itself. A seed's accuracy is of what the other seeds choose, and intervals choose anew: where the choice is "
        "unsure they were measured to cover 94 to 100 %."
    )
    return table(budget_lines(found), caption if found.choices else "Test accuracy.", name="budgets")


def law_table(found: Sequence[Law]) -> Table:
    """The law of each curve with intervals, the form that AICc prefers, extrapolation, and what the data cannot tell."""
    lines = []
    for law in found:
        fit = law.fit
        lines.append(
            {
                "labels": fit.name if fit.name == BEST else f"`{fit.name}`",
                **{f"{name} {letter}": fit.parameters[name] for name, letter in zip(fit.form.parameters, "cab")},
                "budgets × seeds": f"{fit.x.shape[1]} × {fit.n}",
                "form by AICc": _form(law),
                "largest IPC unseen, points": None
                if math.isnan(fit.unseen)
                else words.Shown(f"{words.points(fit.unseen)} at {fit.x[0, -1]:.0f}", fit.unseen),
                "what the data tell": fit.note or None,
            }
        )
    formulas = "; ".join(f"{form.name}, {form.formula}" for form in laws.FORMS)
    caption = (
        "error = c + a · n^−b in images per class n, fitted to mean test errors; * is not identified. 95 % intervals over seeds, "
        "which were measured to cover 90 to 96 % where this form holds. Form by AICc: the best of "
        f"{formulas}, and others within 2 of it. Largest IPC unseen: accuracy that the law, fitted to the smaller budgets, "
        "predicts there, minus the measured one."
    )
    return table(lines, caption, name="laws")


def _form(law: Law) -> str:
    """The form of law that AICc chooses, and those that it cannot tell from it."""
    if not (best := law.best):
        return "too few budgets"
    near = [fit.form.name for fit in law.rivals if fit is not best and fit.aicc < best.aicc + 2]
    return best.form.name + (f", or {words.listed(near)}" if near else "")


def text_table(rows: Sequence[Row], width: int | None = None, note: str = "") -> str:
    """The results of a run as plain text: one line per IPC, then what a label is worth and the fitted laws.

    Args:
      rows: of the results.
      width: columns into which it is to fit, where words allow; None for lines as long as they are.
      note: what else is to be said of every number, see `config.note`.

    Raises:
      DataError: there are no rows, or these are none.
    """
    rows = list(rows) if isinstance(rows, Iterable) else [rows]
    if not rows or not all(isinstance(row, Mapping) and {"labels", "ipc", "status"} <= {*row} for row in rows):
        got = f"{type(next(iter(rows))).__name__} without its columns" if rows else "none"
        raise errors.DataError(f"text_table wants the rows of results, with the columns of results.csv; got {got}")
    parts = []
    for group in groups(tidy(rows)):
        found, failed = findings(group), int((group.members["status"] == "failed").sum())
        said = [group.name] if group.name else []
        said += [plain(budget_table(found), width)] if failed < len(group.members) else []
        said += [_filled(note, width)] if note else []
        told = [value_of_a_label(found.worth)] if found.worth else []
        told += [_formula(law) for law in found.laws if law.fit.name in ("hard", BEST)]
        told += [f"{failed} of {len(group.members)} members failed and count as guessing"] if failed else []
        parts.append("\n".join([*said, *(_filled(line, width) for line in told)]))
    return to_ascii("\n\n".join(parts))


_GAP = "  "  # between columns
_WORDS = (
    r"\[[^\]]*\]|[^\s|]+\|?|\|",  # an interval, a word, a call of a label spec
    r"\[[^\]]*\]|[^\s|(]+[|(]?|[|(]",  # a call may go on below its bracket
    r"[^\s|(]+[|(]?|[|(]",  # and so may an interval
)
"""What stays together in the cells of a narrow table: the first of these with which it fits, or the last."""


def plain(found: Table, width: int | None = None) -> str:
    """A table as aligned text, its caption below; see `text_table` for `width`."""
    lines = [[to_ascii(cell) for cell in line] for line in (found.header, *found.rows)]
    columns, widths = [], []
    for pattern in _WORDS:
        columns = [[re.findall(pattern, cell) for cell in column] for column in zip(*lines)]
        widths = _widths(columns, width)
        if not width or _total(widths) <= width:
            break
    text = [line for cells in zip(*columns) for line in _row(cells, widths)]
    head = max(len(_stacked(column[0], own)) for column, own in zip(columns, widths))
    text.insert(head, _GAP.join("-" * own for own in widths))
    return "\n".join([*text, _filled(to_ascii(found.caption), width)])


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _widths(columns: Sequence[Sequence[list[str]]], width: int | None) -> list[int]:
    """Of each column: as wide as its cells, or with the widest made narrower, as far as words allow, until all fit."""
    widths = [max(len(_joined(cell)) for cell in column) for column in columns]
    least = [max(len(word) for cell in column for word in (*cell, "")) for column in columns]
    while width and _total(widths) > width:
        room = [own - smallest for own, smallest in zip(widths, least)]
        if not any(room):
            break
        widths[max(range(len(widths)), key=lambda c: (room[c] > 0, widths[c]))] -= 1
    return widths


def _joined(cell: Sequence[str]) -> str:
    """Words as they stood beside each other."""
    return "".join(word if word.endswith(("|", "(")) else f"{word} " for word in cell).rstrip()


def _stacked(cell: Sequence[str], width: int) -> list[str]:
    """The words of a cell on as many lines as they need."""
    lines: list[list[str]] = [[]]
    for word in cell:
        if lines[-1] and len(_joined([*lines[-1], word])) > width:
            lines.append([])
        lines[-1].append(word)
    return [_joined(line) for line in lines]


def _row(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    stacks = itertools.zip_longest(*(_stacked(cell, own) for cell, own in zip(cells, widths)), fillvalue="")
    return [_GAP.join(part.ljust(own) for part, own in zip(line, widths)).rstrip() for line in stacks]


def _filled(text: str, width: int | None) -> str:
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False) if width else text


def to_ascii(text: str) -> str:
    """What every terminal can print."""
    return text.translate({ord("`"): None, ord("−"): "-", ord("–"): "-", ord("×"): "x", ord("·"): "*"})


def _formula(law: Law) -> str:
    best = law.fit
    if math.isnan(best.parameters["scale"].value):
        return f"{best.name}: no law, {best.note}"
    values = ", ".join(f"{name} {words.parameter(part)}" for name, part in best.parameters.items())
    return f"{best.name}: error = {best.form.formula}, {values}" + (f" ({best.note})" if best.note else "")


def value_of_a_label(whole: Worth) -> str:
    """The sentence of the paper's title, measured; of a bound only the end of the interval that was measured."""
    if whole.bound is None:
        return "What one soft label is worth leaves the measured range on both sides; see the table."
    bound = {"≥ ": "at least ", "≤ ": "at most ", "": ""}[whole.bound]
    low = words.times(whole.low) if whole.low > 0 and whole.smallest else ""
    high = words.times(whole.high) if math.isfinite(whole.high + whole.largest) else ""
    ends = f" [{low}, {high}]" if low and high else f" (low end {low})" * bool(low) + f" (high end {high})" * bool(high)
    over = f"{'geometric mean over' if len(whole.over) > 1 else 'at'} {words.budgets(whole.over)}, n = {whole.n}"
    return f"One soft-labelled image is worth {bound}{words.times(whole.ratio)} hard-labelled images{ends} ({over})."


def _worth(value: Worth) -> words.Shown:
    """What one label is worth, with its interval; what lies outside the measured range is said to."""

    def ratio(found: float) -> str:
        # A bound is a ratio of two IPC values: 1/50, not 0.02.
        low, high = (f"1/{1 / end:.3g}" if end < 1 else f"{end:.3g}" for end in (value.smallest, value.largest))
        return f"> {high}" if math.isinf(found) else f"< {low}" if found == 0 else words.times(found)

    return words.bounded(Estimate(value.ratio, math.nan, value.low, value.high, value.n), ratio)
