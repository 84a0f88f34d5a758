"""What do the labels know beside the true class, and how does it change while the teacher learns?

Asked whenever a run kept samples of its labels (`examples.npz`). Labels are the teacher's, before any treatment.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm

from jaxsoft.analysis.reading.read import Examples, LabelSample, Run
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, HEAT, INK, ORANGE, Chart, Panel, spread
from jaxsoft.analysis.showing.page import Section, table
from jaxsoft.analysis.statistics import structure
from jaxsoft.analysis.statistics.inference import estimate

ORDER = 90
_MOST_PANELS = 4
_NAMED = 30  # up to so many classes have their names at a matrix
_RANKED = 100  # up to so many classes the effective rank has an interval: beyond, it would take long


Stage = dict[str, Any]  # the labels of one teacher epoch, by the columns of their table


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
        title = _title(found, samples[1], words.code(folder, 20) if len(taught) > 1 else "")
        train, validation = (f"{len(sample.labels):,}" for sample in samples)
        caption = (
            f"Labels by teacher epoch. Entropy, mass and rank: {train} training images; calibration error "
            f"({structure.BINS} bins of equal mass) and Brier score: {validation} validation images; alignment: both. 95 % "
            "intervals over images, for this one teacher. Effective rank: the directions in which labels differ, of which "
            "intervals were measured to cover 92 to 93 %."
        )
        lines = [{**s, "effective rank": words.Shown.of(s["effective rank"], "{:.1f}".format)} for s in found]
        sections.append(Section(title, [*charts, table(lines, caption)]))
    return sections


def stages(epochs: Sequence[int], train: LabelSample, validation: LabelSample) -> list[Stage]:
    """The numbers of every epoch, with intervals over images: of training images entropy, the mass of the likeliest classes
    and the effective rank, of validation images calibration error and Brier score, of both the alignment of mean labels
    with confusions.

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
        top1, top5 = (estimate(structure.top_mass(p, k)) for k in (1, 5))
        line = {"epoch": epoch, "entropy, nats": estimate(structure.entropies(p))}
        line |= {"top-1 mass, %": top1, "top-5 mass, %": top5, "effective rank": rank, "alignment r": aligned}
        line["calibration error, %"] = structure.jackknife(structure.calibration_error, held_out)
        found.append(line | {"Brier score": estimate(structure.brier(*held_out))})
    return found


def _title(found: Sequence[Stage], validation: LabelSample, of: str = "") -> str:
    """How the entropy goes, and whether labels go with the teacher's errors at the last epoch that can tell.

    Where the teacher is at chance on the validation images, or these are so few that it may be, that is not said.
    """
    first, last = (found[i]["entropy, nats"] for i in (0, -1))
    start, change = f"From teacher epoch {found[0]['epoch']} to {found[-1]['epoch']} labels", "do not lose entropy"
    if len(found) == 1:
        start, change = f"Labels of teacher epoch {found[0]['epoch']}", f"hold {words.number(first.mean)} nats"
    elif first.low > last.high:  # one image has no interval
        change = f"lose {100 * (1 - last.mean / first.mean):.0f} % of entropy"
    trained = [(s, p) for s, p in zip(found, validation.probabilities) if s["epoch"] > 0]
    for stage, p in [(s, p) for s, p in trained if not np.isnan(s["alignment r"].low)][-1:]:
        r = stage["alignment r"]
        if r.low > 0 and not structure.is_at_chance(p, validation.labels):
            change += f"; at {stage['epoch']} they mirror confusions, r = {words.number(r.mean)}"
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
        axes.axvline(found[p]["entropy, nats"].mean, color=INK, lw=1.2, ls=(0, (4, 3)))

    means = [f"epoch {s['epoch']}: mean {words.interval(s['entropy, nats'])} nats" for s in found]
    style = {"y": "images, %", "x": f"entropy of a label, nats (uniform: {most:.2f})", "height": 1.3}
    shown = spread(len(found), _MOST_PANELS)
    panels = [Panel([functools.partial(histogram, p=p)], title=means[p], **style) for p in shown]
    caption = "Entropy of single labels by teacher epoch. Dashed: mean over training images, with its 95 % interval."
    return Chart("entropy", panels, caption, "", f"Histograms of entropy. {'; '.join(means)}.", across=1)


def _matrices(found: Sequence[Stage], names: Sequence[str], train: LabelSample, validation: LabelSample) -> Chart:
    """Class by class: the mean label of training images beside the confusions on validation images, early and late."""
    trained = [p for p, stage in enumerate(found) if stage["epoch"] > 0] or [0]
    named, panels, told = [name[:10] for name in names] if len(names) <= _NAMED else [], [], []
    for p in sorted({trained[0], len(found) - 1}):
        likeness = structure.class_means(train.probabilities[p], train.labels)
        confusion = structure.class_means(structure.predictions(validation.probabilities[p]), validation.labels)
        left = functools.partial(_matrix, values=likeness, title="mean label, %", names=named)
        right = functools.partial(_matrix, values=confusion, title="taken for, % of images", names=[])
        epoch, r = found[p]["epoch"], words.interval(found[p]["alignment r"])
        told.append(f"epoch {epoch}: r = {r}")
        title = f"epoch {epoch}\nlabels of training images"
        panels.append(Panel([left], "true class", "other class", title, height=2.6))
        panels.append(Panel([right], "", "other class", f"confusions on validation\nr = {r}", height=2.6))
    caption = (
        "Which classes labels of training images resemble, and which the teacher takes validation images for. r: correlation "
        "of the two matrices off their diagonals, corrected for the noise of so few images, with its 95 % interval; – where "
        "errors are too few."
    )
    n = f"{len(train.labels):,} training and {len(validation.labels):,} validation images; diagonals are left blank"
    return Chart("classes", panels, caption, n, f"Heat maps, class by class. {'; '.join(told)}.")


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
