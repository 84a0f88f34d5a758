"""Which teacher is best for which student, and is it one of the student's own kind?

Experts of several architectures label the same images (`teacher(expert=i)`); students differ in `model`. For each
teacher, student and budget the epoch, or whatever else label specs differ in, is chosen on validation.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from jaxsoft import spec
from jaxsoft.analysis import plots, words
from jaxsoft.analysis.grid import Stack, stack
from jaxsoft.analysis.page import Picture, Section
from jaxsoft.analysis.plots import ORANGE
from jaxsoft.analysis.questions import _parts
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate, estimate, means
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 22
_MOST_PANELS = 3


class Pair(NamedTuple):
    """One teacher architecture with one student's at one IPC: the label spec chosen, and accuracies by unit.

    `selection` is the mean on the column of choice, `gain` test accuracy minus that of hard labels of the same student,
    NaN without them.
    """

    ipc: int
    teacher: str
    student: str
    labels: str
    selection: float
    test: Float[np.ndarray, "U"]
    gain: Float[np.ndarray, "U"]

    @property
    def own(self) -> bool:
        """Whether teacher and student are of one kind: the same function of jaxsoft/models."""
        return _kind(self.teacher) == _kind(self.student)


def _kind(model: str) -> str:
    """The function of jaxsoft/models that a model names: what stands before its arguments."""
    return model.partition("(")[0].strip()


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """The matrix of teachers and students, and what a teacher of one's own kind is worth."""
    told = {tuple(run.teachers.get("teacher", {}).get("models") or ()) for run in runs} - {()}
    if len(told) != 1:
        return []
    return _parts.by_group(rows, functools.partial(find_pairs, told.pop()), _tell, together=("model",))


def find_pairs(models: Sequence[str], rows: Sequence[Row]) -> list[Pair]:
    """Every pair at every IPC; empty when the labels come from one architecture.

    Args:
      models: the architecture of each expert.
      rows: one group of members that may differ in `model`.
    """
    table = stack(rows, "model")
    specs: dict[str, list[int]] = {}
    for a, labels in enumerate(table.labels):
        if (teacher := _architecture(labels, models)) is not None:
            specs.setdefault(teacher, []).append(a)
    if len(specs) < 2:
        return []
    places = [(i, w, teacher) for i in range(len(table.ipcs)) for teacher in specs for w in range(len(table.values))]
    return [pair for i, w, teacher in places if (pair := _pair(table, i, w, teacher, specs[teacher]))]


def _architecture(labels: str, models: Sequence[str]) -> str | None:
    """Who gave these labels; None for hard labels and pooled experts."""
    source = spec.parse(labels)[0]
    expert = source.kwargs.get("expert", source.args[0] if source.args else 0)
    there = source.name == "teacher" and isinstance(expert, int) and 0 <= expert < len(models)
    return str(models[expert]) if there else None


def _pair(table: Stack, i: int, w: int, teacher: str, specs: Sequence[int]) -> Pair | None:
    scores = np.round(means(table.selection[:, w, i, list(specs)]), 12)
    if not np.isfinite(scores).any():
        return None
    a = specs[int(np.nanargmax(scores))]
    test = table.test[:, w, i, a]
    hard = table.test[:, w, i, table.labels.index("hard")] if "hard" in table.labels else np.full_like(test, np.nan)
    student = table.values[w]
    return Pair(table.ipcs[i], teacher, student, table.labels[a], float(np.nanmax(scores)), test, test - hard)


def own_kind(pairs: Sequence[Pair]) -> Estimate:
    """Test accuracy with teachers of the student's own kind minus that with the others, the mean of either side.

    The mean is over students and budgets inside a unit that has all of them, then over units.
    """
    differences = []
    for ipc, student in dict.fromkeys((p.ipc, p.student) for p in pairs):
        mine = [p for p in pairs if (p.ipc, p.student) == (ipc, student)]
        own, other = ([p.test for p in mine if p.own == side] for side in (True, False))
        if own and other:
            differences.append(np.mean(own, axis=0) - np.mean(other, axis=0))
    return _estimate(np.mean(differences, axis=0)) if differences else _estimate(np.array([]))


def draw_pairs(pairs: Sequence[Pair]) -> Figure:
    """Teachers by students, one panel for each of a few budgets: accuracy, and gain over hard labels below it."""
    ipcs = sorted({p.ipc for p in pairs})
    ipcs = [ipcs[i] for i in sorted({int(i) for i in np.linspace(0, len(ipcs) - 1, _MOST_PANELS).round()})]
    teachers, students = (list(dict.fromkeys(getattr(p, side) for p in pairs)) for side in ("teacher", "student"))
    gained = any(np.isfinite(p.gain).any() for p in pairs)
    shown = [100 * _estimate(p.gain if gained else p.test).mean for p in pairs if p.ipc in ipcs]
    norm = Normalize(float(np.nanmin(shown)), float(np.nanmax(shown)))
    columns = 2 if len(students) < 3 and len(ipcs) == 2 else 1
    lines = -(-len(ipcs) // columns)
    width = max(4.6, 1.9 + columns * 1.2 * len(students))
    figure = Figure((width, 1.1 + lines * (0.45 + 0.66 * len(teachers))))
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in panels[len(ipcs) :]:
        axes.set_visible(False)
    images = [_draw(axes, [p for p in pairs if p.ipc == n], teachers, students, norm) for axes, n in zip(panels, ipcs)]
    figure.supxlabel("student", fontsize=9.5)
    figure.supylabel("teacher", fontsize=9.5)
    bar = figure.colorbar(images[0], ax=list(panels), aspect=30, pad=0.02)
    bar.set_label("gain over hard labels, points" if gained else "test accuracy, %")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    _parts.say_n(figure, [_estimate(p.test).n for p in pairs], "framed: best on validation")
    return figure


def _draw(
    axes: Axes, pairs: Sequence[Pair], teachers: Sequence[str], students: Sequence[str], norm: Normalize
) -> AxesImage:
    """The pairs of one IPC as a heat map."""
    values = np.full((len(teachers), len(students)), np.nan)
    texts = [["" for _ in students] for _ in teachers]
    for p in pairs:
        t, s, gain, test = teachers.index(p.teacher), students.index(p.student), _estimate(p.gain), _estimate(p.test)
        values[t, s] = 100 * (gain if gain.n else test).mean
        difference = f"\n{words.difference(gain)}".replace(" [", "\n[") if gain.n else ""
        texts[t][s] = f"{words.percent(test.mean)} %{difference}"
    rows, columns = ([_broken(name) for name in names] for names in (teachers, students))
    image = _parts.heat_map(axes, values, norm, rows, columns, texts=texts)
    for s, student in enumerate(students):
        if best := _best(pairs, student):
            corner = s - 0.47, teachers.index(best.teacher) - 0.47
            axes.add_patch(Rectangle(corner, 0.94, 0.94, fill=False, ec=ORANGE, lw=2))
    axes.set_title(words.budgets([pairs[0].ipc]), loc="left", fontsize=9)
    return image


def _broken(name: str) -> str:
    """A model's text in several lines."""
    return name.replace("(", "\n(").replace(", ", ",\n")


def _best(pairs: Sequence[Pair], student: str) -> Pair | None:
    """The student's pair that is best on validation."""
    return max((p for p in pairs if p.student == student), key=lambda p: p.selection, default=None)


def _estimate(values: Float[np.ndarray, "U"]) -> Estimate:
    return estimate(values[np.isfinite(values)])


def _title(pairs: Sequence[Pair]) -> str:
    most = max(p.ipc for p in pairs)
    last = [p for p in pairs if p.ipc == most]
    students = list(dict.fromkeys(p.student for p in last))
    best = {student: pair for student in students if (pair := _best(last, student))}
    names = {pair.teacher for pair in best.values()}
    if len(names) == 1 < len(best):
        who = f"`{names.pop()}` is the best teacher of every student"
    elif len(best) > 1 and all(pair.own for pair in best.values()):
        who = "every student has its best teacher in its own kind"
    else:
        who = words.listed([f"`{p.teacher}` is the best teacher of `{student}`" for student, p in best.items()])
    unsure = sum(not _apart(last, pair) for pair in best.values())
    if unsure:
        whose = "" if unsure == len(best) else f" for {unsure} of {len(best)} students"
        who += f" on validation, not told apart from the second best{whose}"
    return f"At {words.budgets([most])} {who}{_own(own_kind(pairs))}"


def _apart(pairs: Sequence[Pair], best: Pair) -> bool:
    """Whether a student's best teacher is told to be better than its second best one, on test; True where it has no other."""
    others = [p for p in pairs if p.student == best.student and p is not best]
    second = max(others, key=lambda p: p.selection, default=None)
    return second is None or _parts.sign(_estimate(best.test - second.test)) > 0


def _own(value: Estimate) -> str:
    """What a teacher of one's own kind is worth, as the end of a sentence."""
    if not value.n:
        return ""
    if sign := _parts.sign(value):
        more = "more" if sign > 0 else "less"
        return f"; students learn {more} from their own kind than from the others, by {_parts.size(value)} on average"
    return (
        f"; whether students learn more from their own kind than from the others cannot be told: {_parts.signed(value)}"
    )


def _tell(pairs: Sequence[Pair], suffix: str) -> list[Section]:
    title, lines = _title(pairs), []
    for p in pairs:
        accuracy, gain = _estimate(p.test), _estimate(p.gain)
        numbers = (words.accuracy(accuracy), words.difference(gain), str(accuracy.n))
        lines.append((str(p.ipc), f"`{p.teacher}`", f"`{p.student}`", f"`{p.labels}`", *numbers))
    header = ("IPC", "teacher", "student", "chosen label spec", "test, %", "gain over hard labels, points", "n")
    caption = (
        "Every teacher with every student: label spec chosen on validation, gain over hard labels of the same student "
        "seed by seed; means over n seeds with 95 % intervals."
    )
    shown = "Teacher and student architectures: test accuracy, and its gain over hard labels of the same student."
    picture = Picture(
        f"architectures{suffix}", plots.png(draw_pairs, pairs), f"{shown} {title}.", f"{shown} Framed: best."
    )
    return [Section(title, [picture, Table(header, lines, caption, folded=len(lines) > 24)])]
