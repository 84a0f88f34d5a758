"""Does one law tell images and knowledge apart? The law in IPC and k, where label specs were cut to several k."""

from collections.abc import Sequence

from jaxsoft import spec
from jaxsoft.analysis.questions._verbs import examples
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing.page import Section, Text, table
from jaxsoft.analysis.statistics import fits, laws
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.worth import entries_kept

ORDER = 6
_FEWEST = 3
"""An exponent takes three values of what it is the exponent of."""
_MISSED = 2.0
"""A law that cells miss by more of their standard errors is not told."""
_NAMES = ("floor c", "scale a", "exponent b", "scale d", "exponent e")


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """The law of each family of cut labels, where there are enough budgets and numbers of entries to fit it."""
    kept = examples(group, runs)
    classes = group.classes or (len(kept.class_names) if kept else 0)
    surfaces = [fits.surface(group, cut, name) for name, cut in cut_families(group, classes).items() if classes]
    found = [fits.fit(laws.JOINT, s) for s in surfaces if all(len(set(line)) >= _FEWEST for line in s.x)]
    if not found:
        return None
    title = "The data do not fix one law in images and label entries"
    for fit in reversed(found):
        floor, _, b, _, e = fit.parameters.values()
        if b.identified and e.identified and not fit.excess > _MISSED:
            above = "above its floor, error" if floor.identified else "error"
            title = f"Over all k, {above} is a part that falls as IPC^−{b.value:.2f} and one as k^−{e.value:.2f}"
    lines = []
    for fit in found:
        sizes = " × ".join(str(len(set(line))) for line in fit.x)
        line = {"labels": f"`{fit.name}`"} | dict(zip(_NAMES, fit.parameters.values()))
        lines.append(line | {"IPC × k × seeds": f"{sizes} × {fit.n}", "misfit, %": fit.misfit})
    caption = (
        "error = c + a · IPC^−b + d · k^−e, where k is the number of label entries kept, fitted to mean test errors of all k at once (a label spec alone has an "
        "exponent of its own); 95 % "
        "intervals over seeds, measured to cover 88 to 97 %. * is not identified. Misfit: how far cells are from the law, root mean square."
    )
    return Section(title, [table(lines, caption), *(Text(f"`{fit.name}`: {fit.note}.") for fit in found if fit.note)])


def cut_families(group: Group, classes: int) -> dict[str, dict[int, Arms]]:
    """Soft arms by the entries they keep, in families that differ in nothing else; the largest family first.

    What `topk` follows and precedes counts: `topk(3)|temperature(2)` cuts before it softens, `temperature(2)|topk(3)` after. A
    spec without `topk` keeps all classes, and is of every family of its other operations.
    """
    found: dict[tuple[str, ...], dict[int, Arms]] = {}
    for arm in group.find(group.arms["source"] != "hard"):
        calls = spec.parse(group.labels(arm))
        parts = tuple("topk(k)" if call.name == "topk" else str(call) for call in calls)
        kept = entries_kept(group.labels(arm), classes) or classes
        cut = found.setdefault(parts, {})
        cut[kept] = [*cut.get(kept, []), arm]
    families = {parts: cut for parts, cut in found.items() if "topk(k)" in parts}
    for parts, cut in families.items():
        if whole := found.get(tuple(part for part in parts if part != "topk(k)")):
            cut[classes] = [*cut.get(classes, []), *whole[classes]]
    return {"|".join(parts): cut for parts, cut in sorted(families.items(), key=lambda one: -len(one[1]))}
