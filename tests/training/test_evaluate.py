"""Evaluation against NumPy, and the cutting of a split into batches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxsoft import models
from jaxsoft.data.normalize import Normalizer
from jaxsoft.training import evaluate, fit
from jaxsoft.training.fit import Bank
from jaxsoft.types import Split

RECIPE = tiny.MLP._replace(model="mlp(layers=1)")  # softmax regression


@pytest.fixture(scope="module")
def setting():
    """A bank that scales bytes, a network, 21 byte images and their labels, and the logits by NumPy."""
    bank = Bank(jnp.zeros((1, *tiny.SHAPE), jnp.uint8), jnp.array([0.01]), jnp.array([-1.0]), jnp.zeros((1, 3)))
    variables = fit.initialize(RECIPE, tiny.SHAPE, jnp.int32(3)).variables
    random = np.random.default_rng(2)
    images = random.integers(0, 256, (21, *tiny.SHAPE), np.uint8)
    labels = random.integers(0, 3, 21).astype(np.int32)
    p = variables["params"]["classifier"]
    logits = (images.reshape(21, -1) * 0.01 - 1.0) @ np.asarray(p["kernel"], np.float64) + np.asarray(p["bias"])
    return bank, variables, images, labels, logits


def test_accuracy_and_entropy_by_numpy(setting):
    """21 images in three batches of 7, in batches of 8 with three that are padding, and in one batch: all the same."""
    bank, variables, images, labels, logits = setting
    q = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wanted = (logits.argmax(1) == labels).mean(), -(q * np.log(q)).sum(1).mean()
    assert 0 < wanted[0] < 1
    zeros, unknown = np.zeros((3, *tiny.SHAPE), np.uint8), np.full(3, -1, np.int32)
    padded = evaluate.EvalSet(
        np.concatenate([images, zeros]).reshape(3, 8, *tiny.SHAPE), np.concatenate([labels, unknown]).reshape(3, 8)
    )
    for data in (padded, *(evaluate.eval_set(images, labels, batch=b) for b in (7, 100))):
        got = jax.jit(lambda d: evaluate.evaluate(RECIPE, bank, variables, d))(data)
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_padding_counts_neither_as_right_nor_as_wrong(setting):
    """Whatever its pixels: label -1 is no class, not even the one that argmax would name for zeros."""
    bank, variables, images, labels, logits = setting
    right = logits.argmax(1).astype(np.int32)
    known = np.where(np.arange(21) < 4, right, -1).astype(np.int32)
    data = evaluate.EvalSet(images.reshape(3, 7, *tiny.SHAPE), known.reshape(3, 7))
    q = np.exp(logits[:4]) / np.exp(logits[:4]).sum(1, keepdims=True)
    accuracy, entropy = evaluate.evaluate(RECIPE, bank, variables, data)
    assert accuracy == 1.0
    np.testing.assert_allclose(entropy, -(q * np.log(q)).sum(1).mean(), rtol=1e-5)


def test_nothing_but_padding_is_zero_not_nan(setting):
    bank, variables, *_ = setting
    empty = evaluate.eval_set(np.zeros((0, *tiny.SHAPE), np.uint8), np.zeros(0, np.int32))
    assert all(np.isnan(value) for value in evaluate.evaluate(RECIPE, bank, variables, empty))


def test_predictions_are_the_logits(setting):
    bank, variables, images, _, logits = setting
    got = evaluate.predict(RECIPE, bank, variables, jnp.asarray(images.reshape(3, 7, *tiny.SHAPE)))
    np.testing.assert_allclose(got.reshape(21, 3), logits, atol=1e-5)


@pytest.mark.parametrize(
    "count, batch, shape",
    [(21, 8, (3, 7)), (22, 8, (3, 8)), (16, 8, (2, 8)), (5, 8, (1, 5)), (1, 8, (1, 1)), (9, 8, (2, 5))],
)
def test_a_split_is_cut_into_the_fewest_batches_and_padded_least(count, batch, shape):
    images = np.arange(count * 64, dtype=np.float32).reshape(count, *tiny.SHAPE)
    labels = np.arange(count, dtype=np.int64)
    data = evaluate.eval_set(images, labels, batch)
    assert data.images.shape == (*shape, *tiny.SHAPE) and data.labels.shape == shape
    assert data.labels.dtype == np.int32 and data.images.dtype == np.float32
    np.testing.assert_array_equal(data.images.reshape(-1, *tiny.SHAPE)[:count], images)
    np.testing.assert_array_equal(data.labels.ravel(), [*labels, *[-1] * (shape[0] * shape[1] - count)])


@pytest.mark.parametrize(
    "bytes_at_a_time, shapes", [(10**9, [(3, 7)]), (64 * 11, [(2, 6)] * 2), (64 * 8, [(1, 7)] * 3)]
)
def test_a_large_split_comes_in_pieces_of_one_shape_that_hold_each_image_once(
    setting, monkeypatch, bytes_at_a_time, shapes
):
    """And say of each class what the whole says."""
    bank, variables, images, labels, _ = setting
    monkeypatch.setattr(evaluate, "PIECE_BYTES", bytes_at_a_time)
    normalizer = Normalizer(np.ones(1, np.float32), np.zeros(1, np.float32))
    pieces = [*evaluate.Pieces(Split(images, labels), normalizer, batch=8)]
    assert [piece.labels.shape for piece in pieces] == shapes
    seen, known = (np.concatenate([a.reshape(-1, *a.shape[2:]) for a in column]) for column in zip(*pieces))
    assert (seen[known >= 0] == images).all() and (known[known >= 0] == labels).all()
    count = functools.partial(evaluate.correct_by_class, RECIPE, bank, variables)
    whole = evaluate.eval_set(images, labels, 8)
    assert (sum(map(count, pieces)) == count(whole)).all()


@pytest.mark.parametrize("model", models.architectures())
def test_embeddings_are_what_the_classifier_is_given(model):
    """Of every architecture its width; of the small ones, numbers: the last layer makes the logits of them."""
    recipe, shape = tiny.MLP._replace(model=model), (2, 8, 8, 1) if model == "convnet3d" else (8, 8, 1)
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 3, *shape), np.uint8))
    bank = Bank(jnp.zeros((1, *shape), jnp.uint8), jnp.array([0.01]), jnp.array([-1.0]), jnp.zeros((1, 3)))

    def both(seed):
        variables = fit.initialize(recipe, shape, seed).variables
        ask = evaluate.embeddings, evaluate.predict
        return variables["params"]["classifier"], *(f(recipe, bank, variables, images) for f in ask)

    run = jax.eval_shape if model.startswith("resnet") else (lambda f, x: jax.jit(f)(x))
    last, embedded, logits = run(both, jnp.int32(0))
    assert embedded.shape == (2, 3, last["kernel"].shape[0])
    if run is not jax.eval_shape:
        embedded, last = np.asarray(embedded), jax.device_get(last)
        np.testing.assert_allclose(embedded @ last["kernel"] + last["bias"], logits, rtol=1e-5, atol=1e-5)
