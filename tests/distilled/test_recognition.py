"""Sets of which all is known, as a file might have them: what is told of them. The same trials on CIFAR-10: benchmarks."""

import functools

import photographs
import pytest
import recognition

TRIALS = (
    "pixels, uint8",
    "pixels and noise",
    "0 to 255, as floats",
    "standardised",
    "by ImageNet's constants",
    "whitened",
    "whitened and noise, of MTT",
    "classes in another order",
    "blue first",
    "channels first, read as last",
    "another data set",
    "whitened as another data set is",
)


@functools.cache
def trials():
    return recognition.trials(photographs.dataset(), 40)


def test_every_trial_is_listed():
    assert set(trials()) - {"columns for rows"} == set(
        TRIALS
    )  # of patches columns look much like rows; see test_orders


@pytest.mark.parametrize("name", TRIALS)
def test_what_files_do_not_say_is_told_or_refused(name):
    trial = trials()[name]
    found, words = recognition.concluded(trial, photographs.dataset(), photographs.ask)
    assert found in trial.wanted.split(" or "), words
