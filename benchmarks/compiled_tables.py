"""What `compiled.py` counted, as tables: of usual programs, of experiments, of chips side by side."""

from collections.abc import Sequence
from typing import Any

import account

TYPICAL = "typical"
"""Beside the experiments: students of the sizes that are measured elsewhere."""
_EPOCHS, _IMAGENET, _CHIPS = 90, 1_281_167, 8
_HOURS = f"hours of {_EPOCHS} epochs of ImageNet on {_CHIPS}, at least"
_FLOORS = "bandwidth, us", "peak, us", "launches, us"

Row = dict[str, Any]


def typical_table(rows: Sequence[Row]) -> str:
    """The chunk programs of students of usual sizes, with what their bytes are of; empty if there are none."""
    names = [*account.PARTS, "evaluation"]
    head = ["program", "memory, GB", "kernels a step", "loops in it", "MB an image", *(f"{name}, %" for name in names)]
    head += [*_FLOORS, "images/s at most", _HOURS]
    lines = []
    for row in (row for row in rows if row["experiment"] == TYPICAL):
        if "error" in row:
            lines.append([row["what"], row["error"]])
            continue
        shares = (f"{100 * row['parts'][name] / row['bytes']:.0f}" for name in names)
        held = f"{row['memory'] / 1e9:.3g}"
        lines.append([row["what"], held, *_counts(row), *shares, *_floors(row), *_rate(row)])
    return _markdown(head, lines)


def table(rows: Sequence[Row]) -> str:
    """A line for each experiment: what compiled, its students' chunk, its experts' chunk."""
    head = [
        "experiment",
        "compiled",
        "seconds",
        "memory, MB",
        "predicted",
        "kernels a step",
        "loops in it",
        "MB an image",
    ]
    lines = []
    for name in dict.fromkeys(row["experiment"] for row in rows if row["experiment"] != TYPICAL):
        own = [row for row in rows if row["experiment"] == name]
        fine = [row for row in own if "error" not in row]
        of_students = next((row for row in fine if row["what"] == "students: chunk"), None)
        cells = _memory(of_students) + _counts(of_students) + _floors(of_students) if of_students else []
        wrong = [f"{row['what']}: {row['error']}" for row in own if "error" in row]
        seconds = f"{sum(row['seconds'] for row in fine):.0f}"
        lines.append([f"`{name}`", f"{len(fine)} of {len(own)}", seconds, *cells, *wrong])
    return _markdown([*head, *_FLOORS], lines)


def side_by_side(found: dict[str, list[Row]]) -> str:
    """A line for each experiment: on each chip what compiled, and of the students' chunk memory, kernels and bytes."""
    named: dict[str, dict[str, list[Row]]] = {}
    for chip, rows in found.items():
        for row in rows:
            name = row["what"] if row["experiment"] == TYPICAL else f"`{row['experiment']}`"
            named.setdefault(name, {}).setdefault(chip, []).append(row)
    lines = [[name, *(_cell(by_chip.get(chip, [])) for chip in found)] for name, by_chip in named.items()]
    return _markdown(["program or experiment", *found], lines)


def _cell(rows: Sequence[Row]) -> str:
    """One experiment on one chip."""
    fine = [row for row in rows if "error" not in row]
    told = [f"{len(fine)} of {len(rows)}"] if rows else []
    for row in (row for row in fine if "steps" in row and not row["what"].startswith("experts")):
        kernels, loops, each = _counts(row)
        predicted = f"{row['predicted'] / row['memory']:.2f}x predicted" if "predicted" in row else ""
        told += [f"{row['memory'] / 1e6:,.0f} MB", predicted, f"{kernels} kernels", f"{each} MB an image"]
        told += [f"{loops} loops"] * (loops != "0")
    return "; ".join(filter(None, told + [f"{row['what']}: {row['error']}" for row in rows if "error" in row]))


def _floors(row: Row) -> list[str]:
    """Microseconds of a student's step, at least."""
    return [f"{1e6 * seconds / row['steps']:.3g}" for seconds in row["floors"].values()]


def _rate(row: Row) -> list[str]:
    """Images a second that bandwidth and peak allow; of those of ImageNet's size, the hours of what `_HOURS` says."""
    most = row["images"] / max(row["floors"]["bandwidth"], row["floors"]["peak"])
    hours = f"{_EPOCHS * _IMAGENET / _CHIPS / most / 3600:.2g}" if "224 px" in row["what"] else ""
    return [f"{most:,.0f}", hours]


def _counts(row: Row) -> list[str]:
    each = row["kernels_in_steps"] / row["steps"], row["bytes"] / row["images"] / 1e6
    return [f"{each[0]:.3g}", str(row["loops"]), f"{each[1]:.3g}"]


def _memory(row: Row) -> list[str]:
    return [f"{row['memory'] / 1e6:,.0f}", f"{row['predicted'] / row['memory']:.2f}x"]


def summary(row: Row) -> str:
    if "error" in row:
        return row["error"]
    steps = f"{' '.join(_counts(row))} (kernels a step, loops, MB an image)" if "steps" in row else ""
    return f"{row['seconds']:5.1f} s {row['memory'] / 1e6:9,.1f} MB {steps}"


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    if not lines:
        return ""
    filled = ([*line, *[""] * (len(head) - len(line))] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *filled])
