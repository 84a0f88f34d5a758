"""What students read, put together: shared banks of images and label rows, evaluation sets, and each member's places.

Members hold indices into two shared banks, never copies: the images that any subset uses, and finished label rows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsoft import config
from jaxsoft.distilled import pool
from jaxsoft.experiment.inputs import subsets
from jaxsoft.experiment.inputs.maps import feature_tables
from jaxsoft.experiment.inputs.rows import OnProgress, finish_rows
from jaxsoft.experiment.inputs.views import online_teachers
from jaxsoft.experiment.plan import make
from jaxsoft.experiment.plan.plan import Plan, PlannedBucket
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.training.evaluate import EvalSet, Pieces, eval_set
from jaxsoft.training.fit import Bank, Member, make_bank
from jaxsoft.types import Dataset


class Inputs(NamedTuple):
    """What students read: the banks, the evaluation sets of every chunk, the test set, and members by bucket."""

    bank: Bank
    evals: tuple[EvalSet, ...]
    test: Pieces
    members: tuple[Member, ...]


def prepare(
    plan: Plan,
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: Path | None = None,
    on_progress: OnProgress = lambda _: None,
) -> Inputs:
    """Draw the subsets, ask the experts, finish the labels.

    Args:
      plan, settings, dataset, experts: who reads, under which protocol, from which images, and whom labels come from.
      folder: of the run, where learned labels are kept; nowhere if not given.
      on_progress: called at each look at labels in learning, and as students judge the experts of committees.
    """
    images = subsets.draw_images(plan.members, settings, dataset, experts)
    rows, starts = finish_rows(plan.members, images, settings, dataset, experts, folder, on_progress)
    used = np.unique(np.concatenate(list(images.values())))
    places = {subset: np.searchsorted(used, ids) for subset, ids in images.items()}
    read = [places[m.subset] for m in plan.members]
    normalizer = experts.normalizer
    wanted = any(bucket.recipe.reads_class for bucket in plan.buckets)
    whole = pool.of(dataset)
    classes = whole.labels[used].astype(np.int32) if wanted else None
    teachers = online_teachers({m.labels for m in plan.members}, experts)
    tables, maps = feature_tables(plan.members, images, dataset, experts)
    bank = make_bank(normalizer, normalizer.store_beyond(whole.images[used]), rows, classes, teachers, tables)
    members = tuple(_stacked(plan, bucket, read, starts, maps) for bucket in plan.buckets)
    # What stands first chooses the checkpoint: the test set only in the paper's protocol, as the authors did.
    seen = {"sealed": ("validation",), "paper": ("test", "validation"), "both": ("validation", "test")}
    splits, at_a_time = (getattr(dataset, name) for name in seen[settings.protocol]), plan.evaluation_batch()
    evals = tuple(eval_set(normalizer.store_beyond(s.images), s.labels, at_a_time) for s in splits)
    return Inputs(bank, evals, Pieces(dataset.test, normalizer, at_a_time), members)


def _stacked(
    plan: Plan, bucket: PlannedBucket, images: Sequence[np.ndarray], rows: Sequence[np.ndarray], maps: Sequence[Any]
) -> Member:
    """The members of a bucket as arrays; what follows a member's own slots is never read."""
    each, recipe = [plan.members[i] for i in bucket.members], bucket.recipe

    def filled(values: Sequence[Any]) -> np.ndarray:
        table = np.zeros((len(each), recipe.slots), np.int32)
        for line, i in zip(table, bucket.members):
            line[: len(values[i])] = values[i]
        return table

    arrays: dict[str, Any] = dict(
        seed=np.array([m.seed for m in each], np.int32),
        images=filled(images),
        rows=filled(rows),
        slots=np.array([m.slots(recipe.num_classes) for m in each], np.int32),
        learning_rate=np.array([m.learning_rate for m in each], np.float32),
        weight_decay=np.array([m.weight_decay for m in each], np.float32),
        steps=np.array([make.member_steps(m, recipe) for m in each], np.int32),
        subset_seed=np.array([m.subset_seed for m in each], np.int32),
        features=filled(maps) if recipe.features else None,
    )
    return Member(**arrays)
