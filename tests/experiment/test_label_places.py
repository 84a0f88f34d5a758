"""Where the label rows of a spec come from: the first line of a table that fits it."""

import pytest

from jaxsoft.experiment.inputs import rows
from jaxsoft.labels.spec import LabelSpec


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("hard|smooth(0.1)", rows.of_experts),
        ("teachers(3, epoch=5)|topk(3)", rows.of_experts),
        ("committee(3, prior=experts, epoch=5)", rows.of_experts),
        ("committee(3, epoch=5)", rows.of_subsets),  # students of the subset judge
        ("teacher(epoch=5, views=4)", rows.of_subsets),
        ("teacher(epoch=5, statistics=batch)", rows.of_subsets),
        ("imported(mine, views=2)", rows.of_subsets),
        ("imported(mine)", rows.of_imported),
        ("array(svm, rows=x1f)|topk(3)", rows.of_given),
        ("learned|temperature(2)", rows.of_learning),
        ("teacher(epoch=5, online=true)", rows.of_online),
    ],
)
def test_rows_come_from_the_first_place_that_fits(text, place):
    spec = LabelSpec.parse(text)
    assert next(made for fits, made in rows.PLACES if fits(spec)) is place
