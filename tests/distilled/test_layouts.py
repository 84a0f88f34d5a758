"""Layouts in which others publish distilled sets: found by what their files hold, and refused where that is no set."""

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
import saved
from PIL import Image

from jaxsoft import errors
from jaxsoft.distilled.reading import checked, layouts, one_file
from jaxsoft.distilled.reading.options import Options

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(8, 3, 6, 6)).astype(np.float32)
PIXELS = RNG.random((8, 3, 6, 6), np.float32)
CLASSES = np.repeat(np.arange(4), 2)
LOGITS = RNG.normal(size=(8, 4)).astype(np.float32)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
FIELD = {
    "net.0.linear.weight": LOGITS[:5, :2], "net.0.linear.bias": LOGITS.ravel()[:5],
    "last_layer.linear.weight": LOGITS.ravel()[:15].reshape(3, 5), "last_layer.linear.bias": LOGITS[0, :3],
}  # fmt: skip


def put(folder: Path, **files) -> Path:
    """Files of PyTorch by name, `_` for what a name of Python cannot have."""
    for name, value in files.items():
        path = folder / f"{name}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(saved.whole(value))
    return folder


def read(path: Path, **options):
    return layouts.recognised(path, Options(**options))


def refused(path: Path, told: str, **options):
    with pytest.raises(errors.DataError) as problem:
        read(path, **options)
    assert told in str(problem.value) and "\n" not in str(problem.value)


def same(found, images=IMAGES, labels=CLASSES, rows=None):
    np.testing.assert_array_equal(found.images, images.transpose(0, 2, 3, 1))
    for part, wanted in ((found.labels, labels), (found.rows, rows)):
        assert (part is None) == (wanted is None)
        np.testing.assert_array_equal([] if part is None else part, [] if wanted is None else wanted)


def test_a_trio_is_of_mtt_where_labels_are_classes_and_of_datm_where_they_are_logits(tmp_path):
    mtt = put(tmp_path / "mtt", images_best=IMAGES, labels_best=CLASSES, images_only=PIXELS)
    for path in (mtt, mtt / "images_best.pt"):
        found = read(path)
        same(found)
        assert (found.system, found.kind, found.space, found.learning_rate) == ("MTT", "", "", None)
        assert [file.name for file in found.files] == ["images_best.pt", "labels_best.pt"]
    more = {"features_best": LOGITS[None, :, :, None, None], "images_zca_100": PIXELS}
    datm = put(tmp_path / "datm", images_best=IMAGES, labels_best=LOGITS, lr_best=np.array(0.25), **more)
    found = read(datm)
    same(found, rows=LOGITS)
    assert (found.system, found.kind, found.learning_rate) == ("DATM / FTD / EDF / DRUPI", "logits", 0.25)
    assert len(found.files) == 3 and "images_zca_100.pt" in found.notes[1] and "features_best.pt" in found.notes[0]
    assert read(put(datm, labels_best=PROBABILITIES)).kind == ""  # the layout says logits, and the rows say otherwise


def test_images_after_inverse_whitening_are_pixels_and_take_no_learned_labels_of_another_step(tmp_path):
    hard = put(tmp_path / "a", images_zca_7=PIXELS, labels_best=CLASSES)
    same(found := read(hard / "images_zca_7.pt"), PIXELS)
    assert found.space == "pixels"
    soft = put(tmp_path / "b", images_zca_7=PIXELS, labels_best=LOGITS)
    refused(soft / "images_zca_7.pt", "learned labels of another step than 7; wanted --labels=")
    same(found := read(soft / "images_zca_7.pt", labels=soft / "labels_best.pt"), PIXELS, rows=LOGITS)
    assert (found.space, found.kind) == ("pixels", "logits")
    same(read(put(soft, labels_7=PROBABILITIES) / "images_zca_7.pt"), PIXELS, rows=PROBABILITIES)


def test_images_alone_follow_class_by_class_or_take_the_labels_that_are_given(tmp_path):
    alone = put(tmp_path, shared=IMAGES) / "shared.pt"
    same(found := read(alone), labels=None)
    assert "class by class" in found.notes[0]
    (tmp_path / "labels.csv").write_text("".join(f"{k}\n" for k in CLASSES[::-1]))
    same(read(alone, labels=tmp_path / "labels.csv"), labels=CLASSES[::-1])
    np.save(tmp_path / "rows.npy", PROBABILITIES)
    same(found := read(alone, labels=tmp_path / "rows.npy"), rows=PROBABILITIES)
    assert found.files == (alone, tmp_path / "rows.npy")
    for images in (IMAGES, IMAGES.transpose(0, 2, 3, 1)):
        np.save(tmp_path / "images.npy", images)
        same(read(tmp_path / "images.npy"), labels=None)


def test_several_sets_of_a_folder_are_named_and_the_file_decides(tmp_path):
    folder = put(tmp_path, images_best=IMAGES, images_1000=PIXELS, labels_1000=CLASSES)
    refused(folder, "holds 2 sets: images_1000.pt, images_best.pt; wanted the path of one file")
    same(read(folder / "images_1000.pt"), PIXELS)
    same(read(folder / "images_best.pt"), labels=None)
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no distilled set")
    inner = put(tmp_path / "deep" / "logs" / "run", images_best=IMAGES, labels_best=CLASSES)
    same(found := read(tmp_path / "deep"))
    assert found.files == (inner / "images_best.pt", inner / "labels_best.pt")


def test_a_folder_of_pictures_is_read_as_such(tmp_path):
    for k in range(2):
        (tmp_path / f"{k:05}").mkdir()
        Image.fromarray(np.full((4, 4, 3), k, np.uint8)).save(tmp_path / f"{k:05}" / "a.png")
    assert read(tmp_path).labels.tolist() == [0, 1]
    put(tmp_path, images_best=IMAGES)
    same(read(tmp_path), labels=None)
    assert len(read(tmp_path, format="pictures").labels) == 2


def test_the_original_papers_images_find_the_probabilities_of_an_epoch(tmp_path):
    data, labels = tmp_path / "Tiny", tmp_path / "entropy"
    put(data, ipc2_random_image_syn=IMAGES)
    put(labels, Tiny_random_ipc2_epoch11=PROBABILITIES, Tiny_random_ipc20_epoch3=PROBABILITIES)
    put(tmp_path / "expert" / "Tiny", replay_buffer_0=[[[LOGITS]]])
    for path in (tmp_path, data / "ipc2_random_image_syn.pt"):
        same(found := read(path), rows=PROBABILITIES)
        assert (found.system, found.kind) == ("sunnytqin/no-distillation", "probabilities")
    put(labels, Tiny_random_ipc2_epoch12=LOGITS)
    refused(
        tmp_path, "labels of 2 epochs (Tiny_random_ipc2_epoch11.pt, Tiny_random_ipc2_epoch12.pt); wanted --labels=FILE"
    )


def test_a_run_of_dc_and_dm_is_chosen_where_there_are_several(tmp_path):
    one = put(tmp_path / "a", res_DM={"data": [[IMAGES, CLASSES]], "accs_all_exps": {"ConvNet": [0.31]}})
    same(found := read(one))
    assert found.system == "DC / DSA / DM" and found.space == ""
    two = put(tmp_path / "b", res_DM={"data": [[IMAGES, CLASSES], [PIXELS, CLASSES]]})
    refused(two, "holds 2 runs; wanted --run=0 to 1")
    refused(two, "--run=2: ", run=2)
    same(found := read(two, run=1), PIXELS)
    assert found.notes == ("run 1 of 2",)


def test_ncfm_is_decoded_by_the_factor_that_is_given(tmp_path):
    path = put(tmp_path, data_20000=[PIXELS, CLASSES])
    refused(path, "wanted --factor=2 as NCFM packs them, or --factor=1")
    same(found := read(path, factor=1), PIXELS)
    assert found.system == "NCFM / IDC" and found.space == "pixels"
    found = read(path, factor=2, decode="bound(11)")  # none of 8 may take the place of four
    assert found.images.shape == (8, 6, 6, 3)
    found = read(path, factor=2)
    assert found.images.shape == (32, 6, 6, 3) and found.labels.tolist() == CLASSES.tolist() * 4
    assert "8 stored images hold 32" in found.notes[0]
    refused(path, "decode='double': choices: single, multi", factor=2, decode="double")
    refused(put(tmp_path / "a", data_1=[IMAGES, CLASSES]), "in this layout they are in [0, 1]", factor=1)
    refused(put(tmp_path / "b", data_1=[PIXELS, CLASSES.astype("f4")]), "no whole numbers", factor=1)


def test_gift_has_pixels_where_labels_are_classes(tmp_path):
    for n, labels in enumerate((CLASSES, CLASSES[:, None])):
        same(
            found := read(put(tmp_path / str(n), data={"dataset": "cifar10", "data": PIXELS, "label": labels})), PIXELS
        )
        assert (found.system, found.space) == ("GIFT bench", "pixels") and "cifar10" in found.notes[0]
    soft = read(put(tmp_path / "soft", data={"dataset": "cifar10", "data": IMAGES, "label": LOGITS}))
    same(soft, labels=None, rows=LOGITS)
    assert soft.kind == soft.space == ""
    refused(put(tmp_path / "x", data={"dataset": "../x", "data": PIXELS, "label": CLASSES}), "no name of one")
    refused(put(tmp_path / "y", data={"dataset": "cifar10", "data": PIXELS}), "lacks 'label'")


def test_fields_of_ddif_are_stacked(tmp_path):
    value = {"nf": [FIELD] * 4, "label": np.arange(4), "syn_lr": np.array(0.02)}
    found = read(put(tmp_path, synset_best=value))
    assert found.system == "DDiF" and found.images is None and found.learning_rate == 0.02
    assert found.fields["last_layer.linear.weight"].shape == (4, 3, 5) and found.labels.tolist() == [0, 1, 2, 3]
    refused(put(tmp_path / "a", synset_best=value | {"label": np.arange(3)}), "3 labels of 4 images")
    refused(put(tmp_path / "b", synset_best={"nf": [FIELD]}), "lacks 'label'")


def test_rat_bptt_has_flat_images_and_labels_as_they_were_learned(tmp_path):
    with h5py.File(tmp_path / "IPC_2.h5", "w") as file:
        file["data"], file["epoch"] = IMAGES.reshape(8, -1), 17
    same(found := read(tmp_path), labels=None)
    assert found.system == "RaT-BPTT"
    with h5py.File(tmp_path / "IPC_2.h5", "a") as file:
        file["label"] = LOGITS
    same(read(tmp_path), rows=LOGITS)
    state = {"module.data.weight": IMAGES.reshape(8, -1)}
    labels = {"module.label.weight": LOGITS}
    (tmp_path / "a.pth").write_bytes(saved.whole({"model_state_dict": state, "label_state_dict": labels}))
    same(read(tmp_path / "a.pth"), rows=LOGITS)
    with h5py.File(tmp_path / "wide.h5", "w") as file:
        file["data"] = np.zeros((4, 770), "f4")
    refused(tmp_path / "wide.h5", "wanted rows of 3 x side x side numbers")


def test_arrays_by_name_may_have_their_channels_first_or_last(tmp_path):
    for n, images in enumerate((IMAGES, IMAGES.transpose(0, 2, 3, 1))):
        np.savez(tmp_path / f"{n}.npz", images=images, labels=CLASSES, logits=LOGITS, learning_rate=np.float64(0.1))
        same(found := read(tmp_path / f"{n}.npz"), rows=LOGITS)
        assert (found.kind, found.learning_rate) == ("logits", 0.1)
    bytes_ = (PIXELS * 255).astype(np.uint8)
    np.savez(tmp_path / "bytes.npz", x=bytes_, y=PROBABILITIES)
    same(found := read(tmp_path / "bytes.npz"), bytes_, labels=None, rows=PROBABILITIES)
    assert found.images.dtype == np.uint8
    np.savez(tmp_path / "two.npz", images=IMAGES, x=IMAGES)
    refused(tmp_path / "two.npz", "holds images and x; wanted one of them")
    np.savez(tmp_path / "either.npz", images=np.zeros((2, 3, 3, 3), "f4"), labels=CLASSES[:2])
    refused(tmp_path / "either.npz", "does not say which axis has the channels")
    np.savez_compressed(tmp_path / "bomb.npz", images=np.zeros((2048, 3, 32, 32), "f4"))
    refused(tmp_path / "bomb.npz", "would unpack to")


def test_a_format_that_is_named_is_the_one_that_is_read(tmp_path):
    path = put(tmp_path, data={"dataset": "cifar10", "data": PIXELS, "label": CLASSES}) / "data.pt"
    same(read(path, format="gift"), PIXELS)
    refused(path, "not as --format=ncfm wants it; a dictionary with 'dataset', 'data', 'label'", format="ncfm")
    with pytest.raises(errors.ConfigError, match="unknown format 'gitf'; closest: gift"):
        read(path, format="gitf")
    refused(put(tmp_path / "a", x=[1, 2, 3]), "no layout is known that has a list of 3; choices: mtt")


HUGE, NAN = IMAGES * 1e30, np.where(IMAGES == IMAGES[1, 1, 1, 1], np.nan, IMAGES)


@pytest.mark.parametrize(
    "images, told",
    [
        (IMAGES[:, 0], r"float32 [8, 6, 6]; wanted [N, C, H, W], and at least one"), (IMAGES[:0], "at least one"),
        (IMAGES.transpose(0, 2, 3, 1), "wanted [N, C, H, W] of 1 or 3 channels"), (IMAGES[..., :4], "wanted squares"),
        (np.concatenate([IMAGES, IMAGES], 1), "1 or 3 channels"), (HUGE, "which no space of images has"), (IMAGES.astype(float) * 1e200, "no space of images"),
        (NAN, "no finite number"), (IMAGES.astype(int), "int64; wanted uint8 or floating point"),
    ],
)  # fmt: skip
def test_images_that_are_none_are_refused(tmp_path, images, told):
    refused(put(tmp_path, images_best=images, labels_best=CLASSES), told)


@pytest.mark.parametrize(
    "labels, told",
    [
        (CLASSES[:7], "7 labels of 8 images"), (LOGITS[:7], "7 label rows of 8 images"), (CLASSES - 1, "the class -1"),
        (np.where(CLASSES == 3, 99, CLASSES), "the class 99, and no image of class 3"),
        (CLASSES * 0.5, "wanted whole numbers [N], or rows [N, K]"),
        (np.where(LOGITS > 1, np.inf, LOGITS), "not finite"),
        (LOGITS * np.nan, "not finite"), (LOGITS.astype(int), "wanted whole numbers [N], or rows [N, K]"),
        (CLASSES + (1 << 40), f"the class {(1 << 40) + 3}"),
    ],
)  # fmt: skip
def test_labels_that_are_none_of_these_images_are_refused(tmp_path, labels, told):
    refused(put(tmp_path, images_best=IMAGES, labels_best=labels), told)


@pytest.mark.parametrize("rate", [np.array(-0.1), np.array(0.0), np.array(np.nan), np.array([0.1, 0.2]), np.array(1)])
def test_learning_rates_that_are_none_are_refused(tmp_path, rate):
    refused(put(tmp_path, images_best=IMAGES, labels_best=CLASSES, lr_best=rate), "wanted one positive number")


def test_a_class_beyond_the_rows_is_refused():
    found = one_file.named({"images": IMAGES, "labels": CLASSES, "rows": LOGITS[:, :3]}, Path("x"), Options())
    with pytest.raises(ValueError, match="holds the class 3, and there are 3 classes"):
        checked.consistent(found)


def test_every_layout_says_what_it_is():
    assert all(layout.fits.__doc__ and layout.read.__doc__ for layout in layouts.LAYOUTS.values())
    assert {field.name for field in dataclasses.fields(Options)} >= {"format", "labels", "run", "factor", "decode"}
