"""The label bank of a run: every row that any student reads, and where each student's rows begin.

Most labels belong to an image: one finished row for each (label spec, image), whoever uses it. Labels of views and
learned labels belong to an image of one subset, and are kept subset by subset.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32

from jaxsoft import config
from jaxsoft.experiment.experts import Experts, make_bank
from jaxsoft.experiment.learning import Progress, learn_labels
from jaxsoft.experiment.sweep import MemberSpec
from jaxsoft.labels.bank import LogitBank, label_rows
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import cost, fit
from jaxsoft.training.fit import Bank, Member, Recipe
from jaxsoft.types import Dataset

Images = Int32[np.ndarray, "_"]  # subsets differ in size


class Labels(NamedTuple):
    """Rows, and for each member the row of each of its images (the first of several, where labels are of views)."""

    rows: Float32[np.ndarray, "R K"]
    places: list[Images]


class _Block(NamedTuple):
    """Labels of one subset by one spec, in the order of its images."""

    spec: str
    subset_seed: int
    images: tuple[int, ...]


def finish_labels(
    members: Sequence[MemberSpec],
    images: Sequence[Images],
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: Path | None = None,
    look: Callable[[Progress], None] = lambda _: None,
) -> Labels:
    """Ask the experts, learn what is to be learned, and treat all of it as the label specs say.

    Args:
      members: with resolved label specs.
      images: of each member, positions in train.
      settings: of students, whose augmentation views go through, and of learning.
      dataset: whose training images are labelled.
      experts: of whom the label specs speak.
      folder: of the run, where learned labels are kept; nowhere if not given.
      look: called at each look at labels in learning.
    """
    used = np.unique(np.concatenate(list(images)))
    specs = {text: LabelSpec.parse(text) for text in dict.fromkeys(m.labels for m in members)}
    shared = [text for text, spec in specs.items() if not spec.is_of_subset]
    blocks = {
        _Block(m.labels, m.subset_seed, tuple(ids.tolist())): None
        for m, ids in zip(members, images)
        if specs[m.labels].is_of_subset
    }
    bank = experts.logits(
        dataset.train, used, sorted({s.epoch for s in map(specs.get, shared) if s and s.epoch is not None})
    )
    parts = [label_rows_of(shared, bank).reshape(-1, dataset.num_classes)]
    parts += _of_subsets(list(blocks), specs, settings, dataset, experts, folder, look)
    starts = dict(zip(blocks, np.cumsum([len(part) for part in parts]).tolist()))
    places = []
    for m, ids in zip(members, images):
        if specs[m.labels].is_of_subset:
            start = starts[_Block(m.labels, m.subset_seed, tuple(ids.tolist()))]
            place = start + np.arange(len(ids)) * max(1, specs[m.labels].views)
        else:
            place = shared.index(m.labels) * len(used) + np.searchsorted(used, ids)
        places.append(place.astype(np.int32))
    return Labels(np.concatenate(parts), places)


def label_rows_of(labels: Sequence[str], bank: LogitBank) -> Float32[np.ndarray, "A N K"]:
    """Every label spec's rows for every image of a logit bank."""
    rows = [np.asarray(label_rows(LabelSpec.parse(text), bank)) for text in labels]
    return np.stack(rows) if rows else np.zeros((0, *bank.logits.shape[2:]), np.float32)


def _of_subsets(
    blocks: Sequence[_Block],
    specs: dict[str, LabelSpec],
    settings: config.Settings,
    dataset: Dataset,
    experts: Experts,
    folder: Path | None,
    look: Callable[[Progress], None],
) -> list[Float32[np.ndarray, "R K"]]:
    """The rows of each block: of views as they are asked for, learned ones all at once."""
    wanted = list(dict.fromkeys((b.subset_seed, b.images) for b in blocks if specs[b.spec].is_learned))
    tables = [((seed,), np.array(images, np.int32)[:, None]) for seed, images in wanted]
    learned = dict(zip(wanted, learn_labels(settings, dataset, experts, tables, folder, look)))
    rows = []
    for block in blocks:
        spec, images = specs[block.spec], np.array(block.images, np.int32)
        if spec.is_learned:
            given = learned[block.subset_seed, block.images]
        else:
            given = view_probabilities(spec, settings, dataset, experts, images, block.subset_seed)
        rows.append(_treated(spec, given, dataset.train.labels[images], images))
    return rows


def view_probabilities(
    spec: LabelSpec, settings: config.Settings, dataset: Dataset, experts: Experts, images: Images, subset_seed: int
) -> Float32[np.ndarray, "R K"]:
    """What the pooled experts say about every view of every image of a subset: [S * views, K], views of an image together.

    Args:
      spec: which experts, how pooled, how many views.
      settings: the students', whose augmentation views go through.
      dataset: whose images.
      experts: who are asked.
      images: positions in train.
      subset_seed: of the views.
    """
    normalizer, student = experts.normalizer, settings.student
    recipe = Recipe(
        student.model, dataset.num_classes, len(images), len(images), augment=student.augment, views=spec.views
    )
    bank = make_bank(normalizer, normalizer.store(dataset.train.images[images]), np.zeros((0, dataset.num_classes)))
    everything: dict[str, Any] = dict(images=jnp.arange(len(images)), slots=jnp.int32(len(images)))
    member = Member(jnp.int32(0), rows=None, learning_rate=None, weight_decay=None, steps=None, **everything)  # pyright: ignore
    member = member._replace(subset_seed=jnp.int32(subset_seed))
    slots, numbers = np.divmod(np.arange(len(images) * spec.views, dtype=np.int32), np.int32(spec.views))
    asked = [experts.network(expert, spec.epoch or 0) for expert in spec.experts]
    said = np.stack([_ask(recipe, teacher, variables, bank, member, slots, numbers) for teacher, variables in asked])
    if spec.pool == "logits":
        return np.asarray(jax.nn.softmax(said.mean(0), -1))
    return np.asarray(jax.nn.softmax(said, -1).mean(0))


def _ask(
    recipe: Recipe,
    teacher: Recipe,
    variables: Any,
    bank: Bank,
    member: Member,
    slots: Int[np.ndarray, "R"],
    numbers: Int[np.ndarray, "R"],
) -> Float32[np.ndarray, "R K"]:
    """One expert's logits for views, so many at a time."""
    at_a_time = min(len(slots), cost.evaluation_batch(teacher, bank.images.shape[1:]))
    spare = -len(slots) % at_a_time
    which = np.stack([np.pad(a, (0, spare)).reshape(-1, at_a_time) for a in (slots, numbers)], 1)

    @jax.jit
    def logits(variables: Any, bank: Bank, member: Member, which: Array) -> Array:
        return jax.lax.map(lambda w: teacher.logits(variables, fit.views_of(recipe, bank, member, *w)), which)

    said = np.asarray(logits(variables, bank, member, which))
    return said.reshape(-1, said.shape[-1])[: len(slots)]


def _treated(
    spec: LabelSpec, given: Float[np.ndarray, "R K"], labels: Int[np.ndarray, "S"], images: Images
) -> Float32[np.ndarray, "R K"]:
    """The operations of a spec on given rows, several of each image where labels are of views."""
    each = len(given) // len(labels)
    treat = jax.jit(jax.vmap(spec.treat))
    return np.asarray(treat(jnp.asarray(given), np.repeat(labels, each), np.repeat(images, each)))
