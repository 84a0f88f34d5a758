"""The story of a run: data, teachers, plan, students, results, report; one call a stage, each resumable."""

import dataclasses
import itertools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from jaxsoft import config, data, numerics
from jaxsoft.experiment import (
    describe,
    examples,
    identity,
    memory,
    processes,
    progress,
    results,
    stored,
    students,
)
from jaxsoft.experiment import plan as planning
from jaxsoft.experiment.console import Console
from jaxsoft.experiment.experts import Experts, teach
from jaxsoft.experiment.folder import RunFolder
from jaxsoft.experiment.results import ResultsLog
from jaxsoft.experiment.store import Checkpoints
from jaxsoft.experiment.students import Material
from jaxsoft.experiment.waves import Plan
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training.ensemble import Program
from jaxsoft.types import Dataset, Row


@numerics.pinned()
def run(settings: config.Settings, workdir: Path, console: Console) -> list[Row]:
    """Do, or finish, a whole experiment in its run folder.

    Args:
      settings: what to do; the folder remembers it.
      workdir: the run folder.
      console: where progress is told, and whether to stop is asked.

    Returns:
      The results, one row for each member, in the plan's order; none in a process that is not the first of several.

    Raises:
      JaxsoftError: with the exit code that says what kind of trouble it is.
    """
    planning.check(settings)
    settings = planning.settled(settings)
    with console.stage("data"):
        dataset = load(settings)
        planning.check_data(settings, dataset)
    with RunFolder(workdir, console.seconds) as folder, console.interruptible():
        with processes.turn("teachers"), console.stage("teachers"):
            (folder.open if processes.is_first() else folder.join)(config.as_dict(settings))
            began = stored.plan(folder)
            settings = _as_begun(settings, dataset, folder, began)
            if processes.is_first():
                folder.goes_on()
            store = Path(settings.teacher.store or folder.path / "teachers")
            look, how = progress.of_teachers(console), (settings.precision, settings.compute.lowering)
            waiting = progress.of_waiting(console)
            experts = teach(dataset, settings.teacher, settings.data.normalize, store, look, *how, waiting)
            plan = decide(settings, dataset, experts, folder, began, console.say)
            log = results.open_log(folder.path / "results.jsonl")
        finished = log.finished()
        left = [key for key in plan.keys if key not in finished]
        _tell(plan, len(left), settings, dataset, experts, folder, console)
        if left:
            with console.stage("labels"), processes.turn("labels"):  # one learns labels, all others read them
                material = students.prepare(plan, settings, dataset, experts, folder.path, progress.of_labels(console))
            with console.stage("students"):
                mine = plan.share(jax.process_index(), jax.process_count())
                train(mine, settings, dataset, material, folder, log, console)
        if processes.others():
            console.say("own share done; waiting for the other processes")
        results.gather(log, plan.keys)
        if not processes.is_first():
            return []
        shutil.rmtree(folder.path / "checkpoints", ignore_errors=True)
        with console.stage("examples"):
            if not examples.are_whole(folder):
                examples.write(folder, plan, dataset, experts)
        rows = _in_order(log.read(), plan)
        log.close()
        results.write_csv(rows, folder.path / "results.csv", order=plan.keys)
    return rows


def _tell(
    plan: Plan,
    left: int,
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: RunFolder,
    console: Console,
) -> None:
    """What is to be done, and with what; a later look must not put its own versions beside these numbers."""
    if left and processes.is_first():
        for line in identity.add_start(folder):
            console.say(f"since the last start: {line}")
        told = [*describe.data_lines(dataset), *describe.plan_lines(plan, settings)]
        console.say("\n".join([*told, *describe.resolved_lines(settings, experts.histories, plan.subjects)]))
    for line in describe.warning_lines(settings, experts.histories, dataset.validation.labels):
        console.say(line)
    console.say(f"students: {left} of {len(plan.keys)} left")


def _as_begun(
    settings: config.Settings, dataset: Dataset, folder: RunFolder, began: dict[str, Any] | None
) -> config.Settings:
    """With the precision that the run began with, which another machine would choose otherwise.

    Raises:
      CheckpointError: what cannot be chosen again is not as the run began.
    """
    if began is None:
        return settings
    identity.check(began.get("identity"), dataset, folder.path)
    return dataclasses.replace(settings, precision=began["groups"][0]["recipe"]["precision"])


@numerics.pinned()
def dry_run(settings: config.Settings, workdir: Path) -> str:
    """The plan and every resolved setting; trains nothing, and writes nothing to the run folder.

    Raises:
      JaxsoftError: what would stop the run before training.
    """
    planning.check(settings)
    settings = planning.settled(settings)
    dataset = load(settings)
    RunFolder(workdir).compare(config.as_dict(settings))
    histories = stored.histories(RunFolder(workdir))
    plan = planning.make(settings, dataset, histories, {})
    lines = [
        *describe.settings_lines(settings),
        "",
        *describe.data_lines(dataset),
        *describe.plan_lines(plan, settings),
    ]
    lines += describe.resolved_lines(settings, histories)
    return "\n".join(
        lines + (describe.warning_lines(settings, histories, dataset.validation.labels) if histories else [])
    )


def close(workdir: Path, console: Console) -> None:
    """Store how long the stages took, and the digests of all files: the last thing that a run does."""
    folder = RunFolder(workdir)
    folder.write_times(console.seconds)
    folder.write_manifest()


def load(settings: config.Settings) -> Dataset:
    """The dataset that the settings name."""
    part = settings.data
    resize, limit = part.resize or None, part.limit or None
    return data.load(part.name, part.root or None, validation=part.validation, resize=resize, limit=limit)


def decide(
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: RunFolder,
    began: dict[str, Any] | None,
    told: Callable[[str], None],
) -> Plan:
    """Make the plan, or repeat the shapes of the one with which this run began; store it and the teachers' story."""
    subjects: Sequence[int] = ()
    if settings.subjects == "accuracy":  # ordered once: another machine could see two classes the other way round
        subjects = began["subjects"] if began else experts.class_order(dataset).tolist()
    context = identity.member_context(settings, dataset, experts)
    plan = planning.make(settings, dataset, experts.histories, context, subjects)
    own = identity.of_run(settings, dataset, experts, plan.members)
    if began and (edited := identity.edited(began["identity"], own)):
        told(f"edited since this run began: {', '.join(edited)}; students that use it are trained again")
        (folder.path / examples.NAME).unlink(missing_ok=True)
        began = None
    if began:
        try:
            plan = plan.with_shapes(began)
        except ValueError as problem:
            raise stored.useless(folder, stored.PLAN, problem) from None
    else:
        shutil.rmtree(folder.path / "checkpoints", ignore_errors=True)  # of another plan
        folder.write_json("plan.json", plan.as_json() | {"identity": own})
    if not processes.is_first():
        return plan
    resolved = {
        text: planning.resolved(text, experts.histories, subjects) for text in dict.fromkeys(settings.sweep.labels)
    }
    teacher = {"key": experts.key, **config.as_dict(settings.teacher)}
    histories = [{"expert": e, "history": list(h)} for e, h in enumerate(experts.histories)]
    changed = {text: spec for text, spec in resolved.items() if str(LabelSpec.parse(text)) != spec}
    warnings = describe.warning_lines(settings, experts.histories, dataset.validation.labels)
    story = {"teacher": teacher, "experts": histories, "resolved": changed, "warnings": warnings}
    folder.write_json("teachers.json", story)
    return plan


def train(
    plan: Plan,
    settings: config.Settings,
    dataset: Dataset,
    material: Material,
    folder: RunFolder,
    log: ResultsLog,
    console: Console,
) -> None:
    """Train every wave that is not finished; halve the waves if the device runs out of memory."""
    shared = identity.columns(dataset)
    program, wave, finished = wave_program(plan, settings, 0), 0, log.finished()  # waves have no member in common
    while wave < len(plan.waves):
        tag = plan.tag(wave)
        if finished >= set(itertools.chain(*tag["members"])):
            wave += 1
            continue
        if program.buckets != plan.buckets(wave):
            program = wave_program(plan, settings, wave)
        where = students.wave_folder(folder.path, plan, wave)
        checkpoints = Checkpoints(where, tag=tag)
        try:
            look = progress.of_students(plan, settings, console)
            outcomes = students.train_wave(program, plan, wave, material, checkpoints, look, settings.protocol)
        except jax.errors.JaxRuntimeError as problem:
            if "RESOURCE_EXHAUSTED" not in str(problem):
                raise
            shutil.rmtree(where, ignore_errors=True)  # first: the halves could not read checkpoints of this shape
            plan = _halve(plan, wave, settings, folder, console)
            continue
        finally:
            checkpoints.close()
        log.append([students.row_of(plan, outcome, shared, settings) for outcome in outcomes])
        shutil.rmtree(where, ignore_errors=True)
        console.say(f"  compiled: {', '.join(f'{name} {n}x' for name, n in program.compilations.items())}")
        wave += 1


def wave_program(plan: Plan, settings: config.Settings, wave: int = -1) -> Program:
    """The program that trains a wave, the last if not given; one serves all waves of equal shape."""
    sets = 1 if settings.protocol == "sealed" else 2
    return Program(plan.buckets(wave), plan.image_shape, select=sets)


def _halve(plan: Plan, wave: int, settings: config.Settings, folder: RunFolder, console: Console) -> Plan:
    predicted, available = plan.bytes() / 1e9, memory.budget_bytes(settings) / 1e9 / jax.process_count()
    plan = plan.halve(wave)
    if (
        jax.process_count() == 1
    ):  # a share is no plan of the run: of several processes each halves its own, for this time
        folder.write_json("plan.json", plan.as_json() | {"identity": folder.read_json("plan.json")["identity"]})
    console.say(
        f"out of memory: predicted {predicted:.3g} GB of {available:.3g} GB; waves halved to {len(plan.waves)} in all "
        f"(set config.compute.memory_gb below {predicted:.3g} to plan for it)"
    )
    return plan


def _in_order(rows: Sequence[Row], plan: Plan) -> list[Row]:
    place = {key: i for i, key in enumerate(plan.keys)}
    return sorted((r for r in rows if r["member"] in place), key=lambda r: place[r["member"]])
