"""The tables of a page as files: CSV for programs, LaTeX for papers."""

import csv
import io
import math
import re
from collections.abc import Mapping
from typing import Any

from jaxsoft import errors
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.page import Table, kinds
from jaxsoft.analysis.statistics.fits import Parameter
from jaxsoft.analysis.statistics.inference import Estimate

_UNIT = re.compile(r",? (%|(square )?points|nats|bytes)$")
_ESCAPED = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "–": "--", "−": "$-$", "×": r"$\times$",
    "·": r"$\cdot$", "→": r"$\to$", "≥": r"$\geq$", "≤": r"$\leq$", "…": r"\ldots{}", "\u00a0": "~",
}  # fmt: skip


def to_csv(table: Table) -> str:
    """A table for programs: an estimate has its value, the low and the high end of its 95 % interval and n in columns of
    their own, in the unit that the names of the columns carry; what a record lacks is an empty field.
    """
    plain = [dict(zip(table.header, (cell.replace("`", "") for cell in row))) for row in table.rows]
    lines = [_fields({name: record.get(name) for name in table.header}) for record in table.records] or plain
    written = io.StringIO()
    writer = csv.DictWriter(written, dict.fromkeys(name for line in lines for name in line), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return written.getvalue()


def _fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of one record; n of an estimate only where the record itself has none."""
    fields: dict[str, Any] = {}
    for name, value in record.items():
        value = value.value if isinstance(value, words.Shown) else value
        found = _estimate(value)
        if found is None:
            fields[name] = _field(name, value)
            continue
        ends = {name: found.mean, part(name, "low"): found.low, part(name, "high"): found.high}
        fields |= {own: _field(name, end) for own, end in ends.items()}
        if "n" not in record and isinstance(value, Estimate):
            fields[part(name, "n", unit=False)] = value.n or None
    return fields


def _estimate(value: Any) -> Estimate | None:
    """The numbers of a cell that has an interval."""
    if isinstance(value, Parameter):
        return Estimate(value.value, math.nan, value.low, value.high, 0)
    return value if isinstance(value, Estimate) else None


def part(name: str, what: str, unit: bool = True) -> str:
    """The name of a column for a part of what another one holds.

    >>> part("test, %", "low"), part("exponent b", "high"), part("test, %", "n", unit=False)
    ('test low, %', 'exponent b high', 'test n')
    """
    found = _UNIT.search(name)
    return f"{name[: found.start()]} {what}{found[0] * unit}" if found else f"{name} {what}"


def _field(name: str, value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{words.scale(name) * value:.10g}"
    return value.replace("`", "") if isinstance(value, str) else value


def to_latex(table: Table) -> str:
    r"""A table for papers, as \begin{table}; it needs the package booktabs."""
    columns = {"n": "r", "long": r"p{0.35\linewidth}", "": "l"}
    form = "".join(columns[kind] for kind in kinds(table.rows, table.header))
    header, *rows = (" & ".join(map(_latex, row)) + r" \\" for row in (table.header, *table.rows))
    lines = [
        "% needs \\usepackage{booktabs}", r"\begin{table}", r"\centering", rf"\caption{{{_latex(table.caption)}}}",
        rf"\label{{tab:{table.name}}}", rf"\begin{{tabular}}{{{form}}}", r"\toprule", header, r"\midrule", *rows,
        r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _latex(text: str) -> str:
    r"""Text that LaTeX shows as it is; between backticks in \texttt, exponents raised.

    >>> _latex("`topk(3)` & 5 % of a · n^−b")
    '\\texttt{topk(3)} \\& 5 \\% of a $\\cdot$ n$^{-b}$'
    """
    parts = re.split(r"`([^`]*)`|\^([−\d.]*[\da-e])(?![\w.])", errors.shown(text))
    found = [_escaped(parts[0])]
    for code, power, after in zip(parts[1::3], parts[2::3], parts[3::3]):
        raised = f"$^{{{(power or '').replace('−', '-')}}}$"
        found += [raised if code is None else rf"\texttt{{{_escaped(code)}}}", _escaped(after)]
    return "".join(found)


def _escaped(text: str) -> str:
    return "".join(_ESCAPED.get(letter, letter) for letter in text)
