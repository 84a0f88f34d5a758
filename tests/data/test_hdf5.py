"""Files of HDF5: arrays of numbers are read, and everything else that the format can do is refused."""

import sys
import zlib

import h5py
import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.data import formats
from jaxsoft.data.formats import tensors

NUMBERS = np.arange(7 * 33, dtype=np.float32).reshape(7, 33)
SECRET = b"what another file holds"


def refused(path):
    with pytest.raises(errors.DataError) as problem:
        tensors.read(path)
    told = str(problem.value)
    assert "\n" not in told and str(path) in told
    return told


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_arrays_are_read_however_they_are_laid_out(tmp_path, version):
    wanted = {
        "whole": NUMBERS,
        "big": NUMBERS.astype(">f8"),
        "half": NUMBERS.astype("f2"),
        "bytes": np.arange(9, dtype="u1"),
    }
    with h5py.File(tmp_path / "a.h5", "w", libver=version) as file:
        for name, array in wanted.items():
            file[name] = array
        file["number"], file["none"] = np.int64(3), np.zeros((0, 4), "f4")
        more = {"packed": {"compression": "gzip"}, "cut": {}, "both": {"compression": "gzip", "shuffle": True}}
        for name, how in more.items():
            file.create_dataset(name, data=NUMBERS, chunks=(2, 8), maxshape=(None, 33), **how)
    found = tensors.read(tmp_path / "a.h5")
    wanted |= dict.fromkeys(more, NUMBERS) | {"number": np.array(3), "none": np.zeros((0, 4), "f4")}
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].dtype == array.dtype


def external_link(file, _):
    file["data"] = h5py.ExternalLink("other.h5", "/data")


def soft_link(file, _):
    file["data"] = h5py.SoftLink("/data")


def external_storage(file, folder):
    (folder / "other").write_bytes(SECRET)
    file.create_dataset("data", (len(SECRET),), "u1", external=[(str(folder / "other"), 0, len(SECRET))])


def virtual(file, folder):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "data", (4,))
    file.create_virtual_dataset("data", layout)


def group(file, _):
    file["inner/data"] = NUMBERS


def text(file, _):
    file["data"] = ["a", "b"]


def compound(file, _):
    file["data"] = np.zeros(3, [("a", "f4"), ("b", "i4")])


def nothing(file, _):
    file["data"] = h5py.Empty("f4")


def reference(file, _):
    file["data"] = file.ref


def odd_numbers(file, _):
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_ebias(120)
    h5py.h5d.create(file.id, b"data", kind, h5py.h5s.create_simple((3,)))


def terabytes(file, _):
    file.create_dataset("data", (1 << 31, 768), "f4", chunks=(1, 768))


def bomb(file, _):
    file.create_dataset("data", data=np.zeros(1 << 20, "f4"), compression="gzip")


def holes(file, _):
    file.create_dataset("data", (1 << 10, 8), "f4", chunks=(1, 8), compression="gzip")[3] = NUMBERS[0, :8]


def wide_chunk(file, _):
    data = file.create_dataset("data", (8,), "f4", chunks=(1 << 27,), maxshape=(None,))
    data.id.write_direct_chunk((0,), NUMBERS[0, :8].tobytes())


def chunk_bomb(file, _):
    data = file.create_dataset("data", (1 << 12,), "f4", chunks=(1 << 12,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 24)))


def bare_chunk(file, _):
    data = file.create_dataset("data", (8,), "f4", chunks=(8,), compression="gzip")
    data.id.write_direct_chunk((0,), NUMBERS[0, :8].tobytes(), filter_mask=1)


def other_filter(file, _):
    file.create_dataset("data", data=NUMBERS, compression="lzf")


HOSTILE = {
    external_link: "'data' is a link", soft_link: "'data' is a link", external_storage: "in another file",
    virtual: "in another file", group: "wanted arrays alone", text: "does not hold numbers",
    compound: "does not hold numbers", nothing: "wanted arrays alone", reference: "does not hold numbers",
    odd_numbers: "does not hold numbers", terabytes: "claims 6,597,069,766,656 bytes, for which the file has 0",
    bomb: "claims 4,194,304 bytes", holes: "claims", wide_chunk: "of 536,870,912 bytes each",
    chunk_bomb: "unpacks to another size", bare_chunk: "packed as no other", other_filter: "only gzip and shuffle",
}  # fmt: skip


@pytest.mark.parametrize("made", HOSTILE, ids=lambda made: made.__name__)
def test_all_else_is_refused(tmp_path, made):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made(file, tmp_path)
    assert HOSTILE[made] in refused(tmp_path / "a.h5")


def test_a_file_that_is_cut_short_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = NUMBERS
    content = (tmp_path / "a.h5").read_bytes()
    for count in (9, 100, len(content) - 1):
        (tmp_path / "a.h5").write_bytes(content[:count])
        refused(tmp_path / "a.h5")


def test_the_extra_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.delattr(formats, "hdf5", raising=False)
    monkeypatch.delitem(sys.modules, "jaxsoft.data.formats.hdf5", raising=False)
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert "it is HDF5, which h5py reads; pip install" in refused(tmp_path / "a.h5")
