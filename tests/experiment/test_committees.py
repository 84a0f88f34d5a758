"""Committees of experts and labels by batch statistics, from label specs to rows."""

import json
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_run as tiny

from jaxsoft import errors
from jaxsoft.experiment import run
from jaxsoft.experiment.inputs.prepare import prepare
from jaxsoft.experiment.learned import judges, many
from jaxsoft.experiment.plan import checks, identity
from jaxsoft.experiment.plan import make as planning
from jaxsoft.experiment.teach.experts import teach
from jaxsoft.labels import committee
from jaxsoft.training import fit
from jaxsoft.training.evaluate import expert_logits

ODD = "convnet(depth=1, width=4, norm=batch)"
MODELS = ODD, ODD, "convnet(depth=1, width=2, norm=batch)"
SETTINGS = {"teacher.experts": 3, "teacher.models": MODELS, "teacher.epochs": 2, "sweep.seed": (0,)}
SETTINGS |= {"sweep.ipc": (1,), "student.batch": 4, "student.steps": 4}


@pytest.fixture(scope="module")
def data():
    return run.load(tiny.settings(SETTINGS))


@pytest.fixture(scope="module")
def experts(data, kept_programs):
    return teach(data, tiny.settings(SETTINGS).teacher)


def prepared(changes, data, experts, folder=None, on_progress=lambda _: None):
    settings = checks.check(tiny.settings(SETTINGS | changes))
    plan = planning.make(settings, data, experts.histories, identity.member_context(settings, data, experts))
    return plan, prepare(plan, settings, data, experts, folder, on_progress)


def members(plan, material):
    """Every member with its recipe and its arrays."""
    for bucket, arrays in zip(plan.buckets, material.members):
        for j, i in enumerate(bucket.members):
            yield plan.members[i], bucket.recipe, jax.tree.map(lambda a, j=j: jnp.asarray(a[j]), arrays)


def rows(plan, material):
    """The rows of every member by its labels and seed."""
    bank = np.asarray(material.bank.rows)
    return {(m.labels, m.seed): bank[np.asarray(a.rows[: a.slots])] for m, _, a in members(plan, material)}


def said(experts, data, plan, material):
    """What all experts say at the end about the images of the first member."""
    _, _, first = next(members(plan, material))
    bank = jax.tree.map(jnp.asarray, material.bank)
    images = bank.normalized(bank.images[first.images[: first.slots]])
    return jnp.stack([network.logits(variables, images) for network, variables in map(at_end(experts), range(3))])


def at_end(experts):
    def network(expert):
        recipe, variables = experts.network(expert, 2)
        return recipe, jax.tree.map(jnp.asarray, variables)

    return network


def test_weights_are_those_of_the_prior_and_random_ones_are_of_the_image(data, experts):
    given = "committee(3, prior=(50, 60, 55.5), tau=5, epoch=2)"
    own, drawn = "committee(3, prior=experts, epoch=2)", "committee(3, pool=random, epoch=2)"
    changes = {"sweep.labels": (given, own, drawn), "sweep.ipc": (1, 2)}
    plan, material = prepared({**changes, "sweep.ipc": (1,)}, data, experts)
    found, logits = rows(plan, material), said(experts, data, plan, material)
    accuracies = [100 * history[2]["val_accuracy"] for history in experts.histories]
    for text, prior, tau in ((given, (50, 60, 55.5), 5.0), (own, accuracies, 10.0)):
        wanted = jax.nn.softmax(jnp.tensordot(jnp.asarray(committee.weights(prior, tau), jnp.float32), logits, 1))
        np.testing.assert_allclose(found[text, 0], wanted, atol=1e-5)
    simplex = np.log(found[drawn, 0])  # a weighted sum of logits up to a constant; weights sum to 1
    centred = np.asarray(logits - logits.mean(-1, keepdims=True))
    for i, target in enumerate(simplex - simplex.mean(-1, keepdims=True)):
        weights, *_ = np.linalg.lstsq(centred[:, i].T.astype(float), target.astype(float), rcond=None)
        assert weights.min() > -1e-2 and weights.sum() == pytest.approx(1, abs=2e-2)
    larger = rows(*prepared({**changes, "sweep.ipc": (2,)}, data, experts))[drawn, 0]
    np.testing.assert_allclose(larger[::2], found[drawn, 0], atol=1e-5)  # whatever else is in the subset


@pytest.mark.parametrize("views", ["", ", views=2"])
def test_a_student_of_the_subsets_seed_sees_the_label_batches_themselves(data, experts, views):
    text = f"teacher(expert=2, epoch=2{views}, statistics=batch)"
    plan, material = prepared({"sweep.labels": (text,), "sweep.ipc": (2,), "student.batch": 8}, data, experts)
    ((_, recipe, member),) = members(plan, material)
    bank, (network, variables) = jax.tree.map(jnp.asarray, material.bank), at_end(experts)(2)
    see = jax.jit(fit.batch_at, static_argnums=0)
    for t in (0, 2, 4) if views else (0, 2):  # two whole batches and one of four; then the second view, or nothing new
        batch = see(recipe, bank, member, jnp.int32(t))
        count = int(batch.mask.sum())
        assert count == (4 if t == 2 else 8)
        images, own = batch.images[:count], batch.rows[:count]
        np.testing.assert_allclose(own, jax.nn.softmax(expert_logits(network, variables, images, "batch")), atol=2e-5)
        assert np.abs(own - jax.nn.softmax(expert_logits(network, variables, images))).max() > 1e-3


def test_students_judge_experts_once_and_whatever_else_is_in_the_sweep(data, experts, tmp_path):
    alone = {"sweep.labels": ("committee(3, epoch=2)",)}
    both = {"sweep.labels": ("hard", "committee(3, tau=2, epoch=2)", "committee(3, epoch=2)"), "sweep.seed": (1, 0)}
    seen = []
    plan, material = prepared(alone, data, experts, tmp_path, seen.append)
    found = rows(plan, material)["committee(3, epoch=2)", 0]
    assert [(s.done, s.pairs) for s in seen][0] == (0, 3) and seen[-1].done == 3
    told = json.loads((tmp_path / judges.KEPT).read_text())["experts"]
    assert [one["labels"] for one in told] == [f"teacher({e}epoch=2)" for e in ("", "expert=1, ", "expert=2, ")]
    prior = [100 * one["val_accuracy"] for one in told]
    assert len(set(prior)) > 1 and all(0 <= p <= 100 for p in prior)
    weights = jnp.asarray(committee.weights(prior), jnp.float32)
    wanted = jax.nn.softmax(jnp.tensordot(weights, said(experts, data, plan, material), 1))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    other = rows(*prepared(both, data, experts))["committee(3, epoch=2)", 0]
    np.testing.assert_allclose(other, found, atol=1e-6)
    with mock.patch.object(many, "judge", side_effect=AssertionError("judged again")):
        again = rows(*prepared(alone, data, experts, tmp_path))["committee(3, epoch=2)", 0]
    np.testing.assert_array_equal(again, found)
    (tmp_path / judges.KEPT).write_text("{}")
    with pytest.raises(errors.CheckpointError, match=r"committee\.json.*delete it and run the same command again$"):
        prepared(alone, data, experts, tmp_path)


def test_a_key_knows_how_students_judge_and_only_where_they_do(data, experts):
    def keys(labels, **changes):
        changed = {f"student.{name}": value for name, value in changes.items()}
        settings = tiny.settings(SETTINGS | {"sweep.labels": (labels,), "sweep.learning_rate": (0.1,)} | changed)
        return planning.make(settings, data, experts.histories, identity.member_context(settings, data, experts)).keys

    assert keys("committee(3, epoch=2)") != keys("committee(3, epoch=2)", learning_rate=0.05)
    assert keys("teacher(epoch=2)") == keys("teacher(epoch=2)", learning_rate=0.05)
    assert keys("committee(3, pool=equal, epoch=2)") == keys("teachers(3, epoch=2)")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sweep.labels": ("committee(3, prior=(1, 2))",)}, "prior must be 3 percents in 0..100, one for each expert"),
        ({"sweep.labels": ("committee(2, prior=(1, 101))",)}, "prior must be 2 percents in 0..100"),
        ({"sweep.labels": ("committee(2, prior=test)",)}, "prior must be students, experts or percents, got 'test'"),
        ({"sweep.labels": ("committee(3, tau=0)",)}, "tau must be above 0 points, got 0.0"),
        ({"sweep.labels": ("committee(3, pool=random, tau=5)",)}, "pool=random has neither prior nor tau, got 5.0"),
        ({"sweep.labels": ("committee(4, epoch=1)",)}, "needs 4 experts; config.teacher.experts is 3"),
        (
            {"sweep.labels": ("teacher(epoch=1, online=true, statistics=batch)",)},
            "statistics=batch are those of label batches, which online labels have none of",
        ),
        (
            {"sweep.labels": ("committee(3, prior=experts, epoch=1)",), "data.validation": 0, "protocol": "paper"},
            r"there are no validation images, and label spec 'committee\(3, prior=experts, epoch=1\)' asks for them",
        ),
        (
            {"sweep.labels": ("committee(3, epoch=1)|topk(2)",), "student.loss": "mse", "sweep.loss": ("kl",)},
            "config.student.loss: mse wants logits",  # of students that judge
        ),
        (
            {"sweep.labels": ("teacher(epoch=1, statistics=batch)",), "student.batch": 7},
            "config.student.batch=7 leaves a label batch of 3 of 10 images, and label spec .* wants 4 or more",
        ),
        (
            {"sweep.labels": ("teachers(2, epoch=1, statistics=batch)",), "teacher.models": (ODD, "mlp", ODD)},
            "asks for batch statistics, and expert 1, mlp, has no batch norm: it keeps none",
        ),
    ],
)
def test_what_a_committee_cannot_be_is_refused_before_anything_is_trained(data, changes, message):
    with pytest.raises(errors.ConfigError, match=message):
        checks.check_data(checks.check(tiny.settings(SETTINGS | changes)), data)
