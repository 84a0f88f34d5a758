"""How students are trained: wave by wave, resumed from checkpoints, in halves where a device has no room for more."""

import contextlib
import itertools
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxsoft import config, errors
from jaxsoft.experiment.inputs.prepare import Inputs
from jaxsoft.experiment.machine import memory
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store.checkpoints import Checkpoints
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.experiment.store.results import ResultsLog
from jaxsoft.experiment.students import curves, kept, outcomes
from jaxsoft.training import ensemble
from jaxsoft.training.ensemble import Member, Program, Report, Students
from jaxsoft.types import Dataset


class Next(NamedTuple):
    """What to do after a chunk: save a checkpoint, stop for now (which saves too), or go on."""

    save: bool = False
    stop: bool = False


class WaveProgress(NamedTuple):
    """What is seen after a chunk: its number of all in the wave, and each bucket's report, real members first.

    `students` lie on the devices, and the next chunk takes their place; after the last `best` is each member's chosen
    checkpoint. `since` is when the wave began to train, by `time.monotonic`, moved on by what was spent on compilation.
    """

    wave: int
    done: int
    chunks: int
    reports: tuple[Report, ...]
    students: tuple[Students, ...] = ()
    since: float = 0.0


OnChunk = Callable[[WaveProgress], Next]


def train(
    plan: Plan,
    settings: config.Settings,
    dataset: Dataset,
    inputs: Inputs,
    folder: RunFolder,
    log: ResultsLog,
    watch: Callable[[Plan], OnChunk],
    say: Callable[[str], None],
    attempt: str = "",
) -> None:
    """Train every wave that is not finished; halve the waves if the device runs out of memory.

    Args:
      plan: of this process.
      settings, dataset, inputs: the protocol and how much memory, what rows name, what members read.
      folder: of the run: checkpoints, and the plan where waves are halved.
      log: gets the rows of each wave once it is trained.
      watch: gives for each wave what is called after its chunks.
      say: tells the user a line.
      attempt: names this try, where others train waves of the same plan, who neither need nor see halves of these.
    """
    is_share = bool(attempt) or jax.process_count() > 1
    shared = outcomes.shared_columns(dataset)
    program, wave, finished = wave_program(plan, settings, 0), 0, log.finished  # waves have no member in common
    while wave < len(plan.waves):
        tag = plan.tag(wave)
        if finished >= set(itertools.chain(*tag["members"])):
            wave += 1
            continue
        if program.buckets != plan.buckets_of(wave):
            program = wave_program(plan, settings, wave)
        where = wave_folder(folder.path, plan, wave, is_share)
        where = _taken_over(where, attempt) if attempt else where
        checkpoints = Checkpoints(where, tag=tag)
        try:
            watched = _keeping(watch(plan), plan, settings.keep.students, folder.path)
            trained = train_wave(program, plan, wave, inputs, checkpoints, watched, settings.protocol)
        except jax.errors.JaxRuntimeError as problem:
            if "RESOURCE_EXHAUSTED" not in str(problem):
                raise
            shutil.rmtree(where, ignore_errors=True)  # first: the halves could not read checkpoints of this shape
            plan = _halve(plan, wave, settings, None if is_share else folder, say)
            continue
        log.append([outcomes.row_of(plan, outcome, shared, settings) for outcome in trained])
        shutil.rmtree(where, ignore_errors=True)
        say(f"  compiled: {', '.join(f'{name} {n}x' for name, n in program.compilations.items()) or 'nothing new'}")
        wave += 1


def train_wave(
    program: Program,
    plan: Plan,
    wave: int,
    inputs: Inputs,
    checkpoints: Checkpoints | None,
    on_chunk: OnChunk,
    protocol: str,
) -> list[dict[str, Any]]:
    """Train the members of one wave to the end, from its last checkpoint if there is one.

    Args:
      program: for the wave's buckets.
      plan, wave, inputs, protocol: who, what they read, and which evaluation set is which.
      checkpoints: of this wave.
      on_chunk: called after each chunk; says what to do next.

    Returns:
      The outcome of each member of the wave.

    Raises:
      Interrupted: `on_chunk` said stop.
    """
    chosen = members_of(plan, wave, inputs)
    good = checkpoints.latest_good(program.shapes(chosen)) if checkpoints else None
    students, before, extra = (good.tree, good.step, good.extra) if good else (None, 0, {})
    seen = curves.from_json(extra, before, program.buckets, 1 + len(inputs.evals))
    since = time.monotonic() - program.compile_seconds
    later: list[tuple[Report, ...]] = []  # on the devices until they are asked for, so that no chunk waits for a look
    for done, now, reports in ensemble.fit(program, inputs.bank, inputs.evals, chosen, plan.chunks, students, before):
        students = now
        later.append(reports)
        then = on_chunk(WaveProgress(wave, done, plan.chunks, reports, students, since + program.compile_seconds))
        if (then.save or then.stop) and checkpoints and done < plan.chunks:
            checkpoints.save(done, students, curves.as_json(curves.stacked(seen, later)))
        if then.stop and done < plan.chunks:
            told = f"stopped after chunk {done} of {plan.chunks}; the same command goes on from there"
            raise errors.Interrupted(told)
    assert students is not None  # a wave has at least one chunk, and a checkpoint is never of the last
    return list(outcomes.outcomes_of(program, plan, wave, inputs, students, curves.stacked(seen, later), protocol))


def wave_program(
    plan: Plan, settings: config.Settings, wave: int = -1, devices: Sequence[Any] | None = None
) -> Program:
    """The program that trains a wave, the last if not given; one serves all waves of equal shape."""
    sets = 1 if settings.protocol == "sealed" else 2
    return Program(plan.buckets_of(wave), plan.image_shape, select=sets, devices=devices)


def members_of(plan: Plan, wave: int, inputs: Inputs) -> tuple[Member, ...]:
    """The members of a wave, in the shapes of its buckets."""
    parts = []
    for bucket, members, (start, stop) in zip(plan.buckets_of(wave), inputs.members, plan.waves[wave]):
        stop = max(stop, start + 1)  # a bucket that has no member left here still fills its place in the program
        start = min(start, len(members.seed) - 1)
        parts.append(ensemble.pad(jax.tree.map(lambda a, s=slice(start, stop): a[s], members), bucket.members))
    return tuple(parts)


def wave_folder(workdir: Path, plan: Plan, wave: int, is_share: bool) -> Path:
    """Where a wave in training keeps its checkpoints; their shapes depend on the number of devices.

    Of several processes of JAX each has its own. Who trains a share and runs out of memory halves its waves for this time
    only, so their number is in the name too.
    """
    process = f"-process-{jax.process_index()}-of-{jax.process_count()}" * (jax.process_count() > 1)
    share = f"{process}-waves-{len(plan.waves)}" * is_share
    return workdir / "checkpoints" / f"wave-{wave}-devices-{plan.devices}{share}"


def _taken_over(where: Path, attempt: str) -> Path:
    """A folder of checkpoints for one attempt, with what the last one left in another's.

    Whoever tried before may only be cut off, and still save: it does so under the old name, where nobody looks for its own.
    """
    own = where.with_name(f"{where.name}-attempt-{attempt}")
    with contextlib.suppress(OSError, ValueError):  # nobody tried before, or another one was faster
        max(where.parent.glob(f"{where.name}-attempt-*"), key=_last_step).rename(own)
    return own


def _last_step(folder: Path) -> int:
    return max((int(path.name) for path in folder.glob("*") if path.name.isdecimal()), default=-1)


def _keeping(watch: OnChunk, plan: Plan, which: str, folder: Path) -> OnChunk:
    """Keep students of a wave before anybody hears of them: a row that is in the log has its student."""

    def on_chunk(seen: WaveProgress) -> Next:
        if which == "all":
            kept.write(folder, plan, seen.wave, seen.students, seen.done)
        if which != "none" and seen.done == seen.chunks:
            kept.write(folder, plan, seen.wave, seen.students)
        return watch(seen)

    return on_chunk


def _halve(
    plan: Plan, wave: int, settings: config.Settings, folder: RunFolder | None, say: Callable[[str], None]
) -> Plan:
    predicted, available = plan.bytes() / 1e9, memory.budget_bytes(settings) / 1e9 / jax.process_count()
    plan = plan.halve(wave)
    if folder and len(plan.trained) == len(
        plan.keys
    ):  # a share is no plan of the run: who trains one halves it for now
        folder.write_json("plan.json", plan.as_json() | {"identity": folder.read_json("plan.json")["identity"]})
    say(
        f"out of memory: predicted {predicted:.3g} GB of {available:.3g} GB; waves halved to {len(plan.waves)} in all "
        f"(set config.compute.memory_gb below {predicted:.3g} to plan for it)"
    )
    return plan
