"""A tree as bytes: what comes out is bitwise what went in."""

import hashlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from jaxsoft import packing
from jaxsoft.experiment.store import differences


class Pair(NamedTuple):
    first: object
    second: object


TREE = {
    "kernel": np.array([[1.5, -2.0], [np.nan, 0.1]], np.float32),
    "nested": Pair(jnp.arange(3), [None, ()]),
    "half": np.array([1.25, -3.0], ml_dtypes.bfloat16),
    "mask": np.array([True, False, True]),
    "count": np.uint32(7),
    "empty": np.zeros((0, 3), np.float32),
    "step": 3,
}


def test_the_bytes_are_a_safetensors_file_and_the_record_says_what_is_in_it():
    packed, record = packing.pack({"a": np.array([1, 2], np.uint8), "b": np.array(3, np.uint16)})
    assert packed.dtype == np.uint8 and packed.ndim == 1
    assert list(safetensors.numpy.load(packed.tobytes())["a"]) == [1, 2]  # any tool can read it
    assert record["b"] == {"dtype": "uint16", "shape": [], "sha256": hashlib.sha256(b"\x03\x00").hexdigest()}


def test_round_trip_is_bitwise_for_every_kind_of_leaf():
    packed, record = packing.pack(TREE)
    back = packing.unpack(packed, record, TREE)
    assert jax.tree.structure(back) == jax.tree.structure(TREE)
    for before, after in zip(jax.tree.leaves(TREE), jax.tree.leaves(back)):
        before = np.asarray(before)
        assert type(after) is np.ndarray
        assert (after.dtype, after.shape, after.tobytes()) == (before.dtype, before.shape, before.tobytes())


def test_foreign_byte_order_and_strides_keep_their_values():
    tree = {"big": np.array([1.0, 2.0], ">f4"), "turned": np.arange(6, dtype=np.int32).reshape(2, 3).T}
    packed, record = packing.pack(tree)
    back = packing.unpack(packed, record, tree)
    np.testing.assert_array_equal(back["big"], [1.0, 2.0])
    np.testing.assert_array_equal(back["turned"], [[0, 3], [1, 4], [2, 5]])
    assert differences.differences(record, tree, {}, {}) == []


def test_leaves_are_found_by_path_not_by_place():
    packed, record = packing.pack({"a": np.float32(1), "b": np.float32(2)})
    back = packing.unpack(packed, dict(reversed(record.items())), {"a": np.float32(0), "b": np.float32(0)})
    assert (back["a"], back["b"]) == (1, 2)


def test_every_flipped_bit_of_a_leaf_is_noticed():
    packed, record = packing.pack({"a": np.array([1.5, 2.5], np.float32)})
    for bit in range(8 * 8):
        altered = packed.copy()
        altered[bit // 8 - 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="a is not what was saved"):
            packing.unpack(altered, record, {"a": np.zeros(2, np.float32)})
    with pytest.raises(safetensors.SafetensorError):
        packing.unpack(packed[:-1], record, {"a": np.zeros(2, np.float32)})


def test_two_leaves_of_one_path_are_refused():
    with pytest.raises(ValueError, match="same path"):
        packing.pack({"a": {"b": 1}, "a/b": 2})


def test_typed_keys_are_refused():
    with pytest.raises(TypeError):
        packing.pack({"key": jax.random.key(0)})


def test_the_table_of_differences():
    _, record = packing.pack({"w": np.zeros((2, 3), np.float32), "b": np.zeros(3, np.float32)})
    like = {"w": jax.ShapeDtypeStruct((2, 4), np.float32), "b": jax.ShapeDtypeStruct((3,), np.float32), "c": 1}
    table = differences.differences(record, like, {"config": "old", "seed": 1}, {"config": "new", "seed": 1})
    assert table == [
        "  leaf        saved          wanted",
        "  c           absent         int64[]",
        "  w           float32[2, 3]  float32[2, 4]",
        '  tag.config  "old"          "new"',
    ]


def test_a_long_table_is_cut():
    _, record = packing.pack([np.zeros(1)] * 50)
    lines = differences.differences(record, [np.zeros(2)] * 50, {}, {})
    assert len(lines) == 1 + differences._SHOWN + 1
    assert lines[-1] == "  and 30 more"
