"""Which images each student reads: one table for each way and seed, of which smaller subsets are the first columns."""

import inspect
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int32

from jaxsoft import config, rng
from jaxsoft.experiment import checks
from jaxsoft.experiment.experts import Experts
from jaxsoft.experiment.sweep import MemberSpec
from jaxsoft.types import Dataset


class Draw(NamedTuple):
    """What a table of images is drawn from; `ipc` is 0 where subsets of all sizes are parts of one table."""

    select: str
    seed: int
    ipc: int = 0


def draw_of(member: MemberSpec, settings: config.Settings) -> Draw:
    """The draw of a member's images; the paper's protocol draws anew for every IPC."""
    return Draw(member.select, member.subset_seed, member.ipc if settings.protocol == "paper" else 0)


def draw_tables(
    members: Sequence[MemberSpec], settings: config.Settings, dataset: Dataset, experts: Experts
) -> dict[Draw, Int[np.ndarray, "K I"]]:
    """For every draw, positions in train by class."""
    largest: dict[Draw, int] = {}
    for m in members:
        draw = draw_of(m, settings)
        largest[draw] = max(largest.get(draw, 0), m.ipc)
    ways = {select: checks.selection(select) for select in dict.fromkeys(draw.select for draw in largest)}
    needy = {s for s, choose in ways.items() if "difficulty" in inspect.signature(choose).parameters}
    hard = {"difficulty": difficulty(experts, dataset)} if needy else {}
    tables = {}
    for draw, ipc in largest.items():
        key = rng.key(draw.seed, rng.Stream.SUBSET, *([draw.ipc] if draw.ipc else []))
        given = hard if draw.select in needy else {}
        tables[draw] = np.asarray(ways[draw.select](dataset.train.labels, ipc, key=key, **given))
    return tables


class Subset(NamedTuple):
    """What tells the images of one member from those of another; `without` is -1 where no class is left out."""

    select: str
    seed: int
    ipc: int
    without: int


def subset_of(member: MemberSpec) -> Subset:
    """The subset that a member reads; many members share it."""
    return Subset(member.select, member.subset_seed, member.ipc, member.without)


def draw_images(
    members: Sequence[MemberSpec], settings: config.Settings, dataset: Dataset, experts: Experts
) -> dict[Subset, Int32[np.ndarray, "_"]]:
    """Positions in train of the images of every subset, class by class."""
    tables, images = draw_tables(members, settings, dataset, experts), {}
    for m in members:
        if (subset := subset_of(m)) not in images:
            table = tables[draw_of(m, settings)]
            there = [c for c in range(len(table)) if c != m.without]
            images[subset] = table[there, : m.ipc].ravel().astype(np.int32)
    return images


def difficulty(experts: Experts, dataset: Dataset) -> Float[np.ndarray, "N"]:
    """Cross-entropy of expert 0 after its last epoch on every training image, in nats."""
    stored = experts.normalizer.store(dataset.train.images)
    logits = experts.cohorts[0].logits(experts.normalizer, stored, [experts.settings.epochs])[0, 0].astype(np.float64)
    shifted = logits - logits.max(1, keepdims=True)
    return np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(logits)), dataset.train.labels]
