"""Labels that are learned for the subsets of a run: who learns together, and what is seen on the way."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxsoft import config, errors, files, numerics, sources
from jaxsoft.experiment.learned import kept, many
from jaxsoft.experiment.learned.kept import Kept
from jaxsoft.experiment.learned.one import ImageSet, Lesson, Material, outer_steps
from jaxsoft.experiment.machine import memory
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels.bank import digest, label_rows
from jaxsoft.labels.smoothing import smooth_to
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.ops import conv
from jaxsoft.training import cost, metrics
from jaxsoft.training.evaluate import eval_set
from jaxsoft.training.fit import make_bank
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset

_MOST_POOLED = 5  # experts, in the labels that learned ones are compared with


class LearningProgress(NamedTuple):
    """What is told at each look: outer steps behind, of all, summed over turns; and this turn's mean accuracy."""

    done: int
    outer_steps: int
    val_accuracy: float
    hard_val_accuracy: float


Pooled = dict[str, Float[np.ndarray, "M S K"]]
"""The labels of subsets as pooled experts give them, by label spec."""
OnProgress = Callable[[LearningProgress], None]


def learn_labels(
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    subsets: Sequence[ImageSet],
    folder: Path | None = None,
    on_progress: OnProgress = lambda _: None,
) -> list[Float[np.ndarray, "_ K"]]:
    """Learn the labels of subsets, those of equal size at once, or read what the folder has; written after every turn.

    Args:
      settings: `learned`, `student.model` and `student.loss`, and how much memory.
      dataset: train is learned from, validation judges, test is not used.
      experts: of whose pooled labels the learned ones' distance is measured; nothing is learned from them.
      folder: of the run; nothing is kept if not given.
      on_progress: called at each look; may raise to stop.

    Returns:
      For each subset soft labels [S, K] in the order of its images.

    Raises:
      ConfigError: settings that do not fit each other or the data.
      CheckpointError: what the folder has cannot be read.
    """
    if not subsets:
        return []
    check(settings, dataset, [len(subset.images) for subset in subsets])
    keys = [_key(settings, dataset, experts, subset) for subset in subsets]
    everyone = dict(zip(keys, subsets))
    shapes = {key: (len(subset.images), dataset.num_classes) for key, subset in everyone.items()}
    found = kept.read(folder, shapes) if folder else {}
    turns = list(_turns(settings, dataset, everyone))  # also of those that are kept: turns must not change with them
    for turn, who in enumerate(turns):
        if all(key in found for key in who):
            continue
        together = [(key, everyone[key]) for key in who]
        try:
            found |= _learn(settings, dataset, experts, together, (turn, len(turns)), on_progress)
        except jax.errors.JaxRuntimeError as problem:
            if "RESOURCE_EXHAUSTED" not in str(problem):
                raise
            raise errors.ConfigError(
                f"out of memory while the labels of {len(set(who))} subsets were learned; lower "
                "config.compute.memory_gb to learn fewer at once, or config.learned.students, judges, window_steps or "
                "meta_batch"
            ) from None
        if folder:
            kept.write(folder, settings, found)
    return [found[key].rows for key in keys]


def check(settings: config.Settings, dataset: Dataset, sizes: Sequence[int]) -> None:
    """Find what does not fit, before anything is learned; sizes count the images of each subset.

    Raises:
      ConfigError: which setting, and what would fit.
    """
    how, images, most, last = settings.learned, len(dataset.train), max(sizes), settings.teacher.epochs
    window, first, whole = how.window_steps, how.first_unroll_steps, how.unroll_steps
    if not window <= first <= whole:
        rule = "config.learned expects window_steps <= first_unroll_steps <= unroll_steps"
        raise errors.ConfigError(f"{rule}, got {window}, {first}, {whole}")
    if most >= images:
        told = f"learned labels: a subset has {most} of {images} training images"
        raise errors.ConfigError(f"{told}, none is left to judge students by; lower config.sweep.ipc")
    if (epoch := how.reference_epoch) > last:
        raise errors.ConfigError(f"config.learned.reference_epoch expects int <= {last}, teacher.epochs, got {epoch}")


def recipe_of(settings: config.Settings, num_classes: int, slots: int) -> Recipe:
    """How the students train on whose way labels are learned; float32, as gradients of gradients lose digits."""
    how = settings.learned
    batch = min(how.batch, slots)
    own = settings.student.model, num_classes, slots, batch, how.optimizer, how.schedule, how.augment
    return Recipe(*own, loss=settings.student.loss)


def _turns(settings: config.Settings, dataset: Dataset, subsets: dict[str, ImageSet]) -> Iterator[list[str]]:
    """Keys of subsets of equal size, as many at once as fit in memory."""

    def most(size: int) -> int:
        recipe = recipe_of(settings, dataset.num_classes, size)
        each = many.subset_bytes(settings.learned, recipe, dataset.image_shape)
        return memory.budget_bytes(settings) // jax.process_count() // each

    return many.turns({key: len(subset.images) for key, subset in subsets.items()}, most)


def _learn(
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    together: Sequence[tuple[str, ImageSet]],
    turn: tuple[int, int],
    on_progress: OnProgress,
) -> dict[str, Kept]:
    """Learn the labels of subsets of one size, and judge hard and pooled experts' labels beside them."""
    subsets = ImageSet(*(np.array(part, np.int32) for part in zip(*(subset for _, subset in together))))
    classes, steps = dataset.train.labels[subsets.images], outer_steps(settings.learned)
    recipe = recipe_of(settings, dataset.num_classes, classes.shape[1])
    given = many.place(lesson(settings, settings.learned, recipe, dataset, experts), subsets)
    hard = many.judge(*given, np.eye(dataset.num_classes, dtype=np.float32)[classes]).accuracy
    pooled = _pooled(settings, dataset, experts, subsets.images)
    judged = {spec: many.judge(*given, rows).accuracy for spec, rows in pooled.items()}
    looks, rows = [], np.zeros(0)
    for seen in many.learn(*given):
        rows, accuracy = seen.rows, seen.judged.accuracy
        looks.append([_told(seen, m, pooled, classes[m]) for m in range(len(together))])
        means = float(accuracy.mean()), float(hard.mean())
        on_progress(LearningProgress(turn[0] * steps + seen.outer_step, turn[1] * steps, *means))
    found = {}
    for m, (key, subset) in enumerate(together):
        story = {
            "key": key,
            "sha256": digest({"labels": rows[m]}),
            "subset": [int(subset.seed)],
            "ipc": int(np.bincount(classes[m]).max()),
            "hard_val_accuracy": _rounded(hard[m]),
            "val_accuracy": looks[-1][m]["val_accuracy"],
            "references": [
                {"labels": spec, "val_accuracy": _rounded(judged[spec][m]), "entropy": _mean(metrics.entropy, own[m])}
                for spec, own in pooled.items()
            ],
            "looks": [look[m] for look in looks],
        }
        found[key] = Kept(rows[m], story)
    return found


def _told(seen: many.Evaluation, m: int, pooled: Pooled, classes: Int[np.ndarray, "S"]) -> dict[str, Any]:
    """One look at one subset; beside its labels the true classes, each smoothed to the same entropy."""
    rows, loss = seen.rows[m], float(seen.meta_loss[m])
    smooth = smooth_to(classes, np.asarray(metrics.entropy(jnp.asarray(rows))), rows.shape[-1])
    apart, smoothed = (
        {spec: _mean(metrics.js_divergence, own, other[m]) for spec, other in pooled.items()}
        for own in (rows, smooth.astype(np.float32))
    )
    return {
        "outer_step": seen.outer_step,
        "meta_loss": _rounded(loss) if math.isfinite(loss) else None,
        "val_accuracy": _rounded(seen.judged.accuracy[m]),
        "judges": int(seen.judged.judges[m]),
        "entropy": _mean(metrics.entropy, rows),
        "divergence": apart,
        "smoothed_divergence": smoothed,
    }


def lesson(
    settings: config.Settings, how: config.Learned, recipe: Recipe, dataset: Dataset, experts: Experts
) -> Lesson:
    """Of all subsets of one size: from all training images, through students whom the validation images judge."""
    normalizer, train, validation = experts.normalizer, dataset.train, dataset.validation
    rows, classes = np.zeros((0, recipe.num_classes), np.float32), train.labels.astype(np.int32)
    given = classes if "true_class" in recipe.wants else None
    bank = make_bank(normalizer, normalizer.store(train.images), rows, given)
    at_a_time = cost.evaluation_batch(recipe, dataset.image_shape)
    held_out = eval_set(normalizer.store(validation.images), validation.labels, at_a_time)
    lowering = conv.stacked(settings.compute.lowering, dataset.image_shape)
    return Lesson(how, recipe, Material(bank, classes, held_out), lowering)


def _pooled(settings: config.Settings, dataset: Dataset, experts: Experts, images: Any) -> Pooled:
    """What 1, 2, ... pooled experts say of the subsets' images."""
    epoch = settings.learned.reference_epoch or experts.settings.epochs
    pools = range(1, min(_MOST_POOLED, experts.settings.experts) + 1)
    specs = [LabelSpec.parse(f"teachers({n}, epoch={epoch})") for n in pools]
    used, place = np.unique(images, return_inverse=True)
    bank = experts.logits(dataset.train, used, [epoch])
    return {str(spec): np.asarray(label_rows(spec, bank))[place.reshape(images.shape)] for spec in specs}


def _key(settings: config.Settings, dataset: Dataset, experts: Experts, subset: ImageSet) -> str:
    """A hash over what determines the labels of a subset and their story."""
    own = config.as_dict(settings.learned), settings.student.model, settings.data.normalize
    code = sources.engine(), numerics.identity(), recipe_of(settings, dataset.num_classes, 1).code()
    who = [int(subset.seed)], np.asarray(subset.images)[:, None].tolist()
    return files.digest([json.dumps([own, dataset.fingerprint, experts.key, *code, *who])])[:12]


def _mean(metric: Callable[..., Any], *rows: Float[np.ndarray, "S K"]) -> float:
    return _rounded(metric(*map(jnp.asarray, rows)).mean())


def _rounded(value: Any) -> float:
    return round(float(value), 6)
