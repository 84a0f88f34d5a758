"""Labels that are learned for the subsets of a run: who learns together, what is seen on the way, and what is kept.

The run folder gets `learned.npz`, the finished labels, and `learned.json`, their story. Both are written after every
group of subsets, so that a run that is resumed learns only what is missing.
"""

import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxsoft import config, errors, files, metrics, numerics, sources
from jaxsoft.experiment import memory
from jaxsoft.experiment.cohort import make_bank
from jaxsoft.experiment.experts import Experts
from jaxsoft.experiment.folder import RunFolder, write_file
from jaxsoft.labels.bank import digest, label_rows
from jaxsoft.labels.smoothing import smooth_to
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import cost, learned, learners
from jaxsoft.training.evaluate import eval_set
from jaxsoft.training.fit import Recipe
from jaxsoft.training.learned import Material, Subset
from jaxsoft.types import Dataset

Keyed = tuple[tuple[int, ...], Int[np.ndarray, "_ _"]]
"""A subset: what it was drawn from, its seed first, and the positions of its images in train."""

_NO_ROOM = (
    "out of memory while the labels of {} subsets were learned; lower config.compute.memory_gb to learn fewer at once, or "
    "config.learned.students, judges, window_steps or meta_batch"
)
LABELS, STORY = "learned.npz", "learned.json"
_MOST_POOLED = 5  # experts, in the labels that learned ones are compared with


class Progress(NamedTuple):
    """What is told at each look: outer steps behind, of all, summed over groups; and this group's mean accuracy."""

    done: int
    outer_steps: int
    val_accuracy: float
    hard_val_accuracy: float


class Kept(NamedTuple):
    """Finished labels of one subset, in slot order, and their story as JSON can hold it."""

    labels: Float[np.ndarray, "S K"]
    story: dict[str, Any]


class References(NamedTuple):
    """Label specs of pooled experts, and their rows for the images of some subsets."""

    specs: tuple[str, ...]
    rows: Float[np.ndarray, "A M S K"]


def learn_labels(
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    subsets: Sequence[Keyed],
    folder: Path | None = None,
    look: Callable[[Progress], None] = lambda _: None,
) -> list[Float[np.ndarray, "_ K"]]:
    """Learn the labels of subsets, or read those that the folder has; subsets of equal size are learned at once.

    Args:
      settings: `learned`, `student.model`, and how much memory.
      dataset: train is learned from, validation judges, test is not used.
      experts: of whose pooled labels the learned ones' distance is measured; nothing is learned from them.
      subsets: whose labels; the table of each may have any shape.
      folder: the run folder.
      look: called at each look; may raise to stop.

    Returns:
      For each subset soft labels [S, K] in the order of `table.ravel()`.

    Raises:
      ConfigError: settings that do not fit each other or the data.
      CheckpointError: what the folder has cannot be read.
    """
    check(settings, dataset, [table.size for _, table in subsets])
    keys = [_key(settings, dataset, experts, subset) for subset in subsets]
    everyone = dict(zip(keys, subsets))
    shapes = {key: (table.size, dataset.num_classes) for key, (_, table) in everyone.items()}
    kept = _read(folder, shapes) if folder else {}
    groups = list(_groups(settings, dataset, everyone))  # also of those that are kept: groups must not change with them
    for turn, group in enumerate(groups):
        if all(key in kept for key in group):
            continue
        together = [(key, everyone[key]) for key in group]
        try:
            kept |= _learn_group(settings, dataset, experts, together, turn, len(groups), look)
        except jax.errors.JaxRuntimeError as problem:
            if "RESOURCE_EXHAUSTED" not in str(problem):
                raise
            raise errors.ConfigError(_NO_ROOM.format(len(together))) from None
        if folder:
            _write(folder, settings, kept)
    return [kept[key].labels for key in keys]


def check(settings: config.Settings, dataset: Dataset, sizes: Sequence[int]) -> None:
    """Find what does not fit, before anything is learned; sizes count the images of each subset.

    Raises:
      ConfigError: which setting, and what would fit.
    """
    for size in sizes:
        learned.check(settings.learned, len(dataset.train), size)
    epoch, last = settings.learned.reference_epoch, settings.teacher.epochs
    if epoch > last:
        raise errors.ConfigError(f"config.learned.reference_epoch expects int <= {last}, teacher.epochs, got {epoch}")


def recipe_of(settings: config.Settings, num_classes: int, slots: int) -> Recipe:
    """How the students train on whose way labels are learned; float32, as gradients of gradients lose digits."""
    how = settings.learned
    batch = min(how.batch, slots)
    return Recipe(settings.student.model, num_classes, slots, batch, how.optimizer, how.schedule, how.augment)


def _groups(settings: config.Settings, dataset: Dataset, subsets: dict[str, Any]) -> Iterator[list[str]]:
    """Keys of subsets of equal size, as many at once as fit in memory, and evenly."""
    sizes = {key: table.size for key, (_, table) in subsets.items()}
    for size in dict.fromkeys(sizes.values()):
        alike = [key for key in sizes if sizes[key] == size]
        recipe = recipe_of(settings, dataset.num_classes, size)
        each = learners.subset_bytes(settings.learned, recipe, dataset.image_shape)
        most = max(1, memory.budget_bytes(settings) // jax.process_count() // each)
        most = math.ceil(len(alike) / math.ceil(len(alike) / most))
        alike += alike[-1:] * (-len(alike) % most)  # one program serves all groups; the last one is filled up
        yield from (alike[start : start + most] for start in range(0, len(alike), most))


def _learn_group(
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    group: Sequence[tuple[str, Keyed]],
    turn: int,
    turns: int,
    look: Callable[[Progress], None],
) -> dict[str, Kept]:
    """Learn the labels of subsets of one size, and judge hard and pooled experts' labels beside them."""
    tables: dict[str, Any] = dict(
        seed=np.array([name[0] for _, (name, _) in group], np.int32),
        slots=np.stack([table.ravel() for _, (_, table) in group]).astype(np.int32),
    )
    subsets = Subset(**tables)
    recipe = recipe_of(settings, dataset.num_classes, tables["slots"].shape[1])
    common = settings.learned, recipe, _material(dataset, experts, recipe), subsets
    lowering, steps = settings.compute.lowering, learned.outer_steps(settings.learned)
    classes = dataset.train.labels[tables["slots"]]
    hard_rows = np.eye(dataset.num_classes, dtype=np.float32)[classes]
    references = _references(settings, dataset, experts, tables["slots"])
    hard, *judged = (learners.judge(*common, rows, lowering) for rows in (hard_rows, *references.rows))
    pooled = [References(references.specs, references.rows[:, m]) for m in range(len(group))]
    told, labels = [], np.zeros(0)
    for seen in learners.learn(*common, lowering):
        labels = seen.labels
        told.append([_told(seen, m, pooled[m], classes[m]) for m in range(len(group))])
        means = float(seen.val_accuracy.mean()), float(hard.mean())
        look(Progress(turn * steps + seen.outer_step, turns * steps, *means))
    kept = {}
    for m, (key, (name, table)) in enumerate(group):
        story = {
            "key": key,
            "sha256": digest({"labels": labels[m]}),
            "subset": list(name),
            "ipc": int(np.bincount(dataset.train.labels[table.ravel()]).max()),
            "hard_val_accuracy": _rounded(hard[m]),
            "val_accuracy": told[-1][m]["val_accuracy"],
            "references": [
                {"labels": spec, "val_accuracy": _rounded(a[m]), "entropy": _mean(metrics.entropy, rows)}
                for spec, a, rows in zip(references.specs, judged, pooled[m].rows)
            ],
            "looks": [look[m] for look in told],
        }
        kept[key] = Kept(labels[m], story)
    return kept


def _told(seen: learners.Look, m: int, references: References, classes: Int[np.ndarray, "S"]) -> dict[str, Any]:
    """One look at one subset; beside its labels the true classes, each smoothed to the same entropy."""
    labels, loss = seen.labels[m], float(seen.meta_loss[m])
    smooth = smooth_to(classes, np.asarray(metrics.entropy(jnp.asarray(labels))), labels.shape[-1])
    apart, smoothed = (
        {spec: _mean(metrics.js_divergence, own, rows) for spec, rows in zip(references.specs, references.rows)}
        for own in (labels, smooth.astype(np.float32))
    )
    return {
        "outer_step": seen.outer_step,
        "meta_loss": _rounded(loss) if math.isfinite(loss) else None,
        "val_accuracy": _rounded(seen.val_accuracy[m]),
        "judges": int(seen.judges[m]),
        "entropy": _mean(metrics.entropy, labels),
        "divergence": apart,
        "smoothed_divergence": smoothed,
    }


def _material(dataset: Dataset, experts: Experts, recipe: Recipe) -> Material:
    train, validation, normalizer = dataset.train, dataset.validation, experts.normalizer
    bank = make_bank(normalizer, normalizer.store(train.images), np.zeros((0, recipe.num_classes), np.float32))
    at_a_time = cost.evaluation_batch(recipe, dataset.image_shape)
    held_out = eval_set(normalizer.store(validation.images), validation.labels, at_a_time)
    classes: Any = train.labels.astype(np.int32)
    return Material(bank, classes, held_out)


def _references(
    settings: config.Settings, dataset: Dataset, experts: Experts, slots: Int[np.ndarray, "M S"]
) -> References:
    """What 1, 2, ... pooled experts say of the subsets' images."""
    epoch = settings.learned.reference_epoch or experts.settings.epochs
    pools = range(1, min(_MOST_POOLED, experts.settings.experts) + 1)
    specs = [LabelSpec.parse(f"teachers({n}, epoch={epoch})") for n in pools]
    used, place = np.unique(slots, return_inverse=True)
    bank = experts.logits(dataset.train, used, [epoch])
    rows = [np.asarray(label_rows(spec, bank))[place.reshape(slots.shape)] for spec in specs]
    return References(tuple(map(str, specs)), np.stack(rows))


def _key(settings: config.Settings, dataset: Dataset, experts: Experts, subset: Keyed) -> str:
    """A hash over what determines the labels of a subset and their story."""
    own = config.as_dict(settings.learned), settings.student.model, settings.data.normalize
    name, table = subset
    code = sources.engine(), numerics.identity(), recipe_of(settings, dataset.num_classes, 1).code()
    text = json.dumps([own, dataset.fingerprint, experts.key, *code, name, np.asarray(table).tolist()])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _write(folder: Path, settings: config.Settings, kept: dict[str, Kept]) -> None:
    file = io.BytesIO()
    arrays: dict[str, Any] = {key: one.labels for key, one in kept.items()}
    np.savez(file, allow_pickle=False, **arrays)
    write_file(folder / LABELS, file.getvalue())
    told = {"model": settings.student.model, "settings": config.as_dict(settings.learned)}
    RunFolder(folder).write_json(STORY, {**told, "subsets": [one.story for one in kept.values()]})


def _read(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> dict[str, Kept]:
    """What is finished: its labels and its story are there. Others' shapes than of these subsets are not known."""
    if not ((folder / LABELS).exists() and (folder / STORY).exists()):
        return {}
    try:
        stories = {story["key"]: story for story in RunFolder(folder).read_json(STORY)["subsets"]}
        with files.opened(folder / LABELS) as file, np.load(file, allow_pickle=False) as stored:
            kept = {key: Kept(stored[key], stories[key]) for key in stored.files if key in stories}
        for key, one in kept.items():
            _check_kept(one, shapes.get(key))
        return kept
    except errors.CheckpointError:
        raise
    except Exception as problem:  # damage can surface anywhere in the zip and array readers
        reason = errors.shown(f"{type(problem).__name__}: {problem}".splitlines()[0])
        raise errors.CheckpointError(
            f"cannot read the learned labels {folder / LABELS} ({reason}); "
            f"delete it and {STORY} and run the same command again"
        ) from None


def _check_kept(kept: Kept, shape: tuple[int, int] | None) -> None:
    """Labels are those that their story speaks of; an earlier version's stories have no digest of them."""
    rows = kept.labels
    if rows.dtype != np.float32 or rows.ndim != 2 or (shape and rows.shape != shape):
        raise ValueError(f"labels of {rows.dtype} and shape {rows.shape}, expected float32 and {shape}")
    if not (rows >= 0).all() or not np.allclose(rows.sum(1), 1, atol=1e-3):
        raise ValueError("rows that are no distributions")
    if kept.story.get("sha256") not in (None, digest({"labels": rows})):
        raise ValueError("the labels are not what was saved")


def _mean(metric: Callable[..., Any], *labels: Float[np.ndarray, "S K"]) -> float:
    return _rounded(metric(*map(jnp.asarray, labels)).mean())


def _rounded(value: Any) -> float:
    return round(float(value), 6)
