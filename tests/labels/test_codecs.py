"""Codecs of label rows: what they keep, to which bound, in how many bytes."""

import doctest

import numpy as np
import pytest
from scipy.special import softmax

from jaxsoft import errors
from jaxsoft.labels import codecs

DENSE = ("float32", "float16", "int8", "int4")
ALL = (*DENSE, "top1:int8", "top3:int8", "top3:float16", "top5:float32", "top1:int4", "top4:int4")


def rows(classes, spread, count=400, seed=0):
    logits = np.random.default_rng(seed).normal(size=(count, classes)) * spread
    return softmax(logits, 1).astype(np.float32)


def divergence(p, q):
    """KL(q || p) in nats, row by row, of rows that sum to 1."""
    p, q = p.astype(np.float64), q.astype(np.float64)
    return np.where(q > 0, q * np.log(np.where(q > 0, q, 1) / np.where(q > 0, p, 1)), 0).sum(1)


def again(given, codec):
    return codecs.again(given, codec)


def test_docstrings():
    assert doctest.testmod(codecs).failed == 0


@pytest.mark.parametrize("codec", ALL)
@pytest.mark.parametrize("classes", [7, 10, 200, 1000])
@pytest.mark.parametrize("spread", [0.001, 1, 3, 12])
def test_the_largest_stays_the_largest_and_rows_sum_to_one(codec, classes, spread):
    given = rows(classes, spread)
    found = again(given, codec)
    assert found.dtype == np.float32 and found.shape == given.shape and (found >= 0).all()
    assert (found.argmax(1) == given.argmax(1)).all()
    assert np.allclose(found.sum(1, dtype=np.float64), 1, atol=2e-6)


@pytest.mark.parametrize("codec", ALL)
def test_true_classes_are_exact_and_so_are_rows_of_nothing_and_of_cut_labels(codec):
    hard = np.eye(10, dtype=np.float32)
    assert np.array_equal(again(hard, codec), hard)
    nothing = np.zeros((2, 10), np.float32)
    assert np.array_equal(again(nothing, codec), nothing)
    cut = rows(10, 2)
    cut = np.where(cut >= np.sort(cut, 1)[:, -1:], cut, 0)
    assert np.allclose(again(cut, codec), cut, rtol=1e-6) and ((again(cut, codec) > 0) == (cut > 0)).all()


def test_float32_is_the_very_rows():
    for given in (rows(10, 3), rows(10, 3) * np.float32(0.9)):
        assert np.array_equal(again(given, "float32"), given)


@pytest.mark.parametrize("classes", [10, 200])
def test_divergences_are_bounded(classes):
    for spread in (0.5, 2, 4):
        given = rows(classes, spread)
        logs = np.log(given)
        step = np.minimum(logs.max(1) - logs.min(1), 20) / 254
        # Hoeffding's lemma: where errors of log p lie in a range of 1.6 steps, the divergence is at most its square / 8.
        assert (divergence(given, again(given, "int8")) <= (1.6 * step) ** 2 / 8 + 1e-6).all()
        assert divergence(given, again(given, "float16")).max() < 1e-5
        top, kept = again(given, "top3:float32"), np.sort(given, 1)[:, -3:]
        order = np.argsort(-given, 1)[:, :3]
        assert np.allclose(np.take_along_axis(top, order, 1), kept[:, ::-1], rtol=1e-5)


@pytest.mark.parametrize("classes", [10, 200])
def test_the_divergence_of_four_bits_is_bounded_where_they_reach(classes):
    given = rows(classes, 0.7)
    step = (np.log(given.max(1)) - np.log(given.min(1))) / 14
    assert step.max() < 10 / 14  # nothing lies deeper than the codes reach
    assert (divergence(given, again(given, "int4")) <= (1.6 * step) ** 2 / 8 + 1e-6).all()
    assert divergence(given, again(given, "int8")).mean() < divergence(given, again(given, "int4")).mean() / 100


def test_codes_of_four_bits_lie_two_to_a_byte_and_keep_zero():
    given = np.array([[0.7, 0.2, 0.1, 0, 0], [0, 1, 0, 0, 0]], np.float32)
    coded = codecs.encode(given, "int4")
    assert coded["numbers"].shape == (2, 3) and coded["numbers"].dtype == np.uint8
    assert coded["numbers"][1].tolist() == [0x0F, 0, 0] and coded["numbers"][0, 0] >> 4 == 15
    assert coded["numbers"][0, 1] == 0x10  # the smallest entry above zero has code 1
    assert np.allclose(again(given, "int4"), given, atol=0.02) and (again(given, "int4")[0, 3:] == 0).all()


@pytest.mark.parametrize("codec", ALL)
def test_a_row_comes_back_the_same_whatever_is_stored_beside_it(codec):
    given = rows(10, 2, count=40)
    beside = np.concatenate([given * np.float32(0.4), given])
    assert np.array_equal(again(beside, codec)[40:], again(given, codec))


@pytest.mark.parametrize("codec", ALL)
def test_bytes_of_one_row_are_those_of_many_by_their_number(codec):
    given = rows(10, 2, count=30)
    assert 30 * codecs.row_bytes(codec, 10) == codecs.bytes_of(codecs.encode(given, codec))
    cut = codecs.bytes_of(codecs.encode(given * np.float32(0.5), codec))
    assert 30 * codecs.row_bytes(codec, 10, whole=False) == cut


def test_eight_bits_in_log_p_are_better_than_eight_linear_bits():
    given = rows(200, 2)
    scale = given.max(1, keepdims=True) / 255
    linear = np.rint(given / scale) * scale
    linear = np.where(linear > 0, linear, 0) / linear.sum(1, keepdims=True)
    assert divergence(given, again(given, "int8")).mean() < divergence(given, linear).mean() / 100


@pytest.mark.parametrize(
    ("codec", "classes", "wanted"),
    [
        ("float32", 10, 40), ("float16", 10, 20), ("int8", 10, 10 + 2), ("int8", 200, 200 + 2),
        ("top3:int8", 10, 3 + 4 + 2), ("top3:float16", 10, 3 + 8), ("top10:int8", 300, 20 + 11 + 2),
        ("int4", 10, 5 + 2), ("int4", 7, 4 + 2), ("top3:int4", 10, 3 + 2 + 2), ("top5:int4", 300, 10 + 3 + 2),
    ],
)  # fmt: skip
def test_bytes_of_a_row(codec, classes, wanted):
    coded = codecs.encode(rows(classes, 2, count=50), codec)
    assert codecs.bytes_of(coded) == 50 * wanted
    cut = codecs.encode(rows(classes, 2, count=50) * np.float32(0.5), codec)
    assert codecs.bytes_of(cut) == 50 * (wanted + 4 * (codec != "float32"))


@pytest.mark.parametrize("codec", ["int3", "top0:int8", "top10:int8", "top3", "top3:top3:int8", "", "int8 "])
def test_what_is_no_codec_is_refused(codec):
    with pytest.raises(errors.ConfigError, match=f"^--codec={codec} is none for 10 classes; choices: float32, float16"):
        codecs.encode(rows(10, 1), codec)
