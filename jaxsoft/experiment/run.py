"""The story of a run: data, teachers, plan, students, results, report; one call a stage, each resumable."""

import contextlib
import dataclasses
import functools
import shutil
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

import jax

from jaxsoft import config, data, errors, numerics, target
from jaxsoft.console import Console
from jaxsoft.distilled import kept as imported_sets
from jaxsoft.experiment import teachers
from jaxsoft.experiment.cluster.driver import Cluster
from jaxsoft.experiment.inputs.prepare import Inputs, prepare
from jaxsoft.experiment.machine import processes
from jaxsoft.experiment.plan import checks, identity, make, stored, sweep
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store import manifest, results, shares, starts
from jaxsoft.experiment.store.folder import RunFolder, flat
from jaxsoft.experiment.students import curves, kept, waves
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.experiment.tell import describe, events, examples, progress
from jaxsoft.labels import given
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.sinks import Sinks
from jaxsoft.types import Dataset, Row


@numerics.pinned()
def run(
    settings: config.Settings,
    workdir: Path,
    console: Console,
    dataset: Dataset | None = None,
    experts: Experts | None = None,
    cluster: Cluster | None = None,
) -> list[Row]:
    """Do, or finish, a whole experiment in its run folder, which remembers the settings.

    Args:
      settings, workdir, console: what, where, and who is told; a folder named as a share is one, see `store.shares`.
      dataset, experts: what the settings stand for, where it is at hand; else both are made as the settings say.
      cluster: whose workers train the students; this process if not given.

    Returns:
      The results, one row for each member, of a share for its own, in the plan's order; none in a process that is not
      the first of several.

    Raises:
      JaxsoftError: with the exit code that says what kind of trouble it is.
    """
    with console.stage("data"):
        settings, dataset = _checked(settings, dataset)
        if not experts:
            teachers.require(settings, dataset, RunFolder(workdir))
    stoppable = console.interruptible(settings.compute.grace_seconds)
    with _opened(settings, workdir, console) as (folder, to), stoppable:
        with processes.turn("folder"):
            settings = _begun(settings, dataset, folder)
        if not experts and processes.teach_together(settings.compute.expert_devices):
            with console.stage("teachers together"):
                teachers.taught(settings, dataset, folder, console, to)  # they are in the store then
        with processes.turn("teachers"), console.stage("teachers"):
            experts = experts or teachers.taught(settings, dataset, folder, console, to)
            plan = decide(settings, dataset, experts, folder, console)
            part = plan.part(*shares.of(folder.path))
            log = results.open_log(folder.path / results.LOG)
            _tell_what_there_is(to, experts, log)
        if _left(part, settings, dataset, experts, folder, log.finished, console):
            inputs = _labelled(plan, settings, dataset, experts, folder, console)
            with console.stage("students"):
                mine = part.share(jax.process_index(), jax.process_count())
                watch = lambda plan: progress.of_students(plan, settings, console, to)  # noqa: E731
                given = mine, settings, dataset, inputs, folder, log
                if cluster:
                    cluster.train(*given, console)
                else:
                    console.say("  compiling, before the first chunk")
                    waves.train(*given, watch, console.say)
        if processes.others():
            console.say("own share done; waiting for the other processes")
        results.gather(log, part.trained)
        if not processes.is_first():
            return []
        shutil.rmtree(folder.path / "checkpoints", ignore_errors=True)
        with console.stage("examples"):
            if experts.cohorts and not examples.are_whole(folder):
                examples.write(folder, plan, dataset, experts)
        return collected(part, log, folder)


def _labelled(
    plan: Plan, settings: config.Settings, dataset: Dataset, experts: Experts, folder: RunFolder, console: Console
) -> Inputs:
    """What students read; of several processes, or shares, one learns labels, and all others read these."""
    told = functools.partial(progress.of_labels, console)
    waiting = progress.of_waiting(console, "learns labels for all shares")
    with console.stage("labels"), processes.turn("labels"), shares.door(folder.path, plan.learns, waiting) as where:
        return prepare(plan, settings, dataset, experts, where, told)


@numerics.pinned()
def dry_run(settings: config.Settings, workdir: Path, at: target.Target | None = None) -> str:
    """The plan and every resolved setting; trains nothing, and writes nothing to the run folder.

    Args:
      settings, workdir: what, and where.
      at: devices that are not here, as which the plan is made; a dataset that is not here has a stand-in then.

    Raises:
      JaxsoftError: what would stop the run before training.
    """
    with target.aimed(at) if at else contextlib.nullcontext():
        settings, dataset = _checked(settings, _data_or_stand_in(settings, at))
        folder = RunFolder(workdir)
        folder.compare(config.as_dict(settings))
        shares.check_beside(folder.path, config.as_dict(settings))
        if not at:  # there, other packages are installed
            teachers.require(settings, dataset, folder)
        histories = stored.histories(folder)
        plan = make.make(settings, dataset, histories, {}, parts=max(1, shares.of(workdir).count))
        lines = [f"{key} = {value!r}" for key, value in flat(config.as_dict(settings), "config")]
        return "\n".join([*lines, "", *describe.outline(plan, settings, dataset, histories)])


def _data_or_stand_in(settings: config.Settings, at: target.Target | None) -> Dataset | None:
    """The dataset; if it is not here, for devices that are not one of its size, or None where that is not known."""
    part = settings.data
    try:
        return load(settings)
    except errors.DataError as problem:
        one = data.stand_in(part.name, validation=part.validation, limit=part.limit or None, side=part.resize)
        if one and not at:
            raise errors.DataError(f"{problem}; --for=CHIP plans without it ({', '.join(target.CHIPS)})") from None
        return one


def collected(plan: Plan, log: results.ResultsLog, folder: RunFolder) -> list[Row]:
    """The rows of the plan's members in its order, and in the folder what is derived from them: the table and the curves."""
    found, courses = curves.split(log.rows())
    log.close()
    rows = [found[key] for key in dict.fromkeys(plan.trained)]
    results.write_csv(rows, folder.path / "results.csv", order=plan.trained)
    curves.write(folder.path / curves.NAME, courses, dict.fromkeys(plan.trained))
    return rows


def close(workdir: Path, console: Console) -> None:
    """Store how long the stages took, and the digests of all files: the last thing that a run does."""
    folder = RunFolder(workdir)
    folder.write_times(console.seconds)
    manifest.write(folder)


def load(settings: config.Settings) -> Dataset:
    """The dataset that the settings name; a refusal names the setting."""
    part = settings.data
    resize, limit = part.resize or None, part.limit or None
    try:
        return data.load(part.name, part.root or None, validation=part.validation, resize=resize, limit=limit)
    except (errors.ConfigError, errors.DataError) as problem:
        said = str(problem)
        where = "config.data." if hasattr(part, said.partition("=")[0]) else "config.data.name: "
        raise type(problem)(f"{where}{said}") from None


def decide(settings: config.Settings, dataset: Dataset, experts: Experts, folder: RunFolder, console: Console) -> Plan:
    """Make the plan, or repeat the shapes of the one with which this run began; store it and the teachers' story."""
    began, histories = stored.plan(folder), experts.histories
    subjects: Sequence[int] = ()
    if settings.subjects == "accuracy":  # ordered once: another machine could see two classes the other way round
        subjects = began["subjects"] if began else experts.class_order(dataset).tolist()
    context = identity.member_context(settings, dataset, experts)
    parts = max(1, shares.of(folder.path).count)
    plan = make.make(settings, dataset, histories, context, subjects, parts)
    own = identity.of_run(settings, dataset, experts, plan.members)
    for other in (path for path in shares.beside(folder.path) if shares.of(path).count):
        if (there := stored.plan(RunFolder(other))) and (edited := identity.edited(there["identity"], own)):
            console.say(f"{other} has other code: {', '.join(edited)}; run it again too, or nothing joins the two")
    if began and (edited := identity.edited(began["identity"], own)):
        console.say(f"edited since this run began: {', '.join(edited)}; students that use it are trained again")
        (folder.path / examples.NAME).unlink(missing_ok=True)
        began = None
    if began:
        plan = stored.repeated(plan, began, folder)
    else:
        shutil.rmtree(folder.path / "checkpoints", ignore_errors=True)  # of another plan
        folder.write_json(stored.PLAN, plan.as_json() | {"identity": own})
    if processes.is_first():
        resolved = {text: sweep.resolved(text, histories, subjects) for text in settings.sweep.labels}
        told = {
            "teacher": {"key": experts.key, **config.as_dict(experts.settings)},
            "experts": [
                {"expert": e, "bytes": size, "history": list(history)}
                for e, (size, history) in enumerate(zip(experts.sizes, histories, strict=True))
            ],
            "resolved": {text: spec for text, spec in resolved.items() if str(LabelSpec.parse(text)) != spec},
            "warnings": describe.warning_lines(settings, histories, dataset.validation.labels),
        }
        folder.write_json(stored.TEACHERS, told)
        if dataset.sets:
            own = {digest: {**one.record, "leaves": {}} for digest, one in dataset.sets.items()}
            folder.write_json(stored.SETS, own)
    return plan


def _checked(settings: config.Settings, dataset: Dataset | None = None) -> tuple[config.Settings, Dataset]:
    """Settings in which nothing is found wrong, and their dataset."""
    settings = checks.check(settings)
    dataset = imported_sets.beside(dataset or load(settings), settings)
    settings = given.ask_functions(settings, dataset)
    checks.check_data(settings, dataset)
    return settings, dataset


def _begun(settings: config.Settings, dataset: Dataset, folder: RunFolder) -> config.Settings:
    """Take the folder; settings with the precision that the run began with, which another machine would choose."""
    shares.check_beside(folder.path, config.as_dict(settings))
    for other in map(RunFolder, shares.beside(folder.path)):
        if there := stored.plan(other):
            identity.check(there.get("identity"), dataset, other.path)
    (folder.open if processes.is_first() else folder.join)(config.as_dict(settings))
    if began := stored.plan(folder):
        identity.check(began.get("identity"), dataset, folder.path)
        settings = dataclasses.replace(settings, precision=began["groups"][0]["recipe"]["precision"])
    if processes.is_first():
        manifest.goes_on(folder)
        kept.sweep(folder.path)
    return settings


def _left(
    plan: Plan,
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: RunFolder,
    finished: Set[str],
    console: Console,
) -> int:
    """How many students are left to train; says what lies ahead, and what differs since the last start."""
    left = len({*plan.trained} - finished)
    if left and processes.is_first():  # a later look must not put its own versions beside these numbers
        for line in starts.add_start(folder):
            console.say(f"since the last start: {line}")
    warnings = describe.warning_lines(settings, experts.histories, dataset.validation.labels)
    lines = describe.outline(plan, settings, dataset, experts.histories) if left else warnings
    lines += describe.keeping(settings.keep.students, kept.members(folder.path), finished & {*plan.trained})
    whole = (
        f" of this share, which has {own} of {len(plan.keys)}" if (own := len(plan.trained)) < len(plan.keys) else ""
    )
    console.say("\n".join([*lines, f"students: {left} of {own} left{whole}"]))
    return left


@contextlib.contextmanager
def _opened(settings: config.Settings, workdir: Path, console: Console) -> Iterator[tuple[RunFolder, Sinks]]:
    """The run folder, and the sinks of the first process; closed in the other order."""
    own = settings.sinks if processes.is_first() else ()
    with RunFolder(workdir, console.seconds) as folder, Sinks(own, folder.path / "logs", console.say) as to:
        yield folder, to


def _tell_what_there_is(to: Sinks, experts: Experts, log: results.ResultsLog) -> None:
    """To sinks: epochs and rows that they were not told of, as they were trained elsewhere or before; then all new rows."""
    if to:
        to.write(events.of_histories(experts.histories))
        to.write(events.of_rows(log.rows()))
        log.on_rows = lambda rows: to.write(events.of_rows(rows, len(log.finished) - len(rows)))
