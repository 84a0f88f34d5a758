"""Which members may share a curve, where each of them stands, and which settings win."""

import numpy as np
import pytest
import synthetic

from jaxsoft.analysis import questions
from jaxsoft.analysis.statistics import inference
from jaxsoft.analysis.statistics.factors import factors
from jaxsoft.analysis.statistics.groups import collide, groups, is_probe, tidy, varying

row = synthetic.row
BY_CLASS = "0.5 - 0.25 1"  # four classes, of one of which there was nothing to see


def only(rows, together=()):
    """The one group of some rows."""
    (group,) = groups(tidy(rows), together)
    return group


def test_every_member_is_where_it_belongs_whatever_the_order_of_rows():
    rows = synthetic.rows(seeds=3, ipcs=(1, 5), epochs=(20, 5))
    for given in (rows, rows[::-1], [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]):
        group = only(given)
        assert (group.name, group.units, group.ipcs, group.on, group.classes) == (
            "",
            (0, 1, 2),
            (1, 5),
            "validation",
            0,
        )
        assert group.arms["labels"].tolist() == ["hard", "teacher(epoch=5)", "teacher(epoch=20)"]
        np.testing.assert_array_equal(group.arms["epoch"], [np.nan, 5, 20])
        for r in rows:
            where = r["seed"], group.ipcs.index(r["ipc"]), group.of(r["labels"])[0]
            assert (group.test[where], group.selection[where]) == (r["test_accuracy"], r["val_accuracy"])


def test_labels_are_in_order_of_hard_then_epoch_then_text():
    specs = {
        "teacher(epoch=5)|topk(3)": 5,
        "teacher(epoch=40)": 40,
        "hard|smooth(0.1)": None,
        "teacher(epoch=5)": 5,
        "hard": None,
    }
    rows = [
        row(1, labels, 0, 0.5, epoch=epoch, learning_rate=rate) for labels, epoch in specs.items() for rate in (1, 0.1)
    ]
    expected = ["hard", "hard|smooth(0.1)", "teacher(epoch=5)", "teacher(epoch=5)|topk(3)", "teacher(epoch=40)"]
    arms = only(rows).arms
    assert arms["labels"].tolist() == np.repeat(expected, 2).tolist() and arms["learning_rate"].tolist() == [0.1, 1] * 5


def test_where_seeds_share_subsets_the_subset_is_the_unit():
    rows = [row(1, "hard", s, 0.1 * (1 + s) + 0.4 * u, subset_seed=u) for s in (0, 1) for u in (0, 1)]
    group = only([*rows, row(2, "hard", 2, 0.7, subset_seed=1)])
    assert group.units == (0, 1)
    np.testing.assert_allclose(group.test[..., 0], [[0.15, np.nan], [0.55, 0.7]])
    np.testing.assert_allclose(group.selection, group.test)
    np.testing.assert_allclose(group.accuracy(1, [0]).mean, (0.15 + 0.55) / 2)
    assert only(rows[::2]).units == (0, 1)  # one subset alone: its seeds are the units
    assert only([row(1, "hard", s, 0.1, subset_seed=7 + s) for s in (0, 1)]).units == (7, 8)


@pytest.mark.parametrize("by_class, guess", [(BY_CLASS, 0.25), (None, 0.0)])
def test_a_failed_member_counts_as_guessing_and_what_was_not_run_is_a_gap(by_class, guess):
    failed = {"status": "failed", "accuracy_by_class": None, "val_accuracy": None}
    rows = [
        row(1, "hard", 0, 0.5, accuracy_by_class=by_class),
        row(1, "hard", 1, None, **failed),
        row(2, "hard", 0, 0.6, accuracy_by_class=by_class),
    ]
    group = only(rows)
    for values in (group.test, group.selection, group.values("val_accuracy")):
        np.testing.assert_array_equal(values[..., 0], [[0.5, 0.6], [guess, np.nan]])
    assert group.on == "validation"


def test_a_rate_at_which_four_of_five_members_diverged_does_not_win():
    rows = [row(1, "hard", s, 0.6, learning_rate=0.1, accuracy_by_class=BY_CLASS) for s in range(5)]
    rows += [row(1, "hard", 0, 0.9, learning_rate=9.0, accuracy_by_class=BY_CLASS)]
    lost = {"learning_rate": 9.0, "status": "failed", "val_accuracy": None, "accuracy_by_class": None}
    rows += [row(1, "hard", s, None, **lost) for s in range(1, 5)]
    group = only(rows)
    assert group.arms["learning_rate"].iat[group.choose(1, group.hard)] == 0.1
    assert group.accuracy(1, group.hard).mean == pytest.approx(0.6)
    assert group.accuracy(1, [1]).mean == pytest.approx((0.9 + 4 * 0.25) / 5)


def test_settings_are_chosen_on_validation_and_for_all_labels_alike():
    values = {
        ("hard", 0.1): (0.5, 0.4),
        ("hard", 0.2): (0.4, 0.5),
        ("smooth", 0.1): (0.4, 0.5),
        ("smooth", 0.2): (0.5, 0.4),
    }
    rows = [
        row(1, labels, seed, test, val_accuracy=val, learning_rate=rate)
        for (labels, rate), (val, test) in values.items()
        for seed in (0, 1)
    ]
    for protocol, best, reached in (
        ("sealed", (0.1, 0.2), 0.4),
        ("paper", (0.2, 0.1), 0.5),
    ):  # on test the other rate wins
        group = only([{**r, "protocol": protocol} for r in rows])
        kinds = group.hard, group.soft
        assert tuple(group.arms["learning_rate"].iat[group.choose(1, arms)] for arms in kinds) == best
        assert [group.accuracy(1, arms).mean for arms in kinds] == pytest.approx([reached] * 2)
        assert group.contrast(1, *kinds).mean == pytest.approx(0, abs=1e-12)


def test_choices_are_on_validation_unless_the_protocol_is_the_papers_or_some_member_has_none():
    sealed, bare = row(1, "hard", 0, 0.1), row(1, "hard", 1, 0.1, val_accuracy=None)
    lost = {**bare, "status": "failed", "test_accuracy": None}
    assert [only(rows).on for rows in ([sealed], [sealed, lost], [sealed, bare], [lost])] == [
        "validation", "validation", "test", "test",
    ]  # fmt: skip
    assert only([{**sealed, "protocol": "paper"}]).on == "test"


def test_varying_finds_what_differs_inside_a_cell_and_nothing_else():
    rows = [
        row(1, "hard", 0, 0.1, steps=10, wave=0, device="cpu", train_loss=0.3),
        row(1, "hard", 0, 0.2, steps=10, wave=1, device="gpu", train_loss=0.2, learning_rate=0.1),
        row(5, "hard", 0, 0.3, steps=50, wave=2),  # more steps at a larger IPC are no second setting
    ]
    assert varying(tidy(rows)) == ["learning_rate"]


def test_groups_split_by_model_but_not_by_learning_rate():
    rows = [
        row(1, "hard", 0, 0.1, model="mlp"),
        row(1, "hard", 0, 0.1, model="convnet"),
        row(1, "hard", 0, 0.1, model="mlp", learning_rate=0.1),
        row(1, "hard", 0, 0.1, model="mlp", selection="easiest"),
    ]
    found = groups(tidy([{"selection": "random", **r} for r in rows]))
    assert [group.members.index.tolist() for group in found] == [[0, 2], [1], [3]]
    assert [group.name for group in found] == [
        "selection `random`, model `mlp`",
        "selection `random`, model `convnet`",
        "selection `easiest`, model `mlp`",
    ]


def test_names_of_groups_show_integers_beside_gaps_as_integers():
    found = groups(tidy([row(1, "hard", 0, 0.1, without=without) for without in (None, 3)]))
    assert [group.name for group in found] == ["without `none`", "without `3`"]


def test_groups_keep_together_what_is_compared():
    rows = [row(1, "hard", s, 0.1, model=m, select=way) for s in (0, 1) for m in "ab" for way in ("random", "easiest")]
    assert [len(group.members) for group in groups(tidy(rows))] == [2, 2, 2, 2]
    found = groups(tidy(rows), ("model",))
    assert [(set(group.members["select"]), group.arms["model"].tolist()) for group in found] == [
        ({"random"}, ["a", "b"]), ({"easiest"}, ["a", "b"]),
    ]  # fmt: skip


def test_what_is_compared_stands_on_common_axes_with_gaps():
    rows = [
        row(1, "hard", 0, 0.1, model="a"),
        row(5, "hard", 0, 0.2, model="a"),
        row(1, "hard", 1, 0.3, model="b"),
        row(1, "smooth", 1, 0.4, model="b", val_accuracy=0.5),
    ]
    group = only(rows, ("model",))
    assert group.arms[["labels", "model"]].values.tolist() == [["hard", "a"], ["hard", "b"], ["smooth", "b"]]
    expected = np.full((2, 2, 3), np.nan)
    expected[0, :, 0], expected[1, 0, 1], expected[1, 0, 2] = (0.1, 0.2), 0.3, 0.4
    np.testing.assert_array_equal(group.test, expected)
    assert group.selection[1, 0, 2] == 0.5
    assert group.find(model="b", labels="smooth") == [2] == group.find(group.arms["model"] == "b", source="smooth")
    assert group.budgets([0]) == [1, 5] and group.budgets([0], [1]) == [1] and group.ran(5, [0, 1, 2]) == [0]
    assert (group.choose(5, [1, 2]), group.choose(1, []), group.chosen(1, [1, 2])) == (None, None, "`smooth`")
    assert group.contrast(1, [0], [1]).n == group.accuracy(1, []).n == 0 and group.contrasts([0], [1]) == {}


def test_a_curve_has_what_each_budget_reaches_and_choices_are_made_anew_in_every_draw():
    group = only(synthetic.rows(seeds=6))
    ipcs, values, draws = group.curve(group.soft)
    assert ipcs == list(synthetic.IPCS)
    for i, ipc in enumerate(ipcs):
        assert group.accuracy(ipc, group.soft).mean == pytest.approx(draws[0, i]) == pytest.approx(values[:, i].mean())
    several = group.accuracy(ipcs, group.soft)
    assert several.mean == pytest.approx(draws[0].mean()) and several.n == 6
    picks, times = group.choices(ipcs, group.soft), inference.counts(6).astype(int)
    assert picks[0].tolist() == [group.choose(ipc, group.soft) for ipc in ipcs]
    for pick, own in zip(picks[1:40], times):
        drawn = np.repeat(group.selection[:, :, group.soft], own, axis=0).mean(0)
        assert [group.soft[a] for a in drawn.argmax(1)] == pick.tolist()
    assert group.curve([])[0] == [] and group.choices([], []).shape == (1, 0)


def test_every_question_to_a_group_has_an_answer_of_its_own():
    group = only(synthetic.rows(seeds=3, ipcs=(1, 5), epochs=(5, 20)))
    asked = [group.accuracy(1, [1]), group.accuracy(5, [1]), group.accuracy([1, 5], [1]), group.accuracy(1, [2]),
             group.contrast(1, [1], [2]), group.contrast(1, [2], [1])]  # fmt: skip
    assert len({value.mean for value in asked}) == 6


@pytest.mark.parametrize(
    "labels, told",
    [
        ("hard", {"source": "hard", "family": "hard", "base": "hard", "op": "", "expert": -1, "experts": 0, "views": 0}),
        ("teacher(accuracy=0.35)", {"family": "teacher", "expert": 0, "experts": 1, "pool": ""}),
        ("teacher(expert=2, epoch=11)|topk(3)", {"family": "teacher(expert=2)|topk(3)", "base": "teacher(expert=2, epoch=11)"}),
        ("teachers(5, pool=probabilities, epoch=5)", {"expert": -1, "experts": 5, "pool": "probabilities"}),
        ("teachers|swap(2)|renormalize", {"experts": 3, "pool": "logits", "op": "renormalize", "operations": ("swap", "renormalize")}),
        ("teacher(epoch=5, views=4)|temperature(0.5)", {"views": 4, "op": "temperature", "value": 0.5}),
        ("teacher(epoch=5, mix=mixup, online=true)", {"views": 0, "online": True, "family": "teacher(mix=mixup, online=true)"}),
    ],
)  # fmt: skip
def test_a_label_spec_is_taken_apart(labels, told):
    assert {name: factors(labels)[name] for name in told} == told


def test_probes_are_no_rivals_of_other_labels():
    rows = [
        row(1, labels, 0, 0.1) for labels in ("hard", "teacher|swap(1)", "teacher|topk(3)", "teacher|shuffle|topk(2)")
    ]
    members = tidy([*rows, row(1, "hard", 0, 0.1, without=3)])
    assert is_probe(members).tolist() == [False, True, False, True, True]
    assert questions.common(members, []).index.tolist() == [0, 2]


def test_members_collide_when_no_column_tells_them_apart():
    first, second = row(1, "hard", 0, 0.1, wave=0), row(1, "hard", 0, 0.2, wave=1, device="gpu")
    assert first["member"] != second["member"]
    assert collide(tidy([first, second]))
    assert not collide(tidy([first, first])) and not collide(tidy([first, {**second, "select": "easiest"}]))


def test_losses_and_optimizers_share_no_curve_unless_they_are_compared_and_older_rows_have_the_usual_ones():
    rows = [
        row(1, labels, 0, 0.1, loss=loss, optimizer=optimizer)
        for optimizer in ("adamw", "sgd")
        for labels, loss in (("hard", "soft_cross_entropy"), ("teacher", "soft_cross_entropy"), ("teacher", "gift"))
    ]
    assert [group.name for group in groups(tidy(rows))] == [
        f"loss `{loss}`, optimizer `{o}`" for o in ("adamw", "sgd") for loss in ("soft_cross_entropy", "gift")
    ]
    assert [group.losses for group in groups(tidy(rows), ("loss",))] == [("soft_cross_entropy",) * 2 + ("gift",)] * 2
    assert not collide(tidy(rows)) and varying(tidy(rows)) == ["loss", "optimizer"]
    older = row(1, "hard", 1, 0.1)
    assert len(groups(tidy([older, *rows[:2]]))) == 1
    assert [len(group.members) for group in groups(tidy([older, *rows]))] == [1, 2, 1, 2, 1]


@pytest.mark.parametrize(
    "arms, hard, soft",
    [
        ([("hard", "soft_cross_entropy"), ("teacher", "soft_cross_entropy")], [0], [1]),
        ([("hard", "squared_error"), ("teacher", "squared_error")], [0], [1]),
        ([("hard|as_logits", "gift"), ("teacher", "gift")], [0], [1]),
        ([("teacher", "gift")], [], [0]),
        ([("hard", "cross_entropy"), ("teacher", "cross_entropy")], [0, 1], []),
        ([("hard", "soft_cross_entropy"), ("hard", "squared_error"), ("hard|as_logits", "mse"), ("teacher", "mse")], [0], [3]),
        ([("hard", "soft_cross_entropy"), ("hard|smooth(0.1)", "mse"), ("teacher", "cross_entropy")], [0, 2], [1]),
    ],
)  # fmt: skip
def test_hard_labels_are_true_classes_and_beside_other_losses_those_of_a_cross_entropy(arms, hard, soft):
    group = only([row(1, labels, 0, 0.1, loss=loss) for labels, loss in arms], ("loss",))
    found = list(zip(group.arms["labels"], group.losses))
    assert [found[arm] for arm in group.hard] == [arms[i] for i in hard]
    assert [found[arm] for arm in group.soft] == [arms[i] for i in soft]
