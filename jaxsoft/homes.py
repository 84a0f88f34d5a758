"""Where results lie, and what they came from: in memory, or in a run folder that is read when it is asked."""

import contextlib
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsoft import config, errors
from jaxsoft.data import arrays, chosen, normalize
from jaxsoft.data.normalize import Normalizer
from jaxsoft.experiment import run
from jaxsoft.experiment.inputs.prepare import Inputs, prepare
from jaxsoft.experiment.plan import stored
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.experiment.students import kept
from jaxsoft.experiment.students.waves import WaveProgress
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels import given
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training.ensemble import Students
from jaxsoft.training.fit import State, initialize
from jaxsoft.types import Dataset


class Memory(NamedTuple):
    """Where results are that no folder keeps.

    `learned` are the files that a run folder would have of learned labels; `students` the networks of each wave at each
    look that is kept.
    """

    settings: config.Settings
    dataset: Dataset
    experts: Experts
    inputs: Inputs
    learned: dict[str, bytes]
    students: dict[tuple[int, int], tuple[Students, ...]]

    @property
    def normalizer(self) -> Normalizer:
        return self.experts.normalizer

    def keep(self, seen: WaveProgress) -> None:
        """Copy what is to be kept of a wave after a chunk, as `kept.write` takes it."""
        which = self.settings.keep.students
        if which == "all":
            self.students[seen.wave, seen.done] = tuple(_copied(s, s.state.variables) for s in seen.students)
        if which != "none" and seen.done == seen.chunks:
            self.students[seen.wave, 0] = tuple(_copied(s, s.best and s.best.variables) for s in seen.students)

    def variables(self, plan: Plan, place: int, look: int) -> Any:
        """Of a member, by its place in the plan, at a look from 1 on, or of the chosen checkpoint, 0."""
        bucket, seat = plan.seats[place]
        wave = next(w for w, ranges in enumerate(plan.waves) if seat in range(*ranges[bucket]))
        if (wave, look) not in self.students:
            keep = "all" if look else "best"
            raise errors.ConfigError(
                f"there are no students of look {look}; train_students(..., keep={keep!r}) keeps them"
            )
        state, seat = self.students[wave, look][bucket].state, seat - plan.waves[wave][bucket][0]
        if state.bad_step[seat] >= 0:
            raise errors.ConfigError(
                f"student {plan.keys[place]} failed at step {state.bad_step[seat]}: it is not kept"
            )
        return jax.tree.map(lambda a: a[seat], state.variables)


def _copied(students: Students, variables: Any) -> Students:
    return Students(State(*jax.device_get((variables, (), students.state.bad_step))), None)


class Stored:
    """Where results are that a run folder keeps; everything is read when it is asked for."""

    def __init__(self, folder: RunFolder, settings: config.Settings, dataset: Dataset | None, experts: Experts | None):
        self.folder, self._settings, self._own_dataset, self.own_experts = folder, settings, dataset, experts

    @functools.cached_property
    def settings(self) -> config.Settings:
        """With the rows and positions of the user's own that they name."""
        return given.ask_functions(given.read_rows(chosen.read(self._settings)), self.dataset)

    @functools.cached_property
    def dataset(self) -> Dataset:
        found, way_on = self._own_dataset, "give Results.load the dataset= that it was trained on"
        if found is None:
            try:
                found = run.load(self._settings)
            except errors.JaxsoftError as problem:
                raise type(problem)(
                    f"the dataset of {self.folder.path} cannot be loaded: {problem}; {way_on}"
                ) from None
        dataset, began = arrays.checked(found), stored.plan(self.folder)
        if began and (there := began["identity"]["data"]["fingerprint"]) != dataset.fingerprint:
            told = f"other data than {dataset.name}: fingerprint {there} there, {dataset.fingerprint} now"
            raise errors.DataError(f"the run in {self.folder.path} was trained on {told}; {way_on}")
        return dataset

    @functools.cached_property
    def normalizer(self) -> Normalizer:
        return normalize.fit(self._settings.data.normalize, self.dataset.train.images)

    @functools.cached_property
    def experts(self) -> Experts:
        store = run.store_of(self._settings, self.folder)
        return self.own_experts or run.found_experts(self._settings, self.dataset, store)

    @functools.cached_property
    def inputs(self) -> Inputs:
        plan, known = stored.as_begun(self.folder), given.rows_by_digest(self.settings.sweep.labels)
        for text in dict.fromkeys(member.labels for member in plan.members):
            if (rows := LabelSpec.parse(text).rows) and rows not in known:
                raise errors.DataError(f"label spec '{text}': its rows have changed, or are not at hand")
        return prepare(resolved(plan, self.settings), self.settings, self.dataset, self.experts, self.folder.path)

    def variables(self, plan: Plan, place: int, look: int) -> Any:
        """Of a member, by its place in the plan, at a look from 1 on, or of the chosen checkpoint, 0."""
        if not kept.members(self.folder.path, look):
            way_on = f"--config.keep.students={'all' if look else 'best'} keeps those that it trains from then on"
            raise errors.CheckpointError(f"{self.folder.path} keeps no students of look {look}; {way_on}")
        like = None
        with contextlib.suppress(errors.ConfigError):  # its module is not here: names and numbers are
            recipe = plan.buckets[plan.seats[place][0]].recipe
            like = jax.eval_shape(functools.partial(initialize, recipe, plan.image_shape), np.int32(0)).variables
        return kept.read(self.folder.path, plan.keys[place], look, like)


def resolved(plan: Plan, settings: config.Settings) -> Plan:
    """The plan, whose members select by the positions of the user's own that settings hold."""
    own = {str(text): text for text in (settings.select, *settings.sweep.select) if isinstance(text, chosen.Indices)}
    members = (dataclasses.replace(member, select=own.get(member.select, member.select)) for member in plan.members)
    return dataclasses.replace(plan, members=tuple(members)) if own else plan
