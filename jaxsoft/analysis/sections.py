"""What a report says of one group of members, section by section. Headings are answers, not topics."""

import math
from collections.abc import Sequence

from jaxsoft.analysis import plots, words
from jaxsoft.analysis.frontier import Choice, choose, frontiers
from jaxsoft.analysis.grid import finished, group_names, selection_column, tuned, units
from jaxsoft.analysis.isolation import tried
from jaxsoft.analysis.page import Block, Fact, Facts, Picture, Section, Text
from jaxsoft.analysis.scaling import BEST
from jaxsoft.analysis.stats import FEWEST, summarize
from jaxsoft.analysis.table import Findings, Table, budget_table, cell_table, law_table
from jaxsoft.types import Row

_LONG = 24
"""A table of more lines is folded."""


def group_sections(found: Findings, name: str, suffix: str, maps: bool, lost: list[Section]) -> list[Section]:
    """All sections of one group.

    Args:
      found: its analysis.
      name: of the group, where there are several, else empty.
      suffix: of its picture files.
      maps: whether to draw teacher epochs against budgets; a question that was asked may have drawn them already.
      lost: takes what is said of parts that fail.
    """
    parts = tried("the answer of a group", lost, [Section(name, [])], lambda: [_answer(found, name)])
    if finished(found.rows):
        parts += tried("the budgets in numbers", lost, [], lambda: [_budgets(found)])
        parts += tried("the curves of accuracy", lost, [], lambda: [_curves(found, suffix)])
        parts += tried("the labels for each budget", lost, [], lambda: _frontier(found, suffix, maps))
        parts += tried("the laws of error", lost, [], lambda: _laws(found))
    return parts


def settings_section(parts: Sequence[Sequence[Row]]) -> Section:
    """Soft against hard labels in many groups at once, a line for each group and budget."""
    lines, verdicts = [], []
    for part, name in zip(parts, group_names(parts)):
        done = finished(part)
        choices = choose(done) if done else []
        for c in choices:
            verdicts.append(words.verdict(c))
            numbers = (words.accuracy(c.hard), words.accuracy(c.test), words.difference(c.difference))
            lines.append((name, str(c.ipc), *numbers, f"`{c.labels}`", str(c.difference.n or c.test.n)))
        for c in [] if choices else summarize(tuned(done)):
            lines.append((name, str(c.ipc), words.accuracy(c.test), *[words.NONE] * 3, str(c.test.n)))
    soft, hard = (sum(verdict == side for verdict in verdicts) for side in ("soft", "hard"))
    title = f"In {len(parts)} settings soft labels win {soft} of {len(verdicts)} times, hard labels {hard}"
    title = title if verdicts else f"{len(parts)} settings, without soft labels in any"
    header = ("setting", "IPC", "hard labels, %", "soft labels, %", "difference, points", "chosen label spec", "n")
    caption = (
        "Test accuracy by setting and budget; means over n seeds with 95 % intervals, differences paired by seed. "
        "Report fewer runs or settings at once for curves of each."
    )
    return Section(title, [Table(header, lines, caption, folded=len(lines) > _LONG)])


def headline(found: Findings) -> str:
    """The answer in one line."""
    if found.choices:
        return words.headline(found.choices)
    if not (done := summarize(tuned(finished(found.rows)))):
        return "No member has finished"
    return f"Hard labels reach {words.percent(done[-1].test.mean)} % at {words.budgets([done[-1].ipc])}"


def _answer(found: Findings, name: str) -> Section:
    """The findings in one paragraph, three numbers, and what to bear in mind."""
    compared = [c for c in found.choices if c.difference.n]
    said = []
    if compared:
        said = [words.comparison(c) for c in {c.ipc: c for c in (_largest(compared), compared[-1])}.values()]
    elif found.choices:
        said = [words.comparison(c) for c in {c.ipc: c for c in (found.choices[0], found.choices[-1])}.values()]
    elif finished(found.rows):
        said = ["There are no soft labels to compare them with."]
    if path := words.frontier(found.choices, found.trend, _offered(found)):
        said.append(f"{path}.")
    if found.worth:
        said.append(words.value_of_a_label(found.worth))
    title = f"{name}: {headline(found)}" if name else ""
    blocks: list[Block] = [Text(" ".join(said) or "There is nothing to compare.", "lead")]
    if facts := _facts(found, compared):
        blocks.append(Facts(facts))
    return Section(title, [*blocks, *warning_blocks(found.rows)])


def _facts(found: Findings, compared: Sequence[Choice]) -> tuple[Fact, ...]:
    facts = []
    if compared:
        most = _largest(compared)
        meaning = f"soft minus hard labels at {words.budgets([most.ipc])}"
        meaning += f", the largest of {len(compared)} budgets" if len(compared) > 1 else ""
        facts.append(Fact(f"{words.points(most.difference.mean)} points", meaning))
    if found.worth:
        facts.append(Fact(*words.short_value(found.worth)))
    epochs = [c for c in found.choices if c.teacher_epoch is not None]
    if words.frontier(found.choices, found.trend, _offered(found)):
        first, last = epochs[0], epochs[-1]
        moves = len({c.teacher_epoch for c in epochs}) > 1
        value = f"{first.teacher_epoch} → {last.teacher_epoch}" if moves else f"{first.teacher_epoch}"
        facts.append(Fact(value, f"best teacher epoch, from {first.ipc} to {words.budgets([last.ipc])}"))
    return tuple(facts)


def _offered(found: Findings) -> int:
    """How many teacher epochs there were to choose from."""
    return len({row["teacher_epoch"] for row in finished(found.rows)} - {None})


def _largest(compared: Sequence[Choice]) -> Choice:
    """The budget with the largest difference among those where one can be told."""
    return max(compared, key=lambda c: (bool(words.verdict(c)), abs(c.difference.mean)))


def warning_blocks(rows: Sequence[Row]) -> list[Block]:
    """What to bear in mind: how choices were made, and how few seeds there are."""
    done, said = finished(rows), []
    if any(row["protocol"] == "paper" for row in rows):
        said.append(
            "Paper protocol: the test split was used to choose checkpoints, label specs and settings, as the authors "
            "did. These accuracies are optimistic; a sealed run says by how much."
        )
    elif done and selection_column(done) == "test_accuracy":
        said.append("Some members hold no validation accuracy, so label specs were chosen on test.")
    pairs = units(done)
    seeds = set(pairs.values())
    if len(seeds) < len(pairs):
        said.append(f"Seeds share {len(seeds)} subsets of images and are averaged inside each: n counts subsets.")
    if 0 < len(seeds) < FEWEST:
        said.append(f"n = {len(seeds)}: fewer than {FEWEST} seeds give no interval, so nothing is told apart.")
    elif 0 < len(seeds) < 5:
        said.append(
            f"n = {len(seeds)}: intervals of fewer than 5 seeds are too narrow; take them as a first impression."
        )
    return [Text(warning, "warning") for warning in said]


def _budgets(found: Findings) -> Section:
    return Section("Each budget in numbers", [budget_table(found), cell_table(found.rows)])


def _curves(found: Findings, suffix: str) -> Section:
    done = finished(found.rows)
    cells = [c for c in summarize(tuned(done)) if c.labels == "hard"] or found.choices
    means, ipcs = [c.test.mean for c in cells], [c.ipc for c in cells]
    which = "hard labels" if any(row["labels"] == "hard" for row in done) else "the best soft labels"
    title = f"With {which}, accuracy goes from {words.percent(means[0])} % to {words.percent(means[-1])} % from {ipcs[0]} to {words.budgets([ipcs[-1]])}"
    if len(means) < 2:
        title = f"With {which}, accuracy is {words.percent(means[0])} % at {words.budgets(ipcs)}"
    caption = "Test accuracy by images per class and label spec: mean over seeds, bands are 95 % intervals."
    alt = f"Curves of test accuracy against images per class, one for each label spec. {title}."
    blocks: list[Block] = [Picture(f"accuracy{suffix}", plots.png(plots.accuracy_curves, done), alt, caption)]
    if any(c.difference.n for c in found.choices):
        caption = (
            "Chosen soft labels minus hard labels, each seed against itself, 95 % intervals. Blue: soft labels win; "
            "orange: hard labels win; grey: no difference can be told."
        )
        lines = (f"IPC {c.ipc}: {words.difference(c.difference)}" for c in found.choices if c.difference.n)
        alt = f"Soft minus hard in test points. {'; '.join(lines)}."
        blocks.append(Picture(f"difference{suffix}", plots.png(plots.differences, found.choices), alt, caption))
    return Section(title, blocks)


def _frontier(found: Findings, suffix: str, maps: bool) -> list[Section]:
    if len({row["labels"] for row in finished(found.rows)} - {"hard"}) < 2:
        return []
    on = "validation" if selection_column(finished(found.rows)) == "val_accuracy" else "test"
    blocks: list[Block] = []
    for i, family in enumerate(frontiers(finished(found.rows)) if maps else []):
        named = f"frontier{suffix}" + (f"-{i + 1}" if i else "")
        caption = (
            f"`{family.family}` minus hard labels, test points, by teacher epoch and images per class. Framed: its "
            f"best epoch for each budget on {on}. Mean of {family.n} paired seeds; colours end at twice the largest gain."
        )
        best = (f"IPC {n}: epoch {family.epochs[p]}" for n, p in zip(family.ipcs, family.best) if p >= 0)
        alt = f"Heat map of soft minus hard accuracy by teacher epoch and images per class. Best {'; '.join(best)}."
        blocks.append(Picture(named, plots.png(plots.frontier_map, family), alt, caption))
    lines = []
    for c in found.choices:
        others = [f"`{k}` {100 * v:.0f} %" for k, v in c.shares.items() if k != c.labels and v >= 0.005]
        lines.append(
            (
                str(c.ipc),
                f"`{c.labels}`",
                f"{100 * c.shares.get(c.labels, 0):.0f} %",
                ", ".join(others[:2]) or words.NONE,
            )
        )
    caption = "How sure the seeds are of their choice: its share among resampled sets of seeds."
    if found.trend and found.trend.n:
        low, high = found.trend.low, found.trend.high
        caption += f" Rank correlation of best epoch and IPC: {found.trend.mean:.2f} [{low:.2f}, {high:.2f}]."
    if min(c.test.n for c in found.choices) >= FEWEST:
        blocks.append(Table(("IPC", "chosen label spec", "chosen again", "otherwise"), lines, caption))
    title = words.frontier(found.choices, found.trend, _offered(found)) or "Which labels for which budget"
    return [Section(title, blocks)] if blocks else []


def _laws(found: Findings) -> list[Section]:
    if all(math.isnan(fit.exponent.value) for fit in found.laws):  # too few budgets for any
        return []
    said = [text for fit in found.laws if fit.labels in ("hard", BEST) and (text := words.falls(fit))]
    if not said:
        return [Section("No law of error in images can be told", [law_table(found.laws)._replace(folded=True)])]
    return [Section(f"Error falls {' and '.join(said)}", [law_table(found.laws)])]


def failed_sections(rows: Sequence[Row]) -> list[Section]:
    """The members that failed; none if none did."""
    bad = [row for row in rows if row["status"] == "failed"]
    if not bad:
        return []
    columns = ("member", "ipc", "labels", "seed", "learning_rate", "first_bad_step")
    lines = [tuple(words.NONE if row.get(c) is None else f"`{row[c]}`" for c in columns) for row in bad[:50]]
    more = f" The first 50 of {len(bad)}." if len(bad) > 50 else ""
    header = tuple(c.replace("_", " ").replace("ipc", "IPC") for c in columns)
    table = Table(header, lines, f"Members whose numbers stopped being finite.{more}")
    title = f"{len(bad)} of {len(rows)} members failed and are left out"
    return [Section(title, [table])]
