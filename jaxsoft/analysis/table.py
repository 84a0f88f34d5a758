"""The tables of a run, and their plain text for the end of a run."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxsoft.analysis import words
from jaxsoft.analysis.exchange import Worth, exchange_rate, label_worth
from jaxsoft.analysis.frontier import Choice, choose, epoch_trend
from jaxsoft.analysis.grid import TUNABLE, finished, grid, group_names, groups, selection_column, tuned, varying
from jaxsoft.analysis.laws import FORMS
from jaxsoft.analysis.scaling import BEST, Law, fit_frontier_law, fit_law
from jaxsoft.analysis.stats import Estimate, summarize
from jaxsoft.types import Row


class Table(NamedTuple):
    """Text in rows and columns; `folded` tables are for looking things up."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    caption: str
    folded: bool = False


class Findings(NamedTuple):
    """What one group of rows says; `worth` and `worths` are empty where there is nothing to compare."""

    rows: list[Row]
    choices: list[Choice]
    trend: Estimate | None
    worths: list[Worth]
    worth: Worth | None
    laws: list[Law]


def findings(rows: Sequence[Row]) -> Findings:
    """Analyse one group of rows: choices, exchange rates and laws.

    Args:
      rows: members that may share a curve; failed ones are left out.
    """
    rows = list(rows)
    done = finished(rows)
    if not done:
        return Findings(rows, [], None, [], None, [])
    table = grid(done)
    choices = choose(table)
    trend = epoch_trend(table)
    chosen = {choice.ipc: choice.labels for choice in choices}
    hard = "hard" in table.labels
    laws = [fit_law(table, "hard")] if hard else []
    laws += [fit_law(table, labels) for labels in table.labels if labels in chosen.values()]
    if len(set(chosen.values())) > 1:
        laws.append(fit_frontier_law(table))
    if not (hard and chosen):
        return Findings(rows, choices, trend, [], None, laws)
    return Findings(rows, choices, trend, exchange_rate(table, chosen), label_worth(table, chosen), laws)


def budget_table(found: Findings) -> Table:
    """One row per IPC: hard labels, the chosen soft labels, their difference and what a label is worth."""
    done = finished(found.rows)
    if not found.choices:
        cells = [(str(c.ipc), words.accuracy(c.test), str(c.test.n)) for c in summarize(tuned(done))]
        return Table(("IPC", "hard labels, %", "n"), cells, "Test accuracy.")
    worths = {w.ipc: words.worth(w) for w in found.worths}
    compared = any(c.difference.n for c in found.choices)
    header = ("IPC", "soft labels, %", "chosen label spec", "n")
    if compared:
        header = ("IPC", "hard labels, %", "soft labels, %", "difference, points", "one label is worth", *header[2:])
    lines = []
    for c in found.choices:
        line = (words.accuracy(c.test), f"`{c.labels}`", str(c.test.n))
        if compared:
            worth = worths.get(c.ipc, words.NONE)
            n = str(c.difference.n)
            line = (words.accuracy(c.hard), line[0], words.difference(c.difference), worth, line[1], n)
        lines.append((str(c.ipc), *line))
    tried = [c.replace("_", " ") for c in TUNABLE if c in varying(done)]
    alike = f" and {words.listed(tried)}, for hard labels too," if tried else ""
    on = "validation" if selection_column(done) == "val_accuracy" else "test"
    caption = (
        f"Test accuracy, label spec{alike} chosen on {on}; means over n seeds with 95 % intervals, each row by itself. "
        "A seed's soft accuracy is of the spec that the other seeds choose, and intervals choose anew."
    )
    return Table(header, lines, caption)


def cell_table(rows: Sequence[Row]) -> Table:
    """Every cell of a group: IPC, label spec, settings that vary, test and validation accuracy."""
    cells = summarize(rows)
    settings = tuple(cells[0].settings) if cells else ()
    lines = [
        (
            str(c.ipc),
            f"`{c.labels}`",
            *(str(c.settings[name]) for name in settings),
            words.accuracy(c.test),
            words.accuracy(c.val),
            str(c.test.n),
            str(c.failed),
        )
        for c in cells
    ]
    header = ("IPC", "label spec", *settings, "test, %", "validation, %", "n", "failed")
    return Table(header, lines, "Every cell: mean over n seeds and its 95 % interval.", folded=True)


def law_table(laws: Sequence[Law]) -> Table:
    """Fitted parameters with intervals, the form that the data prefer, extrapolation, and what the data cannot tell."""
    lines, notes, rivals = [], any(fit.note for fit in laws), any(fit.rivals for fit in laws)
    for fit in laws:
        values = (words.parameter(p) for p in (fit.floor, fit.scale, fit.exponent))
        name = fit.labels if fit.labels == BEST else f"`{fit.labels}`"
        compared = (words.form(fit.rivals), words.extrapolation(fit.rivals)) if rivals else ()
        note = (fit.note or "all is identified",) if notes else ()
        lines.append((name, *values, f"{fit.points} × {fit.n}", *compared, *note))
    header = (
        "labels",
        "floor c",
        "scale a",
        "exponent b",
        "budgets × seeds",
        *(("form by AICc", "largest IPC unseen, points") if rivals else ()),
        *(("what the data tell",) if notes else ()),
    )
    caption = "error = c + a · IPC^−b, fitted to mean test errors; 95 % intervals over seeds."
    caption += " * is not identified." if notes else ""
    if rivals:
        caption += (
            f" Form: the best by AICc of {words.listed(list(FORMS))}, and others within 2 of it. Largest IPC unseen: accuracy "
            "that this form, fitted to the smaller budgets, predicts there, minus the measured one."
        )
    return Table(header, lines, caption)


def text_table(rows: Sequence[Row]) -> str:
    """The results of a run as plain text: one line per IPC, then what a label is worth and the fitted laws."""
    parts, found_groups = [], groups(rows)
    for group, name in zip(found_groups, group_names(found_groups)):
        found = findings(group)
        title = [name] if name else []
        failed = len(group) - len(finished(group))
        said = [words.value_of_a_label(found.worth)] if found.worth else []
        said += [words.law(fit) for fit in found.laws if fit.labels in ("hard", BEST)]
        said += [f"{failed} of {len(group)} members failed and are left out"] if failed else []
        parts.append("\n".join([*title, plain(budget_table(found)), *said]))
    return _ascii("\n\n".join(parts))


def plain(table: Table) -> str:
    """A table as aligned text, its caption below."""
    lines = [tuple(_ascii(cell) for cell in line) for line in (table.header, *table.rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*text, _ascii(table.caption)])


def _ascii(text: str) -> str:
    """What every terminal can print."""
    return text.translate({ord("`"): None, ord("−"): "-", ord("–"): "-", ord("×"): "x", ord("·"): "*"})
