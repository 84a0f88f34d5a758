"""A worker of a cluster: one wave of another process's run, trained on the devices that this one was given.

Nothing here knows of Ray. What a worker cannot do travels home as a value, with its exit code: an exception, or the end
of the process, would look like a machine that died.
"""

import contextlib
import itertools
import socket
import sys
import tempfile
import uuid
from pathlib import Path
from typing import NamedTuple

from jaxsoft import config, errors, files, imports, numerics, sources, target
from jaxsoft.command import starting
from jaxsoft.console import Console
from jaxsoft.experiment.inputs.prepare import Inputs
from jaxsoft.experiment.machine.environment import environment
from jaxsoft.experiment.plan import stored
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store import results
from jaxsoft.experiment.store.folder import MOST_JSON, RunFolder, Temporary, differing
from jaxsoft.experiment.students import waves
from jaxsoft.experiment.tell import progress
from jaxsoft.types import Dataset, Row


class Work(NamedTuple):
    """What every wave of a run needs, wherever it is trained; sent once."""

    plan: Plan  # for the devices of one worker
    settings: config.Settings
    dataset: Dataset  # its name and fingerprint alone
    inputs: Inputs
    finished: frozenset[str]  # members that have their rows
    folder: Path  # of the run, where the driver has it
    seal: str  # of what is in it
    like: dict[str, str]  # what the driver is, and each worker must be
    beside: Path | None  # the config file beside which modules are looked for
    path: tuple[str, ...]  # where else they are
    keep_programs: bool  # whether what is compiled is kept for the next process


class Trained(NamedTuple):
    """The rows of a wave, what was said meanwhile, and where it was."""

    rows: list[Row]
    said: list[str]
    node: str


def train(work: Work, wave: int) -> Trained | errors.JaxsoftError:
    """Train one wave; what keeps this worker from it is returned, not raised."""
    try:
        return _trained(work, wave)
    except errors.JaxsoftError as problem:
        return problem


def about() -> dict[str, str]:
    """What must be the same wherever students of one run are trained: devices, versions, settings of JAX."""
    found = environment()
    versions = {name: str(version) for name, version in found["versions"].items()}
    devices = f"{target.current().devices} x {found['device']}"
    return {"devices": devices, **versions, "engine": sources.engine(), **numerics.identity()}


def seal(folder: Path) -> str:
    """A digest of the plan in a run folder, by which a worker knows that it sees the same folder; empty without one."""
    with contextlib.suppress(OSError):
        return files.digest([files.read(folder / stored.PLAN, MOST_JSON)])
    return ""


@numerics.pinned()
def _trained(work: Work, wave: int) -> Trained:
    sys.path += [place for place in work.path if place not in sys.path]
    if work.beside != imports.beside_what():
        imports.beside(work.beside)
    with starting.starting_jax():
        starting.set_up_jax(work.keep_programs)
        _check_alike(work.like)
    plan, console, said = work.plan, Console(quiet=True), list[str]()
    mine = {*itertools.chain(*plan.tag(wave)["members"])} - work.finished
    with tempfile.TemporaryDirectory() as own, console.interruptible():
        log = results.ResultsLog(Path(own) / results.LOG, finished={*plan.keys} - mine)
        with contextlib.closing(log):
            watch = lambda plan: progress.of_students(plan, work.settings, console)  # noqa: E731
            given = plan, work.settings, work.dataset, work.inputs, _folder(work), log, watch, said.append
            waves.train(*given, attempt=uuid.uuid4().hex[:8])
            return Trained(log.read(), said, socket.gethostname())


def _check_alike(like: dict[str, str]) -> None:
    """Refuse to train where numbers would be others than the driver's, or the plan would not fit."""
    differs = [f"{name} {own} there, {asked} here" for name, (asked, own) in differing(like, about()).items()]
    if differs:
        told = f"worker {socket.gethostname()} is not like this process, for which the plan is made: "
        raise errors.ConfigError(told + "; ".join(differs))


def _folder(work: Work) -> RunFolder:
    """The run folder, if it is seen from here; else one that goes with the wave, and its checkpoints with it.

    Raises:
      ConfigError: networks are to be kept in it.
    """
    if seal(work.folder) == work.seal:
        return RunFolder(work.folder)
    if (keep := work.settings.keep.students) != "none":
        told = f"config.keep.students={keep} needs a --workdir that all workers see; "
        raise errors.ConfigError(f"{told}{socket.gethostname()} does not see {work.folder}")
    return Temporary()
