import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.data import classes


def test_rank_counts_earlier_rows_of_the_same_class():
    labels = np.random.default_rng(0).integers(0, 7, 100)
    assert classes.rank(labels).tolist() == [int((labels[:n] == labels[n]).sum()) for n in range(100)]


def test_spread_gives_every_class_its_share_of_every_prefix():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    ordered = labels[classes.spread(labels)]
    assert np.bincount(ordered).tolist() == [60, 30, 10]
    for length in range(1, 101):
        share = np.bincount(ordered[:length], minlength=3) - length * np.array([0.6, 0.3, 0.1])
        assert np.abs(share).max() < 1


def test_spread_never_changes():
    labels = np.arange(12) % 3
    assert classes.spread(labels).tolist() == [6, 4, 11, 9, 10, 2, 3, 1, 8, 0, 7, 5], (
        "the fixed shuffle decides who is in which split: changing it voids every published number and every prepared set"
    )


def test_portion_rounds_and_keeps_one():
    assert classes.portion(np.repeat([0, 1, 2], [100, 26, 2]), 0.1).tolist() == [10, 3, 1]


def test_check_ipc_names_the_smallest_class():
    labels = np.repeat([0, 1, 2, 3], [500, 490, 500, 480]).astype(np.int32)
    classes.check_ipc(480, labels)
    with pytest.raises(errors.ConfigError) as caught:
        classes.check_ipc(500, labels, ["plane", "car", "bird", "cat"])
    assert str(caught.value) == "ipc=500 but class 3 (cat) has 480 train images; the largest possible is 480"
    with pytest.raises(errors.ConfigError, match="class 3 has 480"):
        classes.check_ipc(481, labels)
    with pytest.raises(errors.ConfigError, match="ipc expects int >= 1, got 0"):
        classes.check_ipc(0, labels)
