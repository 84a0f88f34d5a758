"""Half-precision feature maps: what stays in float32, and that training goes as it does in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.extend.core import jaxprs_in_params

from jaxsoft import target
from jaxsoft.ops import conv
from jaxsoft.training import fit
from jaxsoft.training import recipe as recipes

MODELS = (
    "convnet(depth=1, width=4)",
    "convnet(depth=1, width=4, norm=batch)",
    "convnet(depth=1, width=4, norm=group, pooling=max)",
    "convnet(depth=1, width=4, norm=layer)",
    "mlp(hidden=6)",
    "resnet18",
)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_kept_and_what_is_told_is_float32_and_maps_are_not(model):
    recipe = tiny.CONV._replace(model=model, precision="bfloat16")
    state = jax.eval_shape(lambda: fit.initialize(recipe, tiny.SHAPE, jnp.int32(0)))
    images = jax.ShapeDtypeStruct((4, *tiny.SHAPE), jnp.float32)
    with conv.lowering("map"):  # on CPU `auto` multiplies sums of many channels in float32
        traced = jax.make_jaxpr(recipe.logits)(state.variables, images)
    assert traced.out_avals[0].dtype == jnp.float32
    products = [e for e in equations(traced.jaxpr) if e.primitive.name in ("dot_general", "conv_general_dilated")]
    assert products and all(v.aval.dtype == jnp.bfloat16 for e in products for v in e.invars)
    bank, member = tiny.bank(), tiny.one(tiny.members([0]), 0)
    after, loss = jax.eval_shape(lambda s: fit.train_chunk(recipe, bank, member, s, jnp.int32(0), 2), state)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), after) == jax.tree.map(lambda a: (a.shape, a.dtype), state)
    assert {a.dtype for a in jax.tree.leaves((after.variables, after.optimizer, loss))} == {jnp.dtype("float32")}


def equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from equations(inner)


def test_auto_is_float32_on_a_cpu_and_half_elsewhere():
    assert recipes.precision("auto") == "float32"
    with target.aimed(target.Target("gpu")):
        chosen = [recipes.precision(p) for p in ("auto", "float32", "bfloat16")]
    assert chosen == ["bfloat16", "float32", "bfloat16"]


def test_two_hundred_steps_in_half_precision_stay_within_the_spread_over_seeds():
    """The loss curve of a seed moves less by the precision than the curves of other seeds lie apart."""
    recipe = tiny.CONV._replace(augment="none", schedule="constant")
    who = tiny.members([0, 1, 2, 3], steps=200, rate=0.02)
    curves = {}
    for precision in ("float32", "bfloat16"):
        program = tiny.program(recipe._replace(precision=precision), 4, chunk_steps=10)
        curves[precision] = np.stack([report.loss for _, report in tiny.train(program, who, chunks=20)])
    moved = np.abs(curves["bfloat16"] - curves["float32"]).mean()
    spread = curves["float32"].std(axis=1, ddof=1).mean()
    assert moved > 0, "nothing was rounded"
    assert moved < 0.5 * spread, (moved, spread)
