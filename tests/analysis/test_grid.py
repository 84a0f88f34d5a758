"""Which rows may share a curve, and which settings win."""

import numpy as np
import pytest
import synthetic

from jaxsoft import errors
from jaxsoft.analysis import grid

row = synthetic.row


def test_grid_puts_every_member_where_it_belongs():
    rows = synthetic.rows(seeds=3, ipcs=(1, 5), epochs=(20, 5))
    table = grid.grid(rows[::-1])
    assert table.units == ((0, 0), (1, 1), (2, 2))
    assert table.ipcs == (1, 5)
    assert table.labels == ("hard", "teacher(epoch=5)", "teacher(epoch=20)")
    assert table.epochs == (None, 5, 20)
    for r in rows:
        where = r["seed"], table.ipcs.index(r["ipc"]), table.labels.index(r["labels"])
        assert table.test[where] == r["test_accuracy"]
        assert table.selection[where] == r["val_accuracy"]


def test_where_seeds_share_subsets_the_subset_is_the_unit():
    rows = [row(1, "hard", s, 0.1 * (1 + s) + 0.4 * u, subset_seed=u) for s in (0, 1) for u in (0, 1)]
    table = grid.grid([*rows, row(1, "hard", 2, None, subset_seed=1, status="failed", val_accuracy=None)])
    assert table.units == ((grid.ALL_SEEDS, 0), (grid.ALL_SEEDS, 1))
    np.testing.assert_allclose(table.test[:, 0, 0], [0.15, 0.55])
    np.testing.assert_allclose(table.selection, table.test)
    assert grid.grid(rows[::2]).units == ((0, 0), (1, 0))  # one subset alone: its seeds are the units


def test_failed_and_missing_members_are_nan():
    rows = [row(1, "hard", 0, 0.5), row(1, "hard", 1, 0.5, status="failed"), row(2, "hard", 0, 0.6)]
    np.testing.assert_array_equal(grid.grid(rows).test[..., 0], [[0.5, 0.6], [np.nan, np.nan]])


def test_varying_finds_what_differs_inside_a_cell_and_nothing_else():
    rows = [
        row(1, "hard", 0, 0.1, steps=10, wave=0, device="cpu", train_loss=0.3),
        row(1, "hard", 0, 0.2, steps=10, wave=1, device="gpu", train_loss=0.2, learning_rate=0.1),
        row(5, "hard", 0, 0.3, steps=50, wave=2),  # more steps at a larger IPC are no second setting
    ]
    assert grid.varying(rows) == ("learning_rate",)


def test_groups_split_by_model_but_not_by_learning_rate():
    rows = [
        row(1, "hard", 0, 0.1, model="mlp"),
        row(1, "hard", 0, 0.1, model="convnet"),
        row(1, "hard", 0, 0.1, model="mlp", learning_rate=0.1),
        row(1, "hard", 0, 0.1, model="mlp", selection="easiest"),
    ]
    rows = [{"selection": "random", **r} for r in rows]
    found = grid.groups(rows)
    assert [[rows.index(r) for r in group] for group in found] == [[0, 2], [1], [3]]
    assert grid.group_names(found) == [
        "selection `random`, model `mlp`",
        "selection `random`, model `convnet`",
        "selection `easiest`, model `mlp`",
    ]
    assert grid.group_names(found[:1]) == [""]


def test_grid_refuses_rows_of_two_models():
    with pytest.raises(errors.ConfigError, match="rows differ in model"):
        grid.grid([row(1, "hard", 0, 0.1, model="a"), row(1, "hard", 0, 0.1, model="b")])


def test_tuning_looks_at_validation_and_treats_all_labels_alike():
    rows = []
    for labels, best in (("hard", 0.1), ("smooth", 0.2)):
        for rate in (0.1, 0.2):
            for seed in (0, 1):
                val = 0.5 if rate == best else 0.4
                # On test the other rate would win.
                rows.append(row(1, labels, seed, 0.9 - val, val_accuracy=val, learning_rate=rate))
    kept = {(r["labels"], r["learning_rate"]) for r in grid.tuned(rows)}
    assert kept == {("hard", 0.1), ("smooth", 0.2)}
    kept = {(r["labels"], r["learning_rate"]) for r in grid.tuned(rows, on="test_accuracy")}
    assert kept == {("hard", 0.2), ("smooth", 0.1)}


def test_a_rate_whose_members_all_failed_is_not_chosen():
    rows = [row(1, "hard", 0, 0.1), row(1, "hard", 0, 0.9, learning_rate=9.0, status="failed")]
    assert [r["learning_rate"] for r in grid.tuned(rows)] == [0.002]


def test_selection_is_on_validation_unless_the_protocol_is_the_papers():
    sealed, paper = [row(1, "hard", 0, 0.1)], [row(1, "hard", 0, 0.1, protocol="paper")]
    assert grid.selection_column(sealed) == "val_accuracy"
    assert grid.selection_column(paper) == "test_accuracy"
    assert grid.selection_column([row(1, "hard", 0, 0.1, val_accuracy=None)]) == "test_accuracy"


def test_groups_keep_together_what_is_compared():
    rows = [row(1, "hard", s, 0.1, model=m, select=way) for s in (0, 1) for m in "ab" for way in ("random", "easiest")]
    assert [len(group) for group in grid.groups(rows)] == [2, 2, 2, 2]
    assert [{r["select"] for r in group} for group in grid.groups(rows, ("model",))] == [{"random"}, {"easiest"}]


def test_a_stack_has_one_grid_for_each_value_on_common_axes():
    rows = [
        row(1, "hard", 0, 0.1, model="a"),
        row(5, "hard", 0, 0.2, model="a"),
        row(1, "hard", 1, 0.3, model="b"),
        row(1, "smooth", 1, 0.4, model="b", val_accuracy=0.5),
    ]
    found = grid.stack(rows, "model")
    assert (found.units, found.values, found.ipcs, found.labels) == (
        ((0, 0), (1, 1)), ("a", "b"), (1, 5), ("hard", "smooth"),
    )  # fmt: skip
    expected = np.full((2, 2, 2, 2), np.nan)
    expected[0, 0, 0, 0], expected[0, 0, 1, 0], expected[1, 1, 0, 0], expected[1, 1, 0, 1] = 0.1, 0.2, 0.3, 0.4
    np.testing.assert_array_equal(found.test, expected)
    assert found.selection[1, 1, 0, 1] == 0.5
    assert grid.stack([], "model").test.shape == (0, 0, 0, 0)


def test_a_label_spec_that_is_not_there_names_the_nearest():
    table = grid.grid(synthetic.rows(seeds=2, ipcs=(1,), epochs=(5, 11)))
    assert grid.column(table, "teacher(epoch=11)") == 2
    with pytest.raises(
        errors.ConfigError, match=r"unknown label spec 'teacher\(epoch=12\)'; closest: teacher\(epoch=11\)"
    ):
        grid.column(table, "teacher(epoch=12)")


def test_members_collide_when_no_column_tells_them_apart():
    first, second = row(1, "hard", 0, 0.1, wave=0), row(1, "hard", 0, 0.2, wave=1, device="gpu")
    assert first["member"] != second["member"]
    assert grid.collide([first, second])
    assert not grid.collide([first, first]) and not grid.collide([first, {**second, "select": "easiest"}])
