"""Experts of one architecture: taught all at once, kept by epoch, resumed, shared by runs, and asked.

An expert is trained by the same step as a student, on all training images with hard labels.
"""

import contextlib
import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32

from jaxsoft import config, errors, files, numerics, sources
from jaxsoft.data.normalize import Images, Normalizer
from jaxsoft.experiment.machine import processes
from jaxsoft.experiment.store.checkpoints import Checkpoints, Damaged, Good, Memory
from jaxsoft.experiment.store.lock import Lock, told
from jaxsoft.experiment.teach import course
from jaxsoft.experiment.teach.course import Records, Seen, Watch, rates
from jaxsoft.experiment.teach.keeping import Keeping
from jaxsoft.experiment.teach.layout import cohort_program, devices_of_each
from jaxsoft.experiment.teach.resident import Resident
from jaxsoft.experiment.teach.streamed import Streamed, is_streamed
from jaxsoft.training import mesh
from jaxsoft.training.ensemble import Students
from jaxsoft.training.evaluate import answers
from jaxsoft.training.fit import State
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset, History

log = logging.getLogger(__name__)

States = Checkpoints | Memory
WITHIN = "within"  # the folder of a state from which a stopped training goes on, beside those of epochs
_ALONE = "one process without the others, with config.compute.expert_devices=0, trains it again"


class Task(NamedTuple):
    """What all experts are taught, and how: what determines their numbers, beside architecture and seed."""

    dataset: Dataset
    settings: config.Teacher
    normalization: str
    precision: str

    def recipe(self, model: str) -> Recipe:
        """Of the experts of one architecture."""
        slots, own = len(self.dataset.train), self.settings
        how = own.optimizer, own.schedule, own.augment, self.precision
        recipe = Recipe(model, self.dataset.num_classes, slots, min(own.batch, slots), *how)
        return recipe._replace(accumulate=own.accumulate, batch_norm=own.batch_norm)

    @property
    def is_streamed(self) -> bool:
        """Whether images come window by window."""
        return is_streamed(self.dataset, self.settings.stream, self.normalization)

    def key(self, model: str, places: Sequence[int]) -> str:
        """A hash over what determines the numbers of experts of one architecture."""
        others = ("model", "models", "experts", "seed", "store", "expected", "rates", "rate_rule", "keep", "stream")
        later = {"accumulate": 1, "batch_norm": "global"}  # what they were before they could be set
        plain = config.as_dict(self.settings).items()
        own = {k: v for k, v in plain if k not in others and later.get(k, None) != v}
        own["learning_rate"] = found[0] if len({*(found := rates(self.settings, places))}) == 1 else found
        who = [model, *(self.settings.seed + place for place in places)]
        around = [sources.engine(), numerics.identity(), self.recipe(model).code()]
        around += ["streamed"] * self.is_streamed
        all_of_it = [who, own, self.dataset.fingerprint, self.normalization, self.precision, *around]
        return files.digest([json.dumps(all_of_it, sort_keys=True)])[:12]


class Cohort:
    """Trained experts of one architecture.

    Attributes:
      places: their numbers among all experts, ascending.
      recipe: how they were trained.
      key: a hash over all that determines their numbers; names their folder in a store.
      histories: for each of them one record of every epoch.
    """

    def __init__(
        self,
        task: Task,
        model: str,
        places: Sequence[int],
        normalizer: Normalizer,
        compute: config.Compute,
        store: Path | None,
        keeping: Keeping,
        watch: Watch,
    ):
        """Train them, from where they were left if there is such a state.

        Raises:
          CheckpointError: the store, a folder of trajectories by key, cannot be read or written.
          ConfigError: an expert diverged, now or when it was trained.
        """
        self.places, self.recipe, self.key = tuple(places), task.recipe(model), task.key(model, places)
        self._task, self._normalizer, self._compute = task, normalizer, compute
        self._keeping, self._watch = keeping, watch
        self._together = processes.teach_together(compute.expert_devices)
        self._mine = processes.is_first() or not self._together
        self._trajectory = self._opened(store / self.key, mine=False) if store else Memory()

        shape, devices = task.dataset.image_shape, jax.devices() if self._together else jax.local_devices()
        self._steps = self.recipe.steps_per_epoch(self.recipe.slots)
        what = self.recipe, shape, len(places)
        each = devices_of_each(*what, len(devices), compute, task.is_streamed)
        self._program = cohort_program(*what, compute.lowering, devices, each)
        labels, steps = task.dataset.train.labels, task.settings.epochs * self._steps
        self._members = course.members(task.settings, labels, places, steps)
        self._like = self._program.shapes((self._members,))[0].state
        self.histories: tuple[History, ...] = tuple(zip(*self._taught(task.settings.epochs)))

    def state(self, epoch: int) -> State:
        """Of all of them after so many epochs; one that was not kept, is damaged, or gone, is trained again.

        Raises:
          CheckpointError: there is no such epoch, or it cannot be read or written.
        """
        try:
            return self._trajectory.restore(epoch, self._like)
        except Damaged as damage:
            if epoch > self._task.settings.epochs:
                raise
            if epoch in self._trajectory.steps():
                why = damage
            else:
                why = self._keeping.missing(epoch, self.places, self.histories)
                why = f"epoch {epoch} of the experts {self.key}, {self.recipe.model}, {why}"
            if self._together:  # the others do not ask for it now
                raise errors.CheckpointError(f"{why}; {_ALONE}") from None
            log.warning("%s; training it again", why)
            self._taught(epoch)
            return self._trajectory.restore(epoch, self._like)

    def ensure(self, epochs: Iterable[int | None]) -> None:
        """Train again those that were not kept, where several processes teach: later each asks by itself, and cannot."""
        if self._together:
            for epoch in sorted({epoch for epoch in epochs if epoch is not None} - {*self._trajectory.steps()}):
                self._taught(epoch)

    def logits(self, stored: Images, epochs: Sequence[int]) -> Float32[np.ndarray, "E P N K"]:
        """What each of them says at these epochs about images as `Normalizer.store` gives them."""
        variables = (self.state(epoch).variables for epoch in epochs)
        logits = np.zeros((len(self.places), len(epochs), len(stored), self.recipe.num_classes), np.float32)
        for p, said in enumerate(answers(self.recipe, self._normalizer, stored, variables)):
            logits[:, p] = said
        return logits

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        return self._task.dataset.image_shape

    @property
    def store(self) -> Path | None:
        """The folder of trajectories by key in which these are kept; None: in memory."""
        return None if isinstance(self._trajectory, Memory) else self._trajectory.directory.parent

    def save(self, store: Path) -> None:
        """Keep every epoch that is kept in a folder too, where `teach` finds it; what is there stays.

        Raises:
          CheckpointError: it cannot be written.
        """
        kept = self._opened(store / self.key, mine=True)
        for epoch in sorted({*self._trajectory.steps()} - {*kept.steps()}):
            kept.save(epoch, self.state(epoch), {"records": list(zip(*self.histories))[: epoch + 1]})

    def _taught(self, last: int) -> Records:
        """The records of all epochs up to `last`; what is missing is trained, from the newest whole state before it.

        Whoever finds the last one only reads. Otherwise one process at a time may train, and others wait for it.
        """
        good = self._found(self._trajectory, last)
        if good and good.step == last:
            return good.extra["records"]
        if isinstance(self._trajectory, Memory):
            return self._train(self._trajectory, Memory(), good, None, last)
        with self._locked(self._trajectory.directory) as folder:
            with self._turn(f"{self.key} is found up to {last}"):
                trajectory, within = self._opened(folder, self._mine), self._opened(folder / WITHIN, self._mine, keep=1)
                good, inside = self._found(trajectory, last), within.latest_good(self._like, last * self._steps)
            if good and good.step == last:
                return good.extra["records"]
            records = self._train(trajectory, within, good, inside, last)
            if self._mine:
                shutil.rmtree(folder / WITHIN, ignore_errors=True)
            return records

    @contextlib.contextmanager
    def _locked(self, folder: Path) -> Iterator[Path]:
        """One process at a time; of several that teach together the first one has the lock for all."""
        if not self._mine:
            yield folder
            return
        wait = self._watch.on_wait or told(log.warning, "teaches these experts")
        with errors.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = Lock(folder / "lock", "the experts' folder", wait)
        try:
            yield folder
        finally:
            lock.release()

    def _turn(self, what: str) -> contextlib.AbstractContextManager[None]:
        return processes.turn(what) if self._together else contextlib.nullcontext()

    def _opened(self, folder: Path, mine: bool, keep: int | None = None) -> Checkpoints:
        return Checkpoints(folder, keep=keep, tag={"teacher": self.key}, mine=mine)

    def _found(self, trajectory: States, last: int) -> Good | None:
        """The newest whole epoch up to `last`."""
        good = trajectory.latest_good(self._like, last)
        if good:
            self._check(good.tree, good.extra["records"])
        return good

    def _train(self, trajectory: States, within: States, good: Good | None, inside: Good | None, last: int) -> Records:
        """An epoch's records go with its state, which is checked first: no store holds experts that are none."""
        way, saved = self._way(), time.monotonic()
        begun = self._begun(way, trajectory, within, good, inside, last)
        records, students = [*begun.extra["records"]], (Students(begun.tree, None),)
        with contextlib.closing(way.course(students, begun.step, last, begun.extra.get("so_far"))) as steps:
            for seen in steps:
                epoch, is_kept = seen.step // self._steps, False
                if seen.report:
                    records.append(course.records(epoch, seen.report))
                    self._check(seen.students.state, records[-1:])
                    if is_kept := self._is_kept(epoch, last, records):
                        self._save(trajectory, epoch, seen, {"records": [*records]})
                stopped = self._tell(seen, records[-1])
                if not is_kept and (stopped or self._agreed(time.monotonic() - saved >= self._watch.seconds)):
                    self._check(seen.students.state, records[-1:])
                    self._save(within, seen.step, seen, {"records": [*records], "so_far": seen.so_far()})
                    saved = time.monotonic()
                if stopped:
                    raise stopped
        return records

    def _save(self, where: States, step: int, seen: Seen, extra: dict[str, Any]) -> None:
        state = mesh.fetch(seen.students.state)
        if self._mine:
            where.save(step, state, extra)

    def _agreed(self, own: bool) -> bool:
        return processes.first_says(own) if self._together else own

    def _is_kept(self, epoch: int, last: int, records: Records) -> bool:
        return epoch == last or self._keeping.wants(epoch, self.places, records)

    def _check(self, state: State, records: Records) -> None:
        course.check(self._task.settings, self.recipe, self.places, state, records)

    def _way(self) -> Resident | Streamed:
        given, how = (self._program, self._members, self._task.dataset, self._normalizer), self._task
        return Streamed(*given, how.settings.epochs, self._compute) if how.is_streamed else Resident(*given)

    def _begun(
        self,
        way: Resident | Streamed,
        trajectory: States,
        within: States,
        good: Good | None,
        inside: Good | None,
        last: int,
    ) -> Good:
        """The newest state up to an epoch by its step: that of an epoch, a later one, or the first of all."""
        if inside and (not good or inside.step > good.step * self._steps):
            return inside
        if self._mine:
            within.clear()  # of a training that is over
        if good:
            return good._replace(step=good.step * self._steps)
        students = self._program.initialize((self._members,))
        first = [course.records(0, way.look(students))]
        if self._is_kept(0, last, first):
            self._save(trajectory, 0, Seen(0, students[0], None), {"records": [*first]})
        return Good(0, students[0].state, {"records": first})

    def _tell(self, seen: Seen, records: list[dict[str, Any]]) -> errors.Interrupted | None:
        """Say where the training is; what is given back is to be raised once the state is saved."""
        stopped = None
        try:
            if seen.pace:
                self._watch.on_window(seen.pace)
            if seen.report:
                self._watch.on_epoch(seen.step // self._steps, records)
        except errors.Interrupted as asked:
            stopped = asked
        if self._agreed(stopped is not None):
            return stopped or errors.Interrupted("stopped with the first process; the same commands go on from there")
