"""What a run keeps of its labels: real images, and samples of labels, the same ones each time."""

import jax
import numpy as np
import pytest
import tiny_run as tiny

from jaxsoft.analysis.reading import read
from jaxsoft.experiment import run
from jaxsoft.experiment.plan import make as plan
from jaxsoft.experiment.store import folder
from jaxsoft.experiment.teach.experts import teach
from jaxsoft.experiment.tell import examples
from jaxsoft.types import Split

LABELS = ("hard", "teachers(n=2, pool=probabilities, epoch=3)|topk(2)", "teacher(epoch=1)")


@pytest.fixture(scope="module")
def made(kept_programs):
    """Data, two experts, and a plan whose first soft labels pool them."""
    settings = tiny.settings({"sweep.labels": LABELS, "teacher.experts": 2})
    data = run.load(settings)
    experts = teach(data, settings.teacher)
    return data, experts, plan.make(settings, data, experts.histories, {})


@pytest.fixture(scope="module")
def written(made, tmp_path_factory):
    data, experts, planned = made
    path = tmp_path_factory.mktemp("run")
    examples.write(folder.RunFolder(path), planned, data, experts)
    return path / examples.NAME


def test_samples_are_the_pooled_labels_of_the_splits_before_any_treatment(made, written):
    data, experts, _ = made
    found = read.read_examples(written)
    assert found is not None and found.epochs.tolist() == [1, 3] and found.experts == (0, 1)
    for split, kept in ((data.train, found.train), (data.validation, found.validation)):
        assert kept.labels.tolist() == split.labels.tolist()  # fewer images than the limits: all of them
        logits = experts.logits(split, np.arange(len(split), dtype=np.int32), [1, 3]).logits
        wanted = np.asarray(jax.nn.softmax(logits)).mean(0)  # these experts are pooled by probabilities
        np.testing.assert_allclose(kept.probabilities, wanted, atol=1e-3)
    at = [np.flatnonzero(data.train.labels == k)[0] for k in found.labels]
    np.testing.assert_array_equal(found.images, data.train.images[at])
    np.testing.assert_allclose(found.probabilities, found.train.probabilities[:, at], atol=1e-3)


def test_the_same_run_writes_the_same_bytes(made, written, tmp_path):
    data, experts, planned = made
    examples.write(folder.RunFolder(tmp_path), planned, data, experts)
    with np.load(written) as first, np.load(tmp_path / examples.NAME) as second:
        assert first.files == second.files
        assert all(first[name].tobytes() == second[name].tobytes() for name in first.files)


def test_every_altered_byte_is_noticed(written, tmp_path):
    run_folder, content = folder.RunFolder(tmp_path), written.read_bytes()
    assert not examples.are_whole(run_folder)
    (tmp_path / examples.NAME).write_bytes(content)
    assert examples.are_whole(run_folder)
    with np.load(written) as stored:
        whole = {name: stored[name] for name in stored.files}
    noticed = 0
    for at in range(0, len(content), len(content) // 200):
        altered = bytearray(content)
        altered[at] ^= 1 << at % 8
        (tmp_path / examples.NAME).write_bytes(altered)
        if examples.are_whole(run_folder):  # a time stamp of the container, say
            with np.load(tmp_path / examples.NAME) as stored:
                assert all(np.array_equal(stored[name], array) for name, array in whole.items())
        else:
            noticed += 1
    assert noticed > 150
    np.savez(tmp_path / examples.NAME, **{name: array for name, array in whole.items() if name != "sha256"})
    assert examples.are_whole(run_folder), "an earlier version wrote no digest"


def test_a_sample_has_every_class_in_its_share():
    labels = np.repeat(np.arange(5, dtype=np.int32), [10, 10, 10, 10, 60])
    split = Split(np.zeros((100, 1, 1, 1), np.uint8), np.random.default_rng(0).permutation(labels))
    ids = examples.sample(split, 20)
    assert len(set(ids.tolist())) == 20 and np.all(np.diff(ids) > 0)
    np.testing.assert_allclose(np.bincount(split.labels[ids]), [2, 2, 2, 2, 12], atol=1)
    assert examples.sample(split, 100).tolist() == list(range(100))


@pytest.mark.parametrize("classes, side", [(200, 64), (1000, 64), (1000, 224)])
def test_many_classes_or_large_images_make_the_sample_smaller_not_the_file_larger(classes, side):
    pixels = np.broadcast_to(np.uint8(0), (50_000, side, side, 3))
    split = Split(pixels, np.zeros(50_000, np.int32))
    count = [examples._most(split, most, 7, classes) for most in (examples._TRAIN, examples._VALIDATION)]
    assert 2 * 7 * classes * sum(count) < 30e6
    assert count[1] * side * side * 3 <= 256 * 2**20
    assert min(count) >= classes
