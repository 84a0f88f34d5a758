"""Files of PyTorch and safetensors: their numbers are read, and nothing of them is ever run."""

import hashlib
import json
import os
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import saved
from saved import Raw, Tensor

from jaxsoft import errors
from jaxsoft.data.formats import tensors

NUMBERS = np.arange(12, dtype=np.float32)
WHOLE_TENSOR = Tensor("0", 12, (3, 4), (4, 1))
OF_TOUCH = b"cposix\nsystem\n(" + saved.emitted("touch ran") + b"tR"
KEPT = Path(__file__).parents[1] / "golden"
FILES = Path(__file__).resolve().parents[3] / "shared" / "golden" / "files"
MANIFEST = json.loads((FILES / "manifest.json").read_text()) if FILES.exists() else {"files": {}, "hostile": {}}
ENDS = (".pt", ".pth", ".safetensors", ".tar", ".h5")
GOOD = [name for name in MANIFEST["files"] if name.endswith(ENDS)]
BAD = [
    name for name, told in MANIFEST["hostile"].items()
    if name.endswith(ENDS) and told["expect"] == "refuse" and not name.startswith("hostile/values")
    and not name.endswith(("label_rows.h5", "not_3_times_square.h5", "no_data.h5"))  # arrays, and no set
]  # fmt: skip


def read(folder: Path, content: bytes, name: str = "file.pt"):
    (folder / name).write_bytes(content)
    return tensors.read(folder / name)


@pytest.mark.parametrize(
    "seen, wanted",
    [
        (WHOLE_TENSOR, NUMBERS.reshape(3, 4)),
        (Tensor("0", 12, (2, 3), (4, 1), 5), NUMBERS.reshape(3, 4)[1:, 1:]),
        (Tensor("0", 12, (4, 3), (1, 4)), NUMBERS.reshape(3, 4).T),
        (Tensor("0", 12, (), (), 7, location="cuda:0"), NUMBERS[7]),
        (Tensor("0", 12, (0, 3), (3, 1)), np.zeros((0, 3))),
        (
            Raw(b"ctorch._utils\n_rebuild_parameter\n(" + saved.emitted(WHOLE_TENSOR) + b"\x88NtR"),
            NUMBERS.reshape(3, 4),
        ),
    ],
)
def test_a_tensor_is_the_view_of_its_storage_that_it_was(tmp_path, seen, wanted):
    found = read(tmp_path, saved.zipped({"a": seen, "b": [seen]}, s0=NUMBERS))
    np.testing.assert_array_equal(found["a"], wanted)
    assert found["a"].shape == wanted.shape and found["a"].dtype == np.float32
    assert not found["a"].size or not found["a"].flags.writeable
    np.testing.assert_array_equal(found["b"][0], wanted)


@pytest.mark.parametrize(
    "storage, numbers",
    [
        ("DoubleStorage", np.array([0.1, -2])), ("HalfStorage", np.array([0.1, -2], np.float16)),
        ("LongStorage", np.array([1, -2])), ("IntStorage", np.array([1, -2], np.int32)),
        ("ShortStorage", np.array([1, -2], np.int16)), ("CharStorage", np.array([1, -2], np.int8)),
        ("ByteStorage", np.array([1, 200], np.uint8)), ("BoolStorage", np.array([True, False])),
    ],
)  # fmt: skip
def test_every_type_of_numbers_is_read(tmp_path, storage, numbers):
    content = saved.zipped(Tensor("0", 2, (2,), (1,), storage=storage), s0=numbers)
    found = read(tmp_path, content)
    assert found.dtype == numbers.dtype and found.tolist() == numbers.tolist()


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    halves = (np.array([1.5, -3e20, 0], np.float32).view(np.uint32) >> 16).astype("<u2")
    wanted = (halves.astype(np.uint32) << 16).view(np.float32)
    found = read(tmp_path, saved.zipped(Tensor("0", 3, (3,), (1,), storage="BFloat16Storage"), s0=halves))
    entry = {"a": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}
    same = read(tmp_path, saved.safetensors(entry, halves.tobytes()), "file.safetensors")["a"]
    for each in (found, same):
        assert each.dtype == np.float32 and each.tolist() == wanted.tolist() and wanted[0] == 1.5


def test_plain_values_beside_tensors_are_read(tmp_path):
    scalar = Raw(
        b"cnumpy._core.multiarray\nscalar\ncnumpy\ndtype\n(" + saved.emitted("f8")
        + b"\x89\x88tR(K\x03" + saved.emitted("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"c_codecs\nencode\n(" + saved.emitted(np.float64(0.25).tobytes().decode("latin1"))
        + saved.emitted("latin1") + b"tR\x86R"
    )  # fmt: skip
    value = {
        "lr": 0.1, "state": {0: [1, (True, None)]}, "scalar": scalar,
        "size": Raw(b"ctorch\nSize\n((K\x02K\x03ttR"),
        "args": Raw(b"cargparse\nNamespace\n)\x81}" + saved.emitted("lr") + b"K\x01sb"),
        "ordered": Raw(b"ccollections\nOrderedDict\n)R" + saved.emitted("w") + saved.emitted(WHOLE_TENSOR)
                       + b"s}" + saved.emitted("_metadata") + b"}sb"),
    }  # fmt: skip
    for content in (saved.zipped(value, s0=NUMBERS), saved.zipped(value, method=zipfile.ZIP_DEFLATED, s0=NUMBERS)):
        found = read(tmp_path, content)
        assert found.pop("ordered")["w"].tolist() == NUMBERS.reshape(3, 4).tolist()
        plain = {"lr": 0.1, "state": {0: [1, (True, None)]}, "scalar": 0.25, "size": (2, 3), "args": None}
        assert found == plain and type(found["scalar"]) is float


def test_the_format_before_1_6_is_read_and_its_storages_are_checked(tmp_path):
    value = {"a": Tensor("94", 12, (3, 4), (4, 1)), "b": Tensor("94", 12, (4,), (1,), 8)}
    found = read(tmp_path, saved.legacy(value, {"94": NUMBERS}))
    assert found["a"].tolist() == NUMBERS.reshape(3, 4).tolist() and found["b"].tolist() == [8, 9, 10, 11]
    for bad, told in [
        (saved.legacy(value, {"94": NUMBERS[:5]}), "storage 94 has 5 numbers; its tensors want 12"),
        (saved.legacy(value, {"94": NUMBERS[:5]}, {"94": 12}), "cut short"),
        (saved.legacy(value, {"95": NUMBERS}), "its storages are not those of its tensors"),
        (saved.legacy(Raw(OF_TOUCH), {}), "it would import posix.system, which is refused"),
    ]:
        with pytest.raises(errors.DataError, match=told):
            read(tmp_path, bad)


HOSTILE = {
    "call": (Raw(OF_TOUCH), "it would import posix.system, which is refused"),
    "call inside": ({"a": [Raw(OF_TOUCH)]}, "posix.system"),
    "dotted": (Raw(b"\x8c\x05torch\x8c\x17serialization.os.system\x93"), "torch.serialization.os.system"),
    "array called": (Raw(b"ctorch\nFloatStorage\n)R"), "it would call torch.FloatStorage"),
    "attributes": (Raw(b"ccollections\nOrderedDict\n)R}" + saved.emitted("__class__") + b"Nsb"), "set attributes"),
    "model": (Raw(b"ctorch.nn.modules.linear\nLinear\n)\x81"), r"save model.state_dict\(\) instead"),
    "inst": (Raw(b"(iposix\nsystem\n"), "INST is refused"),
    "extension": (Raw(b"\x82\x01"), "EXT1 is refused"),
    "name": ([Raw(b"ctorch\nFloatStorage\n")], "it holds torch.FloatStorage where a value is wanted"),
    "storage": ([Raw(saved.emitted(WHOLE_TENSOR).partition(b"_rebuild_tensor_v2\n(")[2].partition(b"Q")[0] + b"Q")],
                "it is damaged"),
    "odd id": (Raw(saved.emitted("x") + b"Q"), "refers to a storage"),
    "path": (Tensor("../../x", 12, (3, 4), (4, 1)), "refers to a storage"),
    "two counts": ([WHOLE_TENSOR, Tensor("0", 3, (3,), (1,))], "refers to a storage"),
    "expanded": (Tensor("0", 12, (2**20, 2**20), (0, 0)), "reaches beyond its 12"),
    "beyond": (Tensor("0", 12, (13,), (1,)), "reaches beyond its 12"),
    "offset": (Tensor("0", 12, (3, 4), (4, 1), 1), "reaches beyond its 12"),
    "overflow": (Tensor("0", 12, (2**33, 2**33), (1, 1)), "reaches beyond its 12"),
    "negative offset": (Tensor("0", 12, (3,), (1,), -1), "impossible offset, shape or strides"),
    "negative size": (Tensor("0", 12, (-3,), (1,)), "impossible offset, shape or strides"),
    "negative stride": (Tensor("0", 12, (3,), (-1,)), "impossible offset, shape or strides"),
    "dimensions": (Tensor("0", 12, (1,) * 40, (1,) * 40), "40 dimensions"),
    "strides": (Tensor("0", 12, (3, 4), (1,)), "2 dimensions and 1 strides"),
    "claim": (Tensor("0", 2**40, (4,), (1,)), "has 48 bytes; its tensors want 4,398,046,511,104"),
    "missing": (Tensor("1", 12, (4,), (1,)), "t/data/1 has 0 bytes; its tensors want 48"),
    "unknown": (Tensor("0", 12, (4,), (1,), storage="OddStorage"), "it would import torch.OddStorage"),
    "object array": (Raw(b"cnumpy\ndtype\n(" + saved.emitted("O8") + b"\x89\x88tR"), "not of numbers"),
    "deep": (Raw(b")" + b"\x85" * 200_000), "nested deeper than 64"),
    "laughs": (Raw(b"]" + b"".join(b"q%c](" % i + b"h%c" % i * 10 + b"e" for i in range(30))), "too many values"),
    "itself": (Raw(b"]q\x00h\x00a"), "nested deeper than 64"),
    "memo": (Raw(b"Nr\xff\xff\xff\x7f"), "damaged"),
    "long": (Raw(b"\x8b\xff\xff\xff\x7f1"), "LONG4 is refused"),
    "nested key": (Raw(b"})\x85\x85Ns"), "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_whatever_else_a_file_holds_is_refused_soon_and_in_little_memory(tmp_path, monkeypatch, case):
    value, told = HOSTILE[case]
    content = saved.zipped(value, s0=NUMBERS)
    monkeypatch.chdir(tmp_path)
    began, size = time.process_time(), len(content)
    tracemalloc.start()
    try:
        with pytest.raises(errors.DataError, match=told) as refused:
            read(tmp_path, content)
        assert tracemalloc.get_traced_memory()[1] < 100e6 + 10 * size
    finally:
        tracemalloc.stop()
    assert "\n" not in str(refused.value) and "file.pt" in str(refused.value)
    assert time.process_time() - began < 5
    assert not Path("ran").exists()


def test_a_zip_that_is_not_as_pytorch_writes_it_is_refused(tmp_path):
    good = saved.zipped(WHOLE_TENSOR, s0=NUMBERS)
    bent = good.replace(NUMBERS.tobytes(), NUMBERS[::-1].tobytes())
    zeros = saved.zipped(
        Tensor("0", 1 << 22, (1 << 22,), (1,)), method=zipfile.ZIP_DEFLATED, s0=np.zeros(1 << 22, "f4")
    )
    for content, told in [
        (bent, "Bad CRC-32"),
        (zeros, "would unpack to"),
        (good[:-1], "not a zip file"),
        (saved.zipped(1, {"t/../x": b""}), r"'..' and absolute paths are refused"),
        (saved.zipped(1, {"/x": b""}), r"'..' and absolute paths are refused"),
        (saved.zipped(1, {"u/data.pkl": b""}), "2 data.pkl"),
        (saved.zipped(1, {"t/byteorder": b"big"}), "another byte order"),
    ]:
        with pytest.raises(errors.DataError, match=told):
            read(tmp_path, content)
    with zipfile.ZipFile(tmp_path / "twice.pt", "w") as pack, pytest.warns(UserWarning, match="Duplicate"):
        pack.writestr("t/data.pkl", saved.program(1))
        pack.writestr("t/data.pkl", saved.program(Raw(OF_TOUCH)))
    with pytest.raises(errors.DataError, match="two files of one name"):
        tensors.read(tmp_path / "twice.pt")
    link = zipfile.ZipInfo("t/data/1")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.pt", "w") as pack:
        pack.writestr("t/data.pkl", saved.program(1))
        pack.writestr(link, "/etc/passwd")
    with pytest.raises(errors.DataError, match="links"):
        tensors.read(tmp_path / "link.pt")


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_safetensors_are_read_and_every_claim_of_their_header_is_checked(tmp_path):
    header = {"__metadata__": {"a": "b"}, "y": entry([2], 16, 24), "x": entry([2, 2], 0, 16), "n": entry([0], 24, 24)}
    found = read(tmp_path, saved.safetensors(header, NUMBERS[:6].tobytes()), "a.safetensors")
    assert {name: array.tolist() for name, array in found.items()} == {"x": [[0, 1], [2, 3]], "y": [4, 5], "n": []}
    for bad, told in [
        ({"x": entry([2, 2], 0, 16)}, "8 bytes belong to no array"),
        ({"x": entry([2, 2], 0, 16), "y": entry([2], 8, 16)}, "is not where the numbers before it end"),
        ({"x": entry([8], 0, 32)}, "reaches beyond the file"),
        ({"x": entry([2, 2], 0, 24)}, "24 bytes, which its shape does not fit"),
        ({"x": entry([-2, -3], 0, 24)}, "impossible shape"),
        ({"x": entry([6.0], 0, 24)}, "impossible shape"),
        ({"x": entry([6], 24, 0)}, "-24 bytes"),
        ({"x": entry([6], 0, 24, "F7")}, "of type 'F7'; choices: F64"),
        ({"x": entry([6], 0, 24, ["F32"])}, "of type"),
        ({"x": [6]}, "does not describe 'x'"),
        ([1], "lists no arrays"),
        (b'{"x":%b,"x":%b}' % ((json.dumps(entry([6], 0, 24)).encode(),) * 2), "has a name twice"),
        (b"{", "Expecting"),
        (b"[" * 100_000, "recursion"),
    ]:
        with pytest.raises(errors.DataError, match=told) as refused:
            read(tmp_path, saved.safetensors(bad, NUMBERS[:6].tobytes()), "a.safetensors")
        assert "\n" not in str(refused.value)
    with pytest.raises(errors.DataError, match="its header claims 1,152,921,504,606,846,976 bytes"):
        read(tmp_path, (2**60).to_bytes(8, "little") + b"{}", "a.safetensors")


@pytest.mark.parametrize(
    "content, told",
    [
        (b"", "it is empty; wanted .pt or .pth of torch.save, or .safetensors"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (saved.program(1), "a bare pickle"),
        (b"\0" * 257 + b"ustar\0", "a tar"),
        (b"\x93NUMPY\x01\0", "an array of NumPy"),
        (b"hello", "of no kind that is known"),
    ],
)
def test_a_file_of_another_kind_is_told_by_what_it_seems_to_be(tmp_path, content, told):
    with pytest.raises(errors.DataError, match=told):
        read(tmp_path, content)


def test_what_is_no_file_is_refused_before_it_can_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    for name, told in (("pipe.pt", "a named pipe"), (".", "a folder"), ("none.pt", "No such file")):
        with pytest.raises(errors.DataError, match=told):
            tensors.read(tmp_path / name)


@pytest.mark.parametrize("name", ["torch_convnet_legacy.pt", "torch_resnet18.pt"])
def test_bent_files_are_refused_or_read_but_nothing_else(tmp_path, name):
    content, rng = (KEPT / name).read_bytes(), np.random.default_rng(0)
    begin = max(0, content.find(b"\x80\x02"))  # bend what says something, not only numbers
    for trial in range(150):
        bent = bytearray(content[: rng.integers(len(content))] if trial % 5 == 0 else content)
        for position in begin + rng.integers(0, max(1, min(5_000, len(bent) - begin)), rng.integers(1, 4)):
            bent[min(position, len(bent) - 1)] ^= 1 << rng.integers(8) if bent else 0
        try:
            read(tmp_path, bytes(bent))
        except errors.DataError as refused:
            assert "\n" not in str(refused)


@pytest.mark.parametrize("name", GOOD)
def test_the_files_of_related_systems_hold_what_they_are_known_to_hold(name):
    found, told = tensors.read(FILES / name), MANIFEST["files"][name]
    for path, wanted in told.get("arrays", {}).items():
        array = _at(found, path) if path else found
        raw = np.ascontiguousarray(array)
        if wanted["dtype"] == "bfloat16":
            raw = (raw.view(np.uint32) >> 16).astype("<u2")
        else:
            assert array.dtype.name == wanted["dtype"], path
        assert list(array.shape) == wanted["shape"] and hashlib.sha256(raw.tobytes()).hexdigest() == wanted["sha256"], (
            path
        )
    for path, wanted in told.get("values", {}).items():
        assert _at(found, path) == wanted, path


@pytest.mark.parametrize("name", BAD)
def test_the_files_that_are_known_to_be_hostile_are_refused(name):
    with pytest.raises(errors.DataError) as refused:
        tensors.read(FILES / name)
    assert "\n" not in str(refused.value)
    assert not Path(MANIFEST["marker_that_must_never_appear"]).exists()


def _at(value, path):
    for part in path.split("/"):
        value = value[part] if isinstance(value, dict) and part in value else value[int(part.split("_")[0])]
    return value
