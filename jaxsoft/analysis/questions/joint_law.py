"""Does one law tell images and knowledge apart? The law in IPC and k, where label specs were cut to several k."""

from collections.abc import Sequence

from jaxsoft.analysis import words
from jaxsoft.analysis.grid import grid
from jaxsoft.analysis.joint import NAMES, JointLaw, cut_families, fit_joint
from jaxsoft.analysis.page import Section, Text
from jaxsoft.analysis.questions import _parts as parts
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 6
_FEWEST = 3
"""An exponent takes three values of what it is the exponent of."""

_MISSED = 2.0
"""A law that cells miss by more of their standard errors is not told."""


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """One section: the parameters of the law in images and label entries, for each family of cut labels."""
    return parts.by_group(rows, lambda group: joint_laws(group, runs), _sections)


def joint_laws(rows: Sequence[Row], runs: Sequence[Run]) -> list[JointLaw]:
    """The laws of all families with enough k and IPC; none where no run knows the number of classes."""
    families = cut_families(list(dict.fromkeys(row["labels"] for row in rows)))
    asking = [name for name, specs in families.items() if len(specs) >= _FEWEST]
    known = (
        r.examples for r in runs if r.examples is not None and r.rows and r.rows[0]["dataset"] == rows[0]["dataset"]
    )
    if not asking or (examples := next(known, None)) is None:
        return []
    table = grid(rows)
    fits = [fit_joint(table, len(examples.class_names), name) for name in asking]
    return [fit for fit in fits if min(len(fit.ks), len(fit.ipcs)) >= _FEWEST]


def _sections(found: Sequence[JointLaw], suffix: str) -> list[Section]:
    exponents = "exponent", "label_exponent"
    told = [f for f in found if all(f.parameters[name].identified for name in exponents) and not f.excess > _MISSED]
    title = "The data do not fix one law in images and label entries"
    if told:
        b, e = (told[0].parameters[name].value for name in exponents)
        above = "Above its floor, error" if told[0].parameters["floor"].identified else "Error"
        title = f"{above} is a part that falls as IPC^−{b:.2f} and one that falls as k^−{e:.2f}"
    lines = [
        (
            f"`{fit.family}`",
            *(words.parameter(fit.parameters[name]) for name in NAMES),
            f"{len(fit.ipcs)} × {len(fit.ks)} × {fit.n}",
            f"{100 * fit.misfit:.1f}",
        )
        for fit in found
    ]
    caption = (
        "error = c + a · IPC^−b + d · k^−e, where k is the number of label entries kept, fitted to mean test errors; 95 % "
        "intervals over seeds. * is not identified. Misfit: how far cells are from the law, root mean square."
    )
    header = (
        "labels",
        "floor c",
        "scale a",
        "exponent b",
        "scale d",
        "exponent e",
        "IPC × k × seeds",
        "misfit, points",
    )
    notes = [Text(f"`{fit.family}`: {fit.note}.") for fit in found if fit.note]
    return [Section(title, [Table(header, lines, caption), *notes])]
