"""The experts of a run: found in its store, or taught as its settings ask."""

import dataclasses
import functools
from pathlib import Path

from jaxsoft import config, errors
from jaxsoft.console import Console
from jaxsoft.data import stream
from jaxsoft.experiment.plan import checks, sweep
from jaxsoft.experiment.store import shares
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.experiment.teach.experts import Experts, OnEpoch, is_taught, teach
from jaxsoft.experiment.teach.streamed import is_streamed
from jaxsoft.experiment.tell import describe, progress
from jaxsoft.sinks import Sinks
from jaxsoft.types import Dataset

FOLDER = "teachers"
"""Of a run's own experts, in its folder."""


def find(
    settings: config.Settings,
    dataset: Dataset,
    store: Path | None,
    may_teach: bool = False,
    on_epoch: OnEpoch = lambda *_: None,
) -> Experts:
    """The experts that settings ask, out of a store; none where nothing asks them. Those taught anew are kept nowhere.

    Raises:
      CheckpointError: they are not there, and may not be taught.
    """
    what = wanted(settings)
    is_there = store and is_taught(dataset, *what, settings.precision, store)
    if what[0].experts and not (is_there or may_teach):
        way_on = "give them as experts=, or --teach teaches them again"
        raise errors.CheckpointError(f"the experts of this run are not in {store}; {way_on}")
    return teach(dataset, *what, store if is_there else None, on_epoch, settings.precision, settings.compute.lowering)


def store_of(settings: config.Settings, folder: RunFolder) -> Path:
    """Where a run keeps its experts; shares that lie in one folder keep them there, for all."""
    return Path(settings.teacher.store or shares.home(folder.path) / FOLDER)


def wanted(settings: config.Settings) -> tuple[config.Teacher, str]:
    """Which experts are asked, none where nothing asks them, and what they see."""
    none = {} if checks.needs_experts(settings) else {"experts": 0, "models": ()}
    return dataclasses.replace(settings.teacher, **none), settings.data.normalize


def require(settings: config.Settings, dataset: Dataset, folder: RunFolder) -> None:
    """Refuse a run whose experts are yet to be taught from a stream of images that nothing here reads.

    Raises:
      ConfigError: with the command that installs what is missing.
    """
    (asked, normalization), store = wanted(settings), store_of(settings, folder)
    if asked.experts and is_streamed(dataset, asked.stream, normalization):
        if not is_taught(dataset, asked, normalization, settings.precision, store):
            stream.reader()


def taught(settings: config.Settings, dataset: Dataset, folder: RunFolder, console: Console, to: Sinks) -> Experts:
    """The experts, taught or found where the settings say."""
    told = functools.partial(progress.of_teachers, console, to=to, teacher=settings.teacher)
    waiting, windows = progress.of_waiting(console), functools.partial(progress.of_windows, console)
    (asked, normalization), store = wanted(settings), store_of(settings, folder)
    if asked.experts and not is_taught(dataset, asked, normalization, settings.precision, store):
        console.say("\n".join(describe.teacher_lines(settings, dataset)))
    return teach(
        dataset,
        asked,
        normalization,
        store,
        told,
        settings.precision,
        on_wait=waiting,
        on_window=windows,
        compute=settings.compute,
        asked=sweep.asked(settings),
    )
