"""Smoothing to a given entropy against SciPy's own entropy."""

import numpy as np
import pytest
from scipy.stats import entropy

from jaxsoft.labels.smoothing import smooth_to


@pytest.mark.parametrize("num_classes", [2, 10, 39])
def test_labels_have_the_entropy_that_is_asked_for_and_their_class_first(num_classes):
    wanted = np.array([0.0, 1e-6, 0.3, 0.999, 1.0]) * np.array([1, 1, 1, np.log(num_classes), np.log(num_classes)])
    classes = np.arange(5) % num_classes
    rows = smooth_to(classes, wanted, num_classes)
    np.testing.assert_allclose(entropy(rows, axis=1), wanted, atol=1e-9)
    np.testing.assert_allclose(rows.sum(1), 1)
    assert rows[:4].argmax(1).tolist() == classes[:4].tolist()
    assert all(len(set(np.delete(row, c).tolist())) == 1 for row, c in zip(rows, classes))  # the others are equal


def test_what_no_label_can_have_is_taken_for_the_nearer_end():
    np.testing.assert_allclose(smooth_to(np.array([1, 0]), np.array([-1e-7, 9.0]), 3), [[0, 1, 0], [1 / 3] * 3])
