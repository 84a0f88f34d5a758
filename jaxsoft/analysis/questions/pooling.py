"""Are several teachers better than one, and are they pooled as logits or as probabilities?

`teachers(n, pool=P, epoch=e)` pools the experts 0 to n-1; `teacher(epoch=e)` is the first of them alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from jaxsoft import spec
from jaxsoft.analysis import plots, words
from jaxsoft.analysis.grid import Grid, grid
from jaxsoft.analysis.page import Picture, Section, Text
from jaxsoft.analysis.questions import _parts as parts
from jaxsoft.analysis.questions._bars import interval_bars
from jaxsoft.analysis.read import Run
from jaxsoft.analysis.stats import Estimate
from jaxsoft.analysis.table import Table
from jaxsoft.types import Row

ORDER = 13
_STYLES = {"logits": (plots.BLUE, "o", "mean of logits"), "probabilities": (plots.ORANGE, "s", "mean of probabilities")}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class Pool(NamedTuple):
    """One source (what remains of a spec without n and pool) at one IPC: accuracy by number of experts, and differences.

    `gain` is the largest number minus the smallest, of the pool chosen on the selection column at the largest;
    `logits` is logits minus probabilities at the largest number that has both, or None.
    """

    source: str
    ipc: int
    curves: dict[str, dict[int, Estimate]]
    pool: str
    fewest: int
    most: int
    gain: Estimate
    logits: Estimate | None


class Pools(NamedTuple):
    """All pools of a group, the source chosen at each IPC, and the split of choice."""

    all: list[Pool]
    chosen: dict[int, Pool]
    on: str


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """One section: accuracy by number of pooled experts."""
    return parts.by_group(rows, pools, _sections)


def pools(rows: Sequence[Row]) -> Pools | None:
    """The pools of one group of members; None unless some source was pooled over several numbers of experts."""
    sources: dict[str, dict[tuple[str, int], str]] = {}
    for labels in dict.fromkeys(row["labels"] for row in rows):
        if found := _pooled(labels):
            source, pool, n = found
            sources.setdefault(source, {})[pool, n] = labels
    sources = {source: specs for source, specs in sources.items() if len({n for _, n in specs}) > 1}
    if not sources:
        return None
    table = grid(rows)
    found = [p for source, specs in sources.items() for ipc in table.ipcs if (p := _pool(table, source, specs, ipc))]
    chosen = {}
    for ipc in table.ipcs:
        own = {labels: source for source, specs in sources.items() for labels in specs.values()}
        own = {labels: p for labels, source in own.items() for p in found if (p.source, p.ipc) == (source, ipc)}
        if pick := parts.chosen(table, ipc, list(own)):
            chosen[ipc] = own[pick]
    return Pools(found, chosen, parts.chosen_on(rows)) if found else None


def draw(found: Pools) -> Figure:
    """Test accuracy against the number of pooled experts, one panel for each IPC, with the source chosen there."""
    own = list(found.chosen.values())
    several = len({p.source for p in found.all}) > 1
    figure, panels = parts.panels(len(own), 2.7 if len(own) < 3 else 2.1, sharex=True)
    for axes, pool in zip(panels, own):
        for name, curve in pool.curves.items():
            colour, marker, label = _STYLES[name]
            interval_bars(axes, list(curve), list(curve.values()), fmt=f"{marker}-", color=colour, label=label)
        numbers = sorted({n for p in own for curve in p.curves.values() for n in curve})
        parts.measured_axis(axes, numbers, "number of pooled experts", log=numbers[-1] > 12)
        axes.set_ylabel("test accuracy, %")
        axes.set_title(f"IPC {pool.ipc}{f': {plots.cut(pool.source)}' if several else ''}", loc="left", fontsize=9)
    parts.name_outer(panels, same_y=False)
    handles = {label: handle for p in panels for handle, label in zip(*p.get_legend_handles_labels())}
    if len(handles) > 1:
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2)
    counts = [e.n for p in own for curve in p.curves.values() for e in curve.values()]
    parts.say_n(figure, counts, "bars: 95 % intervals of each mean")
    return figure


def _pooled(labels: str) -> tuple[str, str, int] | None:
    """The source, pool and number of experts of a spec; None for other labels.

    >>> _pooled("teachers(5, pool=probabilities, epoch=20)")
    ('teacher(epoch=20)', 'probabilities', 5)
    """
    call, *operations = spec.parse(labels)
    if call.name == "teacher" and not call.args and not call.kwargs.get("expert"):
        return labels, "logits", 1
    if call.name != "teachers":
        return None
    when = {key: value for key, value in call.kwargs.items() if key not in ("n", "pool")}
    n = call.args[0] if call.args else call.kwargs.get("n", 3)
    source = spec.render((spec.Call("teacher", (), when), *operations))
    return source, call.kwargs.get("pool", "logits"), int(n)


def _pool(table: Grid, source: str, specs: dict[tuple[str, int], str], ipc: int) -> Pool | None:
    """The numbers of one source at one IPC; None where fewer than two numbers of experts finished."""
    tested = {key: parts.accuracy(table, ipc, labels) for key, labels in sorted(specs.items())}
    tested = {key: value for key, value in tested.items() if value.n}
    numbers = sorted({n for _, n in tested})
    if len(numbers) < 2:
        return None
    curves: dict[str, dict[int, Estimate]] = {}
    for name in sorted({pool for pool, n in tested if n > 1}):
        # One expert is its own mean, of logits as of probabilities.
        curves[name] = {n: value for (pool, n), value in tested.items() if pool == name or n == 1}
    fewest, most = numbers[0], numbers[-1]
    ends = [specs[pool, most] for pool in curves if (pool, most) in tested]
    best = parts.chosen(table, ipc, ends) or ends[0]
    pool = next(name for (name, n), labels in specs.items() if labels == best)
    start = next(specs[key] for key in ((pool, fewest), ("logits", fewest), ("probabilities", fewest)) if key in tested)
    both = [n for n in numbers if n > 1 and all((name, n) in tested for name in _STYLES)]
    logits = parts.paired(table, ipc, *(specs[name, both[-1]] for name in _STYLES)) if both else None
    ordered = {name: dict(sorted(curve.items())) for name, curve in curves.items()}
    # Where both pools start from one expert, the pool is chosen for each seed by the others.
    gain = parts.chosen_minus(table, ipc, ends if fewest == 1 else [best], [start])
    return Pool(source, ipc, ordered, pool, fewest, most, gain, logits)


def _sections(found: Pools, suffix: str) -> list[Section]:
    title = _title(list(found.chosen.values()))
    several = len({p.source for p in found.all}) > 1
    picked = f", with the source that is best on {found.on} at each IPC" if several else ""
    caption = f"Test accuracy by the number of experts whose outputs are averaged{picked}: means over seeds."
    alt = f"Test accuracy against the number of pooled experts, one panel for each IPC. {title}."
    picture = Picture(f"pooling{suffix}", plots.png(draw, found), alt, caption)
    said = "All seeds share one set of experts, so no interval covers which experts they happened to be"
    if any(p.fewest == 1 for p in found.all):
        said += ": another first expert would move these numbers about as much as experts differ"
    return [Section(title, [Text(f"{_logits(found)} {said}.".strip()), picture, _table(found)])]


def _title(own: Sequence[Pool]) -> str:
    """What pooling all experts adds, at the budget at which it matters most."""
    ipc, among = parts.largest({p.ipc: p.gain for p in own})
    most = next(p for p in own if p.ipc == ipc)
    where, pooled = f"at {words.budgets([ipc])}{among}", f"Pooling {_number(most.most)} experts"
    start = "the first of them alone" if most.fewest == 1 else _number(most.fewest)
    told = parts.sign(most.gain)
    if not told:
        why = ": the interval contains zero" if most.gain.n > 2 else ""
        return f"{pooled} adds nothing to {start} that can be told{why}, {parts.signed(most.gain)} {where}"
    verb, against = ("adds", "to") if told > 0 else ("costs", "against")
    return f"{pooled} {verb} {parts.size(most.gain)} {against} {start} {where}"


def _logits(found: Pools) -> str:
    """Logits against probabilities, at the budget at which it matters most."""
    both = {p.ipc: p.logits for p in found.chosen.values() if p.logits is not None and p.logits.n}
    if not both:
        return ""
    ipc, among = parts.largest(both)
    value, where = both[ipc], f"at {words.budgets([ipc])}{among}"
    if told := parts.sign(value):
        return f"Pooling logits {'gains' if told > 0 else 'loses'} {parts.size(value)} against probabilities {where}."
    return f"Logits and probabilities cannot be told apart: {parts.signed(value)} {where}."


def _table(found: Pools) -> Table:
    both = any(p.logits is not None for p in found.all)
    several = len({p.source for p in found.all}) > 1
    lines = []
    for p in sorted(found.all, key=lambda p: p.ipc):
        ends = [
            words.accuracy(p.curves[p.pool][n]) if n in p.curves[p.pool] else words.NONE for n in (p.fewest, p.most)
        ]
        mark = " (chosen)" if several and found.chosen.get(p.ipc) is p else ""
        other = ([words.difference(p.logits) if p.logits else words.NONE]) if both else []
        number = f"{p.fewest} → {p.most}"
        lines.append(
            (str(p.ipc), f"`{p.source}`{mark}", number, p.pool, *ends, words.difference(p.gain), *other, str(p.gain.n))
        )
    header = ("IPC", "source", "experts", "pool", "fewest, %", "most, %", "gain, points")
    caption = (
        f"Accuracy with the fewest and with the most experts, of the pool chosen on {found.on} at the most; differences in test "
        "points, each seed against itself, 95 % intervals."
    )
    return Table((*header, *(("logits − probabilities",) if both else ()), "n"), lines, caption)


def _number(n: int) -> str:
    return _NUMBERS[n] if n < len(_NUMBERS) else str(n)
