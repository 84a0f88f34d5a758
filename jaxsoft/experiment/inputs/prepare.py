"""What students read, put together: shared banks of images and label rows, evaluation sets, and each member's places.

Members hold indices into two shared banks, never copies: the images that any subset uses, and finished label rows. Most
labels belong to an image: one row for each (label spec, image), whoever uses it. Labels of views and learned labels
belong to an image of one subset, and are kept subset by subset.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, Int, Int32

from jaxsoft import config, errors
from jaxsoft.experiment.inputs import subsets
from jaxsoft.experiment.inputs.maps import feature_tables
from jaxsoft.experiment.inputs.views import online_teachers, view_labels
from jaxsoft.experiment.learned.judges import JudgingProgress, priors
from jaxsoft.experiment.learned.learn import LearningProgress, learn_labels
from jaxsoft.experiment.learned.one import ImageSet
from jaxsoft.experiment.plan import make
from jaxsoft.experiment.plan.plan import Plan, PlannedBucket
from jaxsoft.experiment.plan.sweep import MemberSpec, Subset
from jaxsoft.experiment.teach import imported
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels.bank import finished, label_rows
from jaxsoft.labels.given import check_known, given_by_digest
from jaxsoft.labels.priors import judged_by
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.labels.treatments import Label
from jaxsoft.training.evaluate import EvalSet, eval_set
from jaxsoft.training.fit import Bank, Member, make_bank
from jaxsoft.training.recipe import wanted
from jaxsoft.types import Dataset

Images = Int32[np.ndarray, "_"]  # subsets differ in size
OnProgress = Callable[[LearningProgress | JudgingProgress], None]


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
    classes = dataset.train.labels[used].astype(np.int32) if wanted else None
    teachers = online_teachers({m.labels for m in plan.members}, experts)
    tables, maps = feature_tables(plan.members, images, dataset, experts)
    bank = make_bank(normalizer, normalizer.store(dataset.train.images[used]), rows, classes, teachers, tables)
    members = tuple(_stacked(plan, bucket, read, starts, maps) for bucket in plan.buckets)
    splits, at_a_time = (dataset.validation, dataset.test), plan.evaluation_batch()
    validation, test = (eval_set(normalizer.store(s.images), s.labels, at_a_time) for s in splits)
    # What stands first chooses the checkpoint: the test set only in the paper's protocol, as the authors did.
    evals = {"sealed": (validation,), "paper": (test, validation), "both": (validation, test)}[settings.protocol]
    return Inputs(bank, evals, test, members)


def finish_rows(
    members: Sequence[MemberSpec],
    images: Mapping[Subset, Images],
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: Path | None = None,
    on_progress: OnProgress = lambda _: None,
) -> tuple[Float32[np.ndarray, "R K"], list[Int[np.ndarray, "_"]]]:
    """Ask the experts, learn what is to be learned, and treat all of it as the label specs say.

    Returns:
      Rows, and for each member the row of each of its images (the first of several, where labels are of views).
    """
    used = np.unique(np.concatenate(list(images.values())))
    asked: dict[tuple[str, str], list[Subset]] = {}
    for text, form, subset in dict.fromkeys((m.labels, m.form, m.subset) for m in members):
        asked.setdefault((text, form), []).append(subset)
    specs = {text: judged_by(LabelSpec.parse(text), experts.histories) for text, _ in asked}
    epochs = {spec.epoch for spec in specs.values() if spec.epoch is not None and not spec.is_of_subset}
    bank = experts.logits(dataset.train, used, sorted(epochs))
    sets = {subset: ImageSet(np.array(subset.seed, np.int32), ids) for subset, ids in images.items()}
    unknown = {m.subset: sets[m.subset] for m in members if specs[m.labels].is_learned}
    given_by = settings, dataset, experts
    found = learn_labels(*given_by, list(unknown.values()), folder, on_progress)
    learned, given = dict(zip(unknown, found)), given_by_digest(settings.sweep.labels)
    said = functools.cache(functools.partial(_said, settings.data.root, dataset.train.images, used))
    parts, places, begin = [np.zeros((0, dataset.num_classes), np.float32)], {}, 0
    for (text, form), whose in asked.items():
        spec = specs[text]
        if not spec.is_of_subset:
            if spec.rows:
                check_known(text, given[spec.rows].row, [images[subset] for subset in whose])
            label = _of(given[spec.rows], used) if spec.rows else said(spec.imported, spec.weights)
            parts.append(_treated(spec, form, label, bank.classes, used) if label else label_rows(spec, bank, form))
            places |= {(text, form, subset): begin + np.searchsorted(used, images[subset]) for subset in whose}
            begin += len(used)
            continue
        if spec.online:
            places |= {(text, form, subset): np.zeros(len(images[subset]), np.int32) for subset in whose}
            continue
        if spec.is_learned:
            labels = (Label(learned[subset]) for subset in whose)
        else:
            pairs = _weighed([(spec, sets[subset]) for subset in whose], *given_by, folder, on_progress)
            labels = view_labels(pairs, *given_by)
        for subset, label in zip(whose, labels, strict=True):
            parts.append(_treated(spec, form, label, dataset.train.labels[images[subset]], images[subset]))
            places[text, form, subset] = begin + np.arange(len(images[subset])) * spec.rows_per_image
            begin += len(parts[-1])
    rows = np.concatenate(parts)
    _check_finite(rows, places, specs, images)
    return rows, [places[m.labels, m.form, m.subset] for m in members]


def _check_finite(
    rows: Float32[np.ndarray, "R K"],
    places: Mapping[tuple[str, str, Subset], Int[np.ndarray, "_"]],
    specs: Mapping[str, LabelSpec],
    images: Mapping[Subset, Images],
) -> None:
    """Refuse logits that no loss can learn from."""
    for (text, form, subset), first in places.items():
        read = (
            rows[first[:, None] + np.arange(specs[text].rows_per_image)] if form == "label_logits" else rows[:0, None]
        )
        if (bad := ~np.isfinite(read).all((1, 2))).any():
            told = f"makes logits of train image {images[subset][bad.argmax()]} that are not finite, as the logarithm of 0 is"
            raise errors.ConfigError(
                f"config.sweep.labels: '{text}' {told}; smooth rows before `log`, or take `as_logits`"
            )


def _weighed(
    pairs: Sequence[tuple[LabelSpec, ImageSet]],
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: Path | None,
    on_progress: OnProgress,
) -> Sequence[tuple[LabelSpec, ImageSet]]:
    """The same, with numbers for the prior of a committee that students give."""
    if pairs[0][0].prior != "students":
        return pairs
    form = "label_logits" if "label_logits" in wanted(settings.student.loss) else "row"

    def rows(spec: LabelSpec, subset: ImageSet) -> Float32[np.ndarray, "R K"]:
        (label,) = view_labels([(spec, subset)], settings, dataset, experts)
        return _treated(spec, form, label, dataset.train.labels[subset.images], np.asarray(subset.images))

    found = priors(settings, dataset, experts, pairs, rows, folder, on_progress)
    return [(spec, subset) for spec, (_, subset) in zip(found, pairs)]


def _said(root: str, images: Any, which: Images, name: str, digest: str) -> Label | None:
    """What a teacher from elsewhere says about some images; None without one."""
    if not name:
        return None
    logits = imported.read(name, root, digest).logits(images[which])
    return Label(np.asarray(jax.nn.softmax(logits)), logits)


def _of(label: Label, which: Int[np.ndarray, "R"]) -> Label:
    """The labels of some images."""
    return Label(label.row[which], None if label.logits is None else label.logits[which])


def _treated(
    spec: LabelSpec, form: str, label: Label, classes: Int[np.ndarray, "S"], images: Images
) -> Float32[np.ndarray, "R K"]:
    """The operations of a spec on given labels, several of each image where labels are of views."""
    whose = (np.repeat(each, spec.rows_per_image) for each in (classes, images))
    return np.asarray(finished(spec, form, label, *whose))


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
