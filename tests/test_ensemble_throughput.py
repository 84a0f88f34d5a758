"""The students without the engine, beside which its throughput is told, do its work."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxsoft.training import fit
from jaxsoft.training.recipe import Recipe

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # as a script of that folder finds the others
import ensemble_throughput
import measure

RECIPE = Recipe("convnet(depth=2, width=4)", measure.CLASSES, 12, 6, "sgd(momentum=0.9)", augment="crop_flip")
SHAPE, STEPS = (8, 8, 3), 3


def renamed(params):
    """Parameters of flax's own layers under the engine's names."""
    found = {"classifier": params["Dense_0"]}
    for i in range(2):
        found |= {f"conv{i}": params[f"Conv_{i}"], f"norm{i}": params[f"GroupNorm_{i}"]}
    return found


def test_steps_are_the_engines():
    plain = ensemble_throughput.Plain(RECIPE, 2, 4, SHAPE, members=2)
    who, (params, _) = jax.tree.map(lambda a: a[1], (plain.who, plain.state))
    _, run, steps, _ = plain.scanned(STEPS)
    assert steps == 2 * STEPS
    trained, _ = run()
    empty = jax.eval_shape(lambda: fit.initialize(RECIPE, SHAPE, jnp.int32(0)))
    memory = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), empty.optimizer)
    state = fit.State({"params": renamed(params["params"])}, memory, jnp.int32(-1))
    train = jax.jit(lambda state: fit.train_chunk(RECIPE, plain.bank, who, state, jnp.int32(0), STEPS))
    expected = train(state)[0].variables["params"]
    for name, layer in renamed(trained["params"]).items():
        for part in layer:
            if (name[:4], part) != ("conv", "bias"):  # has no effect before the norm; the engine leaves it alone
                np.testing.assert_allclose(layer[part][1], expected[name][part], atol=1e-5, err_msg=f"{name} {part}")
