"""Feature maps in labels against the same rows without them, by hand."""

import pytest
import synthetic

from jaxsoft.analysis.questions import feature_labels
from jaxsoft.analysis.statistics import groups

CE, SOFT = "soft_cross_entropy", "teacher(epoch=5)"
MAPS = "teacher(epoch=5, features=-1)"
# Test accuracy by label spec and loss; validation is the same.
TABLE = {
    ("hard", CE): 0.30,
    (SOFT, CE): 0.40,
    (f"{MAPS}|hard", "features(0.1)"): 0.33,
    (f"{MAPS}|hard", "features(1.0)"): 0.36,
    ("teacher(epoch=5, features=0)|hard", "features(0.1)"): 0.29,
    (MAPS, "features(0.1)"): 0.39,
}
pytestmark = pytest.mark.usefixtures("no_drawing")


def rows(table=TABLE, seeds=4, ipc=1):
    return [
        synthetic.row(ipc, labels, s, a + 0.02 * s, epoch=None if labels == "hard" else 5, loss=loss)
        for s in range(seeds)
        for (labels, loss), a in table.items()
    ]


def tell(members):
    (section,) = synthetic.ask(feature_labels, members)
    *_, table = [block for block in section.blocks if hasattr(block, "header")]
    lines = [dict(zip(table.header, line)) for line in table.rows]
    return section, {(line["rows"], line["maps after block"], line["loss"]): line for line in lines}


def test_each_layer_and_weight_against_its_own_rows():
    section, lines = tell(rows())
    gains = {key: line["gain, points"] for key, line in lines.items()}
    assert gains == {
        ("`hard`", "-1", "`features(0.1)`"): "+3.0 [+3.0, +3.0]",
        ("`hard`", "-1", "`features(1.0)`"): "+6.0 [+6.0, +6.0]",
        ("`hard`", "0", "`features(0.1)`"): "−1.0 [−1.0, −1.0]",
        (f"`{SOFT}`", "-1", "`features(0.1)`"): "−1.0 [−1.0, −1.0]",
    }
    assert section.title == "Feature maps beat hard rows alone at IPC 1: +6.0 points [+6.0, +6.0]"
    said = [block.text for block in section.blocks if hasattr(block, "text")]
    assert said[0] == "Feature maps lose to soft rows alone at IPC 1: −1.0 points [−1.0, −1.0]."
    assert said[1] == "Of 4 differences 2 are clear gains beside the others, 2 clear losses."


def test_rows_without_their_own_reference_are_not_compared():
    found = {key: a for key, a in TABLE.items() if key != ("hard", CE)}
    section, lines = tell(rows(found))
    assert [labels for labels, _, _ in lines] == [f"`{SOFT}`"]
    assert section.title.startswith("Feature maps lose to soft rows alone")
    assert synthetic.ask(feature_labels, rows({key: a for key, a in TABLE.items() if "features" not in key[1]})) == []


def test_labels_with_maps_are_no_matter_of_other_curves():
    members = groups.tidy(rows())
    assert feature_labels.private(members).sum() == 4 * 4


@pytest.mark.parametrize(
    "labels, wanted",
    [
        (f"{MAPS}|hard", ("hard", "-1")),
        ("teacher(expert=2, epoch=5, features=0)|topk(3)", ("teacher(expert=2, epoch=5)|topk(3)", "0")),
        (f"{MAPS}|hard|smooth(0.1)", ("hard|smooth(0.1)", "-1")),
        (SOFT, (SOFT, "")),
    ],
)
def test_the_rows_of_a_spec(labels, wanted):
    assert feature_labels._maps(labels) == wanted
