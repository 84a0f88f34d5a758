"""Which teacher is best for which student, and is it one of the student's own kind?

Experts of several architectures label the same images (`teacher(expert=i)`); students differ in `model`. For each
teacher, student and budget the epoch, or whatever else label specs differ in, is chosen on validation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxsoft.analysis.questions._verbs import best_of, ran
from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import Chart, Heat, Panel, cut, spread
from jaxsoft.analysis.showing.page import Section, Text, table
from jaxsoft.analysis.statistics.groups import Arms, Group
from jaxsoft.analysis.statistics.inference import NOTHING, Estimate, contrast

ORDER = 22
TOGETHER = ("model",)
_MOST_PANELS, _LINE = 3, 24  # panels, and letters of a line of a name
_GAIN = "gain over hard labels, points"

Pairs = Mapping[tuple[str, str], Arms]  # by teacher and student; the teacher of hard labels is empty


def answer(group: Group, runs: Sequence[Run]) -> Section | None:
    """The matrix of teachers and students, where the experts' architectures are known and students have several."""
    told = {tuple(run.teachers.get("teacher", {}).get("models") or ()) for run in runs} - {()}
    pairs = _pairs(group, told.pop()) if len(told) == 1 else {}
    taught = {pair: arms for pair, arms in pairs.items() if pair[0]}
    if len({teacher for teacher, _ in taught}) < 2:
        return None
    lines, best = {}, {}
    for ipc in group.ipcs:
        there = ran(group, ipc, taught)
        for (teacher, student), arms in there.items():
            hard, test = group.ran(ipc, pairs.get(("", student), [])), group.accuracy(ipc, arms)
            line = {"IPC": ipc, "teacher": f"`{teacher}`", "student": f"`{student}`"}
            line |= {"chosen label spec": group.chosen(ipc, arms), "test, %": test}
            lines[ipc, teacher, student] = {**line, _GAIN: group.contrast(ipc, arms, hard), "n": test.n}
        for student in dict.fromkeys(student for _, student in taught):
            if of := {teacher: arms for (teacher, other), arms in there.items() if other == student}:
                best.setdefault(ipc, {})[student] = best_of(group, ipc, of)
    caption = "Label specs chosen on validation; gains over hard labels of the same student, paired; 95 % intervals."
    own = _own_kind(group, taught)
    said = [Text(f"Teachers of the student's own kind minus others: {words.signed(own)} on average.")] if own.n else []
    shown = table(list(lines.values()), caption, folded=len(lines) > 24)
    return Section(_title(group, taught, max(best), best[max(best)]), [*said, _chart(lines, best), shown])


def _pairs(group: Group, models: Sequence[str]) -> Pairs:
    """Who labelled whom; the labels of pooled experts are left out."""
    found: dict[tuple[str, str], list[int]] = {}
    students = group.arms.get("model", [group.members["model"].iat[0]] * len(group.arms))
    for arm, (expert, student) in enumerate(zip(group.arms["expert"], students)):
        if arm in group.hard or 0 <= expert < len(models):
            teacher = "" if arm in group.hard else str(models[expert])
            found.setdefault((teacher, str(student)), []).append(arm)
    return found


def _own(teacher: str, student: str) -> bool:
    """Whether both are of the same function of jaxsoft/models: what stands before its arguments."""
    return teacher.partition("(")[0].strip() == student.partition("(")[0].strip()


def _own_kind(group: Group, taught: Pairs) -> Estimate:
    """Accuracy with teachers of the student's own kind minus that with the others, the mean of either side, over students."""
    kinds: dict[str, dict[bool, list[Arms]]] = {}
    for (teacher, student), arms in taught.items():
        kinds.setdefault(student, {}).setdefault(_own(teacher, student), []).append(arms)
    both = [of for of in kinds.values() if len(of) == 2]
    sides = [(arms, (1 if own else -1) / len(of[own]) / len(both)) for of in both for own in of for arms in of[own]]
    ipcs = group.budgets(*(arms for arms, _ in sides))
    return contrast(*(group.side(ipcs, arms, weight) for arms, weight in sides)) if sides and ipcs else NOTHING


def _title(group: Group, taught: Pairs, ipc: int, best: Mapping[str, str]) -> str:
    """The teachers that validation prefers at a budget: for how many students they lead on test as well, and clearly so."""
    gains = {student: _lead(group, taught, ipc, teacher, student) for student, teacher in best.items()}
    ahead = {student: best[student] for student, gain in gains.items() if gain is None or round(gain.mean, 3) > 0}
    own, sure = sum(_own(t, s) for s, t in ahead.items()), sum(gain is None or gain.sign > 0 for gain in gains.values())
    clear = "" if sure == len(ahead) else f", clearly for {sure} of {len(ahead)}" if sure else ", not clearly for any"
    who = f"{own} of {len(best)} students learn best from their own kind"
    if own == len(best) > 1:
        who = "Every student learns best from its own kind"
    if len(set(best.values())) == 1:
        every = f"{len(ahead)} of {len(best)} students" if len(ahead) < len(best) else "every student"
        who = f"`{cut(next(iter(best.values())), 40)}` teaches {every if len(best) > 1 else 'students'} best"
    if not ahead:
        who = "No teacher that validation prefers leads on test, for any student,"
    return f"{who} at IPC {ipc}{clear}"


def _lead(group: Group, taught: Pairs, ipc: int, teacher: str, student: str) -> Estimate | None:
    """Accuracy of a student with one teacher minus that with the best of the others; None if there is no other."""
    others = [arm for (t, s), arms in taught.items() if s == student and t != teacher for arm in arms]
    others, arms = group.ran(ipc, others), group.ran(ipc, taught[teacher, student])
    return group.contrast(ipc, arms, others) if others else None


def _short(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of networks, an argument a line, without the arguments that all of them have; and these arguments."""
    parts = [name.removesuffix(")").replace("(", ", ", 1).split(", ") for name in names]
    whole = [part for part in parts[0][1:] if part and part.count("(") == part.count(")")]
    shared = [part for part in whole if len({*names}) > 1 and all(part in own[1:] for own in parts)]
    kept = [[cut(part, _LINE) for part in own[1:] if part and part not in shared] for own in parts]
    inside = [f"\n({rest})" if (rest := ",\n".join(own)) else "" for own in kept]
    return [cut(own[0], _LINE) + rest for own, rest in zip(parts, inside)], shared


def _chart(lines: Mapping[tuple[int, str, str], Mapping[str, Any]], best: Mapping[int, Mapping[str, str]]) -> Chart:
    """Teachers by students, one panel for each of a few budgets: accuracy, and gain over hard labels below it."""
    teachers, students = (list(dict.fromkeys(names)) for names in ([t for _, t, _ in lines], [s for _, _, s in lines]))
    name = _GAIN if any(line[_GAIN].n for line in lines.values()) else "test, %"
    shown, texts = {}, {}
    for place, line in lines.items():
        gain = f"\n{words.difference(line[_GAIN])}".replace(" [", "\n[") if line[_GAIN].n else ""
        texts[place] = f"{words.percent(line['test, %'].mean)} %{gain}"
        shown |= {place: line[name].mean} if line[name].n else {}
    names, shared = _short([*teachers, *students])
    rows, columns = names[: len(teachers)], names[len(teachers) :]
    high = max(0.7, *(0.2 * (1 + name.count("\n")) for name in rows))  # inches; a line of a name has 0.16
    longest = max(len(line) for name in columns for line in name.split("\n"))
    foot = 0.3 + 0.08 * longest if sum(map(len, columns)) > 60 else 0.6  # beyond, names stand upright
    ipcs, panels = list(best), []
    for ipc in (ipcs[i] for i in spread(len(ipcs), _MOST_PANELS)):
        values = np.array([[shown.get((ipc, t, s), np.nan) for s in students] for t in teachers])
        cells = [[texts.get((ipc, t, s), "") for s in students] for t in teachers]
        frames = [(teachers.index(teacher), students.index(student)) for student, teacher in best[ipc].items()]
        heat = Heat(values, rows, columns, name, (min(shown.values()), max(shown.values())), texts=cells, frames=frames)
        panels.append(Panel([heat], "teacher", "student", words.budgets([ipc]), height=foot + high * len(teachers)))
    caption = "Test accuracy by architecture of teacher and student, and gain over hard labels of the same student. Framed: best."
    caption += f" All networks have {words.code(', '.join(shared))}." if shared else ""
    return Chart("architectures", panels, caption, "framed: best on validation", across=1)
