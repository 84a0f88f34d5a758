"""What every treatment promises. Treatments are found by reading the module: a new one is tested without a line here,
except that one which cuts on purpose must be named in CUTS (and in the module's docstring)."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import spec
from jaxsoft.labels import ops
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import metrics

OPERATIONS = spec.public_functions(ops)
CUTS = {"topk", "drop_class"}
KEEP_ENTROPY = {"swap", "shuffle"}
IDEMPOTENT = {"hard", "topk", "renormalize", "drop_class"}
EXAMPLE = {int: 2, float: 0.7}

K = 12
ROWS = {
    "random": np.random.default_rng(0).dirichlet(np.full(K, 0.5)),
    "one-hot": np.eye(K)[4],
    "uniform": np.full(K, 1 / K),
    "late teacher": np.r_[1 - 11e-30, np.full(K - 1, 1e-30)],
    "half zeros": np.r_[np.zeros(K // 2), np.full(K // 2, 2 / K)],
}


@functools.cache
def treatment(name):
    """The operation as a function of (row, label, key), its arguments filled by their type; compiled once."""
    parameters = inspect.signature(OPERATIONS[name]).parameters.values()
    arguments = {p.name: EXAMPLE[p.annotation] for p in parameters if p.annotation in EXAMPLE}
    supplied = {p.name for p in parameters} & {"true_class", "key"}

    def apply(row, label, key):
        own = {"true_class": label, "key": key}
        return OPERATIONS[name](row, **arguments, **{n: own[n] for n in supplied})

    return jax.jit(apply)


def treat(name, row, label=3, seed=0):
    return treatment(name)(jnp.array(row, jnp.float32), jnp.array(label), jax.random.key(seed))


def test_the_required_treatments_are_there():
    wanted = "hard temperature power smooth mix topk renormalize swap shuffle drop_class"
    assert set(wanted.split()) <= set(OPERATIONS)


def test_the_lists_name_real_treatments_and_the_docstring_names_those_that_cut():
    assert CUTS | KEEP_ENTROPY | IDEMPOTENT <= set(OPERATIONS)
    assert all(f"`{name}`" in ops.__doc__ for name in CUTS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_signature_is_a_row_then_static_arguments_then_what_the_bank_supplies(name):
    first, *rest = inspect.signature(OPERATIONS[name]).parameters.values()
    assert first.name == "row"
    supplied = [p for p in rest if p.kind is p.KEYWORD_ONLY]
    assert {p.name for p in supplied} <= {"true_class", "key"}
    assert all(p.annotation in (int, float, str, bool) for p in rest if p not in supplied), "types are checked by these"


@pytest.mark.parametrize("name", OPERATIONS)
def test_docstring_speaks_of_every_argument_that_the_user_writes(name):
    """What all treatments have in common, the module's docstring says once."""
    doc, supplied = OPERATIONS[name].__doc__, ("row", "true_class", "key")
    for argument in set(inspect.signature(OPERATIONS[name]).parameters) - set(supplied):
        assert f"`{argument}`" in doc or f"\n      {argument}: " in doc
    assert all(f"`{argument}`" in ops.__doc__ for argument in supplied)
    if "_require" in inspect.getsource(inspect.unwrap(OPERATIONS[name])):
        assert any(sign in doc for sign in (" <= ", " to ", "..", "ConfigError")), "the range of a static argument"


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_rows_are_finite_weights_of_the_same_shape_and_sum_to_one_unless_cut(name, kind):
    for label in (3, 2):  # 2 is the example argument, a treatment's own class
        got = treat(name, ROWS[kind], label)
        assert got.shape == (K,) and got.dtype == jnp.float32
        assert np.isfinite(got).all() and (got >= 0).all()
        if name in CUTS:
            assert got.sum() <= 1 + 1e-6
        else:
            np.testing.assert_allclose(got.sum(), 1, atol=2e-6)


@pytest.mark.parametrize("name", OPERATIONS)
def test_many_rows_are_treated_as_one_row_alone(name):
    rng = np.random.default_rng(5)
    rows = jnp.array(rng.dirichlet(np.ones(K), size=6), jnp.float32)
    labels, keys = jnp.arange(6), jax.random.split(jax.random.key(1), 6)
    together = jax.vmap(treatment(name))(rows, labels, keys)
    alone = [treatment(name)(*one) for one in zip(rows, labels, keys)]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-7)


@pytest.mark.parametrize("name", sorted(KEEP_ENTROPY))
def test_entropy_is_kept_by_those_that_only_permute(name):
    for seed, row in enumerate(ROWS.values()):
        got = treat(name, row, seed=seed)
        assert sorted(got.tolist()) == sorted(np.float32(row).tolist())
        np.testing.assert_allclose(metrics.entropy(got), metrics.entropy(jnp.array(row, jnp.float32)), atol=1e-6)
    assert (treat(name, ROWS["random"]) != np.float32(ROWS["random"])).any()


@pytest.mark.parametrize("name", sorted(IDEMPOTENT))
def test_twice_is_as_good_as_once(name):
    for row in ROWS.values():
        once = treat(name, 0.5 * row)  # half the mass, so that renormalize has something to do
        np.testing.assert_allclose(treat(name, once), once, atol=1e-7)


def test_identities_between_treatments():
    row = jnp.array(ROWS["random"], jnp.float32)
    pairs = [
        (ops.temperature(row, 2.5), ops.power(row, 0.4)),
        (ops.temperature(row, 1.0), row),
        (ops.topk(row, K), row),
        (ops.smooth(row, 0.0), row),
        (ops.swap(ops.swap(row, 2), 2), row),
    ]
    for left, right in pairs:
        np.testing.assert_allclose(left, right, atol=1e-6)


def numpy_swap(row, i):
    order = sorted(range(K), key=lambda c: -row[c])
    row = row.copy()
    row[[order[i - 1], order[-1]]] = row[[order[-1], order[i - 1]]]
    return row


def test_random_pipelines_match_a_numpy_loop():
    generator, label = np.random.default_rng(7), 3
    truth = np.eye(K)[label]
    cases = {
        "hard": lambda row: truth,
        "temperature(2)": lambda row: row**0.5 / (row**0.5).sum(),
        "power(1.5)": lambda row: row**1.5 / (row**1.5).sum(),
        "smooth(0.3)": lambda row: 0.7 * row + 0.3 / K,
        "mix(0.25)": lambda row: 0.75 * row + 0.25 * truth,
        "topk(5)": lambda row: np.where(np.isin(np.arange(K), sorted(range(K), key=lambda c: -row[c])[:5]), row, 0),
        "renormalize": lambda row: row / row.sum(),
        "swap(2)": lambda row: numpy_swap(row, 2),
        "drop_class(7)": lambda row: np.where(np.arange(K) == 7, 0, row),
    }
    for _ in range(20):
        texts = generator.choice(list(cases), size=4)
        wanted = row = generator.dirichlet(np.ones(K)).astype(np.float32)
        for text in texts:
            wanted = cases[text](wanted)
        got = LabelSpec.parse("teacher|" + "|".join(texts)).treat(jnp.array(row), jnp.array(label), jnp.array(0))
        np.testing.assert_allclose(got, wanted, atol=2e-6, err_msg="|".join(texts))
