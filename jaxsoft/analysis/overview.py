"""What a report says of one group of members, section by section. Headings are answers, not topics."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

from jaxsoft.analysis.findings import Choice, Findings, Frontier, frontiers
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, GREY, ORANGE, PALETTE, Chart, Heat, Level, Panel, Series, shades
from jaxsoft.analysis.showing.page import Block, Facts, Section, Table, Text, table
from jaxsoft.analysis.statistics.fits import BEST, Law
from jaxsoft.analysis.statistics.groups import TUNABLE, Arms, Group
from jaxsoft.analysis.statistics.inference import FEWEST, FEWEST_DRAWN, estimate, told
from jaxsoft.analysis.tables import budget_lines, budget_table, law_table, value_of_a_label

_LONG = 24
"""A table of more lines is folded."""
_SIGNS = {1: BLUE, -1: ORANGE, 0: GREY}


def headline(found: Findings) -> str:
    """The answer in one line."""
    group = found.group
    if found.differences:
        return words.compare("Soft labels", "hard labels", found.differences)
    if found.choices:
        best = max(found.choices, key=lambda c: c.test.mean)
        return f"Soft labels reach {words.percent(best.test.mean)} % at {words.budgets([best.ipc])}"
    if "done" not in set(group.members["status"]):
        return "No member has finished"
    ipc = group.budgets(group.hard)[-1]
    return f"Hard labels reach {_reached(group, ipc, group.hard)} % at {words.budgets([ipc])}"


def _reached(group: Group, ipc: int, arms: Arms) -> str:
    return words.percent(group.accuracy(ipc, arms).mean)


def sections(found: Findings, name: str, maps: bool) -> list[tuple[str, Callable[[], list[Section]]]]:
    """The sections of one group as what they tell, and how to make them, so that one that fails takes no other with it.

    `name` is empty where there is one group; `maps`: draw teacher epochs against budgets, as no question has.
    """
    parts = [
        ("the answer of a group", lambda: [_answer(found, name)]),
        ("the budgets in numbers", lambda: [_budgets(found)]),
        ("the curves of accuracy", lambda: [_curves(found)]),
        ("the labels for each budget", lambda: _frontier(found, maps)),
        ("the laws of error", lambda: _laws(found)),
    ]
    return parts if "done" in set(found.group.members["status"]) else parts[:1]


def _answer(found: Findings, name: str) -> Section:
    """The findings in one paragraph, three numbers, and what to bear in mind."""
    said = [_comparison(c) for c in _shown(found)] or ["There are no soft labels to compare hard ones with."]
    said += [f"{path}."] if (path := _path(found)) else []
    said += [value_of_a_label(found.worth)] if found.worth else []
    facts = [Facts(facts)] if (facts := _facts(found)) else []
    blocks = [Text(" ".join(said), "lead"), *facts, *warnings(found.group)]
    return Section(f"{name}: {headline(found)}" if name else "", blocks)


def _shown(found: Findings) -> list[Choice]:
    """The budget with the largest difference and the last one, or the first and the last."""
    if not found.choices:
        return []
    first = words.most(found.differences)[0] if found.differences else found.choices[0].ipc
    last = max(found.differences, default=found.choices[-1].ipc)
    return [c for c in found.choices if c.ipc in (first, last)]


def _comparison(choice: Choice) -> str:
    said = f"At {words.budgets([choice.ipc])} `{choice.labels}` reaches {words.percent(choice.test.mean)} % on test"
    if not choice.difference.n:
        return f"{said} (n = {choice.test.n})."
    n = f", n = {choice.difference.n}" if choice.difference.n >= FEWEST else ""
    return f"{said} and hard labels {words.percent(choice.hard.mean)} %: {words.signed(choice.difference)}{n}."


def _dated(found: Findings) -> list[Choice]:
    """The choices whose teacher epochs can be compared; none where labels differ in more than their epochs."""
    arms, known = found.group.arms, [c for c in found.choices if c.epoch is not None]
    alike = len(set(arms["epoch"].dropna())) > 1 and len({str(arms["family"].iat[c.arm]) for c in known}) == 1
    return known if alike and len(known) > 1 else []


def _path(found: Findings) -> str:
    """How the best teacher epoch moves with IPC, as far as the seeds can tell; empty where it cannot be compared."""
    if not (known := _dated(found)):
        return ""
    first, last = known[0], known[-1]
    if len({c.epoch for c in known}) == 1:
        return f"Epoch {first.epoch} of the teacher is chosen at every budget"
    path = f"epoch {first.epoch} at {words.budgets([first.ipc])}, epoch {last.epoch} at {last.ipc}"
    if math.isnan(found.trend.low):
        return f"The best teacher of each budget: {path}"
    trends = {1: "More images want a later teacher", -1: "More images want an earlier teacher"}
    return f"{trends.get(found.trend.sign, 'The best teacher epoch shows no clear trend with images')}: {path}"


def _facts(found: Findings) -> list[tuple[str, str]]:
    facts = []
    if found.differences:
        ipc, _ = words.most(found.differences)
        meaning = f"soft minus hard labels at {words.budgets([ipc])}"
        meaning += f", the largest of {len(found.differences)} budgets" if len(found.differences) > 1 else ""
        facts.append((f"{words.points(found.differences[ipc].mean)} points", meaning))
    if found.worth:
        ratio = f"{found.worth.bound or ''}{words.times(found.worth.ratio)} ×"
        facts.append((ratio, "hard-labelled images that one soft-labelled image is worth"))
    if known := _dated(found):
        ends = known[:1] if len({c.epoch for c in known}) == 1 else (known[0], known[-1])
        meaning = f"best teacher epoch, from {known[0].ipc} to {words.budgets([known[-1].ipc])}"
        facts.append((" → ".join(str(c.epoch) for c in ends), meaning))
    return facts


def warnings(group: Group) -> list[Block]:
    """What to bear in mind: how choices were made, and how few units there are."""
    members, n, said = group.members, len(group.units), []
    if "paper" in set(members["protocol"]):
        said.append(
            "Paper protocol: the test split was used to choose checkpoints, label specs and settings, as the authors "
            "did. These accuracies are optimistic; a sealed run says by how much."
        )
    elif group.on == "test" and "done" in set(members["status"]):
        said.append("Some members hold no validation accuracy, so label specs were chosen on test.")
    if n < len(members.drop_duplicates(["seed", "subset_seed"])):
        said.append(f"Seeds share {n} subsets of images and are averaged inside each: n counts subsets.")
    if 0 < n < FEWEST:
        said.append(f"n = {n}: fewer than {FEWEST} seeds give no interval, so nothing is told apart.")
    elif 0 < n < FEWEST_DRAWN:
        few = f"with fewer than {FEWEST_DRAWN} seeds laws, trends and exchange rates have none"
        said.append(f"n = {n}: means have t intervals; {few}.")
    return [Text(warning, "warning") for warning in said]


def _budgets(found: Findings) -> Section:
    """Each budget, and folded every cell."""
    group, lines = found.group, []
    settings = [c for c in (*TUNABLE, "model", "select", "without", "protocol") if c in group.arms]
    failed = Counter(zip(*(group.members[c] for c in ("status", "ipc", "arm"))))
    validation = group.values("val_accuracy")
    for i, ipc in enumerate(group.ipcs):
        for arm in group.ran(ipc, range(len(group.arms))):
            test, val = (estimate(values[:, i, arm]) for values in (group.test, validation))
            own = {"IPC": ipc, "label spec": f"`{group.labels(arm)}`"} | {
                c: f"{group.arms[c].iat[arm]}" for c in settings
            }
            numbers = {"test, %": test, "validation, %": val, "n": test.n, "failed": failed["failed", ipc, arm]}
            lines.append(own | numbers)
    caption = (
        "Every cell: mean over n seeds and its 95 % interval; members that failed count as guessing. " + words.FIXED
    )
    return Section("Each budget in numbers", [budget_table(found), table(lines, caption, folded=True, name="cells")])


def _curves(found: Findings) -> Section:
    """Accuracy of every label spec by budget, and soft minus hard."""
    group = found.group
    arms, whose = (group.hard, "Hard labels") if group.hard else (group.soft, "The best soft labels")
    ipcs = group.budgets(arms)
    first, last = (_reached(group, ipc, arms) for ipc in (ipcs[0], ipcs[-1]))
    title = f"{whose} reach {first} % at {words.budgets(ipcs)}"
    title = f"{whose} go from {first} % to {last} % from IPC {ipcs[0]} to {ipcs[-1]}" if len(ipcs) > 1 else title
    soft = list(dict.fromkeys(group.arms["labels"][group.soft]))
    ordered = len(soft) > len(PALETTE) or (len(soft) > 2 and len(set(group.arms["family"])) < 3)
    colours = dict.fromkeys(group.arms["labels"], "black") | dict(zip(soft, shades(len(soft)) if ordered else PALETTE))
    lines = []
    for labels in dict.fromkeys(group.arms["labels"]):
        values = {ipc: group.accuracy(ipc, group.of(labels)) for ipc in group.budgets(group.of(labels))}
        style = {"colour": colours[labels], "marker": "o", "size": 3.5}
        lines.append(Series(labels, list(values), list(values.values()), "band", **style))
    caption = "Test accuracy by images per class and label spec: mean over seeds, bands are 95 % intervals."
    blocks: list[Block] = [Chart("accuracy", [Panel(lines, height=3.4)], caption, "bands: 95 % intervals")]
    return Section(title, [*blocks, *([_differences(found)] if found.differences else [])])


def _differences(found: Findings) -> Chart:
    signs, compared = told(found.differences), [c for c in found.choices if c.difference.n]
    lines = []
    for c in compared:
        style = {"line": False, "colour": _SIGNS[signs[c.ipc]], "marker": "o"}
        lines.append(Series("", [c.ipc], [c.difference], texts=["" if c.epoch is None else str(c.epoch)], **style))
    said = "numbers: teacher epoch; " if any(c.epoch is not None for c in compared) else ""
    caption = (
        "Chosen soft labels minus hard labels, each seed against itself, 95 % intervals. Blue: soft labels win; orange: "
        "hard labels win; grey: no clear difference, all budgets counted (Holm)."
    )
    values = "; ".join(f"IPC {ipc}: {words.difference(value)}" for ipc, value in found.differences.items())
    panel = Panel([Level(0.0), *lines], "soft minus hard, test points")
    alt = f"Soft minus hard in test points. {values}."
    return Chart("difference", [panel], caption, f"{said}bars: 95 % intervals", alt)


def _frontier(found: Findings, maps: bool) -> list[Section]:
    group = found.group
    if len(set(group.arms["labels"].iloc[group.soft])) < 2:
        return []
    drawn = [_map(one, i, group.on) for i, one in enumerate(frontiers(group) if maps else [], 1)]
    blocks = [*drawn, *([_certainty(found)] if len(group.units) >= FEWEST else [])]
    return [Section(_path(found) or "Which labels for which budget", blocks)] if blocks else []


def _map(one: Frontier, i: int, on: str) -> Chart:
    """Soft minus hard by teacher epoch and budget."""
    values, epochs, ipcs = one.difference.to_numpy(), [*one.difference.index], [*map(int, one.difference.columns)]
    texts = [[words.points(value) for value in line] for line in values]
    frames = [(epochs.index(epoch), ipcs.index(ipc)) for ipc, epoch in one.best.items()]
    # Gains are what matters: one early teacher that loses 40 points must not turn them all pale.
    gain, loss = float(values.max(initial=0.0)), -float(values.min(initial=0.0))
    limit, end = (2 * gain, "twice the largest gain") if gain > 0 else (loss, "the largest loss")
    limit = max(0.01, limit)
    rows, columns = [*map(str, epochs)], [*map(str, ipcs)]
    heat = Heat(values, rows, columns, "soft minus hard, test points", (-limit, limit), True, texts, frames)
    caption = (
        f"`{one.family}` minus hard labels, test points, by teacher epoch and images per class. Framed: its best epoch "
        f"for each budget on {on}. Means of paired seeds; colours end at {end}. {words.FIXED}"
    )
    panel = Panel([heat], "teacher epoch", height=min(0.6 + 0.36 * len(epochs), 8.0))
    best = "; ".join(f"IPC {ipc}: epoch {epoch}" for ipc, epoch in one.best.items())
    alt = f"Heat map by teacher epoch and budget. Best {best}."
    return Chart("frontier" if i == 1 else f"frontier-{i}", [panel], caption, "", alt)


def _certainty(found: Findings) -> Table:
    lines = []
    for c in found.choices:
        shares = {labels: words.rounded(share) for labels, share in c.shares.items() if share >= 0.005}
        again = {"chosen again, %": shares.pop(c.labels, words.rounded(0.0))}
        others = ", ".join([f"`{labels}` {share.text} %" for labels, share in shares.items()][:2])
        lines.append({"IPC": c.ipc, "chosen label spec": f"`{c.labels}`", **again, "otherwise": others or None})
    caption = "How sure the seeds are of their choice: its share among resampled sets of seeds."
    if found.trend.n:
        caption += f" Rank correlation of best epoch and IPC: {words.interval(found.trend)} (measured to cover 99 %)."
    return table(lines, caption, name="choices")


def _laws(found: Findings) -> list[Section]:
    if not any(law.fit.parameters["scale"].value >= 0 for law in found.laws):  # too few budgets for any
        return []
    said = [text for law in found.laws if law.fit.name in ("hard", BEST) and (text := _falls(law))]
    title = f"Above a floor, error falls {' and '.join(said)}" if said else "No law of error in images is clear"
    return [Section(title, [law_table(found.laws)._replace(folded=not said)])]


def _falls(law: Law) -> str:
    """How error falls with IPC in the law that is fitted to all, a power law with a floor; empty where AICc prefers a law without an exponent, or none is identified."""
    best, exponent = law.best, law.fit.parameters["exponent"]
    if not (best and "exponent" in best.parameters and exponent.identified):
        return ""
    return f"as IPC^−{exponent.value:.2f} with {'hard' if law.fit.name == 'hard' else 'best soft'} labels"


def settings_section(parts: Sequence[Findings]) -> Section:
    """Soft against hard labels in many groups at once, a line for each group and budget."""
    lines = [{"setting": found.group.name} | line for found in parts for line in budget_lines(found)]
    for line in lines:
        line.pop("one label is worth", None)
    signs = [sign for found in parts for sign in told(found.differences).values()]
    title = f"In {len(parts)} settings soft labels win {signs.count(1)} of {len(signs)} times, hard labels {signs.count(-1)}"
    title = title if signs else f"{len(parts)} settings, without soft labels beside hard ones in any"
    caption = (
        "Test accuracy by setting and budget; means over n seeds with 95 % intervals, differences paired by seed, wins "
        "counted by Holm's correction inside a setting. Report fewer runs or settings at once for curves of each."
    )
    return Section(title, [table(lines, caption, folded=len(lines) > _LONG, name="settings")])
