"""How often do the intervals of a report hold the truth, and how often is a difference told that is none?

  python benchmarks/coverage.py [--trials=400] [--processes=2]

Tables of a known truth are drawn anew for every trial: a unit's images move all its arms alike, and each arm has luck of its
own, on validation and on test, that may be correlated. The truth of what is chosen is the mean of the same statistic over
many more tables. One Markdown table; a range spans settings that differ in how unequal arms and how alike luck are.
"""

import argparse
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.stats
from jaxtyping import Float

from jaxsoft.analysis import findings
from jaxsoft.analysis.questions import swap
from jaxsoft.analysis.statistics import fits, groups, inference, laws, structure, variance, worth
from jaxsoft.analysis.statistics.inference import NOTHING, Estimate, Side
from jaxsoft.experiment.machine.environment import environment

UNITS, ARMS, LUCK = (5, 10, 20), (2, 5, 11), (0.0, 0.5)
GAPS = (0.0, 0.02, 0.2)
"""From the worst of several arms to the best one: equal, slightly and clearly different."""
IPCS, EPOCHS, KEPT = (1, 2, 5, 10, 20, 50), (5, 10, 20, 45), (1, 2, 5, 10)
CHEAP, DEAR = 5, 0.25
"""Choices are fast to judge and joint laws slow: they have so many times the trials."""
IMAGES, OWN, SOURCES = 0.03, 0.02, (0.02, 0.03, 0.01)
"""Standard deviations: what images do to a unit, what luck does to an arm on a unit, and the sources of a crossed design."""
FOR_TRUTH = 20
"""Tables behind the truth of a choice, in multiples of trials."""

Random = np.random.Generator
Draw = Callable[..., Float[np.ndarray, "2 R U *cell A"]]
"""Draws accuracies on test and on validation in R tables, one by default."""


class Case(NamedTuple):
    """A statistic over n units, its estimate from a table drawn anew, and its truth.

    `null`: there is no difference. `times`: it has so many times the trials.
    """

    statistic: str
    n: int
    trial: Callable[[Random], Estimate | Any]
    truth: float
    null: bool = False
    times: float = 1


def accuracies(
    rng: Random, tables: int = 1, *, truth: Float[np.ndarray, "*cell A"], n: int, correlation: float = 0.5
) -> Float[np.ndarray, "2 R U *cell A"]:
    """Tables of n units: one effect of its images moves the arms of a unit, luck on test and validation is correlated."""
    images = IMAGES * rng.normal(size=(tables, n, *truth.shape[:-1], 1))
    shape = tables, n, *truth.shape
    shared, own = rng.normal(size=shape), rng.normal(size=(2, *shape))
    return truth + images + OWN * (math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own)


def chosen(values: Float[np.ndarray, "2 R U *cell A"]) -> Float[np.ndarray, "R U *cell"]:
    """What each unit reaches under the arm that the other units choose, for many tables at once."""
    test, selection = values
    picks = (selection.sum(1, keepdims=True) - selection).argmax(-1)
    return np.take_along_axis(test, picks[..., None], -1)[..., 0]


def side(values: Float[np.ndarray, "2 R U A"], weight: float = 1.0) -> Side:
    """The arms of the first table at one budget."""
    return Side(values[0, 0][:, None], values[1, 0][:, None], weight)


def accuracy(rng: Random, draw: Draw) -> Estimate:
    """The best of all arms."""
    return inference.contrast(side(draw(rng)))


def difference(rng: Random, draw: Draw) -> Estimate:
    """The best of the first half of arms minus the best of the other half."""
    values = draw(rng)
    half = values.shape[-1] // 2
    return inference.contrast(side(values[..., :half]), side(values[..., half:], -1.0))


def spread(rng: Random, draw: Draw) -> Estimate:
    """The best arm minus the worst one, as of ways of choosing images."""
    top = side(draw(rng))
    return inference.contrast(top, Side(top.test, -top.selection, -1.0))


def several(rng: Random, draw: Draw) -> Estimate:
    """A difference at each of several budgets: 1 if any is told by Holm's correction, without an interval."""
    found = {ipc: difference(rng, draw) for ipc in IPCS}
    return Estimate(0.0, 0.0, math.inf if any(inference.told(found).values()) else math.nan, math.nan, 0)


def choices(tables: int) -> Iterator[Case]:
    """One arm a side, the best of several, the difference of two such choices, and best minus worst."""
    for n in (3, *UNITS):
        alone, pair = (partial(accuracies, truth=np.full(arms, 0.6), n=n) for arms in (1, 2))
        yield Case("mean accuracy, one arm", n, partial(accuracy, draw=alone), 0.6, times=CHEAP)
        yield Case("paired difference, one arm a side", n, partial(difference, draw=pair), 0.0, True, CHEAP)
        yield Case("any of 6 paired differences told (Holm)", n, partial(several, draw=pair), math.nan, True, CHEAP)
    for arms, n, gap, correlation in itertools.product(ARMS, UNITS, GAPS, LUCK):
        truth = np.linspace(0.6 - gap, 0.6, arms)
        draw = partial(accuracies, truth=truth, n=n, correlation=correlation)
        both = partial(draw, truth=np.tile(truth, 2))
        test, selection = many = draw(np.random.default_rng(1), tables)
        best, worst = (float(chosen(values).mean()) for values in (many, np.stack([test, -selection])))
        yield Case(f"best of {arms} arms", n, partial(accuracy, draw=draw), best, times=CHEAP)
        yield Case(f"best minus best of {arms} arms", n, partial(difference, draw=both), 0.0, True, CHEAP)
        if arms == max(ARMS):
            yield Case(f"best minus worst of {arms} ways", n, partial(spread, draw=draw), best - worst, gap == 0, CHEAP)


def curves_of(rng: Random, tables: int = 1, *, gains: Float[np.ndarray, "I A"], n: int) -> np.ndarray:
    """Tables [2, R, U, I, 1 + A] of hard labels, whose error is 0.02 + 0.4 IPC^-0.6, and of teachers that gain on them."""
    hard = 1 - (0.02 + 0.4 * np.array(IPCS)[:, None] ** -0.6)
    noise = accuracies(rng, tables, truth=np.zeros((len(IPCS), 1 + gains.shape[1])), n=n)
    return np.clip(np.concatenate([hard, hard + gains], 1) + noise / np.sqrt(np.array(IPCS))[:, None], 0, 1)


def group(values: Float[np.ndarray, "2 U I A"], ipcs: Sequence[int] = IPCS) -> groups.Group:
    """Hard labels and, after them, those of a teacher at several epochs."""
    labels = ["hard", *(f"teacher(epoch={epoch})" for epoch in EPOCHS)][: values.shape[-1]]
    epochs, sources = [math.nan, *map(float, EPOCHS)], ["hard"] + ["teacher"] * len(EPOCHS)
    arms = pd.DataFrame({"labels": labels, "epoch": epochs[: len(labels)], "source": sources[: len(labels)]})
    arms = arms.assign(family="teacher", operations=pd.Series([()] * len(labels)))
    units, members = tuple(range(values.shape[1])), pd.DataFrame({"loss": [groups.LOSS]})
    return groups.Group("", members, arms, units, tuple(ipcs), values[0], values[1], "validation", 10)


def few(curve: fits.Curve) -> fits.Curve:
    """A curve with a quarter of its bootstrap draws, as laws are fitted to each."""
    return curve._replace(draws=curve.draws[:1001])


def exponent(rng: Random, draw: Draw, arms: Sequence[int]) -> Any:
    """That of the law of a curve, a power law with a floor."""
    return fits.fit(laws.FLOOR, few(fits.curve(group(draw(rng)[:, 0]), arms, ""))).parameters["exponent"]


def unseen(rng: Random, draw: Draw) -> Estimate:
    """The accuracy of hard labels at the largest budget by the law of the others."""
    return fits.predicted_accuracy(few(fits.curve(group(draw(rng)[:, 0]), [0], "")).without(-1), IPCS[-1])


def rate(rng: Random, draw: Draw) -> Any:
    """What a soft label is worth over all budgets."""
    made = group(draw(rng)[:, 0])
    return worth.worths(made, made.soft)[1] or NOTHING


def images(rng: Random, draw: Draw, target: float) -> Estimate:
    """The images per class that an accuracy takes with hard labels."""
    made = group(draw(rng)[:, 0])
    value, low, high = worth.images_for(made, made.hard, [target])[:, 0]
    return Estimate(value, math.nan, low, high, len(made.units))


def epoch(rng: Random, draw: Draw, at: int) -> Estimate:
    """The best epoch of budget number `at`."""
    made = group(draw(rng)[:, 0])
    return inference.drawn(fits.chosen_epochs(made, made.soft)[1][:, at], len(made.units))


def surfaces(rng: Random, tables: int = 1, *, n: int) -> np.ndarray:
    """Tables [2, R, U, I, A] of labels cut to k entries, whose error is 0.02 + 0.3 IPC^-0.6 + 0.2 k^-0.8."""
    error = 0.02 + 0.3 * np.array(IPCS)[:, None] ** -0.6 + 0.2 * np.array(KEPT) ** -0.8
    noise = accuracies(rng, tables, truth=np.zeros(error.shape), n=n)
    return np.clip(1 - error + noise / np.sqrt(np.array(IPCS))[:, None], 0, 1)


def joint(rng: Random, draw: Draw, name: str) -> Any:
    """An exponent of the law in images and label entries."""
    cut: dict[int, groups.Arms] = {k: [arm] for arm, k in enumerate(KEPT)}
    return fits.fit(laws.JOINT, fits.surface(group(draw(rng)[:, 0]), cut, "")).parameters[name]


def dearer(rng: Random, draw: Draw) -> Estimate:
    """Labels of twice the bits that are worth no more: 1 if 95 % of the draws see them on the frontier."""
    made = group(draw(rng)[:, 0][:, :, None], [10])
    bits = dict(zip(made.arms["labels"], (10, 20)))
    found = {p.labels: p.share for p in worth.purchases(made, 10, 100, bits)}
    return Estimate(0.0, 0.0, math.inf if found[made.labels(1)] >= 0.95 else math.nan, math.nan, 0)


def swapped(rng: Random, draw: Draw) -> Estimate:
    """What is left of accuracy when the second largest probability is exchanged."""
    made = group(draw(rng)[:, 0][:, :, None], [10])
    return swap.relative(made, {0.0: [0], 2.0: [1], 3.0: [2]})[10].relative[2]


def trend(rng: Random, draw: Draw) -> Estimate:
    """The rank correlation of the best epoch with the budget."""
    return findings.epoch_trend(group(draw(rng)[:, 0]))


def curves(tables: int) -> Iterator[Case]:
    """Laws, exchange rates and trends; early teachers gain at small budgets, late ones at large ones, or all are alike."""
    moves = 0.03 * (1 - np.abs(np.linspace(-1, 1, len(IPCS))[:, None] - np.linspace(-1, 1, len(EPOCHS))))
    arms = list(range(1, 1 + len(EPOCHS)))
    moved = float(findings.rank_correlation(np.array(EPOCHS, float)[moves.argmax(1)][None])[0])
    for n in UNITS:
        draw, still = (partial(curves_of, gains=gains, n=n) for gains in (moves, 0 * moves))
        many = draw(np.random.default_rng(1), tables)
        expected = np.stack([many[0, ..., 0].mean((0, 1)), chosen(many[..., 1:]).mean((0, 1))], -1)[None]
        of = group(np.stack([expected, expected]))
        # Standard errors go with 1 / sqrt(IPC), and weights are as those of any number of units.
        curve = fits.curve(of, [1], "")._replace(weight=np.array(IPCS, float))
        frontier, whole = fits.fit(laws.FLOOR, curve).parameters["exponent"].value, worth.worths(of, [1])[1]
        assert whole is not None
        one, best = (partial(exponent, draw=draw, arms=own) for own in ([0], arms))
        yield Case("exponent of one label spec", n, one, 0.6)
        yield Case("exponent of the frontier", n, best, frontier)
        truth = 1 - (0.02 + 0.4 * IPCS[-1] ** -0.6)
        yield Case("accuracy of an unseen budget", n, partial(unseen, draw=draw), truth)
        yield Case("worth of a label", n, partial(rate, draw=draw), whole.ratio)
        target = float((expected[0, 2, 0] + expected[0, 3, 0]) / 2)
        needed = float(worth.images_for(of, [0], [target])[0, 0])
        yield Case("images for an accuracy", n, partial(images, draw=draw, target=target), needed)
        for at, oldest in enumerate(moves.argmax(1)):
            yield Case("best epoch of a budget", n, partial(epoch, draw=draw, at=at), EPOCHS[oldest])
        yield Case("trend of the best epoch", n, partial(trend, draw=draw), moved)
        yield Case("trend of the best epoch, all alike", n, partial(trend, draw=still), 0.0, null=True)


def component(rng: Random, size: int, i: int) -> Any:
    """One variance component of a crossed design."""
    values = OWN * rng.normal(size=(size,) * 3)
    for axis, sd in enumerate(SOURCES):
        values += sd * rng.normal(size=size).reshape([-1 if a == axis else 1 for a in range(3)])
    return variance.components(values, ("images", "expert", "seed")).parts[i].variance


def labels(rng: Random, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Soft labels of overconfident predictions of 10 classes, and the true classes."""
    logits = rng.normal(0, np.linspace(1, 3, 10), (images, 10))
    true = (logits + rng.gumbel(size=logits.shape)).argmax(-1).astype(np.int32)
    weights = np.exp(1.5 * logits)
    return weights / weights.sum(-1, keepdims=True), true


def rank(probabilities: np.ndarray, _: np.ndarray) -> float:
    """The effective rank of labels."""
    return structure.effective_rank(probabilities)


def left_out(rng: Random, measure: Callable[..., float], images: int) -> Estimate:
    """A statistic of labels, by the jackknife over images."""
    return structure.jackknife(measure, labels(rng, images))


def others() -> Iterator[Case]:
    """Joint laws, the byte frontier, variance components of crossed designs, and statistics of labels over images."""
    for n in UNITS:
        cut = partial(surfaces, n=n)
        yield Case("joint law, exponent of images", n, partial(joint, draw=cut, name="exponent"), 0.6, times=DEAR)
        yield Case(
            "joint law, exponent of label entries", n, partial(joint, draw=cut, name="label_exponent"), 0.8, times=DEAR
        )
        left = partial(accuracies, truth=np.array([0.6, 0.45, 0.54]), n=n)
        yield Case("accuracy left by a swap", n, partial(swapped, draw=left), 0.45 / 0.6, times=CHEAP)
        pair = partial(accuracies, truth=np.full(2, 0.6), n=n)
        yield Case("dearer labels told on the byte frontier", n, partial(dearer, draw=pair), math.nan, True, CHEAP)
    for size, i in itertools.product((3, 5, 10), range(4)):
        yield Case("variance component, n levels", size, partial(component, size=size, i=i), (*SOURCES, OWN)[i] ** 2)
    for name, measured in {"effective rank": rank, "calibration error": structure.calibration_error}.items():
        truth = measured(*labels(np.random.default_rng(1), 100_000))
        for images in (300, 1500):
            trial = partial(left_out, measure=measured, images=images)
            yield Case(f"{name} of labels, n images", images, trial, truth)


class Measured(NamedTuple):
    """Shares of the trials: whose interval holds the truth, and which tell a difference that is none."""

    covered: float
    false: float
    trials: int


def measure(case: Case, trials: int) -> Measured:
    """One case; trials without an interval do not count."""
    trials = max(1, int(trials * case.times))
    ends = np.array(
        [(found.low, found.high) for i in range(trials) for found in [case.trial(np.random.default_rng(i))]]
    )
    there = ~np.isnan(ends).any(1)
    covered = ((ends[:, 0] <= case.truth) & (case.truth <= ends[:, 1]))[there]
    false = float(((ends[:, 0] > 0) | (ends[:, 1] < 0)).mean()) if case.null else math.nan
    return Measured(float(covered.mean()) if len(covered) else math.nan, false, len(covered) or trials)


def table(found: Sequence[tuple[Case, Measured]]) -> str:
    """A line for each statistic and n; a range where several settings share them."""
    lines = ["| statistic | n | coverage, % | false positives, % | trials |", "|---|---|---|---|---|"]
    for key in sorted({case[:2] for case, _ in found}, key=[case[:2] for case, _ in found].index):
        covered, false, trials = zip(*(measured for case, measured in found if case[:2] == key))
        shown = [_range(covered, 100, ".1f"), _range(false, 100, ".1f"), _range(trials, 1, ".0f")]
        lines.append(f"| {' | '.join(map(str, (*key, *shown)))} |")
    return "\n".join(lines)


def _range(values: Sequence[float], scale: float, form: str) -> str:
    known = [value for value in values if not math.isnan(value)]
    return " to ".join(dict.fromkeys(format(scale * end(known), form) for end in (min, max) if known)) or "–"


def main() -> None:
    """Measure all cases in several processes, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400, help="tables of each case")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    start = time.perf_counter()
    tables = FOR_TRUTH * args.trials
    cases = [*others(), *curves(tables), *choices(tables)]  # the slowest first
    with ProcessPoolExecutor(args.processes) as pool:
        found = list(pool.map(measure, cases, itertools.repeat(args.trials)))
    print(table(list(zip(cases, found))))
    low, high = (100 * end / args.trials for end in scipy.stats.binom.interval(0.95, args.trials, 0.95))
    where = environment()
    print(
        f"\nOf {args.trials} trials a true coverage of 95 % is measured as {low:.1f} to {high:.1f} % in 95 of 100 cases. "
        f"{time.perf_counter() - start:.0f} s; {where['device_count']} x {where['device']}; commit {where['commit']}"
    )


if __name__ == "__main__":
    main()
