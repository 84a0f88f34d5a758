"""What a run says in words: versions at the start, the plan, and where things are at the end."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Int

from jaxsoft import config, target
from jaxsoft.data import STAND_IN, refusals
from jaxsoft.experiment.machine import memory
from jaxsoft.experiment.machine.environment import environment
from jaxsoft.experiment.plan import checks, sweep
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.teach import keeping as rules
from jaxsoft.experiment.teach.cohort import Task
from jaxsoft.experiment.teach.course import expectations
from jaxsoft.experiment.teach.experts import by_architecture
from jaxsoft.experiment.teach.layout import devices_of_each, layout
from jaxsoft.experiment.tell import forecast
from jaxsoft.labels.given import Labels, Told
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.ops import checked
from jaxsoft.training import cost, floors
from jaxsoft.training.recipe import precision
from jaxsoft.types import Dataset, History, Row

_FALL, _BEHIND = 0.1, 0.2  # below its own best before, and below others: validation accuracy of an expert that is told
_FAR = 0.05  # validation accuracy this far from what a config was written for makes its expected numbers another's


def versions() -> str:
    """One line: versions, devices, and which process this is of several."""
    seen = environment()
    packages = ", ".join(f"{name} {v}" for name, v in seen["versions"].items() if name in ("jaxsoft", "jax", "python"))
    who = f"; process {jax.process_index()} of {jax.process_count()}" if jax.process_count() > 1 else ""
    return f"{packages}; {seen['device_count']} x {seen['device']}{who}"


def outline(plan: Plan, settings: config.Settings, dataset: Dataset, histories: Sequence[History] | None) -> list[str]:
    """The data, the plan, what label specs stand for, and what is wrong with the teachers."""
    sizes = f"{len(dataset.train)} train, {len(dataset.validation)} validation, {len(dataset.test)} test"
    known = dataset.fingerprint if dataset.fingerprint == STAND_IN else dataset.fingerprint[:12]
    what = "clips" if len(dataset.image_shape) == 4 else "images"
    return [
        f"data: {dataset.name}, {sizes} {what} of {refusals.size(dataset.image_shape)}, {dataset.num_classes} classes, "
        f"fingerprint {known}",
        *plan_lines(plan, settings, plan.chunks * len(dataset.validation) + len(dataset.test)),
        *(forecast.lines(plan, settings, dataset) if target.current().chip else []),
        *teacher_lines(settings, dataset),
        *resolved_lines(settings, histories, plan.subjects),
        *(warning_lines(settings, histories, dataset.validation.labels) if histories else []),
    ]


def plan_lines(plan: Plan, settings: config.Settings, looked: int) -> list[str]:
    """Members, buckets, waves, executables, bytes, estimated time; each member is asked about so many images."""
    buckets = plan.buckets_of()
    lines = [f"plan: {len(plan.members)} students in {len(buckets)} buckets, {len(plan.waves)} waves of equal shape"]
    if (points := sweep.combinations(settings.sweep)) > len(plan.members):
        lines.append(f"  the axes have {points} combinations; those that mean the same student are trained once")
    apart = [name for name in ("loss", "optimizer", "augment") if len({getattr(b.recipe, name) for b in buckets}) > 1]
    for bucket, planned in zip(buckets, plan.buckets):
        r = bucket.recipe
        lines.append(
            f"  {len(planned.members):5d} x {r.model}: {'up to ' if r.slots > r.batch else ''}{r.slots} images, "
            f"batch {r.batch}, {planned.steps} steps, blocks of {bucket.block}, {r.precision}"
            + (f", {planned.tile} images at a time" if planned.tile < r.batch else "")
            + ("" if planned.lowering == "auto" else f", convolutions {planned.lowering}")
            + "".join(f", {name} {getattr(r, name)}" for name in apart)
        )
    budget = memory.budget_bytes(settings)
    return [
        *lines,
        "  executables: 1 for training (all buckets), 1 to initialise, 1 for the test",
        f"  useful image slots: {plan.useful_share():.1%}",
        f"  memory: {plan.bytes() / 1e6:,.0f} MB predicted for a wave, {budget / 1e6:,.0f} MB allowed"
        + ", which no smaller wave would keep; it is tried all the same" * (plan.bytes() > budget),
        *_kernels(plan),
        *_time(plan, looked),
        *_keeping(plan, settings.keep.students),
    ]


def teacher_lines(settings: config.Settings, dataset: Dataset) -> list[str]:
    """Of the experts of each architecture: how their images come, on how many devices, which epochs are kept, in how many bytes."""
    if not checks.needs_experts(settings):
        return ["  teachers: none, as nothing asks one"]
    task = Task(dataset, settings.teacher, settings.data.normalize, precision(settings.precision))
    way, kept = (
        "streamed" if task.is_streamed else "resident",
        rules.of(settings.teacher, sweep.asked(settings)).most(),
    )
    lines = []
    for model, places in by_architecture(settings.teacher).items():
        recipe, shape = task.recipe(model), dataset.image_shape
        what, there = (recipe, shape, len(places)), target.current().devices
        each = devices_of_each(*what, there, settings.compute, task.is_streamed)
        devices = layout(*what, there, settings.compute.lowering, each).devices
        size = len(places) * kept * (cost.state_bytes(recipe, shape) - cost.network_bytes(recipe, shape))
        lines.append(
            f"  teachers: {len(places)} x {model}, images {way}, on {devices} devices"
            f"{f', {each} of them for each' if each > 1 else ''}; "
            f"{kept} of {settings.teacher.epochs + 1} epochs kept, at most {_megabytes(size)} MB"
        )
    return lines


def _megabytes(size: int | float) -> str:
    """Millions of bytes to three digits, or whole ones where there are more."""
    return f"{size / 1e6:,.0f}" if size >= 1e9 else f"{size / 1e6:.3g}"


def _kernels(plan: Plan) -> list[str]:
    """Why kernels of our own are not taken where they would be."""
    why = checked.fault() if target.platform() == "gpu" and any(b.lowering == "auto" for b in plan.buckets) else ""
    return [f"  {checked.told(why)}"] if why else []


def _time(plan: Plan, looked: int) -> list[str]:
    """How long it may take on the device that is here."""
    if target.current().chip:
        return []
    seconds = _roughly(floors.estimated_seconds(plan.flops(looked)))
    return [f"  students: {seconds}, and compilation before (rough; from the measured rate of matrix products)"]


def _keeping(plan: Plan, which: str) -> list[str]:
    """How many students a run folder will keep, and in how many bytes."""
    times = {"none": 0, "best": 1, "all": 1 + plan.chunks}[which]
    looks = f", each as chosen and at {plan.chunks} looks" if which == "all" else ""
    told = f"  students kept: {len(plan.members)}{looks}, {_megabytes(times * plan.network_bytes())} MB"
    return [told] if times else []


def keeping(which: str, there: Collection[str], finished: Collection[str]) -> list[str]:
    """What a run that goes on with another `keep.students` than before has kept, of members that are finished."""
    if which == "none":
        told = f"{len(there)} students are kept from before, and no more are: config.keep.students is none"
        return [told] if there else []
    missing = len({*finished}.difference(there))
    return [f"students are kept from here on: of {missing} that failed or were done before none is"] if missing else []


def ending(rows: Sequence[Row], workdir: Path, seconds: Mapping[str, float], reported: bool) -> str:
    """What was done, how long it took, where the report is if there is one, and what to do next."""
    status = Counter(row["status"] for row in rows)
    failed = f", {status['failed']} failed (loss or update not finite)" if status["failed"] else ""
    times = ", ".join(f"{name} {duration(s)}" for name, s in seconds.items())
    report, look = (f"report: {workdir / 'report.html'}   ", "open the report, or ") if reported else ("", "")
    return (
        f"{status['done']} students done{failed}; {times}\n"
        f"{report}table: {workdir / 'results.csv'}\n"
        f"next: {look}check the files with: jaxsoft verify {workdir}"
    )


def resolved_lines(
    settings: config.Settings, histories: Sequence[History] | None, subjects: Sequence[int] = ()
) -> list[str]:
    """What label specs that name an accuracy, an entropy or a subject by rank stand for."""
    words = ("accuracy=", "entropy=", *(("drop_class",) if settings.subjects == "accuracy" else ()))
    others = [text for text in dict.fromkeys(settings.sweep.labels) if not isinstance(text, Told)]
    named = [text for text in others if any(word in text for word in words)]
    own = dict.fromkeys(text for text in settings.sweep.labels if isinstance(text, Told))
    lines = [
        f"  {text} is {text.spec}" + (f": {len(text.rows)} rows" if isinstance(text, Labels) else "") for text in own
    ]
    if histories is None:
        return [*lines, *(f"  {text}: resolved to an epoch once the experts are trained" for text in named)]
    for text in named:
        found = sweep.resolved(text, histories, subjects)
        reached = _reached(LabelSpec.parse(found), histories)
        told = "" if reached is None else f", {reached:.1%} validation accuracy"
        lines.append(f"  {text} resolves to {found}{told}")
    return lines


def warning_lines(settings: config.Settings, histories: Sequence[History], labels: Int[np.ndarray, "N"]) -> list[str]:
    """Experts that know nothing, or less than before; teachers far from those that the config was written for.

    Chance is the share of the largest class among `labels`, of the validation images, and three binomial deviations.
    """
    if not len(labels):  # nothing was validated, so nothing can be said
        return []
    share = np.bincount(labels).max() / len(labels)
    chance = share + 3 * (share * (1 - share) / len(labels)) ** 0.5
    lines = [
        f"warning: expert {e} knows nothing: {last['val_accuracy']:.1%} validation accuracy after epoch {last['epoch']}, "
        f"and up to {chance:.1%} is chance; change config.teacher.learning_rate or config.teacher.epochs, or look at the data"
        for e, last in enumerate(history[-1] for history in histories)
        if last["val_accuracy"] is not None and last["val_accuracy"] <= chance
    ]
    return [*lines, *_fallen(settings, histories), *_far_teachers(settings, histories)]


def _fallen(settings: config.Settings, histories: Sequence[History]) -> Iterator[str]:
    """Experts that are much worse than before, or than others of their architecture, at an epoch that labels use."""
    accuracies = [[record["val_accuracy"] for record in history] for history in histories]
    alike = {e: [o for o in places if o != e] for places in by_architecture(settings.teacher).values() for e in places}
    there = (teacher.resolve(histories) for teacher in sweep.teachers(settings))
    used = {(e, teacher.epoch or 0) for teacher in there for e in teacher.experts}
    for e, epoch in sorted(used):
        at = [accuracies[o][epoch] for o in (e, *alike[e]) if epoch < len(accuracies[o])]
        if len(at) <= len(alike[e]) or None in (*at, *accuracies[e][:epoch]):  # not there yet, or not validated
            continue
        before, others = max(accuracies[e][:epoch], default=0.0), float(np.median(at[1:] or at))
        if at[0] < before - _FALL or at[0] < others - _BEHIND:
            told = f"{before:.1%} at its best before" if before >= others else f"{others:.1%} of others"
            yield (
                f"warning: expert {e} has {at[0]:.1%} validation accuracy after epoch {epoch}, which labels use, against "
                f"{told}; lower config.teacher.learning_rate, or use another epoch"
            )


def _far_teachers(settings: config.Settings, histories: Sequence[History]) -> Iterator[str]:
    """Of the teachers that a sweep names those far from the accuracy that they, or their epochs, are named for."""
    expected = expectations(settings.teacher)
    for teacher in sweep.teachers(settings):
        there = teacher.resolve(histories)
        found = _reached(there, histories)
        wanted = teacher.accuracy if teacher.epoch is None else expected.get(teacher.epoch)
        if wanted is None or found is None or abs(found - wanted) <= _FAR:
            continue
        if teacher.epoch is None:
            yield (
                f"warning: {teacher} is {there}, with {found:.1%} validation accuracy: no epoch lies between; "
                "lower config.teacher.learning_rate for a finer choice"
            )
        else:
            yield (
                f"warning: {teacher} has {found:.1%} validation accuracy, and this config was written for {wanted:.1%}: "
                f"expect other numbers than its own, or name the teacher by accuracy={wanted:g} in config.sweep.labels"
            )


def _reached(teacher: LabelSpec, histories: Sequence[History]) -> float | None:
    """Validation accuracy at its epoch; None where that is not known: a dry run asks for what is not there yet."""
    try:
        found = [histories[e][teacher.epoch or 0]["val_accuracy"] for e in teacher.experts]
    except IndexError:
        return None
    return float(np.mean(found)) if found and None not in found else None


def _roughly(seconds: float) -> str:
    """An estimate with no more digits than it deserves.

    >>> _roughly(0.03), _roughly(113.9), _roughly(7000)
    ('a few seconds', 'about 1.9 min', 'about 1.9 h')
    """
    size, unit = next((one for one in ((3600, "h"), (60, "min")) if seconds >= 1.5 * one[0]), (1, "s"))
    return f"about {float(f'{seconds / size:.2g}'):g} {unit}" if seconds >= 10 else "a few seconds"


def duration(seconds: float) -> str:
    """Seconds in the unit that reads best.

    >>> duration(5.25), duration(130), duration(9000)
    ('5.2 s', '2.2 min', '2.5 h')
    """
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
