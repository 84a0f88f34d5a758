"""Choices that no unit judges who made them."""

import numpy as np
import pytest
from jaxsoft.analysis.stats import estimate

from jaxsoft.analysis import choice

NAN = np.nan


def test_the_others_choose_and_one_alone_chooses_itself():
    selection = np.array([[0.9, 0.5], [0.1, 0.2], [0.1, 0.2]])
    assert choice.choice_of_others(selection).tolist() == [1, 0, 0]
    assert choice.choice_of_others(selection[:1]).tolist() == [0]
    assert choice.choice_of_others(np.array([[0.9, 0.5], [NAN, NAN], [NAN, 0.6]])).tolist() == [1, 0, 0]
    assert choice.choice_of_others(np.full((2, 1, 1), NAN)).tolist() == [[-1], [-1]]


def test_where_all_choose_alike_it_is_the_estimate_of_the_spec():
    values = np.array([[0.5, 0.1], [0.6, 0.2], [0.7, 0.1], [0.5, 0.3]])
    assert choice.estimate_chosen(values, values) == estimate(values[:, 0])


def test_the_draws_repeat_the_procedure():
    rng = np.random.default_rng(0)
    values, selection = rng.normal(size=(2, 5, 3))
    counts, drawn = choice.bootstrap_counts(5), choice._drawn(values, selection)
    for r in range(20):
        if (counts[r] > 0).sum() < 2:
            continue
        own = []
        for u, times in enumerate(counts[r]):
            others = np.repeat(selection, counts[r].astype(int) * (np.arange(5) != u), axis=0)
            own += [values[u, others.mean(0).argmax()]] * int(times)
        assert drawn[r] == pytest.approx(np.mean(own))


def test_luck_of_equal_specs_is_no_gain():
    rng, found = np.random.default_rng(0), []
    for _ in range(60):
        luck = rng.normal(0, 0.05, (6, 12))
        own = choice.estimate_chosen(luck, luck)  # validation has the luck of test
        plain = estimate(luck[:, luck.mean(0).argmax()])
        found.append((own.mean, own.low > 0, plain.mean, plain.low > 0))
    mean, told, plain_mean, plain_told = np.mean(found, 0)
    assert abs(mean) < 0.01 < plain_mean and told < 0.05 < plain_told
