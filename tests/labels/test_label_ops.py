"""Each treatment by hand, by NumPy and against the reference. What all of them share is in test_label_contract.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.labels import ops

ROW = jnp.array([0.05, 0.4, 0.1, 0.3, 0.15])
TIED = jnp.array([0.25, 0.25, 0.0, 0.25, 0.25])


def random_rows(count, classes, seed=0):
    """Rows from nearly one-hot to nearly uniform."""
    rng = np.random.default_rng(seed)
    return [rng.dirichlet(np.full(classes, c)).astype(np.float32) for c in np.geomspace(0.1, 10, count)]


def close(got, wanted, **kwargs):
    np.testing.assert_allclose(got, wanted, **{"atol": 1e-6} | kwargs)


def test_hard_is_the_true_class_and_not_the_first_guess():
    close(ops.hard(ROW, true_class=jnp.array(3)), [0, 0, 0, 1, 0], atol=0)


@pytest.mark.parametrize("t", [0.3, 1.0, 2.5, 20.0])
def test_temperature_divides_the_logits(t):
    logits = np.random.default_rng(2).normal(size=9) * 4
    heated = np.exp(logits / t) / np.exp(logits / t).sum()
    row = jnp.array(np.exp(logits) / np.exp(logits).sum(), jnp.float32)
    close(ops.temperature(row, t), heated, atol=1e-6)


def test_temperature_moves_the_entropy_the_right_way():
    def entropy(row):
        return -sum(p * np.log(p) for p in np.asarray(row))

    assert entropy(ops.temperature(ROW, 2.0)) > entropy(ROW) > entropy(ops.temperature(ROW, 0.5))


def test_a_class_of_no_weight_gets_none_at_any_temperature():
    got = ops.temperature(jnp.array([0.5, 0.0, 0.25]), 1e6)
    close(got, [0.5, 0.0, 0.5], atol=1e-5)
    assert got[1] == 0


def test_power_by_numpy_and_beyond_the_range_of_float32():
    for row in random_rows(5, 7):
        for p in (0.5, 1.0, 3.0):
            wanted = row.astype(np.float64) ** p
            close(ops.power(jnp.array(row), p), wanted / wanted.sum(), atol=1e-5)
    close(ops.power(jnp.array([0.2, 0.3, 0.2, 0.3]), 1e6), [0, 0.5, 0, 0.5])  # 0.3^1e6 is no float
    close(ops.power(jnp.array([0.9, 0.1, 0.0]), 1e-6), [0.5, 0.5, 0.0], atol=1e-5)


def test_smooth_and_mix_by_hand():
    close(ops.smooth(jnp.array([0.0, 1.0, 0.0, 0.0]), 0.2), [0.05, 0.85, 0.05, 0.05])
    close(ops.smooth(ROW, 1.0), np.full(5, 0.2))
    close(ops.mix(ROW, 0.2, true_class=jnp.array(3)), [0.04, 0.32, 0.08, 0.44, 0.12])
    close(ops.mix(ROW, 1.0, true_class=jnp.array(0)), [1, 0, 0, 0, 0], atol=0)


def test_topk_keeps_the_largest_and_does_not_renormalise():
    close(ops.topk(ROW, 2), [0, 0.4, 0, 0.3, 0], atol=0)
    for row in random_rows(5, 9, seed=3):
        for k in (1, 4, 9):
            kept = sorted(range(9), key=lambda c: -row[c])[:k]
            close(ops.topk(jnp.array(row), k), [row[c] if c in kept else 0 for c in range(9)], atol=0)


def test_topk_keeps_exactly_k_of_equal_weights_lower_class_first():
    close(ops.topk(TIED, 3), [0.25, 0.25, 0, 0.25, 0], atol=0)
    close(ops.topk(jnp.full(4, 0.25), 1), [0.25, 0, 0, 0], atol=0)


def test_renormalize_mends_a_cut_row():
    close(ops.renormalize(ops.topk(ROW, 2)), [0, 4 / 7, 0, 3 / 7, 0])


def test_swap_exchanges_the_ith_largest_with_the_smallest():
    close(ops.swap(ROW, 1), [0.4, 0.05, 0.1, 0.3, 0.15], atol=0)
    close(ops.swap(ROW, 4), [0.1, 0.4, 0.05, 0.3, 0.15], atol=0)
    for row in random_rows(4, 8, seed=4):
        for i in (1, 4, 7):
            wanted, order = row.copy(), sorted(range(8), key=lambda c: -row[c])
            wanted[order[i - 1]], wanted[order[-1]] = row[order[-1]], row[order[i - 1]]
            close(ops.swap(jnp.array(row), i), wanted, atol=0)


def test_swap_ranks_equal_weights_by_class():
    close(ops.swap(TIED, 1), [0, 0.25, 0.25, 0.25, 0.25], atol=0)
    close(ops.swap(jnp.array([0.0, 1.0, 0.0]), 1), [0, 0, 1], atol=0)  # of equal smallest ones the last class


def test_shuffle_keeps_the_first_guess_and_permutes_the_rest():
    rows = [ops.shuffle(ROW, key=jax.random.key(seed)) for seed in range(40)]
    assert all(row[1] == ROW[1] for row in rows)
    assert all(sorted(row.tolist()) == sorted(ROW.tolist()) for row in rows)
    seen = [{float(row[c]) for row in rows} for c in (0, 2, 3, 4)]
    assert all(len(values) == 4 for values in seen), "every other weight should turn up in every other class"


def test_shuffle_is_uniform_over_permutations():
    keys = jax.random.split(jax.random.key(0), 3000)
    rows = np.asarray(jax.vmap(lambda key: ops.shuffle(jnp.array([0.1, 0.2, 0.7, 0.0]), key=key))(keys))
    _, counts = np.unique(rows, axis=0, return_counts=True)
    assert len(counts) == 6
    assert np.all(abs(counts - 500) < 5 * np.sqrt(500)), counts


def test_drop_class_spares_the_images_of_the_class():
    close(ops.drop_class(ROW, 3, true_class=jnp.array(1)), [0.05, 0.4, 0.1, 0, 0.15], atol=0)
    close(ops.drop_class(ROW, 3, true_class=jnp.array(3)), ROW, atol=0)


def test_a_row_of_zeros_says_nothing_and_stays_so():
    for treated in (
        ops.temperature(jnp.zeros(4), 2.0),
        ops.power(jnp.zeros(4), 3.0),
        ops.renormalize(jnp.zeros(4)),
        ops.topk(jnp.zeros(4), 2),
    ):
        close(treated, np.zeros(4), atol=0)


@pytest.mark.parametrize(
    ("name", "argument", "message"),
    [
        ("temperature", 0.0, "temperature: t must be in [1e-6, 1e6], got 0.0"),
        ("temperature", float("inf"), "temperature: t must be in [1e-6, 1e6], got inf"),
        ("power", -1.0, "power: p must be in [1e-6, 1e6], got -1.0"),
        ("smooth", 1.5, "smooth: amount must be in [0, 1], got 1.5"),
        ("smooth", float("nan"), "smooth: amount must be in [0, 1], got nan"),
        ("topk", 0, "topk: k must be in 1..5, the number of classes, got 0"),
        ("topk", 6, "topk: k must be in 1..5, the number of classes, got 6"),
        ("swap", 0, "swap: i must be in 1..4, the number of classes less one, got 0"),
        ("swap", 5, "swap: i must be in 1..4, the number of classes less one, got 5"),
    ],
)
def test_arguments_out_of_range_are_refused(name, argument, message):
    with pytest.raises(errors.ConfigError) as refusal:
        getattr(ops, name)(ROW, argument)
    assert str(refusal.value) == message


def test_arguments_of_labelled_treatments_out_of_range_are_refused():
    label = jnp.array(0)
    with pytest.raises(errors.ConfigError, match=r"^mix: amount must be in \[0, 1\], got -0.1$"):
        ops.mix(ROW, -0.1, true_class=label)
    for c in (-1, 5):
        with pytest.raises(errors.ConfigError, match=rf"^drop_class: c must be in 0..4, the classes, got {c}$"):
            ops.drop_class(ROW, c, true_class=label)


@pytest.mark.parametrize(
    ("wanted", "treatment", "meaning"),
    [
        ("softmax", lambda row: row, "the source is softmax(logits)"),
        ("softmax_temperature_2.5", lambda row: ops.temperature(row, 2.5), "a temperature divides the logits"),
        ("topk_3_not_renormalized", lambda row: ops.topk(row, 3), "top-k keeps k weights and does not renormalise"),
        ("swap_2", lambda row: ops.swap(row, 2), "swap(2) exchanges the second largest with the smallest"),
    ],
)
def test_treatments_match_the_reference(golden, wanted, treatment, meaning):
    logits = jnp.array(golden["labels/expert_logits_ExNxK"][0])
    got = jax.vmap(lambda z: treatment(jax.nn.softmax(z)))(logits)
    np.testing.assert_allclose(got, golden[f"labels/{wanted}"], atol=1e-6, err_msg=meaning)
