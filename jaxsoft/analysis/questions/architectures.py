"""Which teacher is best for which student, and is it one of the student's own kind?

Experts of several architectures label the same images (`teacher(expert=i)`); students differ in `model`. For each
teacher, student and budget the epoch, or whatever else label specs differ in, is chosen on validation.
"""

from collections.abc import Sequence

import numpy as np

from jaxsoft.analysis import words
from jaxsoft.analysis.chart import Chart, Heat, Panel, spread
from jaxsoft.analysis.groups import Arms, Group
from jaxsoft.analysis.inference import NOTHING, Estimate, contrast
from jaxsoft.analysis.page import Section, Text, table
from jaxsoft.analysis.read import Run

ORDER = 22
TOGETHER = ("model",)
_MOST_PANELS = 3

Pairs = dict[tuple[str, str], Arms]
"""Arms by teacher and student; the teacher of hard labels is empty."""


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """The matrix of teachers and students, and what a teacher of one's own kind is worth."""
    told = {tuple(run.teachers.get("teacher", {}).get("models") or ()) for run in runs} - {()}
    if len(told) != 1:
        return None
    pairs = _pairs(group, told.pop())
    teachers, students = (list(dict.fromkeys(pair[side] for pair in pairs if pair[0])) for side in (0, 1))
    if len(teachers) < 2:
        return None
    lines = []
    for ipc in group.ipcs:
        for (teacher, student), arms in pairs.items():
            if teacher and (own := group.ran(ipc, arms)):
                value, gain = (
                    group.accuracy(ipc, own),
                    group.contrast(ipc, own, group.ran(ipc, pairs.get(("", student), []))),
                )
                chosen = group.chosen(ipc, own)
                line = {"IPC": ipc, "teacher": f"`{teacher}`", "student": f"`{student}`", "chosen label spec": chosen}
                lines.append(
                    {**line, "test, %": value, "gain over hard labels, points": gain if gain.n else None, "n": value.n}
                )
    caption = (
        "Every teacher with every student: label spec chosen on validation, gain over hard labels of the same student "
        "seed by seed; means over n seeds with 95 % intervals."
    )
    own = _own_kind(group, pairs, students)
    said = (
        [Text(f"{words.compare('Teachers of their own kind', 'others', {group.ipcs[-1]: own}).split(' at IPC')[0]}.")]
        if own.n
        else []
    )
    title = _title(group, pairs, teachers, students)
    return Section(
        title, [*said, _chart(group, pairs, teachers, students, lines), table(lines, caption, folded=len(lines) > 24)]
    )


def _pairs(group: Group, models: Sequence[str]) -> Pairs:
    """Who labelled whom; the labels of pooled experts are left out."""
    found: Pairs = {}
    experts = group.arms["expert"].to_numpy(int)
    several = "model" in group.arms
    for arm in range(len(group.arms)):
        student = str((group.arms if several else group.members)["model"].iat[arm if several else 0])
        if 0 <= experts[arm] < len(models):
            found.setdefault((str(models[experts[arm]]), student), []).append(arm)
        elif arm in group.hard:
            found.setdefault(("", student), []).append(arm)
    return found


def _kind(model: str) -> str:
    """The function of jaxsoft/models that a model names: what stands before its arguments."""
    return model.partition("(")[0].strip()


def _own_kind(group: Group, pairs: Pairs, students: Sequence[str]) -> Estimate:
    """Accuracy with teachers of the student's own kind minus that with the others, the mean of either side, over students."""
    sides = []
    for student in students:
        of = {
            own: [a for (t, s), a in pairs.items() if t and s == student and (_kind(t) == _kind(s)) == own]
            for own in (True, False)
        }
        if of[True] and of[False]:
            sides += [
                (arms, weight / len(parts)) for parts, weight in ((of[True], 1.0), (of[False], -1.0)) for arms in parts
            ]
    ipcs = group.budgets(*(arms for arms, _ in sides))
    count = len(sides) and sum(weight for _, weight in sides if weight > 0)
    return contrast(*(group.side(ipcs, arms, weight / count) for arms, weight in sides)) if sides and ipcs else NOTHING


def _best(group: Group, pairs: Pairs, teachers: Sequence[str], student: str, ipc: int) -> str | None:
    """The student's teacher that is best on validation."""
    arms = [arm for teacher in teachers for arm in pairs.get((teacher, student), [])]
    pick = group.choose(ipc, group.ran(ipc, arms))
    return next((teacher for teacher in teachers if pick in pairs.get((teacher, student), [])), None)


def _sure(group: Group, pairs: Pairs, student: str, teacher: str, ipc: int) -> bool:
    """Whether the best teacher is better on test than the best of the others; True where there is no other."""
    others = [
        arm for (t, s), arms in pairs.items() if s == student and t not in ("", teacher) for arm in group.ran(ipc, arms)
    ]
    return not others or group.contrast(ipc, pairs[teacher, student], others).sign > 0


def _title(group: Group, pairs: Pairs, teachers: Sequence[str], students: Sequence[str]) -> str:
    ipc = group.budgets(sum(pairs.values(), []))[-1]
    best = {student: name for student in students if (name := _best(group, pairs, teachers, student, ipc))}
    sure = sum(_sure(group, pairs, student, teacher, ipc) for student, teacher in best.items())
    clear = "" if sure == len(best) else f", clearly for {sure} of {len(best)}" if sure else ", not clearly for any"
    if len(set(best.values())) == 1:
        who = f"`{next(iter(best.values()))}` teaches {'every student' if len(best) > 1 else 'students'} best"
    elif all(_kind(student) == _kind(teacher) for student, teacher in best.items()):
        who = "Every student learns best from its own kind"
    else:
        own = sum(_kind(student) == _kind(teacher) for student, teacher in best.items())
        who = f"{own} of {len(best)} students learn best from their own kind"
    return f"{who} at IPC {ipc}{clear}"


def _chart(
    group: Group, pairs: Pairs, teachers: Sequence[str], students: Sequence[str], lines: Sequence[dict]
) -> Chart:
    """Teachers by students, one panel for each of a few budgets: accuracy, and gain over hard labels below it."""
    ipcs, panels = sorted({line["IPC"] for line in lines}), []
    gained = any(line["gain over hard labels, points"] for line in lines)
    shown = "gain over hard labels, points" if gained else "test, %"
    values = [line[shown].mean for line in lines if line[shown]]
    for ipc in (ipcs[i] for i in spread(len(ipcs), _MOST_PANELS)):
        cells, texts = np.full((len(teachers), len(students)), np.nan), [["" for _ in students] for _ in teachers]
        for line in (line for line in lines if line["IPC"] == ipc and line[shown]):
            t, s = teachers.index(line["teacher"].strip("`")), students.index(line["student"].strip("`"))
            cells[t, s] = line[shown].mean
            gain = f"\n{words.difference(line[shown])}".replace(" [", "\n[") if gained else ""
            texts[t][s] = f"{words.percent(line['test, %'].mean)} %{gain}"
        best = ((_best(group, pairs, teachers, student, ipc), s) for s, student in enumerate(students))
        frames = [(teachers.index(teacher), s) for teacher, s in best if teacher]
        names = [[name.replace("(", "\n(").replace(", ", ",\n") for name in side] for side in (teachers, students)]
        heat = Heat(cells, *names, shown, (min(values), max(values)), texts=texts, frames=frames)
        panels.append(Panel([heat], "teacher", "student", words.budgets([ipc]), height=0.6 + 0.7 * len(teachers)))
    caption = "Test accuracy by architecture of teacher and student, and gain over hard labels of the same student. Framed: best."
    return Chart("architectures", panels, caption, "framed: best on validation", across=1)
