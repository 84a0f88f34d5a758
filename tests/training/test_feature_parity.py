"""Feature labels of DRUPI: every number that its published code gave for fixed inputs (tests/golden/drupi.npz).

loss = cross-entropy(logits, label) + lambda * distance(features, F). Its layer index k is after k poolings, our k - 1; its
layer 0 is the bare first convolution, which is no block's map here.
"""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import models
from jaxsoft.models._layers import Conv
from jaxsoft.training import distances, losses

with np.load(pathlib.Path(__file__).parents[1] / "golden" / "drupi.npz") as recorded:
    DRUPI = {name: recorded[name] for name in recorded.files}
GIVEN = ("net/", "input", "label_logits", "hard_label", "target_features")
NAMES = sorted(name for name in DRUPI if not name.startswith(GIVEN))
KINDS = {"soft_label_logits": jax.nn.softmax(DRUPI["label_logits"]), "hard": jax.nn.one_hot(DRUPI["hard_label"], 4)}
WAYS = [("mse", 0.01), ("mse", 0.1), ("mse", 1.0), ("mmd_rbf", 0.1), ("cosine", 0.1), ("mse_l2norm_channels", 0.1)]
LEAVES = {"kernel_hwio": "kernel", "kernel_flat_hwc": "kernel"}
MODEL = models.build("convnet(depth=2, width=4)", 4)


def as_recorded(params):
    """Arrays of our tree by the names of the recording."""
    names = {("classifier", "kernel"): "kernel_flat_hwc", ("conv", "kernel"): "kernel_hwio"}
    flat = {(module, leaf): value for module, tree in params.items() for leaf, value in tree.items()}
    return {f"{m}/{names.get((m.rstrip('01'), leaf), leaf)}": value for (m, leaf), value in flat.items()}


def network():
    params = {}
    for path in (name.removeprefix("net/") for name in DRUPI if name.startswith("net/")):
        module, leaf = path.split("/")
        params.setdefault(module, {})[LEAVES.get(leaf, leaf)] = jnp.asarray(DRUPI[f"net/{path}"])
    return params


def total(distance, weight, params, images, maps, rows):
    """The loss of the batch, by the losses that students minimise; a distance of sets is beside the cross-entropy."""
    logits, own, _ = models.features(MODEL, {"params": params}, images, train=True)
    if distance == "mmd_rbf":
        return losses.soft_cross_entropy(logits, rows).mean() + weight * distances.mmd_rbf(own, maps)
    loss = functools.partial(losses.features, weight=weight, distance=distance)
    return jax.vmap(loss)(logits, rows, own, maps).mean()


@pytest.fixture(scope="module")
def computed():
    """What this package gives, by the names of the recording."""
    params, images, maps = network(), jnp.asarray(DRUPI["input"]), jnp.asarray(DRUPI["target_features"])
    found = {}
    for distance, weight in WAYS:
        loss = jax.jit(jax.value_and_grad(functools.partial(total, distance, weight), (0, 1, 2)))
        for kind, rows in KINDS.items():
            case = f"{kind}/{distance}/lambda_{weight}"
            value, grads = loss(params, images, maps, rows)
            found[f"{case}/loss"] = value
            found |= {f"{case}/grad/{name}": grad for name, grad in as_recorded(grads[0]).items()}
            found |= {f"{case}/grad_input": grads[1], f"{case}/grad_target_features": grads[2]}
    for k in (1, 2):
        found[f"features/layer{k}"] = models.features(MODEL, {"params": params}, images, k - 1)[1]
    found["features/layer_none_last_block"] = models.features(MODEL, {"params": params}, images)[1]
    found["features/layer0"] = Conv(4).apply({"params": params["conv0"]}, images)

    def feature_ce(maps):
        head = params["classifier"]
        logits = maps.reshape(len(maps), -1) @ head["kernel"] + head["bias"][None]
        return losses.soft_cross_entropy(logits, jax.nn.one_hot(DRUPI["hard_label"], 4)).mean(), logits

    (loss, logits), slope = jax.value_and_grad(feature_ce, has_aux=True)(maps)
    told = {"head_logits": logits, "loss": loss, "grad_target_features": slope}
    found |= {f"feature_ce/{name}": value for name, value in told.items()}
    # With the strategy `mean` its evaluation takes the mean over the batch: every image is pulled to one map.
    mean = jnp.broadcast_to(maps.mean(0, keepdims=True), maps.shape)
    found["oddity_mean_over_batch/lambda_0.1/loss"] = total(
        "mse", 0.1, params, images, mean, KINDS["soft_label_logits"]
    )
    return {name: np.asarray(value) for name, value in found.items()}


def test_every_recorded_output_is_compared(computed):
    assert len(NAMES) == 142 and set(NAMES) <= computed.keys()


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_published_code(computed, name):
    case, grad, _ = name.partition("/grad")
    wanted, scale = DRUPI[name], np.abs(DRUPI[name]).max()
    if grad:  # a bias before a norm has no gradient: what is recorded is rounding, to be judged beside the others
        scale = max(np.abs(DRUPI[n]).max() for n in NAMES if n.startswith(f"{case}/grad"))
    np.testing.assert_allclose(computed[name], wanted, rtol=0, atol=1e-5 * scale)
