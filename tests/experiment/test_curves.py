"""Curves of members: what the looks saw, the same when a run was stopped on the way, and in no column of the table."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_run as tiny

from jaxsoft import errors
from jaxsoft.experiment import run
from jaxsoft.experiment.inputs.prepare import prepare
from jaxsoft.experiment.plan import identity
from jaxsoft.experiment.plan import make as planning
from jaxsoft.experiment.store.checkpoints import Checkpoints
from jaxsoft.experiment.students import curves, waves
from jaxsoft.experiment.teach.experts import teach
from jaxsoft.training.ensemble import Bucket, Report
from jaxsoft.training.recipe import Recipe


@pytest.fixture(scope="module")
def trained():
    """A function of a protocol, checkpoints and what is called after a chunk: curves by position, and all reports."""
    data = run.load(tiny.settings())
    experts = teach(data, tiny.settings().teacher)

    def train(protocol="sealed", checkpoints=None, then=lambda seen: waves.Next()):
        settings, looks = tiny.settings({"protocol": protocol, "student.evaluations": 5}), []
        plan = planning.make(settings, data, experts.histories, identity.member_context(settings, data, experts))
        material, program = prepare(plan, settings, data, experts), waves.wave_program(plan, settings)

        def look(seen):
            looks.append(jax.device_get(seen.reports))
            return then(seen)

        found = waves.train_wave(program, plan, 0, material, checkpoints, look, protocol)
        return {o["position"]: o for o in found}, looks, plan

    return train


@pytest.mark.parametrize("protocol", ["sealed", "both", "paper"])
def test_a_curve_has_what_each_look_told(trained, protocol):
    found, looks, plan = trained(protocol)
    for b, bucket in enumerate(plan.buckets):
        for j, i in enumerate(bucket.members):
            curve, seen = found[i]["curve"], [look[b] for look in looks]
            assert curve["step"] == [3, 6, 9, 12]  # of five looks the last saw no step
            sets = ["test_accuracy", "val_accuracy"] if protocol == "paper" else ["val_accuracy", "test_accuracy"]
            assert list(curve) == ["step", "train_loss", "val_accuracy"] + ["test_accuracy"] * (protocol != "sealed")
            np.testing.assert_allclose(curve["train_loss"], [r.loss[j] for r in seen[:4]], atol=1e-6)
            for s, name in enumerate(sets[: seen[0].accuracy.shape[1]]):
                np.testing.assert_allclose(curve[name], [r.accuracy[j, s] for r in seen[:4]], atol=1e-6)
            chosen = "test_accuracy" if protocol == "paper" else "val_accuracy"
            assert max(curve[chosen]) == round(found[i][chosen], 6)


def test_a_wave_that_is_stopped_and_goes_on_has_the_whole_curve(trained, tmp_path):
    whole, _, plan = trained("both")
    for stop in (2, 4):
        with pytest.raises(errors.Interrupted):
            trained("both", Checkpoints(tmp_path), lambda seen, at=stop: waves.Next(stop=seen.done == at))
    resumed, looks, _ = trained("both", Checkpoints(tmp_path))
    assert len(looks) == 1
    assert [resumed[i]["curve"] for i in range(len(plan.members))] == [o["curve"] for _, o in sorted(whole.items())]


def test_looks_before_a_checkpoint_of_an_earlier_version_are_not_known(trained, tmp_path):
    with mock.patch.object(curves, "as_json", lambda looks: {}), pytest.raises(errors.Interrupted):
        trained("sealed", Checkpoints(tmp_path), lambda seen: waves.Next(stop=seen.done == 2))
    curve = trained("sealed", Checkpoints(tmp_path))[0][0]["curve"]
    assert (
        curve["train_loss"][:2] == curve["val_accuracy"][:2] == [None, None] and None not in curve["val_accuracy"][2:]
    )


def test_numbers_that_are_not_finite_are_none_and_padding_is_left_out():
    report = Report(jnp.array([1, jnp.nan, 3, 3]), jnp.full((4, 1), 0.1234567), jnp.zeros((4, 1)))
    bucket = Bucket(Recipe("mlp", 2, 4, 4), 4, 2, 5)
    looks = curves.stacked(np.empty((0, 8, 2), np.float32), [(report, report)])
    kept = curves.from_json(curves.as_json(looks), 1, (bucket, bucket), 2)
    np.testing.assert_array_equal(kept, looks)
    found = curves.of_members(kept, 4, 3, 4, 5, "sealed")
    assert [c["train_loss"] for c in found] == [[1.0], [None], [3.0]]
    assert found[1] == {"step": [4], "train_loss": [None], "val_accuracy": [0.123457]}
