"""What determines a number beside what a sweep varies: part of every key, and what a resumed run must still find.

Data, settings, experts, the code that specs name, the engine, and the settings of JAX around all of them. A key made of
other code is another key, so edited code never gets old numbers; `edited` says what that was.
"""

import contextlib
import functools
import logging
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from jaxsoft import config, errors, numerics, sources, spec
from jaxsoft.data import select
from jaxsoft.experiment import learning
from jaxsoft.experiment.experts import Experts
from jaxsoft.experiment.folder import RunFolder
from jaxsoft.experiment.sweep import MemberSpec
from jaxsoft.labels import ops
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import fit
from jaxsoft.training.fit import Recipe
from jaxsoft.types import Dataset

log = logging.getLogger(__name__)

PACKAGES = ("jaxsoft", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
_STARTS = "env.json"
_OLD = (
    "the run in {} is of an earlier version, whose keys did not know the code that made a number; "
    "`jaxsoft report` still reads it; to train anew choose another --workdir"
)


def member_context(settings: config.Settings, dataset: Dataset, experts: Experts) -> dict[str, Any]:
    """What determines the numbers of the members of a run, beside what a sweep varies and the code that it names.

    `teacher` and `learned` are left out of the keys of members that do not read them.
    """
    student = config.as_dict(settings.student)
    unread = ("judges", "reference_epoch")  # say how learning is watched, not what is learned
    learned = {name: value for name, value in config.as_dict(settings.learned).items() if name not in unread}
    return {
        "data": dataset.fingerprint,
        "normalize": settings.data.normalize,
        "precision": fit.precision(settings.precision),
        "teacher": experts.key,
        "student": {k: v for k, v in student.items() if k not in ("model", "learning_rate", "weight_decay", "steps")},
        "learned": {"model": settings.student.model, **learned, "code": learning.recipe_of(settings, 1, 1).code()},
        "protocol": settings.protocol,
        "engine": sources.engine(),
        "numerics": numerics.identity(),
    }


def code_of(settings: config.Settings, model: str, labels: str, select: str) -> dict[str, str]:
    """Digests of the code that a member's specs name: what is named -> digest.

    Args:
      settings: the students' optimizer, schedule and augmentation.
      model, labels, select: of the member.
    """
    own = settings.student
    return {
        **_of_training(model, own.optimizer, own.schedule, own.augment),
        **_of_labels(labels),
        **_of_selection(select),
    }


@functools.cache
def _of_training(model: str, optimizer: str, schedule: str, augment: str) -> dict[str, str]:
    return Recipe(model, 1, 1, 1, optimizer, schedule, augment).code()


@functools.lru_cache(4096)
def _of_labels(text: str) -> dict[str, str]:
    functions, calls = spec.public_functions(ops), LabelSpec.parse(text).operations
    return {f"label operation {call.name}": sources.digest(functions[call.name]) for call in calls}


@functools.cache
def _of_selection(text: str) -> dict[str, str]:
    name = spec.parse_one(text).name
    return {f"selection {name}": sources.digest(spec.public_functions(select)[name])}


def of_run(
    settings: config.Settings, dataset: Dataset, experts: Experts, members: Sequence[MemberSpec]
) -> dict[str, dict[str, str]]:
    """What is stored with a plan, to be able to say later what has changed."""
    code = {"engine": sources.engine()}
    for cohort in experts.cohorts:
        code |= {f"teacher's {what}": digest for what, digest in cohort.recipe.code().items()}
    for model, labels, way in dict.fromkeys((m.model, m.labels, m.select) for m in members):
        code |= code_of(settings, model, labels, way)
    return {"data": {"fingerprint": dataset.fingerprint}, "settings": numerics.identity(), "code": code}


def check(there: Mapping[str, Mapping[str, str]] | None, dataset: Dataset, where: object) -> None:
    """Refuse to go on with a run that began otherwise; before anything is trained.

    Args:
      there: of the run, as `of_run` gave it; None for a run of a version that stored nothing of the kind.
      dataset: of this process.
      where: the run folder, for messages.

    Raises:
      CheckpointError: the run is of an earlier version, of other data, or began under other settings of JAX or XLA.
    """
    if there is None:
        raise errors.CheckpointError(_OLD.format(where))
    now = {"settings": numerics.identity(), "data": {"fingerprint": dataset.fingerprint}}
    for kind, what in (("settings", "under other settings of JAX"), ("data", "with other data")):
        if told := numerics.difference(there[kind], now[kind]):
            raise errors.CheckpointError(
                f"the run in {where} began {what}: {told}; mend that or choose another --workdir"
            )


def edited(there: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The code that has changed since a run began."""
    old, new = there["code"], now["code"]
    return sorted(what for what in {*old, *new} if old.get(what) != new.get(what))


def columns(dataset: Dataset) -> dict[str, Any]:
    """What all rows of this process share: where their numbers come from."""
    return {
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "device": jax.devices()[0].device_kind,
        "version": metadata.version("jaxsoft"),
        "commit": commit(),
    }


def add_start(folder: RunFolder) -> list[str]:
    """Write down with what a run starts, or goes on, beside its earlier starts.

    Returns:
      What differs from the start before, in words; empty for the first.
    """
    starts: list[dict[str, Any]] = []
    if (folder.path / _STARTS).exists():
        try:
            starts = _starts(folder.read_json(_STARTS))
        except (errors.CheckpointError, ValueError):
            aside = f"{_STARTS}.corrupt"
            log.warning("%s cannot be read; it is set aside as %s, and begun anew", folder.path / _STARTS, aside)
            with contextlib.suppress(OSError):  # what cannot be moved is told when it cannot be written
                (folder.path / _STARTS).replace(folder.path / aside)
    now = {**environment(), "engine": sources.engine(), "settings": numerics.recorded()}
    folder.write_json(_STARTS, {"starts": [*starts, now]})
    before, after = (dict(_flat(start)) for start in (starts[-1] if starts else now, now))
    return [
        f"{k} was {before.get(k)}, is {after.get(k)} now" for k in {**before, **after} if before.get(k) != after.get(k)
    ]


def _starts(found: Any) -> list[dict[str, Any]]:
    """Those that a file tells of; earlier versions kept the last one alone.

    Raises:
      ValueError: it tells of none.
    """
    starts = found.get("starts", [found]) if isinstance(found, dict) else None
    if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
        raise ValueError("no list of starts")
    return starts


def environment() -> dict[str, Any]:
    """What a number was made with: versions, device, platform, and the commit if the package lies in a checkout."""
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "device": jax.devices()[0].device_kind,
        "device_count": jax.device_count(),
        "platform": platform.platform(),
        "commit": commit(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # imported from a checkout that is not installed
        return None


def commit() -> str | None:
    """The checkout's commit, with `-dirty` when a tracked file was changed; None for an installed package."""
    tracked = ["ls-files", "--error-unmatch", Path(__file__).name]  # not a checkout that merely holds the environment
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        done = [
            subprocess.run(git + c, capture_output=True, text=True, timeout=10, check=True) for c in (tracked, describe)
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return done[1].stdout.strip()


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else key)
    else:
        yield name, str(value)
