"""The tables of budgets and of laws, and their plain text for the end of a run."""

import math
from collections.abc import Sequence
from typing import Any

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


def text_table(rows: Sequence[Row]) -> str:
    """The results of a run as plain text: one line per IPC, then what a label is worth and the fitted laws."""
    parts = []
    for group in groups(tidy(rows)):
        found, failed = findings(group), int((group.members["status"] == "failed").sum())
        said = [group.name] if group.name else []
        said += [plain(budget_table(found))] if failed < len(group.members) else []
        said += [value_of_a_label(found.worth)] if found.worth else []
        said += [_formula(law) for law in found.laws if law.fit.name in ("hard", BEST)]
        said += [f"{failed} of {len(group.members)} members failed and count as guessing"] if failed else []
        parts.append("\n".join(said))
    return _ascii("\n\n".join(parts))


def plain(found: Table) -> str:
    """A table as aligned text, its caption below."""
    lines = [tuple(_ascii(cell) for cell in line) for line in (found.header, *found.rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*text, _ascii(found.caption)])


def _ascii(text: str) -> str:
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
