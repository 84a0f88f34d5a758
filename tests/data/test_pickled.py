"""Pickles of plain values are read as Python would read them, and nothing that they name is ever called."""

import os
import pickle
import tracemalloc
from fractions import Fraction

import numpy as np
import published
import pytest

from jaxsoft.data.formats import pickled

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6), np.uint8)
PLAIN = {
    "names": ["cat", "ä"],
    "labels": [3, 0, 255, 70_000, -1],
    "pair": (1, (2, 3, 4, 5)),
    "none": [None, True],
    "b": b"x",
}


class Runs:
    """Unpickling this calls a function."""

    def __init__(self, function, *given):
        self.call = function, given

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("pixels", [PIXELS, np.asfortranarray(PIXELS), PIXELS.astype(">i4"), PIXELS.astype(np.int64)])
def test_plain_values_are_those_that_python_reads(protocol, pixels):
    data = pickle.dumps(PLAIN | {"data": pixels}, protocol)
    found, wanted = pickled.load(data), pickle.loads(data)
    np.testing.assert_array_equal(pickled.array(found.pop("data")), wanted.pop("data"))
    assert found == wanted


def test_what_python_2_wrote_is_read():
    data = published.python2_pickle({"labels": [1, 2], "data": PIXELS, "names": ["cat"]})
    found = pickled.load(data)
    np.testing.assert_array_equal(pickled.array(found["data"]), PIXELS)
    assert (found["labels"], found["names"]) == ([1, 2], ["cat"])
    np.testing.assert_array_equal(pickle.loads(data, encoding="latin1")["data"], PIXELS)  # it is a pickle indeed


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "what", [Runs(os.mkdir, "pwned"), Runs(eval, "1"), Runs(np.load, "x"), Fraction(1, 2), {1, 2}, 1.5]
)
def test_whatever_else_a_pickle_holds_is_refused_without_being_run(tmp_path, monkeypatch, protocol, what):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="refused|damaged"):
        pickled.load(pickle.dumps({"data": [what]}, protocol))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "data",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"\x80\x02cnumpy\nndarray\nK\x05\x85R.",  # an array is never called
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R.",
        b"\x80\x02cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02}(K\x01K\x02u.",
        b"\x80\x02K\x01K\x02.",
        b"\x80\x02h\x05.",
        b"\x80\x02K\x01a.",
        b"\x80\x02]K\x01b.",
        b"\x80\x02u.",
        b"\x80\x02.",
        b"",
        b".",
        b"\x80\x02T\xff\xff\xff\x7fabc.",  # 2 GiB that are not there
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
        b"\x80\x02\x8b\xff\xff\xff\x7f1.",
    ],
)
def test_bent_pickles_are_refused_in_little_memory(data):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError):
            pickled.array(pickled.load(data))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_every_cut_and_many_flips_are_refused_or_read_but_nothing_else():
    data, rng = published.python2_pickle({"labels": [1, 2], "data": PIXELS}), np.random.default_rng(0)
    for end in range(len(data)):
        with pytest.raises(ValueError):
            pickled.load(data[:end])
    for _ in range(2_000):
        bent = bytearray(data)
        for position in rng.integers(0, len(data), rng.integers(1, 4)):
            bent[position] ^= 1 << rng.integers(8)
        try:
            found = pickled.load(bytes(bent))
            assert pickled.array(found["data"]).nbytes < 1_000 if isinstance(found, dict) and "data" in found else True
        except ValueError as refused:
            assert "\n" not in str(refused)
