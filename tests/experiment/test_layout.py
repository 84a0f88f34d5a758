"""How experts lie over devices: what is asked for, what is chosen, and what cannot be, in one line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import config, errors, models, target, types
from jaxsoft.experiment.teach.cohort import Task
from jaxsoft.experiment.teach.course import rates
from jaxsoft.experiment.teach.layout import _check_processes, devices_of_each, layout
from jaxsoft.training.recipe import Recipe

RECIPE, SHAPE = Recipe("mlp(hidden=4)", 3, slots=96, batch=48), (8, 8, 1)


def each(count, devices, asked=0, streamed=False, platform="gpu", **changes):
    compute = config.Compute(expert_devices=asked)
    with target.aimed(target.Target(platform, devices, memory=1 << 30)):
        return devices_of_each(RECIPE._replace(**changes), SHAPE, count, devices, compute, streamed)


def test_experts_come_first_and_streamed_ones_share_what_is_left():
    assert [each(count, 8) for count in (1, 4)] == [1, 1]
    assert [each(count, 8, streamed=True) for count in (1, 2, 3, 4, 8, 16)] == [8, 4, 2, 2, 1, 1]
    assert each(1, 8, streamed=True, accumulate=16) == 3 and each(1, 5, streamed=True) == 4
    assert each(1, 8, streamed=True, platform="cpu") == 1
    assert each(1, 8, asked=2) == each(1, 8, asked=2, streamed=True) == 2
    assert each(1, 8, batch_norm="device(4)") == 4


@pytest.mark.parametrize(("count", "asked", "devices"), [(1, 8, 8), (2, 4, 8), (3, 2, 6), (1, 1, 1), (4, 1, 4)])
def test_devices_are_groups_of_experts_by_data(count, asked, devices):
    laid = layout(RECIPE, SHAPE, count, 8, expert_devices=asked)
    assert (laid.devices, laid.each) == (laid.devices // asked * asked, asked) and laid.devices <= devices
    assert count % (laid.devices // asked * laid.block) == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(asked=9), "9 devices for each expert .*config.compute.expert_devices.* at most the 8 that are here"),
        (dict(asked=5), "5 devices of an expert x config.teacher.accumulate=1 .* batch of 48"),
        (dict(asked=2, accumulate=5), "2 devices of an expert x config.teacher.accumulate=5 .* batch of 48"),
        (
            dict(batch_norm="batch"),
            r"config.teacher.batch_norm expects global, or device\(N\) of N devices, got 'batch'",
        ),
        (dict(batch_norm="device(4)", asked=2), "config.compute.expert_devices=2 differ"),
    ],
)
def test_what_cannot_be_is_told(changes, told):
    with pytest.raises(errors.ConfigError, match=told):
        each(1, 8, **changes)


def counting(num_classes):
    """A pair of functions with a state of its own."""

    def apply(variables, images, train=False, mask=None):
        logits = images.reshape(len(images), -1)[:, :1] * variables["params"]["w"]
        return (logits, {"seen": variables["seen"] + 1}) if train else logits

    return lambda key, images: {"params": {"w": jnp.ones(num_classes)}, "seen": jnp.zeros(())}, apply


def test_states_that_are_no_known_norm_are_of_each_device(monkeypatch):
    known = models.architectures()
    monkeypatch.setattr(models, "architectures", lambda: {**known, "counting": counting})
    with pytest.raises(errors.ConfigError, match="expert_devices=2: counting keeps a state.*batch_norm='device"):
        each(1, 8, asked=2, model="counting")
    assert each(1, 8, streamed=True, model="counting") == 1
    assert each(1, 8, batch_norm="device(2)", model="counting") == 2


def drawing(num_classes):
    """A pair of functions that drops half of its inputs in training."""

    def apply(variables, images, key, train=False):
        kept = jax.random.bernoulli(key, 0.5, images.shape) if train else 1.0
        return (images * kept).reshape(len(images), -1)[:, :1] * variables["params"]["w"][None]

    return lambda key, images: {"params": {"w": jnp.ones(num_classes)}}, apply


def test_networks_that_draw_have_one_device_unless_their_key_knows_of_more(monkeypatch):
    """What is drawn depends on how many there are."""
    known = models.architectures()
    monkeypatch.setattr(models, "architectures", lambda: {**known, "drawing": drawing})
    assert each(1, 8, streamed=True, model="drawing") == 1
    assert each(1, 8, streamed=True, model="drawing", batch_norm="device(2)") == 2
    with pytest.raises(errors.ConfigError, match=r"^config.compute.expert_devices=2: drawing draws while it learns"):
        each(1, 8, asked=2, model="drawing")


@pytest.mark.parametrize(("owners", "used"), [("00001111", 6), ("0011", 2), ("000111", 6)])
def test_processes_that_would_not_have_equal_parts_are_refused(owners, used):
    """Of six of eight devices the second process has two, of two of four none; three each cannot have four and two."""
    each = {8: 6, 4: 2, 6: 2}[len(owners)]
    with pytest.raises(errors.ConfigError, match=f"^{each} devices for each expert .*on {len(owners)} of 2 processes"):
        _check_processes([*map(int, owners)], used, each)


def test_processes_with_all_of_their_devices_in_use_teach_together():
    for owners, used, each in ("0011", 4, 4), ("00112233", 8, 4), ("0000", 2, 2):
        _check_processes([*map(int, owners)], used, each)


def test_a_key_knows_what_changes_numbers_and_nothing_else():
    labels = np.repeat(np.arange(3, dtype=np.int32), 8)
    split = types.Split(np.arange(96, dtype=np.uint8).reshape(24, 2, 2, 1), labels)
    made = types.Dataset("made", ("cat", "dog", "owl"), split, split, split, "f" * 64, "nowhere", "none")

    def key(**changes):
        return Task(made, config.Teacher(batch=8, **changes), "standardize", "float32").key("mlp(hidden=4)", [0])

    usual = [key(), key(accumulate=1), key(batch_norm="global"), key(rate_rule="none"), key(learning_rate=0.01)]
    others = [key(accumulate=2), key(batch_norm="device(2)"), key(rate_rule="linear"), key(rate_rule="sqrt")]
    assert len({*usual}) == 1 and len({*usual, *others}) == 5


def test_rates_follow_the_batch():
    one = config.Teacher(learning_rate=0.5, batch=1024)
    found = [rates(config.Teacher(learning_rate=0.5, batch=1024, rate_rule=r), [0]) for r in ("none", "linear", "sqrt")]
    assert found == [[0.5], [2.0], [1.0]] and rates(one, [0]) == [0.5]
