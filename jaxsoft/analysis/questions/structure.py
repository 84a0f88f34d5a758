"""What do the labels know beside the true class, and how does it change while the teacher learns?

Asked whenever a run kept samples of its labels (`examples.npz`). Labels are the teacher's, before any treatment.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from jaxsoft.analysis import plots, structure, words
from jaxsoft.analysis.page import Picture, Section
from jaxsoft.analysis.questions import _parts
from jaxsoft.analysis.read import Examples, LabelSample, Run
from jaxsoft.analysis.stats import Estimate
from jaxsoft.analysis.table import Table
from jaxsoft.analysis.words import NONE
from jaxsoft.types import Row

ORDER = 90
_MOST_PANELS = 4
_NAMED = 30  # up to so many classes have their names at a matrix
_RANKED = 100  # up to so many classes the effective rank has an interval: beyond, it would take long


class Stage(NamedTuple):
    """The labels of one teacher epoch.

    Of training images: entropy (nats), mass of the likeliest 1 and 5 classes (fractions), effective rank. Of validation
    images: calibration error (fraction), Brier score. Of both: alignment of mean labels with confusions.
    """

    epoch: int
    entropy: Estimate
    top1: Estimate
    top5: Estimate
    rank: Estimate
    alignment: Estimate
    calibration: Estimate
    brier: Estimate


class Kept(NamedTuple):
    """What a run kept of its labels: P epochs, K classes, and samples of two splits [P, N, K]."""

    epochs: tuple[int, ...]
    names: tuple[str, ...]
    train: LabelSample
    validation: LabelSample


def answer(rows: Sequence[Row], runs: Sequence[Run]) -> list[Section]:
    """One section for each teacher whose labels were kept."""
    taught: dict[object, tuple[Run, Kept]] = {}
    for run in runs:
        if found := kept(run.examples):
            taught.setdefault(run.teachers.get("teacher", {}).get("key", run.folder), (run, found))
    several = len(taught) > 1
    sections = []
    for i, (run, labels) in enumerate(taught.values(), 1):
        section = _tell(labels, f"-{i}" if several else "")
        name = f"{words.code(run.folder.name)}: " if several else ""
        sections.append(section._replace(title=name + section.title))
    return sections


def kept(examples: Examples | None) -> Kept | None:
    """The samples of labels, if there are any."""
    if examples is None or examples.train is None or examples.validation is None:
        return None
    return Kept(tuple(examples.epochs.tolist()), examples.class_names, examples.train, examples.validation)


def stages(labels: Kept) -> list[Stage]:
    """The numbers of every epoch, with intervals over images.

    Students learn from labels of training images, so these are described. The teacher has not seen the validation
    images, so its errors on them are the confusions that the labels are compared with.
    """
    train, validation = labels.train, labels.validation
    few = train.probabilities.shape[-1] <= _RANKED
    found = []
    for p, epoch in enumerate(labels.epochs):
        own, held_out = (train.probabilities[p], train.labels), (validation.probabilities[p], validation.labels)
        errors = (structure.predictions(held_out[0]), validation.labels)
        rank = structure.jackknife(lambda q, _: structure.effective_rank(q), own, groups=structure.GROUPS if few else 1)
        found.append(
            Stage(
                epoch,
                _mean(structure.entropies(own[0])),
                _mean(structure.top_mass(own[0], 1)),
                _mean(structure.top_mass(own[0], 5)),
                rank,
                _at_most_one(structure.jackknife(structure.alignment, own, errors)),
                structure.jackknife(structure.calibration_error, held_out),
                _mean(structure.brier(*held_out)),
            )
        )
    return found


def draw_entropies(labels: Kept, found: Sequence[Stage]) -> Figure:
    """How sure the labels are: histograms of entropy, one panel a teacher epoch, training over validation images."""
    shown = np.unique(np.linspace(0, len(found) - 1, min(len(found), _MOST_PANELS)).round().astype(int))
    figure = Figure((plots.WIDTH, 1.15 * len(shown) + 1.1))
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    most = float(np.log(len(labels.names)))
    for axes, p in zip(panels, shown):
        for sample, name, style in (
            (labels.train, "training", {"color": plots.BLUE, "alpha": 0.75}),
            (labels.validation, "validation", {"color": plots.ORANGE, "histtype": "step", "lw": 1.6}),
        ):
            values = structure.entropies(sample.probabilities[p])
            share = np.full(len(values), 100 / len(values))
            title = f"{name} images, n = {len(values):,}"
            axes.hist(np.minimum(values, most), 40, range=(0.0, most), weights=share, label=title, **style)
        axes.axvline(found[p].entropy.mean, color=plots.INK, lw=1.2, ls=(0, (4, 3)))
        axes.set_title(f"epoch {found[p].epoch}: mean {_number(found[p].entropy)} nats", loc="left", fontsize=9)
    panels[-1].set_xlabel(f"entropy of a label, nats (uniform: {most:.2f})")
    figure.supylabel("images, %", fontsize=9.5)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def draw_matrices(labels: Kept, found: Sequence[Stage]) -> Figure:
    """Class by class: the mean label of training images beside the confusions on validation images, early and late."""
    shown = _early_and_late(found)
    named = len(labels.names) <= _NAMED
    figure = Figure((6.4, 2.9 * len(shown) + (0.9 if named else 0.4)))
    panels = figure.subplots(len(shown), 2, squeeze=False)
    for (left, right), p in zip(panels, shown):
        likeness = structure.class_means(labels.train.probabilities[p], labels.train.labels)
        hits = structure.predictions(labels.validation.probabilities[p])
        confusion = structure.class_means(hits, labels.validation.labels)
        _matrix(figure, left, likeness, "mean label, %", labels.names if named else ())
        _matrix(figure, right, confusion, "taken for, % of images", ())
        left.set_title(f"epoch {found[p].epoch}\nlabels of training images", loc="left", fontsize=9)
        right.set_title(f"confusions on validation\nr = {_number(found[p].alignment)}", loc="left", fontsize=9)
        left.set_ylabel("true class")
    for axes in panels[-1]:
        axes.set_xlabel("other class")
    n = f"{len(labels.train.labels):,} training and {len(labels.validation.labels):,} validation images"
    figure.suptitle(f"{n}; diagonals are left blank", x=0.01, ha="left", fontsize=8.5, color=_parts.GREY)
    return figure


def _matrix(figure: Figure, axes: Axes, values: Float[np.ndarray, "K K"], title: str, names: Sequence[str]) -> None:
    """Off-diagonal entries in colour, from the least to the most; by roots, so that small ones show."""
    shown = np.where(structure.off_diagonal(len(values)), 100 * values, np.nan)
    known = shown[np.isfinite(shown)]
    least, most = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    image = axes.imshow(shown, _parts.HEAT, norm=PowerNorm(0.5, least, most if most > least else least + 1.0))
    cut = [name[:10] for name in names]
    axes.set_xticks(range(len(cut)), cut, rotation=90, fontsize=7)
    axes.set_yticks(range(len(cut)), cut, fontsize=7)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02, aspect=25)
    bar.set_label(title, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]


def _tell(labels: Kept, suffix: str) -> Section:
    found = stages(labels)
    caption = (
        "Entropy of single labels by teacher epoch. Dashed: the mean over training images, with its 95 % interval."
    )
    alt = "; ".join(f"epoch {s.epoch}: mean entropy {_number(s.entropy)} nats" for s in found)
    entropy = Picture(f"entropy{suffix}", plots.png(draw_entropies, labels, found), f"Histograms. {alt}.", caption)
    caption = (
        "Which classes labels resemble, and which the teacher takes images for. r: correlation of the two matrices off "
        "their diagonals, corrected for the noise of so few images, with its 95 % interval; – where errors are too few."
    )
    alt = "; ".join(f"epoch {found[p].epoch}: r = {_number(found[p].alignment)}" for p in _early_and_late(found))
    matrices = Picture(
        f"classes{suffix}", plots.png(draw_matrices, labels, found), f"Heat maps, class by class. {alt}.", caption
    )
    return Section(_title(found), [entropy, matrices, _table(found)])


def _title(found: Sequence[Stage]) -> str:
    """How the entropy goes, and whether labels go with the teacher's errors at the last epoch that can tell."""
    first, last = found[0], found[-1]
    told = [stage for stage in found if stage.epoch > 0 and not np.isnan(stage.alignment.low)]
    follows = ""
    if told and told[-1].alignment.low > 0:
        named = told[-1]
        follows = f"; at epoch {named.epoch} they are correlated with the teacher's confusions, r = {_number(named.alignment)}"
    if len(found) == 1:
        return f"The labels of teacher epoch {first.epoch} hold {_number(first.entropy)} nats{follows}"
    if not first.entropy.low > last.entropy.high:  # one image has no interval
        return f"From teacher epoch {first.epoch} to {last.epoch} labels do not lose entropy{follows}"
    lost = 100 * (1 - last.entropy.mean / first.entropy.mean)
    return (
        f"From teacher epoch {first.epoch} to {last.epoch} labels lose {lost:.0f} % of their entropy "
        f"({first.entropy.mean:.2f} to {last.entropy.mean:.2f} nats){follows}"
    )


def _table(found: Sequence[Stage]) -> Table:
    lines = []
    for s in found:
        masses = _number(s.top1, 100.0, 1), _number(s.top5, 100.0, 1)
        held_out = _number(s.calibration, 100.0, 1), _number(s.brier)
        lines.append(
            (str(s.epoch), _number(s.entropy), *masses, _number(s.rank, digits=1), _number(s.alignment), *held_out)
        )
    header = ("epoch", "entropy, nats", "top-1 mass, %", "top-5 mass, %", "effective rank", "alignment r")
    caption = (
        f"Labels by teacher epoch. Entropy, mass and rank: {found[0].entropy.n:,} training images; calibration error "
        f"({structure.BINS} bins of equal mass) and Brier score: {found[0].brier.n:,} validation images; alignment: "
        f"both. 95 % intervals over images, for this one teacher. Effective rank: the directions in which labels differ."
    )
    return Table((*header, "calibration error, %", "Brier score"), lines, caption)


def _early_and_late(found: Sequence[Stage]) -> list[int]:
    """The first epoch at which the teacher has learned anything, and the last."""
    trained = [p for p, stage in enumerate(found) if stage.epoch > 0] or [0]
    return sorted({trained[0], len(found) - 1})


def _mean(values: Float[np.ndarray, "N"]) -> Estimate:
    """The mean over images, and its normal interval."""
    mean, error = float(np.mean(values)), float(scipy.stats.sem(values)) if len(values) > 1 else math.nan
    return Estimate(mean, error, mean - 1.96 * error, mean + 1.96 * error, len(values))


def _at_most_one(value: Estimate) -> Estimate:
    """A correlation that was corrected for noise may come out above 1."""
    return value._replace(mean=min(value.mean, 1.0), low=min(value.low, 1.0), high=min(value.high, 1.0))


def _number(value: Estimate, scale: float = 1.0, digits: int = 2) -> str:
    if np.isnan(value.mean):
        return NONE
    mean, low, high = (
        f"{scale * number:.{digits}f}".replace("-", "−") for number in (value.mean, value.low, value.high)
    )
    return mean if np.isnan(value.low) else f"{mean} [{low}, {high}]"
