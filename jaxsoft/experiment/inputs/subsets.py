"""Which images each student reads: one table for each way and seed, of which smaller subsets are the first columns."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Int32
from scipy.special import log_softmax

from jaxsoft import config, rng
from jaxsoft.distilled import pool
from jaxsoft.experiment.plan import selections, sweep, trials
from jaxsoft.experiment.plan.sweep import Draw, MemberSpec, Subset
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.types import Dataset


def draw_tables(
    members: Sequence[MemberSpec], settings: config.Settings, dataset: Dataset, experts: Experts | None
) -> dict[Draw, Int[np.ndarray, "K I"]]:
    """For every draw, positions in the pool by class; what they say is asked of the experts once, if at all."""
    tables, named, asked = {}, functools.cache(selections.selection), functools.cache(selections.asked_of_expert)
    whole, reads = pool.of(dataset), functools.cache(selections.reads_pool)
    said = functools.cache(lambda name: {"difficulty": difficulty, "embeddings": embeddings}[name](experts, dataset))
    for draw, ipc in sweep.largest_ipc(members, settings.protocol).items():
        choose = named(draw.select)
        given = {name: said(name) for name in asked(draw.select)} | ({"pool": whole} if reads(draw.select) else {})
        key = rng.key(draw.seed, rng.Stream.SUBSET, *([draw.ipc] if draw.ipc else []))
        table = choose(dataset.train.labels, ipc, key=key, **given)
        tables[draw] = trials.check_table(draw.select, table, dataset.train.labels, ipc)
    return tables


def draw_images(
    members: Sequence[MemberSpec], settings: config.Settings, dataset: Dataset, experts: Experts | None
) -> dict[Subset, Int32[np.ndarray, "_"]]:
    """Positions in the pool, which begins with train, of the images of every subset, class by class."""
    tables, images = draw_tables(members, settings, dataset, experts), {}
    for m in members:
        if m.subset not in images:
            table = tables[m.draw(settings.protocol)]
            there = [c for c in range(len(table)) if c != m.without]
            images[m.subset] = table[there, : m.ipc].ravel().astype(np.int32)
    return images


def difficulty(experts: Experts | None, dataset: Dataset) -> Float[np.ndarray, "N"]:
    """Cross-entropy of expert 0 after its last epoch on every training image, in nats."""
    assert experts is not None  # a selection by difficulty needs some
    said = log_softmax(experts.last_logits(dataset).astype(np.float64), axis=1)
    return -said[np.arange(len(said)), dataset.train.labels]


def embeddings(experts: Experts | None, dataset: Dataset) -> Float[np.ndarray, "N D"]:
    """What the last layer of expert 0, after its last epoch, is given of every training image."""
    assert experts is not None  # as above
    return experts.last_embeddings(dataset)
