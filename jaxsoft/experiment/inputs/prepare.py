"""What students read, put together: shared banks of images and label rows, evaluation sets, and each member's places.

Members hold indices into two shared banks, never copies: the images that any subset uses, and one finished row for
each (label spec, image).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsoft import config
from jaxsoft.experiment.inputs import rows, subsets
from jaxsoft.experiment.learned.learn import LearningProgress
from jaxsoft.experiment.plan import make
from jaxsoft.experiment.plan.plan import Plan, PlannedBucket
from jaxsoft.experiment.teach.experts import Experts, make_bank
from jaxsoft.training.evaluate import EvalSet, eval_set
from jaxsoft.training.fit import Bank, Member
from jaxsoft.types import Dataset


class Inputs(NamedTuple):
    """What students read: the banks, the evaluation sets of every chunk, the test set, and members by bucket."""

    bank: Bank
    evals: tuple[EvalSet, ...]
    test: EvalSet
    members: tuple[Member, ...]


def prepare(
    plan: Plan,
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: Path | None = None,
    on_progress: Callable[[LearningProgress], None] = lambda _: None,
) -> Inputs:
    """Draw the subsets, ask the experts, finish the labels.

    Args:
      plan: with resolved label specs.
      settings: which images, the protocol, how students augment, how labels are learned.
      dataset: all three splits.
      experts: of whom the label specs speak.
      folder: of the run, where learned labels are kept; nowhere if not given.
      on_progress: called at each look at labels in learning.
    """
    images = subsets.draw_images(plan.members, settings, dataset, experts)
    labels = rows.finish_rows(plan.members, images, settings, dataset, experts, folder, on_progress)
    used = np.unique(np.concatenate(list(images.values())))
    places = {subset: np.searchsorted(used, ids).astype(np.int32) for subset, ids in images.items()}
    read = [places[m.subset] for m in plan.members]
    normalizer = experts.normalizer
    bank = make_bank(normalizer, normalizer.store(dataset.train.images[used]), labels.rows)
    members = tuple(_stacked(plan, bucket, read, labels.places) for bucket in plan.buckets)
    splits, at_a_time = (dataset.validation, dataset.test), plan.evaluation_batch()
    validation, test = (eval_set(normalizer.store(s.images), s.labels, at_a_time) for s in splits)
    # What stands first chooses the checkpoint: the test set only in the paper's protocol, as the authors did.
    evals = {"sealed": (validation,), "paper": (test, validation), "both": (validation, test)}[settings.protocol]
    return Inputs(bank, evals, test, members)


def _stacked(plan: Plan, bucket: PlannedBucket, images: Sequence[np.ndarray], rows: Sequence[np.ndarray]) -> Member:
    """The members of a bucket as arrays; what follows a member's own slots is never read."""
    each, recipe = [plan.members[i] for i in bucket.members], bucket.recipe

    def filled(values: Sequence[np.ndarray]) -> np.ndarray:
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
    )
    return Member(**arrays)
