"""A user's networks are looked at before anything is trained: promises, and batches that are not full."""

import flax.linen as nn
import numpy as np
import pytest

import jaxsoft
from jaxsoft import config, errors, models, types
from jaxsoft.experiment.plan import checks


class Net(nn.Module):
    """Batch norm without a mask."""

    classes: int

    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(self.classes)(nn.BatchNorm(not train)(x).reshape(len(x), -1))


@pytest.fixture(autouse=True)
def known(monkeypatch):
    own = models.architectures()
    networks = {"net": lambda num_classes: Net(num_classes), "wrong": lambda num_classes: Net(num_classes + 1)}
    monkeypatch.setattr(models, "architectures", lambda: {**own, **networks})


@pytest.fixture(scope="module")
def dataset():
    labels = np.repeat(np.arange(3, dtype=np.int32), 8)
    split = types.Split(np.arange(0, 192, 2, dtype=np.uint8).reshape(24, 2, 2, 1), labels)
    return types.Dataset("made", ("cat", "dog", "owl"), split, split, split, "f" * 64, "nowhere", "none")


def settings(student="net", teacher="mlp(hidden=4)", batch=4, ipc=(4,), teacher_batch=64, without=(), select="random"):
    return config.read(
        {
            "teacher": {"model": teacher, "epochs": 1, "batch": teacher_batch},
            "student": {"model": student, "steps": 10, "batch": batch},
            "select": select,
            "sweep": {"ipc": ipc, "labels": ("hard",), "seed": (0, 1), "without": without},
        }
    )


@pytest.mark.parametrize(
    "given, words",
    [
        ({"batch": 5}, "config.student.model: model 'net': it keeps batch_stats .*batch=5 does not divide 12 images"),
        ({"ipc": (4, 2), "batch": 4}, "config.student.batch=4 does not divide 6 images"),
        ({"without": (0, 1), "batch": 64}, "config.student.batch=12 does not divide 8 images"),
        ({"teacher": "net", "teacher_batch": 9}, "config.teacher.batch=9 does not divide 24 images"),
        (
            {"teacher": "net", "select": "herding"},
            "config.select: herding reads .* last layer of expert 0 .*; it is net",
        ),
        ({"teacher": "wrong"}, "config.teacher.model: model 'wrong': logits .* float32.2, 3., got float32.2, 4."),
    ],
)
def test_broken_promises_are_refused_with_their_key(dataset, given, words):
    with pytest.raises(errors.ConfigError, match=words):
        checks.check_data(settings(**given), dataset)


@pytest.mark.parametrize("batch", [4, 12, 64])
def test_full_batches_pass(dataset, batch):
    checks.check_data(settings(batch=batch), dataset)


def test_who_teaches_without_a_plan_is_told_too(dataset):
    with pytest.raises(errors.ConfigError, match="config.teacher.batch=9 does not divide 24 images"):
        jaxsoft.teach(dataset, jaxsoft.Teacher(model="net", epochs=1, batch=9))
