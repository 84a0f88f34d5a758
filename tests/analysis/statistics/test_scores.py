"""Scores of distilled sets: every number that DD-Ranking's published code gave, see golden/README.md."""

import itertools
import pathlib
import re
import runpy

import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.analysis.statistics import scores
from jaxsoft.analysis.statistics.inference import estimate

ROOT = pathlib.Path(__file__).parents[3]
with np.load(ROOT / "tests" / "golden" / "scores.npz", allow_pickle=False) as file:
    RECORDED = {name: file[name] for name in file.files}
NAMES = {
    "hlr": "hard_label_recovery",
    "ior": "improvement_over_random",
    "lrs": "label_robust_score",
    "augmented": "with_aug_scores",
    "plain": "without_aug_scores",
    "ars": "augmentation_robust_score",
}


def runs(case):
    """The four accuracies of every method and run, as fractions; of hard labels the set's own are the hard ones."""
    (name,) = (name for name in RECORDED if name.startswith(f"{case}/accuracies"))
    parts = list(np.moveaxis(RECORDED[name], -1, 0))
    return parts if len(parts) == 4 else [parts[0], parts[1], parts[1], parts[2]]


def found(case, weight):
    of = scores.augmentation_scores if case == "ars" else scores.label_scores
    return of(*runs(case), weight=weight)


CASES = sorted({tuple(name.split("/")[:2]) for name in RECORDED if re.search("lambda|gamma", name)})


@pytest.mark.parametrize("case, setting", CASES)
def test_scores_are_those_of_the_published_code(case, setting):
    """48 arrays: mean and population std over runs of three scores, for five methods under each weight."""
    got = found(case, float(setting.partition("_")[2]))
    for part, of in zip(("mean", "std"), map(np.array, zip(*map(scores.published, got)))):
        for name, value in zip(got._fields, of):
            wanted = RECORDED[f"{case}/{setting}/{NAMES[name]}_{part}"]
            np.testing.assert_allclose(value, wanted, rtol=1e-8, err_msg=f"{name} {part}")


def test_every_run_has_its_score():
    wanted = RECORDED["lrs_soft/lambda_0.5/lrs_each_run_MxR"]
    np.testing.assert_allclose(scores.label_scores(*runs("lrs_soft")).lrs, wanted, rtol=1e-8)


def test_percentages_score_the_same_whatever_the_accuracy_and_are_refused():
    """The recorded scores of accuracies in percent: the exponential of so large a loss is nothing beside e^-1."""
    wanted = RECORDED["lrs_soft/percent_inputs/label_robust_score_mean"]
    percent = [100 * part for part in runs("lrs_soft")]
    alpha = 0.5 * (percent[2] - percent[3]) - 0.5 * (percent[0] - percent[1])
    np.testing.assert_allclose(scores.score(alpha).mean(-1), wanted, rtol=1e-8)
    with pytest.raises(errors.DataError, match="fractions of 1, got 84.8; a percentage is divided by 100"):
        scores.label_scores(*percent)


def test_the_documented_table_is_that_of_its_script():
    name = "lrs_soft/accuracies_MxRx4_realhard_synhard_synany_rdmany"
    table = runpy.run_path(str(ROOT / "benchmarks" / "percent_scores.py"))["table"](RECORDED[name])
    assert f"tests/golden/scores.npz {name}`" in (results := (ROOT / "docs" / "results.md").read_text())
    assert f"\n\n{table}\n\n" in results


def test_every_recorded_array_is_compared():
    ours = [
        f"{case}/{s}/{NAMES[n]}_{p}" for case, s in CASES for n in found(case, 0.5)._fields for p in ("mean", "std")
    ]
    rest = sorted(set(RECORDED) - set(ours))
    assert len(ours) == len(set(ours)) == 48 and len(rest) == 5
    assert [name.partition("/")[2].partition("_")[0] for name in rest] == ["accuracies"] * 2 + [
        "accuracies",
        "lambda",
        "percent",
    ]


def test_one_real_accuracy_serves_all_runs_and_scores_have_intervals():
    own = np.array([0.60, 0.62, 0.61])
    got = scores.label_scores(0.8, own - 0.1, own, own - 0.05)
    assert got.ior.tolist() == pytest.approx([0.05] * 3)
    lrs = estimate(got.lrs)
    assert lrs.low < scores.score(0.5 * 0.05 - 0.5 * (0.8 - 0.51)) < lrs.high and lrs.n == 3


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_scores_grow_with_what_the_images_are_worth(weight):
    """The best thinkable set has a score of 1, the worst one of 0."""
    for real, hard in itertools.pairwise([1.0, 0.7, 0.0]):
        assert (
            scores.label_scores(1.0, real, real, 0.0, weight).lrs
            > scores.label_scores(1.0, hard, hard, 0.0, weight).lrs
        )
    assert scores.label_scores(0.0, 1.0, 1.0, 0.0, weight).lrs == pytest.approx(1)
    assert scores.augmentation_scores(0.0, 1.0, 0.0, 1.0, weight).ars == pytest.approx(0)
