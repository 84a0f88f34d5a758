"""The PyTorch peers of the benchmark do the engine's work: same loss and gradient, same augmentation."""

import inspect
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jaxsoft.training import augment, fit

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # as a script of that folder finds the others
torch = pytest.importorskip("torch", reason="torch is missing: pip install 'jaxsoft[bench]'", exc_type=ImportError)
torch_student = pytest.importorskip("torch_student")

CASE = torch_student.Case(depth=2, width=8, side=8, channels=3, classes=5, slots=12, batch=6)
RECIPE = fit.Recipe("convnet(depth=2, width=8)", CASE.classes, CASE.slots, CASE.batch)
PEERS = {
    "research": lambda: torch_student.Research(CASE, "cpu"),
    "tuned": lambda: torch_student.Tuned(CASE, "cpu", compiled=False),
}
each_peer = pytest.mark.parametrize("peer", PEERS)


def random_batch():
    random = np.random.default_rng(0)
    images = random.standard_normal((CASE.batch, CASE.side, CASE.side, CASE.channels), np.float32)
    return images, random.dirichlet(np.ones(CASE.classes), CASE.batch).astype(np.float32)


def in_torch(images):
    return torch.from_numpy(np.moveaxis(np.asarray(images), 3, 1).copy())


def named(params):
    """The engine's parameters under PyTorch's names and in its layout."""
    found = {}
    for i in range(CASE.depth):
        conv, norm = params[f"conv{i}"], params[f"norm{i}"]
        found |= {f"{4 * i}.weight": np.transpose(conv["kernel"], (3, 2, 0, 1)), f"{4 * i}.bias": conv["bias"]}
        found |= {f"{4 * i + 1}.weight": norm["scale"], f"{4 * i + 1}.bias": norm["bias"]}
    side, last = CASE.side >> CASE.depth, params["classifier"]
    kernel = np.reshape(last["kernel"], (side, side, CASE.width, CASE.classes))
    found[f"{4 * CASE.depth + 1}.weight"] = np.transpose(kernel, (3, 2, 0, 1)).reshape(CASE.classes, -1)
    found[f"{4 * CASE.depth + 1}.bias"] = last["bias"]
    return {name: np.array(value) for name, value in found.items()}


@each_peer
def test_loss_and_gradient_are_the_engines(peer):
    images, rows = random_batch()
    params = jax.jit(lambda: fit.initialize(RECIPE, images.shape[1:], jnp.int32(3)))().variables["params"]
    vector, unravel = ravel_pytree((params, None))
    batch = fit.Batch(jnp.asarray(images), jnp.asarray(rows), jnp.ones(CASE.batch, bool))
    loss, _, gradient = jax.jit(lambda vector: fit.loss_and_gradient(RECIPE, batch, vector, unravel, {}))(vector)
    it = PEERS[peer]()
    it.student.load_state_dict({name: torch.from_numpy(value) for name, value in named(params).items()})
    given = in_torch(images), torch.from_numpy(rows)
    its_loss = it.loss(*given) if peer == "tuned" else it.loss_and_logits(*given)[0]
    its_loss.backward()
    np.testing.assert_allclose(its_loss.item(), loss, rtol=1e-5)
    expected = named(unravel(gradient)[0])
    assert {name for name, _ in it.student.named_parameters()} == set(expected)
    for name, parameter in it.student.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), expected[name], atol=1e-4, err_msg=name)


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("name", ["color", "crop", "cutout", "flip", "scale", "rotate"])
def test_operations_are_the_engines(name, side):
    random = np.random.default_rng(1)
    images = random.standard_normal((40, side, side, CASE.channels), np.float32)
    u = random.random((40, 3), np.float32)
    u[0], u[1] = 0, np.nextafter(np.float32(1), np.float32(0))
    change = jax.vmap(lambda image, u: augment.apply(image, getattr(augment, name)(u, side, side)))
    expected = jax.jit(change)(images, u)
    for operations in (torch_student.OPERATIONS, torch_student.LISTED):
        found = operations[name](in_torch(images), torch.from_numpy(u))
        np.testing.assert_allclose(np.moveaxis(found.numpy(), 1, 3), expected, atol=1e-4)


def test_operations_are_all_of_dsa():
    names = inspect.signature(augment.dsa).parameters["operations"].default.split("_")
    assert set(torch_student.OPERATIONS) == set(torch_student.LISTED) == set(names)


@each_peer
def test_an_epoch_steps_as_often_as_the_engines(peer):
    it, steps = PEERS[peer](), []
    it.optimizer.register_step_post_hook(lambda *_: steps.append(1))
    before = [parameter.detach().clone() for parameter in it.student.parameters()]
    it.epoch()
    assert len(steps) == RECIPE.steps_per_epoch(CASE.slots)
    assert all((new != old).any() for new, old in zip(it.student.parameters(), before) if new.ndim == 4)
