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

from jaxsoft.analysis.reading.read import Examples, LabelSample, Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, HEAT, INK, ORANGE, Chart, Panel, spread
from jaxsoft.analysis.showing.page import Section, Table, table
from jaxsoft.analysis.statistics import structure
from jaxsoft.analysis.statistics.inference import Estimate, estimate

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
    taught: dict[object, tuple[str, Examples, LabelSample, LabelSample]] = {}
    for run in runs:
        kept, key = run.examples, run.teachers.get("teacher", {}).get("key", run.folder)
        if kept and kept.train and kept.validation:
            taught.setdefault(key, (run.folder.name, kept, kept.train, kept.validation))
    sections = []
    for folder, kept, *samples in taught.values():
        found = stages(kept.epochs.tolist(), *samples)
        charts = _entropies(found, *samples), _matrices(found, kept.class_names, *samples)
        title = _title(found, words.code(folder, 20) if len(taught) > 1 else "")
        sections.append(Section(title, [*charts, _table(found, *(len(sample.labels) for sample in samples))]))
    return sections


def stages(epochs: Sequence[int], train: LabelSample, validation: LabelSample) -> list[Stage]:
    """The numbers of every epoch, with intervals over images.

    Students learn from labels of training images, so these are described. The teacher has not seen the validation
    images, so its errors on them are the confusions that the labels are compared with.
    """
    few, found = train.probabilities.shape[-1] <= _RANKED, []
    for epoch, p, q in zip(epochs, train.probabilities, validation.probabilities):
        own, held_out, errors = (p, train.labels), (q, validation.labels), (structure.predictions(q), validation.labels)
        rank = structure.jackknife(lambda p, _: structure.effective_rank(p), own, groups=structure.GROUPS if few else 1)
        aligned = structure.jackknife(structure.alignment, own, errors)
        # A correlation that was corrected for noise may come out above 1.
        aligned = aligned._replace(mean=min(aligned.mean, 1.0), low=min(aligned.low, 1.0), high=min(aligned.high, 1.0))
        entropy, brier = estimate(structure.entropies(p)), estimate(structure.brier(*held_out))
        top1, top5 = (estimate(structure.top_mass(p, k)) for k in (1, 5))
        calibration = structure.jackknife(structure.calibration_error, held_out)
        found.append(Stage(epoch, entropy, top1, top5, rank, aligned, calibration, brier))
    return found


def _table(found: Sequence[Stage], train: int, validation: int) -> Table:
    lines = []
    for s in found:
        line = {"epoch": s.epoch, "entropy, nats": s.entropy, "top-1 mass, %": s.top1, "top-5 mass, %": s.top5}
        line |= {"effective rank": words.interval(s.rank, "{:.1f}".format), "alignment r": s.alignment}
        lines.append({**line, "calibration error, %": s.calibration, "Brier score": s.brier})
    caption = (
        f"Labels by teacher epoch. Entropy, mass and rank: {train:,} training images; calibration error "
        f"({structure.BINS} bins of equal mass) and Brier score: {validation:,} validation images; alignment: "
        "both. 95 % intervals over images, for this one teacher. Effective rank: the directions in which labels differ, of which "
        "intervals were measured to cover 92 to 93 %."
    )
    return table(lines, caption)


def _title(found: Sequence[Stage], of: str = "") -> str:
    """How the entropy goes, and whether labels go with the teacher's errors at the last epoch that can tell."""
    first, last = found[0], found[-1]
    told = [stage for stage in found if stage.epoch > 0 and not np.isnan(stage.alignment.low)]
    start, change = f"From teacher epoch {first.epoch} to {last.epoch} labels", "do not lose entropy"
    if len(found) == 1:
        start, change = f"Labels of teacher epoch {first.epoch}", f"hold {words.number(first.entropy.mean)} nats"
    elif first.entropy.low > last.entropy.high:  # one image has no interval
        change = f"lose {100 * (1 - last.entropy.mean / first.entropy.mean):.0f} % of entropy"
    if told and told[-1].alignment.low > 0:
        change += f"; at {told[-1].epoch} they mirror confusions, r = {words.number(told[-1].alignment.mean)}"
    return f"{f'In {of} labels' if of else start} {change}"


def _entropies(found: Sequence[Stage], train: LabelSample, validation: LabelSample) -> Chart:
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

    means = [f"epoch {s.epoch}: mean {words.interval(s.entropy)} nats" for s in found]
    style = {"y": "images, %", "x": f"entropy of a label, nats (uniform: {most:.2f})", "height": 1.3}
    shown = spread(len(found), _MOST_PANELS)
    panels = [Panel([functools.partial(histogram, p=p)], title=means[p], **style) for p in shown]
    caption = (
        "Entropy of single labels by teacher epoch. Dashed: the mean over training images, with its 95 % interval."
    )
    return Chart("entropy", panels, caption, "", f"Histograms of entropy. {'; '.join(means)}.", across=1)


def _matrices(found: Sequence[Stage], names: Sequence[str], train: LabelSample, validation: LabelSample) -> Chart:
    """Class by class: the mean label of training images beside the confusions on validation images, early and late."""
    trained = [p for p, stage in enumerate(found) if stage.epoch > 0] or [0]
    shown, panels = sorted({trained[0], len(found) - 1}), []
    named = [name[:10] for name in names] if len(names) <= _NAMED else []
    for p in shown:
        likeness = structure.class_means(train.probabilities[p], train.labels)
        confusion = structure.class_means(structure.predictions(validation.probabilities[p]), validation.labels)
        left = functools.partial(_matrix, values=likeness, title="mean label, %", names=named)
        right = functools.partial(_matrix, values=confusion, title="taken for, % of images", names=[])
        title, r = f"epoch {found[p].epoch}\nlabels of training images", words.interval(found[p].alignment)
        panels.append(Panel([left], "true class", "other class", title, height=2.6))
        panels.append(Panel([right], "", "other class", f"confusions on validation\nr = {r}", height=2.6))
    caption = (
        "Which classes labels of training images resemble, and which the teacher takes validation images for. r: correlation "
        "of the two matrices off their diagonals, corrected for the noise of so few images, with its 95 % interval; – where "
        "errors are too few."
    )
    n = f"{len(train.labels):,} training and {len(validation.labels):,} validation images; diagonals are left blank"
    alt = "; ".join(f"epoch {found[p].epoch}: r = {words.interval(found[p].alignment)}" for p in shown)
    return Chart("classes", panels, caption, n, f"Heat maps, class by class. {alt}.")


def _matrix(axes: Axes, values: Float[np.ndarray, "K K"], title: str, names: Sequence[str]) -> None:
    """Off-diagonal entries in colour, from the least to the most; by roots, so that small ones show."""
    shown = np.where(structure.off_diagonal(len(values)), 100 * values, np.nan)
    known = shown[np.isfinite(shown)]
    least, most = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    image = axes.imshow(shown, HEAT, norm=PowerNorm(0.5, least, most if most > least else least + 1.0))
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02, aspect=25)
    bar.set_label(title, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
