import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.distilled.inference import kinds

LABELS = np.repeat(np.arange(5), 4)
LOGITS = np.random.RandomState(0).normal(size=(20, 5)) + 4 * np.eye(5)[LABELS]
ROWS = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (np.eye(5)[LABELS], "hard"),
        (ROWS, "probabilities"),
        (ROWS.astype(np.float16).astype(np.float32), "probabilities"),
        (LOGITS, "logits"),
        (np.log(ROWS), "logits"),
        (np.abs(LOGITS) * 3, "logits"),
    ],
)
def test_rows_say_what_they_are(rows, kind):
    found, lines = kinds.infer_kind(rows, LABELS)
    assert found == kind
    assert len(lines) == 1 or kind == "logits"  # rows of absolute values are largest for any class


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (np.eye(5)[LABELS] * 1.2 - 0.04, "rows sum to 1, but entries from -0.04"),
        (ROWS * 100, "rows sum to 100 each"),
        (1 / (1 + np.exp(-LOGITS)), "but rows sum to"),
    ],
)
def test_what_can_be_meant_in_two_ways_is_refused_with_the_flag(rows, why):
    with pytest.raises(errors.ConfigError, match=f"{why}.*--kind=probabilities or --kind=logits"):
        kinds.infer_kind(rows, LABELS)


def test_rows_of_other_classes_than_the_labels_are_told():
    rows = ROWS.copy()
    rows[[0, 19]] = rows[[19, 0]]
    (line,) = kinds.infer_kind(rows, LABELS)[1][1:]
    assert "2 of 20 rows" in line and "row 0" in line and "another order" not in line
    (line,) = kinds.infer_kind(ROWS[:, [1, 2, 3, 4, 0]], LABELS)[1][1:]
    assert "20 of 20 rows" in line and "another order of classes?" in line
