"""Kernels, bytes and memory of traced programs, against counts by hand."""

import jax
import jax.numpy as jnp
import pytest

from jaxsoft.training import fusion

SIDE = 64
SQUARE = jax.ShapeDtypeStruct((SIDE, SIDE), jnp.float32)
BYTES = 4 * SIDE * SIDE


def kernels(function, *shapes):
    return [(k.times, k.bytes, k.flops) for k in fusion.account(function, *shapes).kernels]


def test_a_product_reads_two_arrays_and_writes_one():
    assert kernels(lambda a, b: a @ b, SQUARE, SQUARE) == [(1, 3 * BYTES, 2 * SIDE**3)]


def test_what_lies_between_is_computed_where_it_is_read():
    """One kernel for sine, doubling and sum; a product wants its operand in memory, so it is two."""
    assert kernels(lambda a: (2 * jnp.sin(a)).sum(0), SQUARE) == [(1, BYTES + 4 * SIDE, 0)]
    made, product = kernels(lambda a: (2 * jnp.sin(a)) @ a, SQUARE)
    assert (made, product) == ((1, 2 * BYTES, 0), (1, 3 * BYTES, 2 * SIDE**3))


def test_two_sums_of_the_same_arrays_are_one_pass():
    assert kernels(lambda a: (a.sum(0), (a * a).sum(0)), SQUARE) == [(1, BYTES + 2 * 4 * SIDE, 0)]


def test_what_nobody_reads_is_not_computed_and_the_same_only_once():
    def function(a):
        _ = a @ a.T
        return (jnp.sin(a) @ a).sum() + (jnp.sin(a) @ a).max()

    assert sum(flops > 0 for _, _, flops in kernels(function, SQUARE)) == 1
    assert sum(flops > 0 for _, _, flops in kernels(lambda a: (a @ a, a @ a.T), SQUARE)) == 2, "not the same"


def test_a_part_of_an_array_is_all_that_is_read():
    assert kernels(lambda a: 2 * a[:2], SQUARE) == [(1, 2 * 2 * 4 * SIDE, 0)]


def test_of_an_array_that_is_split_each_reader_reads_its_part():
    """As the layers of a network do of one vector of all parameters."""

    def function(a, b, vector):
        first, second = jnp.split(vector, 2)
        return (a * first).sum(), (b * second).max()

    line, whole = (jax.ShapeDtypeStruct((n * SIDE,), jnp.float32) for n in (1, 2))
    assert kernels(function, line, line, whole) == [(1, 2 * 4 * SIDE + 4, 0)] * 2


def test_kernels_in_a_loop_run_as_often_as_it_turns():
    turned = fusion.account(lambda a: jax.lax.scan(lambda c, _: (c @ a, None), a, length=5)[0], SQUARE)
    assert [(k.times, k.flops) for k in turned.kernels] == [(5, 2 * SIDE**3)]


def test_a_convolution_is_counted_as_the_product_that_it_amounts_to():
    images, kernel = (jax.ShapeDtypeStruct(s, jnp.bfloat16) for s in ((2, 8, 8, 4), (3, 3, 4, 16)))

    def function(x, k):
        return jax.lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    moved = 2 * (2 * 64 * 4 + 9 * 4 * 16 + 2 * 64 * 16)
    assert kernels(function, images, kernel) == [(1, moved, 2 * (2 * 64 * 16) * 9 * 4)]


def test_kinds_of_a_step():
    def step(a, weights):
        images = jnp.sin(a).T.cumsum(0)
        return weights - jax.grad(lambda w: jnp.square(images @ w).mean())(weights)

    found = [k.kind for k in fusion.account(step, SQUARE, SQUARE).kernels]
    assert (found[0], found[-1]) == ("images", "update") and {"products", "maps"} <= {*found}


@pytest.mark.parametrize("links, most", [(1, 2), (2, 3), (5, 3)])
def test_the_peak_is_what_lies_in_memory_at_once(links, most):
    """Of a chain of products one waits while the next is made; the first, which is read at the end, waits all along."""

    def chain(a):
        last = first = a @ a
        for _ in range(links):
            last = last @ a
        return (last * first).sum()

    assert fusion.account(chain, SQUARE).peak == most * BYTES


def test_the_order_that_frees_memory_is_taken():
    """Of two large results only small sums are wanted: one after the other is summed, though both are written first."""

    def function(a):
        one, two = a @ a, a @ a.T
        return one.sum() + two.sum()

    assert fusion.account(function, SQUARE).peak < 2 * BYTES
