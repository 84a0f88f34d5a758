"""Data sets of few random images, for files whose numbers are random too; named as functions."""

import numpy as np


def toys(classes=4, side=16, channels=3):
    """Ten images of each class."""
    labels = np.arange(10 * classes) % classes
    return np.random.default_rng(0).random((len(labels), side, side, channels)), labels


def clips(classes=2, frames=3, side=32):
    """Ten clips of each class."""
    labels = np.arange(10 * classes) % classes
    return np.random.default_rng(0).random((len(labels), frames, side, side, 3)), labels
