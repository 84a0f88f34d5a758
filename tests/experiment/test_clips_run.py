"""A run on clips: three regimes of labels, a report, an export that is read back; what is of images alone is refused."""

import re

import numpy as np
import pytest
import tiny_run as tiny
from PIL import Image

import jaxsoft
from jaxsoft import errors, main
from jaxsoft.experiment.store.folder import read_arrays

NET = "convnet3d(depth=1, width=2)"
CLIPS = {
    "data.name": "moving_digits", "data.limit": 8, "teacher.model": NET, "student.model": NET, "student.batch": 20,
    "student.steps": 4, "student.evaluations": 1, "student.augment": "resized_crop(0.5, 1, mirror=false)",
    "teacher.epochs": 1, "sweep.ipc": (1,), "sweep.seed": (0,),
    "sweep.labels": ("hard", "teacher(epoch=1)", "teacher(epoch=1, views=2)"),
}  # fmt: skip


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, kept_programs):
    return tiny.finished(tmp_path_factory.mktemp("runs"), CLIPS)[1]


def test_students_learn_from_clips_in_every_regime(run_folder, capsys):
    results = jaxsoft.Results.load(run_folder)
    assert [row["labels"] for row in results.rows] == list(CLIPS["sweep.labels"])
    assert all(row["status"] == "done" and row["val_accuracy"] >= 0 for row in results.rows)
    shown = read_arrays(run_folder / "examples.npz")["images"]
    assert shown.shape[1:] == (8, 8, 1) and shown.dtype == np.uint8  # the first frame
    assert main.main(["report", str(run_folder)]) == 0


def test_the_words_of_a_run_say_clips(tmp_path, capsys):
    assert tiny.command(tiny.config_file(tmp_path, CLIPS), tmp_path / "run", "--dry_run") == 0
    assert "test clips of 8x8x8x1, 20 classes" in capsys.readouterr().out


def test_an_export_has_the_frames_of_clips_and_is_read_back(run_folder, tmp_path):
    told = ["export", str(run_folder), f"--to={tmp_path / 'taken'}", "--ipc=1", "--labels=teacher(epoch=1)", "--images"]
    with tiny.plain_flags():
        assert main.main(told) == 0
    taken = jaxsoft.load_export(tmp_path / "taken")
    frames = sorted((tmp_path / "taken" / "images" / "003-1_to_the_right").glob("*.png"))
    assert [path.stem[-5:] for path in frames] == [f"_t{t:03d}" for t in range(8)]
    place = int(frames[0].stem[:-5])
    np.testing.assert_array_equal(
        np.stack([Image.open(path) for path in frames]), taken.load().train.images[place, ..., 0]
    )


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"student.model": "convnet(depth=1)"}, "student.model: model 'convnet.*these are clips, and it is of images"),
        ({"teacher.model": "mlp"}, "teacher.model: model 'mlp' cannot be: these are clips"),
        ({"data.name": "digits"}, "model 'convnet3d.* cannot be: these are images, and it is of clips"),
        ({"data.normalize": "zca"}, "zca is of images, not of clips; use standardize"),
    ],
)
def test_what_is_of_images_alone_is_refused_in_one_line(tmp_path, capsys, changes, message):
    code = tiny.command(tiny.config_file(tmp_path, CLIPS | changes), tmp_path / "run")
    said = capsys.readouterr().err.strip()
    assert code == errors.ConfigError.exit_code and len(said.splitlines()) == 1
    assert re.search(message, said), said
