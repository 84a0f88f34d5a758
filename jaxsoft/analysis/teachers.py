"""What a report says of the teacher: its course with the chosen epochs, and real images with the labels it gives them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from jaxsoft.analysis.findings import Choice
from jaxsoft.analysis.reading.read import Examples, Run, labeller
from jaxsoft.analysis.showing import words
from jaxsoft.analysis.showing.chart import BLUE, ORANGE, PALETTE, Chart, Panel, Series, Upright, cut, spread
from jaxsoft.analysis.showing.page import Section

_IMAGES, _EPOCHS, _BARS = 5, 4, 5
_SIDE = 54  # of an image, in points
_TOLD = {"val_accuracy": ("validation, %", BLUE), "label_entropy": ("label entropy, nats", ORANGE)}


def sections(run: Run, choices: Sequence[Choice]) -> list[Section]:
    """The sections of one run folder, as far as it holds them."""
    told = {e: expert["history"] for e, expert in enumerate(run.teachers.get("experts", [])) if expert["history"]}
    experts = {e: pd.DataFrame(history).reindex(columns=["epoch", *_TOLD]) for e, history in told.items()}
    found = [_course(run, experts, choices)] if experts else []
    return found + ([_labels(run.examples, labeller(run))] if run.examples is not None else [])


def _course(run: Run, experts: Mapping[int, pd.DataFrame], choices: Sequence[Choice]) -> Section:
    """Validation accuracy and label entropy of the experts by epoch, one line each, chosen epochs marked."""
    chosen = {c.epoch: [d.ipc for d in choices if d.epoch == c.epoch] for c in choices if c.epoch is not None}
    texts = {epoch: f"IPC {', '.join(map(str, ipcs))}" for epoch, ipcs in chosen.items()}
    names, panels = _names(run, list(experts)), []
    kinds = list(dict.fromkeys(names))
    for name, (axis, colour) in _TOLD.items():
        known = [history.dropna(subset=[name]) for history in experts.values()]
        points = [(own["epoch"].tolist(), own[name].astype(float).tolist()) for own in known]
        colours = {kind: PALETTE[i % len(PALETTE)] for i, kind in enumerate(kinds)} if kinds[1:] else {names[0]: colour}
        lines = [Series(n, x, y, "band", colour=colours[n], marker=",") for n, (x, y) in zip(names, points)]
        marks = [Upright(epoch, text if name == "label_entropy" else "") for epoch, text in texts.items()]
        at = "teacher epoch (0 is the initialisation)"
        panels.append(Panel([*lines, *marks], axis, at, log=False, height=1.8, from_zero=True))
    caption = (
        f"{len(experts)} expert{'s' * (len(experts) > 1)} by epoch. Dashed: the epochs chosen, with their budgets."
    )
    told = run.teachers.get("warnings")
    caption += "".join(f" {line}." for line in told) if isinstance(told, list) else ""
    return Section(_title(list(experts.values())), [Chart("teacher", panels, caption, "", across=1)])


def _names(run: Run, experts: Sequence[int]) -> list[str]:
    """What the lines of experts are called: by number, and by architecture where it differs; by that alone where there
    are more experts than colours. One expert needs no name."""
    models = run.teachers.get("teacher", {}).get("models") or []
    kinds = [models[e].partition("(")[0] if e < len(models) else "" for e in experts]
    if len(experts) == 1 or len(experts) > len(PALETTE):
        return kinds
    return [f"expert {e}" + (f", {kind}" if len({*kinds}) > 1 else "") for e, kind in zip(experts, kinds)]


def _title(experts: Sequence[pd.DataFrame]) -> str:
    """What the experts reach on validation at their last epoch, and how the entropy of their labels goes, in the mean."""
    known = [own["label_entropy"].to_numpy(float)[[0, -1]] for history in experts if len(own := history.dropna())]
    if not known:
        return "How the teacher learned"
    held = [history["val_accuracy"].dropna().to_numpy(float) for history in experts]
    last = [float(values[-1]) for values in held if len(values)]
    reached = f"The teacher reaches {words.percent(last[0])} % on validation"
    if len(last) > 1:
        reached = f"The experts reach {words.percent(min(last))} to {words.percent(max(last))} % on validation"
    first, final = map(words.number, np.mean(known, 0))
    return f"{reached}; label entropy goes from {first} to {final} nats{' on average' if len(known) > 1 else ''}"


def _labels(examples: Examples, who: str = "the teacher") -> Section:
    """Real images, each with the label that an expert gives it after a few epochs; the true class in orange."""
    epochs = examples.epochs.tolist()
    title = f"What {who} says of single images at epoch {epochs[0]}"
    title += f" and at epoch {epochs[-1]}" if len(epochs) > 1 else ""
    names = words.named([examples.class_names[k] for k in examples.labels])
    alt = f"Images of the classes {names} beside bars of class probabilities at several teacher epochs."
    images = spread(len(examples.images), _IMAGES)
    shown = [examples.images[n] for n in images]
    bars = min(_BARS, len(examples.class_names))
    chosen = spread(len(examples.epochs), _EPOCHS)
    # For each image the true class and those that matter, the same in every column so that a bar can be followed.
    weight = examples.probabilities[chosen].mean(0)
    weight[np.arange(len(weight)), examples.labels] = np.inf
    top = [np.sort(np.argsort(-weight[n], kind="stable")[:bars]) for n in images]
    height = 1.0 * len(images) + 0.3

    foot = len(images) * (bars + 1) - 1.3

    def pictures(axes: Axes) -> None:
        """Each image in the middle of its bars, its pixels square, whatever the shape of the panel."""
        for row, pixels in enumerate(shown):
            square = pixels if pixels.shape[-1] in (3, 4) else pixels[..., 0]
            box = OffsetImage(square, zoom=_SIDE / max(square.shape[:2]), cmap="gray", interpolation="nearest")
            axes.add_artist(AnnotationBbox(box, (0.5, row * (bars + 1) + (bars - 1) / 2), frameon=False, pad=0))
        axes.axis("off")
        axes.set(xlim=(0, 1), ylim=(foot, -0.7))

    def column(p: int):
        def draw(axes: Axes) -> None:
            places = np.concatenate([np.arange(bars) + row * (bars + 1) for row in range(len(images))])
            values = np.concatenate([100 * examples.probabilities[p, n, k] for n, k in zip(images, top)])
            true = np.concatenate([k == examples.labels[n] for n, k in zip(images, top)])
            axes.barh(places, values, color=np.where(true, ORANGE, BLUE), height=0.75)
            axes.set_xlim(0, 100)
            axes.set_xticks([0, 50, 100])
            first = [cut(examples.class_names[c], 11) for k in top for c in k] if p == chosen[0] else []
            axes.set_yticks(places if first else [], first)
            axes.tick_params(length=0, labelsize=8)
            axes.grid(axis="y", visible=False)
            axes.set_ylim(foot, -0.7)

        return draw

    panels = [Panel([pictures], "", "", height=height)]
    panels += [Panel([column(p)], "", "probability, %", f"epoch {examples.epochs[p]}", height=height) for p in chosen]
    others = f"the {bars - 1} likeliest others in blue" if bars < len(examples.class_names) else "the others in blue"
    caption = f"Real images and the labels that {who} gives them; the true class in orange, {others}."
    return Section(title, [Chart("labels", panels, caption, "", alt, across=len(panels))])
