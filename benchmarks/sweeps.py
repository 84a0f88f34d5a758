"""Sweeps of configs/ as a run plans them, with hard labels, so that no experts need to be trained."""

import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsoft import config, data
from jaxsoft.data import normalize
from jaxsoft.experiment import run
from jaxsoft.experiment.inputs.prepare import prepare
from jaxsoft.experiment.plan import make as planning
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.students.waves import wave_program
from jaxsoft.labels.bank import LogitBank
from jaxsoft.training.ensemble import Program, pad
from jaxsoft.training.evaluate import EvalSet
from jaxsoft.training.fit import Bank, Member
from jaxsoft.types import Dataset, Split

CONFIGS = Path(__file__).parents[1] / "configs"


def settings(name: str, argument: str | None = None, changes: dict[str, Any] | None = None) -> config.Settings:
    """Those of `configs/<name>.py` with its argument, some of them changed; keys are dotted."""
    tree = runpy.run_path(str(CONFIGS / f"{name}.py"))["get_config"](argument)
    with tree.ignore_type():  # a range where there was a tuple
        tree.update_from_flattened_dict(changes or {})
    return config.read(tree)


def dataset(settings: config.Settings) -> Dataset:
    """What settings name; of a set whose size is known one of that size, black, that takes no memory."""
    of = settings.data
    return data.stand_in(of.name, validation=of.validation, side=of.resize) or run.load(settings)


class Wave(NamedTuple):
    """The first wave of a sweep with hard labels, ready to be trained.

    Attributes:
      plan: of the whole sweep.
      program: of the wave's buckets, not compiled yet.
      bank, evals, members: on the devices.
    """

    plan: Plan
    program: Program
    bank: Bank
    evals: tuple[EvalSet, ...]
    members: tuple[Member, ...]


class _NoExperts:
    """What stands for the experts where all labels are hard: they are asked for nothing."""

    def __init__(self, how: str, dataset: Dataset):
        self.normalizer = normalize.fit(how, dataset.train.images)
        self.classes = dataset.num_classes

    def logits(self, split: Split, ids: np.ndarray, epochs: Sequence[int]) -> LogitBank:
        return LogitBank(np.zeros((1, 0, len(ids), self.classes), np.float32), (), ids, split.labels[ids])


def wave(settings: config.Settings, dataset: Dataset) -> Wave:
    """Plan a sweep as a run does, and put its first wave on the devices."""
    plan = planning.make(settings, dataset, None, {})
    experts: Any = _NoExperts(settings.data.normalize, dataset)
    read = prepare(plan, settings, dataset, experts)
    parts = [jax.tree.map(lambda a, s=slice(*span): a[s], m) for m, span in zip(read.members, plan.waves[0])]
    program, padded = wave_program(plan, settings), [pad(m, b.members) for m, b in zip(parts, plan.buckets_of())]
    (bank, evals), members = program.place((read.bank, read.evals), tuple(padded))
    return Wave(plan, program, bank, evals, members)
