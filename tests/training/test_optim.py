"""Optimizers against PyTorch's formulas in NumPy, and what every public one promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import spec
from jaxsoft.training import optim

OPTIMIZERS = spec.public_functions(optim)
START = np.array([1.0, -2.0, 0.5], np.float32)
GRADIENTS = np.array([[0.3, -0.1, 0.0], [-0.2, 0.4, 1.0], [0.1, 0.1, -3.0], [0.0, -0.5, 0.2]], np.float32)
RATES = (0.1, 0.1, 0.03, 0.03)


def run(build, weight_decay, rates=RATES, start=START):
    """Parameters after every step, the transformation being made anew with the rate of each step."""
    params, state, seen = jnp.asarray(start), build(0.0, 0.0).init(jnp.asarray(start)), []
    for rate, gradient in zip(rates, GRADIENTS):
        update, state = build(rate, weight_decay).update(jnp.asarray(gradient), state, params)
        params = params + update
        seen.append(params)
    return np.stack(seen)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_sgd_is_pytorchs(momentum, weight_decay):
    """torch.optim.SGD: g += wd p; buffer = momentum buffer + g (its first value is g); p -= lr buffer."""
    p, buffer, wanted = START.astype(np.float64), np.zeros(3), []
    for rate, gradient in zip(RATES, GRADIENTS):
        buffer = momentum * buffer + gradient + weight_decay * p
        p = p - rate * buffer
        wanted.append(p)
    got = run(lambda lr, wd: optim.sgd(lr, wd, momentum=momentum), weight_decay)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9)])
def test_adamw_is_pytorchs(weight_decay, betas):
    """torch.optim.AdamW: p -= lr wd p, then Adam with bias correction and eps outside the root; nothing in the moments."""
    p, m, v, wanted = START.astype(np.float64), np.zeros(3), np.zeros(3), []
    for t, (rate, g) in enumerate(zip(RATES, GRADIENTS.astype(np.float64)), start=1):
        p = p - rate * weight_decay * p
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
        p = p - rate * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + 1e-8)
        wanted.append(p)
    got = run(lambda lr, wd: optim.adamw(lr, wd, b1=betas[0], b2=betas[1]), weight_decay)
    np.testing.assert_allclose(got, wanted, rtol=1e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gradient_step_goes_downhill_and_a_rate_of_zero_stays(name):
    after = run(OPTIMIZERS[name], 0.0)[0] - START
    assert after @ GRADIENTS[0] < 0
    np.testing.assert_array_equal(run(OPTIMIZERS[name], 0.5, rates=(0.0,) * 4), np.tile(START, (4, 1)))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rate_and_decay_may_differ_between_members(name):
    """One traced program for all: the state, and so its shape, depends on neither."""
    rates, decays = jnp.array([0.1, 0.02, 1.0]), jnp.array([0.0, 0.1, 0.3])

    def two_steps(rate, decay):
        params, state = jnp.asarray(START), OPTIMIZERS[name](0.0, 0.0).init(jnp.asarray(START))
        for gradient in GRADIENTS[:2]:
            update, state = OPTIMIZERS[name](rate, decay).update(jnp.asarray(gradient), state, params)
            params = params + update
        return params

    together = jax.jit(jax.vmap(two_steps))(rates, decays)
    alone = [run(OPTIMIZERS[name], float(d), rates=(float(r),) * 2)[-1] for r, d in zip(rates, decays)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    assert len({row.tobytes() for row in np.asarray(together)}) == 3, "rate or decay is ignored"
