"""Sample files in the layouts of related systems, and hostile ones: each becomes what the record says of it."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxsoft.data.formats import array, images
from jaxsoft.distilled.reading import layouts
from jaxsoft.distilled.reading.options import Options

FILES = Path(__file__).resolve().parents[3] / "shared" / "golden" / "files"
NONE = {"files": {}, "hostile": {}, "imports": {}, "marker_that_must_never_appear": ""}
MANIFEST = json.loads((FILES / "manifest.json").read_text()) if FILES.exists() else NONE
ARRAYS = [name for name in MANIFEST["files"] if name.endswith((".npy", ".npz"))]
PICTURES = [name for name in MANIFEST["files"] if name.endswith(".jpg")]
SOURCES = FILES.parent / "systems_parity.npz"
FLAGS = {"ncfm": {"factor": 2}}
LONGEST, LARGEST = 5, 200  # seconds and megabytes

pytestmark = pytest.mark.skipif(
    not MANIFEST["files"], reason=f"there are no sample files beside the checkout ({FILES})"
)


def digest(found: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(found).tobytes()).hexdigest()


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_numpy_are_those_of_the_record(name):
    found, told = array.read(FILES / name), MANIFEST["files"][name]["arrays"]
    own = found if isinstance(found, dict) else {"": found}
    assert {key: digest(each) for key, each in own.items()} == {key: each["sha256"] for key, each in told.items()}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_those_of_the_record_to_two_of_255(name):
    found, (told,) = images.decode((FILES / name).read_bytes(), name), MANIFEST["files"][name]["arrays"].values()
    assert list(found.shape) == told["shape"] and found.dtype == told["dtype"]
    if name.startswith("sre2l_cvdd"):
        with np.load(SOURCES) as recorded:
            place = [str(file) for file in recorded["fkd/source_files"]].index(name)
            assert np.abs(recorded["fkd/source_uint8"][place].astype(int) - found).max() <= 2
    elif digest(found) != told["sha256"]:
        pytest.skip("decoded by another version of a JPEG library than the record, which has no pixels to compare")


@pytest.mark.parametrize("name", MANIFEST["imports"])
def test_each_set_is_recognised_as_what_it_is(name):
    told = MANIFEST["imports"][name]
    for path, wanted in told.get("files", {"": told}).items():
        found = layouts.recognised(FILES / name / path, Options(**FLAGS.get(name, {})))
        assert found.system == told["system"].removesuffix(", DATM mode")
        count = wanted.get("n_decoded") or wanted.get("clips") or wanted["n"]
        own = found.images if found.images is not None else found.fields["last_layer.linear.bias"]
        assert len(own) == count
        if found.images is not None:
            assert found.images.shape[-3:] == (wanted.get("side", found.images.shape[-2]),) * 2 + (3,)
        hard = wanted["labels"].startswith("hard") or wanted["labels"].startswith("none")
        assert (found.rows is None) == hard
        if found.labels is not None:
            assert np.bincount(found.labels).tolist() == [count // len(set(found.labels))] * len(set(found.labels))
            assert len(set(found.labels)) == wanted.get(
                "classes", wanted.get("classes_present", len(set(found.labels)))
            )
        assert found.kind in ("", wanted["labels"].split()[0])
        assert found.learning_rate == pytest.approx(wanted.get("student_lr", wanted.get("syn_lr")))
        said = wanted.get("space", told.get("space"))
        assert (found.space == "pixels") == (said in ("[0,1]", "uint8"))


@pytest.fixture(scope="module")
def outcomes():
    """What became of every hostile file or folder, all in one process of their own."""
    names = {told.get("folder", name): None for name, told in MANIFEST["hostile"].items()}
    given = "".join(f"{FILES / name}\n" for name in names)
    Path(MANIFEST["marker_that_must_never_appear"]).unlink(missing_ok=True)
    judge = [sys.executable, str(Path(__file__).with_name("judged.py"))]
    done = subprocess.run(judge, input=given, capture_output=True, text=True, timeout=300, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {str(Path(line["path"]).relative_to(FILES)): line for line in lines}


@pytest.mark.parametrize("name", MANIFEST["hostile"])
def test_hostile_files_are_refused_soon_in_little_memory_and_never_run(outcomes, name):
    told = MANIFEST["hostile"][name]
    became = outcomes[told.get("folder", name)]
    assert told["expect"] == "refuse_or_load" or became["outcome"].startswith("refused: ")
    assert "\n" not in became["outcome"]
    assert became["seconds"] <= LONGEST and became["megabytes"] <= LARGEST
    assert not Path(MANIFEST["marker_that_must_never_appear"]).exists()
