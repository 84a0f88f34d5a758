"""What do the labels know beside the true class, and how does it change while the teacher learns?

Asked whenever a run kept samples of its labels (`examples.npz`). Labels are the teacher's, before any treatment.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm

from jaxsoft.analysis import structure, words
from jaxsoft.analysis.chart import BLUE, HEAT, INK, ORANGE, Chart, Panel, spread
from jaxsoft.analysis.inference import Estimate, estimate
from jaxsoft.analysis.page import Section, table
from jaxsoft.analysis.read import Examples, LabelSample, Run

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


def of_runs(runs: Sequence[Run]) -> list[Section]:
    """One section for each teacher whose labels were kept."""
    taught: dict[object, Run] = {}
    for run in runs:
        if run.examples is not None and run.examples.train is not None and run.examples.validation is not None:
            taught.setdefault(run.teachers.get("teacher", {}).get("key", run.folder), run)
    sections = []
    for i, run in enumerate(taught.values(), 1):
        assert run.examples and run.examples.train and run.examples.validation
        suffix = f"-{i}" if len(taught) > 1 else ""
        section = _tell(run.examples, run.examples.train, run.examples.validation, suffix)
        name = f"{words.code(run.folder.name)}: " if len(taught) > 1 else ""
        sections.append(section._replace(title=name + section.title))
    return sections


def stages(epochs: Sequence[int], train: LabelSample, validation: LabelSample) -> list[Stage]:
    """The numbers of every epoch, with intervals over images.

    Students learn from labels of training images, so these are described. The teacher has not seen the validation
    images, so its errors on them are the confusions that the labels are compared with.
    """
    few = train.probabilities.shape[-1] <= _RANKED
    found = []
    for p, epoch in enumerate(epochs):
        own, held_out = (train.probabilities[p], train.labels), (validation.probabilities[p], validation.labels)
        errors = (structure.predictions(held_out[0]), validation.labels)
        rank = structure.jackknife(lambda q, _: structure.effective_rank(q), own, groups=structure.GROUPS if few else 1)
        aligned = structure.jackknife(structure.alignment, own, errors)
        # A correlation that was corrected for noise may come out above 1.
        aligned = aligned._replace(mean=min(aligned.mean, 1.0), low=min(aligned.low, 1.0), high=min(aligned.high, 1.0))
        masses = (estimate(structure.top_mass(own[0], k)) for k in (1, 5))
        calibration = structure.jackknife(structure.calibration_error, held_out)
        entropy, brier = estimate(structure.entropies(own[0])), estimate(structure.brier(*held_out))
        found.append(Stage(epoch, entropy, *masses, rank, aligned, calibration, brier))
    return found


def _tell(examples: Examples, train: LabelSample, validation: LabelSample, suffix: str) -> Section:
    epochs, names = examples.epochs.tolist(), examples.class_names
    found = stages(epochs, train, validation)
    lines = [
        {
            "epoch": s.epoch,
            "entropy, nats": s.entropy,
            "top-1 mass, %": s.top1,
            "top-5 mass, %": s.top5,
            "effective rank": words.interval(s.rank, lambda rank: f"{rank:.1f}"),
            "alignment r": words.interval(s.alignment),
            "calibration error, %": s.calibration,
            "Brier score": s.brier,
        }
        for s in found
    ]
    caption = (
        f"Labels by teacher epoch. Entropy, mass and rank: {len(train.labels):,} training images; calibration error "
        f"({structure.BINS} bins of equal mass) and Brier score: {len(validation.labels):,} validation images; alignment: "
        "both. 95 % intervals over images, for this one teacher. Effective rank: the directions in which labels differ."
    )
    charts = [_entropies(found, train, validation, suffix), _matrices(found, names, train, validation, suffix)]
    return Section(_title(found), [*charts, table(lines, caption)])


def _title(found: Sequence[Stage]) -> str:
    """How the entropy goes, and whether labels go with the teacher's errors at the last epoch that can tell."""
    first, last = found[0], found[-1]
    told = [stage for stage in found if stage.epoch > 0 and not np.isnan(stage.alignment.low)]
    follows = (
        f"; they mirror its confusions, r = {words.number(told[-1].alignment.mean)}"
        if told and told[-1].alignment.low > 0
        else ""
    )
    if len(found) == 1:
        return f"Labels of teacher epoch {first.epoch} hold {words.number(first.entropy.mean)} nats{follows}"
    path = f"From teacher epoch {first.epoch} to {last.epoch}"
    if not first.entropy.low > last.entropy.high:  # one image has no interval
        return f"{path} labels do not lose entropy{follows}"
    lost = 100 * (1 - last.entropy.mean / first.entropy.mean)
    return f"{path} labels lose {lost:.0f} % of their entropy{follows}"


def _entropies(found: Sequence[Stage], train: LabelSample, validation: LabelSample, suffix: str) -> Chart:
    """How sure the labels are: histograms of entropy, one panel a teacher epoch, training over validation images."""
    most = float(np.log(train.probabilities.shape[-1]))
    styles = (
        ("training", train, {"color": BLUE, "alpha": 0.75}),
        ("validation", validation, {"color": ORANGE, "histtype": "step", "lw": 1.6}),
    )

    def histogram(axes: Axes, p: int) -> None:
        for name, sample, style in styles:
            values = structure.entropies(sample.probabilities[p])
            title, share = f"{name} images, n = {len(values):,}", np.full(len(values), 100 / len(values))
            axes.hist(np.minimum(values, most), 40, range=(0.0, most), weights=share, label=title, **style)
        axes.axvline(found[p].entropy.mean, color=INK, lw=1.2, ls=(0, (4, 3)))

    x = f"entropy of a label, nats (uniform: {most:.2f})"
    panels = [
        Panel([functools.partial(histogram, p=p)], "images, %", x, f"epoch {found[p].epoch}: mean {words.interval(found[p].entropy)} nats", height=1.3)
        for p in spread(len(found), _MOST_PANELS)
    ]  # fmt: skip
    caption = (
        "Entropy of single labels by teacher epoch. Dashed: the mean over training images, with its 95 % interval."
    )
    alt = "; ".join(f"epoch {s.epoch}: mean entropy {words.interval(s.entropy)} nats" for s in found)
    return Chart(f"entropy{suffix}", panels, caption, "", f"Histograms. {alt}.", across=1)


def _matrices(
    found: Sequence[Stage], names: Sequence[str], train: LabelSample, validation: LabelSample, suffix: str
) -> Chart:
    """Class by class: the mean label of training images beside the confusions on validation images, early and late."""
    trained = [p for p, stage in enumerate(found) if stage.epoch > 0] or [0]
    shown, panels = sorted({trained[0], len(found) - 1}), []
    named = names if len(names) <= _NAMED else ()
    for p in shown:
        likeness = structure.class_means(train.probabilities[p], train.labels)
        confusion = structure.class_means(structure.predictions(validation.probabilities[p]), validation.labels)
        r, epoch = words.interval(found[p].alignment), found[p].epoch
        left = functools.partial(_matrix, values=likeness, title="mean label, %", names=named)
        right = functools.partial(_matrix, values=confusion, title="taken for, % of images", names=())
        panels.append(Panel([left], "true class", "other class", f"epoch {epoch}, labels", height=2.9))
        panels.append(Panel([right], "", "other class", f"confusions, r = {r}", height=2.9))
    caption = (
        "Which classes labels of training images resemble, and which the teacher takes validation images for. r: correlation "
        "of the two matrices off their diagonals, corrected for the noise of so few images, with its 95 % interval; – where "
        "errors are too few."
    )
    n = f"{len(train.labels):,} training and {len(validation.labels):,} validation images; diagonals are left blank"
    alt = "; ".join(f"epoch {found[p].epoch}: r = {words.interval(found[p].alignment)}" for p in shown)
    return Chart(f"classes{suffix}", panels, caption, n, f"Heat maps, class by class. {alt}.")


def _matrix(axes: Axes, values: Float[np.ndarray, "K K"], title: str, names: Sequence[str]) -> None:
    """Off-diagonal entries in colour, from the least to the most; by roots, so that small ones show."""
    shown = np.where(structure.off_diagonal(len(values)), 100 * values, np.nan)
    known = shown[np.isfinite(shown)]
    least, most = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    image = axes.imshow(shown, HEAT, norm=PowerNorm(0.5, least, most if most > least else least + 1.0))
    cut = [name[:10] for name in names]
    axes.set_xticks(range(len(cut)), cut, rotation=90, fontsize=7)
    axes.set_yticks(range(len(cut)), cut, fontsize=7)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02, aspect=25)
    bar.set_label(title, fontsize=8)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
