"""Windows of a split: a function of the step number, whoever decodes; nothing is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from test_encoded import put

from jaxsoft import data, errors
from jaxsoft.data import stream
from jaxsoft.types import Split


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """20 pictures of 16 pixels, in their files."""
    root = tmp_path_factory.mktemp("stream")
    put(root / "own")
    data.prepare("image_folder", root, root / "own", resize=16, encoded=True)
    return data.load("image_folder", root, resize=16, validation=0.0).train


def steps(windows):
    """The steps of windows that have images, as pairs of arrays."""
    return [(images[s], labels[s]) for images, labels in windows for s in range(len(labels)) if (labels[s] >= 0).any()]


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_an_epoch_has_every_image_once_and_ends_padded(split):
    got = list(stream.windows(split, 6, 3, 0, 0, 4))
    assert [window[0].shape for window in got] == [(3, 6, 16, 16, 3)] * 2
    labels = np.concatenate([labels for _, labels in got])
    np.testing.assert_array_equal((labels < 0).sum(1), [0, 0, 0, 4, 6, 6])
    assert np.bincount(labels[labels >= 0]).tolist() == np.bincount(split.labels).tolist()
    assert not got[1][0][0, 2:].any() and not got[1][0][1:].any()
    source = stream.Source(split, 6, 0)
    assert sorted(row for step in range(4) for row in source.at(step) if row >= 0) == list(range(20))


def test_epochs_differ_in_order_and_crops_and_seeds_too(split):
    first, second, other = (
        np.concatenate([source.at(step) for step in range(at, at + 4)])
        for source, at in (
            (stream.Source(split, 5, 0), 0),
            (stream.Source(split, 5, 0), 4),
            (stream.Source(split, 5, 1), 0),
        )
    )
    assert first.tolist() != second.tolist() != other.tolist() != first.tolist()
    assert (stream.draws(0, 0, 7) != stream.draws(0, 1, 7)).all()


@pytest.mark.parametrize("first", [1, 4, 6])
def test_a_step_is_the_same_wherever_one_begins(split, first):
    wanted = steps(stream.windows(split, 6, 2, 5, 0, 9))
    assert_same(steps(stream.windows(split, 6, 3, 5, first, 9)), wanted[first:])


def test_a_step_is_the_same_whoever_decodes_it(split, monkeypatch):
    wanted = steps(stream.windows(split, 20, 1, 2, 0, 2, threads=1))
    monkeypatch.setattr(stream, "_PIECE", 3)
    assert_same(steps(stream.windows(split, 20, 1, 2, 0, 2, threads=4, ahead=1)), wanted)


@pytest.mark.parametrize("count", [2, 4])
def test_processes_read_their_share_of_the_batch_of_one(split, count):
    wanted = steps(stream.windows(split, 8, 1, 3, 0, 3))
    shares = [list(stream.windows(split, 8, 1, 3, 0, 3, share=(i, count))) for i in range(count)]
    assert len(wanted) == 3
    for (images, labels), window in zip(wanted, zip(*shares)):
        np.testing.assert_array_equal(images, np.concatenate([part[0][0] for part in window]))
        np.testing.assert_array_equal(labels, np.concatenate([part[1][0] for part in window]))
    with pytest.raises(errors.ConfigError, match="a batch of 8 images cannot be shared by 3 processes"):
        next(stream.windows(split, 8, 1, 3, share=(0, 3)))


def test_evaluation_reads_the_images_in_their_order(split):
    images, labels = next(stream.windows(split, 8, 3, None, 0, 3))
    np.testing.assert_array_equal(images.reshape(24, 16, 16, 3)[:20], split.images[:])
    np.testing.assert_array_equal(labels.ravel(), np.r_[split.labels, [-1] * 4])


def test_arrays_are_read_as_they_are(tmp_path):
    np.save(tmp_path / "images.npy", np.arange(7 * 12, dtype=np.uint8).reshape(7, 2, 2, 3))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    mapped = Split(images, np.arange(7, dtype=np.int32))
    for pixels, labels in steps(stream.windows(mapped, 4, 1, 0, 0, 4, workers=1)):
        np.testing.assert_array_equal(pixels, np.where((labels >= 0)[:, None, None, None], images[labels], 0))


def test_without_grain_the_command_is_told_that_installs_it(split, monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(errors.ConfigError, match=r"streamed images need grain: .*\[stream\]"):
        next(stream.windows(split, 4, 1, 0))


PROCESSES = """
    import numpy as np, os, sys
    from jaxsoft import data
    from jaxsoft.data import stream

    if __name__ == "__main__":
        train = data.load("image_folder", sys.argv[1], resize=16, validation=0.0).train
        wanted = [pixels.tobytes() for pixels, _ in stream.windows(train, 6, 2, 1, 0, 4)]
        assert [pixels.tobytes() for pixels, _ in stream.windows(train, 6, 2, 1, 0, 4, workers=1)] == wanted
        endless = stream.windows(train, 6, 2, 1, workers=1)
        next(endless)
        import multiprocessing
        print(multiprocessing.active_children()[0].pid, flush=True)
        os.kill(os.getpid(), 9)
"""


def is_alive(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_processes_give_the_same_and_end_with_their_parent(split, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(PROCESSES))
    root = split.images.place(0).split("/own")[0]
    done = subprocess.run([sys.executable, str(script), root], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL and done.stdout, done.stderr
    worker, end = int(done.stdout), time.monotonic() + 20
    while is_alive(worker) and time.monotonic() < end:
        time.sleep(0.2)
    assert not is_alive(worker)


MEMORY = """
    import resource, sys
    from jaxsoft import data
    from jaxsoft.data import stream

    train = data.load("image_folder", sys.argv[1], resize=224, validation=0.0).train
    peaks = []
    for count, _ in enumerate(stream.windows(train, 20, 1, 0, 0, 60, threads=2, ahead=1 << 23)):
        if count in (20, 59):
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    print(peaks[1] - peaks[0])
"""


def test_memory_does_not_grow_with_what_is_read(split, tmp_path):
    root = split.images.place(0).split("/own")[0]
    data.prepare("image_folder", tmp_path, root + "/own", resize=224, encoded=True)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEMORY), str(tmp_path)], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 20 * 20 * 224 * 224 * 3 / 1024  # kB: a sixth of what was read in between is kept nowhere
