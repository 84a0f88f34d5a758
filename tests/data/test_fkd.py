"""Labels of FKD: files are written as torch.save writes them, read, and views made again as the published code made them."""

import collections
import pickle
import re
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxsoft
from jaxsoft import errors, models
from jaxsoft.data.formats import fkd, images
from jaxsoft.labels.given import check_rows

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
BATCHES = [(epoch, batch) for epoch in range(3) for batch in range(2)]
STORED = ("coords", "flip", "mix_index", "mix_lam", "mix_bbox", "logits_fp16")
MEAN, STD = (np.array(a, np.float32) for a in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))  # of ImageNet


@pytest.fixture(scope="module")
def kept():
    with np.load(Path(__file__).parents[1] / "golden" / "fkd.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def systems():
    if not (GOLDEN / "systems_parity.npz").exists():
        pytest.skip("larger inputs than tests/golden/ keeps; looked for systems_parity.npz beside the checkout")
    with np.load(GOLDEN / "systems_parity.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name.startswith(("fkd/", "cvdd/"))}


@pytest.fixture
def save(monkeypatch):
    """A function that writes a value as torch.save does, arrays as tensors."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    kinds = {"f4": "FloatStorage", "f2": "HalfStorage", "i8": "LongStorage", "b1": "BoolStorage"}
    for module, name in ((utils, "_rebuild_tensor_v2"), *((torch, kind) for kind in kinds.values())):
        setattr(module, name, type(name, (), {"__module__": module.__name__}))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            if not isinstance(obj, tuple) or obj[:1] != ("a storage",):
                return None
            self.arrays.append(obj[1])
            kind = getattr(torch, kinds[obj[1].dtype.str[1:]])
            return "storage", kind, str(len(self.arrays) - 1), "cpu", obj[1].size

        def reducer_override(self, obj):
            if not isinstance(obj, np.ndarray):
                return NotImplemented
            strides = tuple(step // obj.itemsize for step in obj.strides)
            view = ("a storage", obj), 0, obj.shape, strides, False, collections.OrderedDict()
            return utils._rebuild_tensor_v2, view

    def written(path, value):
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as pack:
            with pack.open(f"{path.stem}/data.pkl", "w") as file:
                pickler = Pickler(file, protocol=2)
                pickler.arrays = []
                pickler.dump(value)
            for i, array in enumerate(pickler.arrays):
                pack.writestr(f"{path.stem}/data/{i}", array.tobytes())

    return written


def batch_of(kept, epoch, batch):
    """What the published code stored of a batch, as its types."""
    coords, flip, index, share, box, logits = (kept[f"epoch{epoch}/batch{batch}/{name}"] for name in STORED)
    return [coords, flip, index.astype(np.int64), np.float64(share), list(box.astype(np.int64)), logits]


@pytest.fixture
def folder(tmp_path, kept, save):
    for epoch, batch in BATCHES:
        save(tmp_path / f"epoch_{epoch}/batch_{batch}.tar", batch_of(kept, epoch, batch))
    return tmp_path


def test_orders_are_those_of_torchs_sampler(kept):
    np.testing.assert_array_equal(fkd.order(6, 3), kept["order_ExN"])
    np.testing.assert_array_equal(fkd.order(100, 2), kept["order_seed42_N100_2_epochs"])
    once = fkd.order(100, 3, draws=1)
    np.testing.assert_array_equal(once[[0, 2]], fkd.order(100, 2))  # what two shuffles an epoch leave out
    assert fkd.order(1, 2).tolist() == [[0], [0]]


def test_views_of_written_files_equal_the_published_code(folder, kept):
    """18 views of six images of noise: pixels to the bit, logits as stored; and a choice of epochs is a part of it."""
    views = fkd.replay(folder, kept["source_uint8"], draws=2)
    for epoch, batch in BATCHES:
        which = kept["order_ExN"][epoch, 4 * batch : 4 * batch + 4]
        name = f"epoch{epoch}/batch{batch}"
        pixels = views.images[epoch, which] * np.float32(255)
        np.testing.assert_allclose(pixels, kept[f"{name}/after_cutmix_uint8"], atol=1e-4)
        np.testing.assert_array_equal(views.logits[epoch, which], kept[f"{name}/logits_fp16"])
    part = fkd.replay(folder, kept["source_uint8"], draws=2, epochs=[2, 0])
    np.testing.assert_array_equal(part.images, views.images[[2, 0]])
    grey = fkd.replay(folder, kept["source_uint8"][..., :1], draws=2, side=32)
    np.testing.assert_array_equal(grey.images, views.images[..., :1])


@pytest.mark.parametrize("part", [*STORED, "crops_normalised", "after_cutmix"])
@pytest.mark.parametrize("epoch, batch", BATCHES)
def test_recorded_files_give_what_the_published_code_gave(systems, epoch, batch, part):
    """48 arrays: stored values as they are; views by (x - mean) / std, to 2 of 255, as decoders of JPEG differ."""
    own, name = GOLDEN / "files" / "sre2l_cvdd" / "fkd", f"fkd/epoch{epoch}/batch{batch}/{part}"
    if part in STORED:
        read = fkd.read(own / f"epoch_{epoch}" / f"batch_{batch}.tar", (6, 32, 32, 3), 32)
        np.testing.assert_array_equal(read[STORED.index(part)], systems[name])
        return
    views = fkd.replay(own, systems["fkd/source_uint8"], draws=2, epochs=[epoch], mixed=part == "after_cutmix")
    which = systems["fkd/order_ExN"][epoch, 4 * batch : 4 * batch + 4]
    np.testing.assert_allclose((views.images[0, which] - MEAN) / STD, systems[name], atol=2 / 255 / 0.224)


def test_recorded_images_decode_in_their_order(systems):
    """`source_uint8`, in the order of sorted folders and names, which `source_files` and `source_class` tell."""
    paths = sorted((GOLDEN / "files" / "sre2l_cvdd" / "syn").glob("*/*.jpg"))
    assert [path.relative_to(GOLDEN / "files").as_posix() for path in paths] == systems["fkd/source_files"].tolist()
    pixels = np.stack([images.decode(path.read_bytes(), path.name) for path in paths]).astype(int)
    assert np.abs(pixels - systems["fkd/source_uint8"]).max() <= 2
    assert [int(path.parent.name[3:]) for path in paths] == systems["fkd/source_class"].tolist()


def test_files_of_an_older_numpy_are_read_too(systems):
    """The same values as `fkd/epoch0/batch0`, six arrays, as numpy < 2 pickled its scalars."""
    read = fkd.read(GOLDEN / "files" / "sre2l_cvdd" / "fkd_numpy1" / "epoch_0" / "batch_0.tar", (4, 32, 32, 3), 32)
    for found, part in zip(read, STORED, strict=True):
        np.testing.assert_array_equal(found, systems[f"fkd/epoch0/batch0/{part}"])


@pytest.mark.parametrize("mix", ["cutmix", "mixup"])
def test_cv_dd_labels_mixed_views_of_cutmix_and_unmixed_ones_of_mixup(systems, mix):
    """`mixed_input` of CutMix, and two labels: sum_k softmax(prior / 10)_k z_k by batch statistics of both halves."""
    x, index = systems["cvdd/input"], systems[f"cvdd/{mix}/index"]
    box = tuple(systems["cvdd/cutmix/bbox_r0_c0_r1_c1"].tolist()) if mix == "cutmix" else None
    batch = fkd.Batch(np.zeros((8, 4)), np.zeros(8, bool), index, float(systems[f"cvdd/{mix}/lam"]), box, np.eye(8))
    mixed = fkd.mix(x, batch)
    if mix == "cutmix":
        np.testing.assert_array_equal(mixed, systems["cvdd/cutmix/mixed_input"])
    weights = systems["cvdd/committee/weights_tau10/imagenet1k"]
    for seen, is_labelled in ((mixed, mix == "cutmix"), (x, mix == "mixup")):
        label = sum(w * by_halves(systems, f"cvdd/teacher{k}/", seen) for k, w in enumerate(weights))
        assert np.allclose(label, systems[f"cvdd/{mix}/label"], rtol=1e-4, atol=1e-5) == is_labelled


def by_halves(systems, prefix, x):
    """The logits of a network of two blocks with batch norm in training mode, of either half of a batch."""
    leaves = {name.removeprefix(prefix): a for name, a in systems.items() if name.startswith(prefix)}
    variables = {"params": {}, "batch_stats": {}}
    for (module, leaf), a in ((name.split("/"), a) for name, a in leaves.items()):
        kind = "batch_stats" if leaf in ("mean", "var") else "params"
        variables[kind].setdefault(module, {})[leaf.removesuffix("_hwio").removesuffix("_flat_hwc")] = (
            jax.numpy.asarray(a)
        )
    return np.concatenate([answered(variables, half) for half in (x[:4], x[4:])])


@jax.jit
def answered(variables, x):
    network: Any = models.build("convnet(depth=2, width=4, norm=batch)", 6)
    return network.apply(variables, x, train=True, mutable=["batch_stats"])[0]


def test_mixup_is_a_mean_and_no_mixing_leaves_views_alone(tmp_path, kept, save):
    coords, flip, index, _, _, logits = batch_of(kept, 0, 0)
    save(tmp_path / "none/epoch_0/batch_0.tar", [coords, flip, None, None, None, logits])
    save(tmp_path / "mixup/epoch_0/batch_0.tar", [coords, flip, index, 0.3, None, logits])
    source, order = kept["source_uint8"][:4], fkd.order(4, 1)[0]
    plain, mixed = (fkd.replay(tmp_path / name, source).images[0, order] for name in ("none", "mixup"))
    np.testing.assert_allclose(mixed, 0.3 * plain + 0.7 * plain[index], atol=1e-6)
    unmixed = fkd.replay(tmp_path / "mixup", source, mixed=False)
    np.testing.assert_array_equal(unmixed.images[0, order], plain)


@pytest.mark.parametrize("draws", [1, 2])
def test_labels_tell_how_often_the_sampler_shuffled(tmp_path, save, draws):
    """By a teacher that is right of two images in three; where none is right, or classes are not told, nothing is guessed."""
    classes, random = np.arange(60) % 5, np.random.default_rng(0)
    source = random.integers(0, 256, (60, 4, 4, 1), np.uint8)
    for epoch, which in enumerate(fkd.order(60, 3, draws)):
        said = np.where(random.random(60) < 2 / 3, classes[which], random.integers(0, 5, 60))
        whole = np.tile(np.array([0, 0, 1, 1], np.float32), (60, 1))
        batch = [whole, np.zeros(60, bool), None, None, None, np.eye(5, dtype=np.float16)[said]]
        save(tmp_path / f"epoch_{epoch}/batch_0.tar", batch)
    found, told = fkd.replay(tmp_path, source, classes), fkd.replay(tmp_path, source, draws=draws)
    np.testing.assert_array_equal(found.logits, told.logits)
    assert (found.logits.argmax(2) == classes).mean() > 0.6
    np.testing.assert_array_equal(found.images * np.float32(255), np.broadcast_to(source, (3, *source.shape)))
    with pytest.raises(errors.DataError, match="classes are not given.*draws=2 if a new version"):
        fkd.replay(tmp_path, source)
    with pytest.raises(errors.DataError, match="agree with .* of 180 classes"):
        fkd.replay(tmp_path, source, random.permutation(classes))


WRONG = {
    "its arrays differ in length: coords .*4, 4., flip .4., logits .3, 3.": lambda b: b.__setitem__(5, b[5][:3]),
    r"the crop \[0.9, 0.9, 0.5, 0.5\] .* leaves the image": lambda b: b.__setitem__(0, np.tile(np.float32([0.9, 0.9, 0.5, 0.5]), (4, 1))),
    "leaves the image, or has no pixel": lambda b: b[0].__setitem__((2, 3), 0.01),
    "its coords is not finite": lambda b: b[0].__setitem__((1, 1), np.nan),
    "its logits is not finite": lambda b: b[5].__setitem__((1, 1), np.inf),
    "its logits is int64": lambda b: b.__setitem__(5, np.zeros((4, 3), np.int64)),
    "its flip is float32": lambda b: b.__setitem__(1, np.zeros(4, np.float32)),
    r"its mix_index holds 77; wanted 4 of 0..3": lambda b: b[2].__setitem__(3, 77),
    r"its mix_index holds 3 numbers; wanted 4": lambda b: b.__setitem__(2, b[2][:3]),
    "its mix_index is object": lambda b: b.__setitem__(2, None),
    "its mix_lam is 1.5": lambda b: b.__setitem__(3, 1.5),
    "its mix_bbox is .0, 0, 33, 1.; wanted rows and columns of 32": lambda b: b.__setitem__(4, [0, 0, 33, 1]),
    "wanted a list of coords, flip, mix_index": lambda b: b.pop(),
}  # fmt: skip


@pytest.mark.parametrize("words", WRONG)
def test_impossible_values_are_refused_in_one_line(tmp_path, kept, save, words):
    batch = [value.copy() if hasattr(value, "copy") else value for value in batch_of(kept, 0, 0)]
    WRONG[words](batch)
    save(tmp_path / "epoch_0/batch_0.tar", batch)
    with pytest.raises(errors.DataError, match=words) as caught:
        fkd.replay(tmp_path, kept["source_uint8"][:4])
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["coords_outside", "mix_index_range", "logits_rows"])
def test_recorded_files_of_impossible_values_are_refused(systems, name):
    with pytest.raises(errors.DataError, match=f"fkd_{name}.tar holds no labels of FKD: "):
        fkd.read(GOLDEN / "files" / "hostile" / "values" / f"fkd_{name}.tar", (4, 32, 32, 3), 32)


def test_missing_and_foreign_batches_are_refused(folder, kept, save):
    source = kept["source_uint8"]
    for given, words in [
        ({"images": source[:5]}, "epoch_0 has batches of 4, 2 views, 6 in all; wanted 5"),
        ({"epochs": [3]}, "has no epoch 3; it has epochs 0..2"),
        ({"classes": np.zeros(5, int)}, "5 classes for 6 images"),
        ({"side": 16}, "mix_bbox is .* of 16 pixels"),
        ({"draws": 3}, "draws=3; wanted 1 or 2"),
    ]:
        with pytest.raises(errors.DataError, match=words):
            fkd.replay(folder, **({"images": source, "draws": 2} | given))
    more = batch_of(kept, 1, 0)
    save(folder / "epoch_1/batch_0.tar", [*more[:5], np.zeros((4, 7), np.float16)])
    with pytest.raises(errors.DataError, match="epoch_1 has logits of 7 classes, and others of 3"):
        fkd.replay(folder, source, draws=2)
    (folder / "epoch_1/batch_0.tar").unlink()
    with pytest.raises(errors.DataError, match="lacks epoch_1/batch_0.tar"):
        fkd.replay(folder, source, draws=2)
    with pytest.raises(errors.DataError, match="lacks epoch_0/batch_0.tar: wanted the labels of FKD"):
        fkd.replay(folder / "epoch_2", source)


def test_views_become_a_dataset_with_a_row_for_each_as_the_page_of_labels_says(folder, kept):
    page = (Path(jaxsoft.__file__).parents[1] / "docs" / "labels.md").read_text()
    (block,) = re.findall(r"```py\n(.*?)```", page, re.DOTALL)
    for path in folder.glob("epoch_[12]/*"):
        path.unlink()
    source, classes = kept["source_uint8"], kept["source_class"]
    names: dict[str, Any] = {"np": np, "jaxsoft": jaxsoft, "folder": folder, "images": source, "classes": classes}
    names["test"] = names["validation"] = source / 255, classes
    exec(block, names)  # noqa: S102
    np.testing.assert_array_equal(names["data"].train.images, names["views"].images[0])
    check_rows((names["rows"],), names["data"])
