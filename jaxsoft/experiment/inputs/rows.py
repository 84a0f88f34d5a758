"""Finished label rows: where the labels of each spec come from is one line of `PLACES`.

Most labels belong to an image: one row for each (label spec, form, image), whoever uses it. Those of views, learned ones and
what depends on who else is in a subset belong to an image of one subset, and are kept subset by subset.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float32, Int, Int32

from jaxsoft import config, errors
from jaxsoft.data.encoded import taken
from jaxsoft.distilled import pool
from jaxsoft.experiment.inputs.views import view_labels
from jaxsoft.experiment.learned.judges import JudgingProgress, priors
from jaxsoft.experiment.learned.learn import LearningProgress, learn_labels
from jaxsoft.experiment.learned.one import ImageSet
from jaxsoft.experiment.plan.sweep import MemberSpec, Subset
from jaxsoft.experiment.teach import imported
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels.bank import LogitBank, finished, label_rows
from jaxsoft.labels.committee import judged_by
from jaxsoft.labels.given import check_known, given_by_digest
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.labels.treatments import Label
from jaxsoft.training.recipe import wanted
from jaxsoft.types import Dataset

Images = Int32[np.ndarray, "_"]  # subsets differ in size
OnProgress = Callable[[LearningProgress | JudgingProgress], None]


class Asked(NamedTuple):
    """Labels that students read: their spec, with the prior that experts give a committee, and whose images they are of."""

    text: str
    form: str  # what the losses want of them, `row` or `label_logits`
    spec: LabelSpec
    augment: str  # what their views go through
    subsets: Sequence[Subset]


class Rows(NamedTuple):
    """Finished rows, and for each subset that asked the row of each of its images, the first of several."""

    rows: Float32[np.ndarray, "R K"]
    starts: Sequence[Int[np.ndarray, "_"]]


@dataclass(frozen=True)
class Desk:
    """All that labels are made of, as `finish_rows` was given it; what several specs ask for is made once, when asked."""

    members: Sequence[MemberSpec]
    images: Mapping[Subset, Images]
    settings: config.Settings
    dataset: Dataset
    experts: Experts
    folder: Path | None
    on_progress: OnProgress

    def asked(self) -> Iterator[Asked]:
        """Every label spec in every form, and of views of every augmentation, that some member reads, in the order of members."""
        whose: dict[tuple[str, str, str], dict[Subset, None]] = {}
        for m in self.members:
            whose.setdefault((m.labels, m.form, m.seen), {})[m.subset] = None
        for (text, form, augment), subsets in whose.items():
            yield Asked(text, form, self.specs[text], augment, [*subsets])

    @functools.cached_property
    def specs(self) -> dict[str, LabelSpec]:
        """By their texts."""
        specs = {text: LabelSpec.parse(text) for text in dict.fromkeys(m.labels for m in self.members)}
        asked = {text: spec for text, spec in specs.items() if spec.prior == "experts"}
        return specs | {text: judged_by(spec, self.experts.histories) for text, spec in asked.items()}

    @functools.cached_property
    def used(self) -> Images:
        """The images of all subsets, ascending."""
        return np.unique(np.concatenate(list(self.images.values())))

    @functools.cached_property
    def sets(self) -> dict[Subset, ImageSet]:
        """Subsets as those take them who draw for them."""
        return {subset: ImageSet(np.array(subset.seed, np.int32), ids) for subset, ids in self.images.items()}

    @functools.cached_property
    def pool(self) -> pool.Pool:
        """All images that students may read."""
        return pool.of(self.dataset)

    @functools.cached_property
    def bank(self) -> LogitBank:
        """What the experts say about every image, at the epochs that labels of images ask for."""
        epochs = {s.epoch for s in self.specs.values() if s.epoch is not None and not s.is_of_subset}
        return self.experts.logits(self.pool, self.used, sorted(epochs))

    @functools.cached_property
    def given(self) -> dict[str, Label]:
        """Rows of one's own, by digest."""
        return given_by_digest(self.settings.sweep.labels)

    @functools.cached_property
    def learned(self) -> dict[Subset, Any]:
        """The labels of every subset that has learned ones."""
        whose = {m.subset: self.sets[m.subset] for m in self.members if self.specs[m.labels].is_learned}
        found = learn_labels(*self.around, list(whose.values()), self.folder, self.on_progress)
        return dict(zip(whose, found))

    @functools.cached_property
    def said(self) -> Callable[[str, str], Label]:
        """What a teacher from elsewhere, by name and digest, says about every image."""

        @functools.cache
        def ask(name: str, digest: str) -> Label:
            teacher = imported.read(name, self.settings.data.root, digest)
            logits = teacher.logits(taken(self.pool.images, self.used))
            return Label(np.asarray(jax.nn.softmax(logits)), logits)

        return ask

    @property
    def around(self) -> tuple[config.Settings, Dataset, Experts]:
        """Under which settings, of which images, by whom labels are made."""
        return self.settings, self.dataset, self.experts

    def weighed(self, spec: LabelSpec, subsets: Iterable[Subset]) -> list[tuple[LabelSpec, ImageSet]]:
        """A spec for each subset, with numbers for the prior of a committee that students give."""
        pairs = [(spec, self.sets[subset]) for subset in subsets]
        if spec.prior != "students":
            return pairs
        form = "label_logits" if "label_logits" in wanted(self.settings.student.loss) else "row"

        def rows(spec: LabelSpec, subset: ImageSet) -> Float32[np.ndarray, "R K"]:
            (label,) = view_labels([(spec, subset)], self.settings.student.augment, *self.around)
            return self.treated(spec, form, label, np.asarray(subset.images))

        found = priors(*self.around, pairs, rows, self.folder, self.on_progress)
        return [(own, subset) for own, (_, subset) in zip(found, pairs)]

    def treated(self, spec: LabelSpec, form: str, label: Label, images: Images) -> Float32[np.ndarray, "R K"]:
        """The operations of a spec on labels of images, several of each where they are of views."""
        classes = self.pool.labels[images]
        whose = (np.repeat(each, spec.rows_per_image) for each in (classes, images))
        return np.asarray(finished(spec, form, label, *whose))

    def by_image(self, asked: Asked, rows: Float32[np.ndarray, "R K"]) -> Rows:
        """Rows of every image, as all subsets share them."""
        return Rows(rows, [np.searchsorted(self.used, self.images[subset]) for subset in asked.subsets])

    def by_subset(self, asked: Asked, labels: Iterable[Label]) -> Rows:
        """Labels of one subset after the other, treated."""
        parts, starts, each, begin = [], [], asked.spec.rows_per_image, 0
        for subset, label in zip(asked.subsets, labels, strict=True):
            images = self.images[subset]
            parts.append(self.treated(asked.spec, asked.form, label, images))
            starts.append(begin + np.arange(len(images)) * each)
            begin += len(parts[-1])
        return Rows(np.concatenate(parts), starts)


def of_online(asked: Asked, desk: Desk) -> Rows:
    """Experts who are asked at every step: there are no rows, and none is read."""
    none = np.zeros((0, desk.dataset.num_classes), np.float32)
    return Rows(none, [np.zeros(len(desk.images[subset]), np.int32) for subset in asked.subsets])


def of_learning(asked: Asked, desk: Desk) -> Rows:
    """Labels that are learned for their subset."""
    return desk.by_subset(asked, (Label(desk.learned[subset]) for subset in asked.subsets))


def of_subsets(asked: Asked, desk: Desk) -> Rows:
    """Networks that are asked about views, or about images together with others of their subset."""
    weighed = desk.weighed(asked.spec, asked.subsets)
    return desk.by_subset(asked, view_labels(weighed, asked.augment, *desk.around))


def of_given(asked: Asked, desk: Desk) -> Rows:
    """Rows of one's own, of images that they know."""
    row, logits = desk.given[asked.spec.rows]
    check_known(asked.text, row, [desk.images[subset] for subset in asked.subsets])
    label = Label(row[desk.used], None if logits is None else logits[desk.used])
    return desk.by_image(asked, desk.treated(asked.spec, asked.form, label, desk.used))


def of_distilled(asked: Asked, desk: Desk) -> Rows:
    """The labels of an imported set, by slot: whoever the j-th image of a class is."""
    own, places = desk.dataset.sets[asked.spec.weights], desk.pool.places(asked.spec.weights)
    rows = desk.treated(asked.spec, asked.form, own.label, places)
    classes = [desk.pool.labels[desk.images[subset]] for subset in asked.subsets]
    return Rows(rows, [own.slots(each) for each in classes])


def of_imported(asked: Asked, desk: Desk) -> Rows:
    """A teacher from elsewhere, asked about images as they are."""
    label = desk.said(asked.spec.imported, asked.spec.weights)
    return desk.by_image(asked, desk.treated(asked.spec, asked.form, label, desk.used))


def of_experts(asked: Asked, desk: Desk) -> Rows:
    """Experts, asked about images as they are; and true classes, whatever experts would say."""
    return desk.by_image(asked, np.asarray(label_rows(asked.spec, desk.bank, asked.form)))


PLACES: tuple[tuple[Callable[[LabelSpec], Any], Callable[[Asked, Desk], Rows]], ...] = (
    (lambda spec: spec.online, of_online),
    (lambda spec: spec.is_learned, of_learning),
    (lambda spec: spec.is_of_subset, of_subsets),
    (lambda spec: spec.rows, of_given),
    (lambda spec: spec.imported, of_imported),
    (lambda spec: spec.distilled, of_distilled),
    (lambda spec: True, of_experts),
)
"""Whose labels come from where; the first that fits a spec."""


def _check_finite(
    asked: Asked, desk: Desk, rows: Float32[np.ndarray, "R K"], starts: Sequence[Int[np.ndarray, "_"]]
) -> None:
    """Refuse logits that are read and that no loss can learn from."""
    for subset, first in zip(asked.subsets, starts if asked.form == "label_logits" else ()):
        read = rows[first[:, None] + np.arange(asked.spec.rows_per_image)]
        if (bad := ~np.isfinite(read).all((1, 2))).any():
            image, way_on = desk.images[subset][bad.argmax()], "smooth rows before `log`, or take `as_logits`"
            told = f"makes logits of train image {image} that are not finite, as the logarithm of 0 is"
            raise errors.ConfigError(f"config.sweep.labels: '{asked.text}' {told}; {way_on}")


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
    desk = Desk(members, images, settings, dataset, experts, folder, on_progress)
    parts, places, begin = [np.zeros((0, dataset.num_classes), np.float32)], {}, 0
    for asked in desk.asked():
        rows, starts = next(made for fits, made in PLACES if fits(asked.spec))(asked, desk)
        _check_finite(asked, desk, rows, starts)
        first = begin if len(rows) else 0
        what = asked.text, asked.form, asked.augment
        places |= {(*what, s): first + own for s, own in zip(asked.subsets, starts, strict=True)}
        parts.append(rows)
        begin += len(rows)
    return np.concatenate(parts), [places[m.labels, m.form, m.seen, m.subset] for m in members]
