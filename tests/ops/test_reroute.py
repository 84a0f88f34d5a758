"""Convolutions of other people's functions, exchanged for `conv2d`: which are, which are not, and that nothing changes."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft.ops import conv, reroute


def convolve(x, k, strides=(1, 1), padding="SAME", layout=("NHWC", "HWIO", "NHWC"), **options):
    return jax.lax.conv_general_dilated(x, k, strides, padding, dimension_numbers=layout, **options)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def grouped(function, *args):
    """How many convolutions of `function`, of three members, have groups; and how many there are."""
    many = jax.vmap(function)
    text = jax.jit(many).lower(*(jnp.stack([a] * 3) for a in args)).as_text()
    return len(re.findall(r"feature_group_count = [^1]", text)), text.count("stablehlo.convolution")


X, K = draw(2, 6, 6, 2), draw(3, 3, 2, 4, seed=1)
TAKEN = {
    "same": (X, K, {}),
    "valid": (X, K, {"padding": "VALID"}),
    "wide": (X, K, {"padding": ((2, 2), (2, 2))}),
    "stride": (X, K, {"strides": (2, 2)}),  # of an even side: a zero at the end and none at the start
    "uneven": (X, K, {"padding": ((1, 0), (0, 2))}),
    "even": (X, draw(2, 4, 2, 4, seed=1), {}),
    "channels first": (X.transpose(0, 3, 1, 2), K.transpose(3, 2, 0, 1), {"layout": ("NCHW", "OIHW", "NCHW")}),
    "mixed": (X, K.transpose(3, 2, 0, 1), {"layout": ("NHWC", "OIHW", "NCHW")}),
}
LEFT = {
    "dilated": (X, K, {"rhs_dilation": (2, 2)}),
    "transposed": (X, K, {"lhs_dilation": (2, 2), "padding": ((1, 1), (1, 1))}),
    "groups": (X, K[:, :, :1], {"feature_group_count": 2}),
    "unequal strides": (X, K, {"strides": (1, 2)}),
    "one axis": (X[:, 0], K[0], {"strides": (1,), "layout": ("NWC", "WIO", "NWC")}),
    "wider result": (X.astype(jnp.bfloat16), K.astype(jnp.bfloat16), {"preferred_element_type": jnp.float32}),
}


@pytest.mark.parametrize("how", ["map", "patches"])
@pytest.mark.parametrize("name", TAKEN)
def test_what_fits_is_computed_by_conv2d(name, how):
    x, k, options = TAKEN[name]
    plain = functools.partial(convolve, **options)
    ours = reroute.by_conv2d(plain)
    with conv.lowering(how):
        assert grouped(ours, x, k)[0] == 0 < grouped(plain, x, k)[0]
        slopes = [jax.jit(jax.grad(lambda x, k, f=f: jnp.sum(jnp.sin(f(x, k))), (0, 1)))(x, k) for f in (ours, plain)]
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), *slopes)
        if how == "map":
            np.testing.assert_array_equal(jax.jit(ours)(x, k), jax.jit(plain)(x, k))
        np.testing.assert_allclose(jax.jit(ours)(x, k), jax.jit(plain)(x, k), atol=1e-5)


@pytest.mark.parametrize("name", LEFT)
def test_what_does_not_fit_stays(name):
    x, k, options = LEFT[name]
    plain = functools.partial(convolve, **options)
    traced = [str(jax.make_jaxpr(f)(x, k)) for f in (plain, reroute.by_conv2d(plain))]
    assert traced[0] == traced[1] and "conv_general_dilated" in traced[0]


def nested(x, k):
    """Convolutions in each kind of call, one after another; ReLU has a gradient of its own."""
    k = k[:, :, :, :2]
    x = jax.nn.relu(jax.jit(convolve)(x, k))
    x = jax.checkpoint(lambda x: jnp.tanh(convolve(x, k)))(x)
    x, _ = jax.lax.scan(lambda x, _: (convolve(x, k), None), x, length=2)
    x = jax.lax.cond(x.sum() > 0, convolve, lambda x, k: x, x, k)
    return jax.lax.fori_loop(0, 2, lambda i, x: convolve(x, k), x).sum()


def test_calls_are_looked_into():
    ours = reroute.by_conv2d(nested)
    with conv.lowering("patches"):
        assert grouped(nested, X, K)[0] == grouped(nested, X, K)[1] == 5
        assert grouped(ours, X, K) == (0, 0)
        np.testing.assert_allclose(jax.jit(ours)(X, K), jax.jit(nested)(X, K), rtol=1e-5)


def test_trees_options_and_functions_without_convolutions_pass():
    def function(tree, extra):
        return {"sum": tree["a"] + 1, "key": jax.random.fold_in(tree["key"], 3), "none": extra}, X

    tree = {"a": X, "key": jax.random.key(1)}
    ours, plain = reroute.by_conv2d(function)(tree, None), function(tree, None)
    assert jax.tree.structure(ours) == jax.tree.structure(plain) and ours[0]["none"] is None
    assert jax.random.key_data(ours[0]["key"]).tolist() == jax.random.key_data(plain[0]["key"]).tolist()
    np.testing.assert_array_equal(ours[0]["sum"], plain[0]["sum"])
