"""Folders of frames as clips: what is one clip, in which order, which frames, and what is refused; and clips of digits."""

import numpy as np
import published
import pytest

from jaxsoft import data, errors, main
from jaxsoft.data.sets import digits, moving_digits, video


def put(path, red=0, side=4):
    """A frame; its red says which it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(published.encoded(published.red(side, red), "PNG"))


def put_clips(root, names=("jump", "run"), frames=3, count=2):
    """Clip folders: the red of a frame is 100 class + 10 clip + its number."""
    for k, name in enumerate(names):
        for i in range(count):
            for t in range(frames):
                put(root / name / f"clip{i}" / f"{t}.png", 100 * k + 10 * i + t)


def prepared(root, **arguments):
    """What was prepared from a folder, and what was said of it."""
    said = []
    data.prepare("video", root.parent / "prepared", root, say=said.append, **arguments)
    return data.load("video", root.parent / "prepared", validation=0.0, resize=arguments.get("resize")), said


def reds(split):
    """Class and the reds of all frames, of each clip."""
    return sorted((int(k), *clip[:, 0, 0, 0].tolist()) for clip, k in zip(split.images, split.labels))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "own"


def test_a_folder_of_frames_is_a_clip(root):
    put_clips(root / "train", frames=12)
    put_clips(root / "test", frames=12, count=1)
    (root / "train" / "run" / "clip0" / "notes.txt").touch()
    loaded, said = prepared(root)
    assert loaded.class_names == ("jump", "run") and loaded.image_shape == (12, 4, 4, 3)
    assert reds(loaded.train) == [(k, *(100 * k + 10 * i + t for t in range(12))) for k in (0, 1) for i in (0, 1)]
    assert said[0] == "2 classes; train: 4 clips of train; validation: cut from train; test: 2 of test"
    assert any(line.startswith("left out: files that are no images: 1, of them 1 .txt") for line in said)
    assert "clip folder own" in loaded.source


def test_frames_are_told_apart_by_the_numbers_in_their_names(root):
    """As Video-DC names them, beside each other in the class folder."""
    for split, clips in (("train", (0, 1)), ("test", (2,))):
        for k in (0, 1):
            for clip in clips:
                for t in range(3):
                    name = f"class{k:05d}_id{clip:05d}_t{t:03d}.png"
                    put(root / split / f"{k:05d}" / name, 100 * k + 10 * clip + t)
    loaded, _ = prepared(root)
    assert reds(loaded.train) == [(k, *(100 * k + 10 * i + t for t in range(3))) for k in (0, 1) for i in (0, 1)]
    assert reds(loaded.test) == [(0, 20, 21, 22), (1, 120, 121, 122)]


def test_as_many_frames_as_are_asked_for_are_spread_evenly(root):
    put_clips(root, frames=7)
    for t in range(2):
        put(root / "run" / "short" / f"{t}.png", 200 + t)
    with pytest.raises(errors.DataError, match=r"own holds clips of 2 to 7 frames; pass --frames=2 \(from Python"):
        prepared(root)
    loaded, said = prepared(root, frames=3)
    assert reds(loaded.train)[0] == (0, 1, 3, 5) or reds(loaded.train)[0] == (0, 11, 13, 15)
    every = [*reds(loaded.train), *reds(loaded.test)]
    assert (1, 200, 201, 201) in every and len(every) == 5
    assert "3 frames of each clip, spread evenly" in said
    assert "clips of fewer frames than are asked for, some of which are taken twice: 1 (run/short)" in said


def test_the_command_prepares_clips_of_a_side_and_a_number_of_frames(root, tmp_path, capsys):
    put_clips(root, frames=4)
    where = f"--root={tmp_path / 'prepared'}"
    assert main.main(["data", "prepare", "video", where, f"--source={root}", "--resize=2", "--frames=2"]) == 0
    assert "2 classes; train: 2 clips of own" in capsys.readouterr().out
    assert data.load("video", tmp_path / "prepared", resize=2, validation=0.0).image_shape == (2, 2, 2, 3)
    assert main.main(["data", "verify", "video", where, "--resize=2"]) == 0


@pytest.mark.parametrize(
    "frames, name, message",
    [
        (0, "video", r"frames=0 cannot be: it expects int in 1..1024"),
        (2000, "video", "frames=2000 cannot be"),
        (2, "image_folder", "frames=2 cannot be: it is for video"),
    ],
)
def test_a_number_of_frames_that_cannot_be_is_refused(root, frames, name, message):
    with pytest.raises(errors.ConfigError, match=message):
        data.prepare(name, root, frames=frames)


def test_frames_of_no_clip_of_two_sizes_or_damaged_are_refused(root):
    put_clips(root)
    put(root / "run" / "clip0" / "9.png", 7, side=5)
    with pytest.raises(
        errors.DataError, match=r"frames of .*/run/clip0 differ in size: 4x4x3 and 5x5x3; pass --resize"
    ):
        prepared(root, frames=4)
    (root / "run" / "clip0" / "9.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(errors.DataError, match=r"run/clip0/9.png cannot be read as an image"):
        prepared(root, frames=4)
    (root / "run" / "clip0" / "9.png").unlink()
    put(root / "run" / "loose.png")
    with pytest.raises(errors.DataError, match=r"run/loose.png is in no folder of a clip, and its name does not end"):
        prepared(root)


def test_frames_that_take_too_much_memory_are_refused(root, monkeypatch):
    monkeypatch.setattr(video, "_BYTES", 100)
    put_clips(root)
    with pytest.raises(errors.DataError, match="frames of .* take more than 100 bytes; pass --resize=SIDE"):
        prepared(root)


def test_digits_turn_and_only_the_order_of_frames_tells_where():
    moving, still = data.load("moving_digits", validation=0.0), data.load("digits", validation=0.0)
    assert moving.image_shape == (8, 8, 8, 1) and moving.num_classes == 20
    assert (len(moving.train), len(moving.test)) == (len(still.train), len(still.test))
    clips, ways = np.asarray(moving.train.images), moving.train.labels % 2
    turned = np.stack([np.roll(clip, 1 if way else -1, axis=2) for clip, way in zip(clips, ways)])
    np.testing.assert_array_equal(turned[:, :-1], clips[:, 1:])
    starts = [(clips[ways == way, 0].sum((1, 3)) > 0).mean(0) for way in (0, 1)]  # which columns are dark at first
    assert np.abs(starts[0] - starts[1]).max() < 0.1
    assert moving_digits.FRAMES == digits.SIDE  # a whole turn
