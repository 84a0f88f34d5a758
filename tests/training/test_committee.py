"""Committees and teachers of batch statistics against the recorded numbers of CV-DD's own code, see golden/README.md.

17 arrays: 6 of weights, 3 of logits, 5 of committee labels and one of these as stored, 2 of running statistics.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft.labels import committee
from jaxsoft.training.evaluate import expert_logits, halves
from jaxsoft.training.recipe import Recipe

KEPT = pathlib.Path(__file__).parents[1] / "golden" / "cvdd.npz"
RECIPE = Recipe("convnet(depth=2, width=4, norm=batch)", 6, 1, 1)
SETS = "cifar10", "cifar100", "tiny", "nette", "imagenet1k"


@pytest.fixture(scope="module")
def cvdd():
    with np.load(KEPT, allow_pickle=False) as file:
        return dict(file)


def network(cvdd, k):
    """Teacher k, as this package names its variables."""
    found = {"params": {}, "batch_stats": {}}
    for name, value in cvdd.items():
        if name.startswith(f"teacher{k}/"):
            _, module, leaf = name.split("/")
            kind = "batch_stats" if leaf in ("mean", "var") else "params"
            found[kind].setdefault(module, {})[leaf.split("_")[0]] = jnp.asarray(value)
    return found


def logits(cvdd, statistics, images=None):
    images = jnp.asarray(cvdd["input"] if images is None else images)
    return jnp.stack([expert_logits(RECIPE, network(cvdd, k), images, statistics) for k in range(5)])


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("name", SETS)
def test_weights_are_the_softmax_of_percents_over_ten(cvdd, name):
    found = committee.weights(cvdd[f"committee/prior/{name}"].tolist())
    np.testing.assert_allclose(found, cvdd[f"committee/weights_tau10/{name}"], rtol=1e-12)


def test_an_equal_prior_weighs_all_alike(cvdd):
    np.testing.assert_allclose(committee.weights((50.0,) * 5, 3.0), cvdd["committee/weights_none_given"], rtol=1e-12)


@pytest.mark.parametrize("statistics, name", [("running", "eval"), ("batch", "train_half_batches")])
def test_experts_say_what_they_say_there_by_running_and_by_batch_statistics(cvdd, statistics, name):
    close(logits(cvdd, statistics), cvdd[f"logits/{name}_KxBxC"])


def test_a_whole_batch_has_other_statistics_than_its_halves(cvdd):
    said = [
        RECIPE.logits(network(cvdd, k), jnp.asarray(cvdd["input"]), train=True, mutable=["batch_stats"])
        for k in range(5)
    ]
    close(jnp.stack([logits for logits, _ in said]), cvdd["logits/train_whole_batch_KxBxC"])


@pytest.mark.parametrize("statistics, name", [("batch", "bssl"), ("running", "eval")])
@pytest.mark.parametrize("pool", ["imagenet1k_prior", "equal"])
def test_a_committee_sums_logits_as_they_stand(cvdd, statistics, name, pool):
    prior = cvdd["committee/prior/imagenet1k"].tolist() if pool != "equal" else (0.0,) * 5
    found = committee.weighed(logits(cvdd, statistics), jnp.asarray(committee.weights(prior), jnp.float32))
    close(found, cvdd[f"committee_label/{name}/{pool}"])


def test_labels_are_stored_there_in_half_precision(cvdd):
    stored = cvdd["committee_label/bssl/imagenet1k_prior"].astype(np.float16)
    np.testing.assert_array_equal(stored, cvdd["committee_label/bssl/imagenet1k_prior_fp16"])


def test_of_an_odd_batch_the_first_half_is_the_smaller_one(cvdd):
    given = jnp.asarray(committee.weights(cvdd["committee/prior/imagenet1k"].tolist()), jnp.float32)
    found = committee.weighed(logits(cvdd, "batch", cvdd["input"][:5]), given)
    close(found, cvdd["committee_label/bssl/odd_batch_5"])


def test_running_statistics_move_as_there_but_for_a_variance_that_is_unbiased_there(cvdd):
    images, variables = jnp.asarray(cvdd["input"]), network(cvdd, 0)
    before = variables["batch_stats"]["norm0"]
    for half in halves(images):
        _, new = RECIPE.logits(variables, half, train=True, mutable=["batch_stats"])
        variables = {**variables, **new}
    after, kept, n = variables["batch_stats"]["norm0"], 0.9**2, 4 * 8 * 8
    close(after["mean"], cvdd["after_relabel/teacher0/norm0/mean"])
    unbiased = kept * before["var"] + (after["var"] - kept * before["var"]) * n / (n - 1)
    close(unbiased, cvdd["after_relabel/teacher0/norm0/var"])


def test_random_weights_are_uniform_numbers_over_their_sum():
    drawn = jax.vmap(committee.random_weights, (0, None, None))(jnp.arange(500), jnp.int32(0), 3)
    np.testing.assert_allclose(drawn.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(drawn.mean(0), 1 / 3, atol=0.03)
    assert 0.12 < drawn.std() < 0.2  # of a Dirichlet distribution it is .236, of equal weights 0
