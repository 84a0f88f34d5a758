"""Labels that hold feature maps, in the loop: what is compared, what is learned beside the network, who is untouched."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxsoft import errors, models, rng
from jaxsoft.training import cost, distances, ensemble, feature_maps, fit, losses
from jaxsoft.training.ensemble import Bucket, Program

PLAIN = tiny.CONV._replace(augment="none")  # its last map is 4x4x4
SAME = PLAIN._replace(loss="features(weight=0.5)", features="4x4x4")
OTHER = SAME._replace(features="2x2x3")


def bank(shape=(4, 4, 4)):
    maps = np.random.default_rng(2).standard_normal((2 * tiny.IMAGES, *shape)).astype(np.float32)
    return tiny.bank()._replace(features={feature_maps.text(shape): jnp.asarray(maps)})


def members(seeds, **options):
    """Those of `tiny`, whose labels hold the second half of the maps."""
    found = tiny.members(seeds, **options)
    return found._replace(features=found.images + tiny.IMAGES)


@functools.cache
def begun(recipe, shape):
    """A bank, member 1 before its first step, and its third batch."""
    data, member = bank(shape), tiny.one(members([1]), 0)
    state = jax.jit(lambda: fit.initialize(recipe, tiny.SHAPE, jnp.int32(1)))()
    return data, state, jax.jit(lambda: fit.batch_at(recipe, data, member, jnp.int32(2)))()


@functools.cache
def program():
    return tiny.program(OTHER, 3)


def train(who, program, data=None, **options):
    return tiny.train(program, who, data=data or bank((2, 2, 3)), **options)


def last(run, seat=0):
    """What the bucket's member at a seat is at the end, and what was told of it."""
    return jax.tree.map(lambda a: a[seat], run[-1])


@functools.cache
def together():
    return train(members([1, 2, 3]), program())


@pytest.mark.parametrize("recipe", [SAME, OTHER], ids=["as they are", "projected"])
def test_the_gradient_is_that_of_both_terms(recipe):
    member, shape = tiny.one(members([1]), 0), feature_maps.shape(recipe.features)
    data, state, batch = begun(recipe, shape)  # the batch is half empty
    both, real = (state.variables["params"], state.projection), int(batch.mask.sum())
    slots, mask = fit.slots_at(recipe, member, jnp.int32(2))
    np.testing.assert_array_equal(batch.features[:real], data.features[recipe.features][member.features[slots[mask]]])

    def wanted(both):
        params, projection = both
        logits, maps, _ = models.features(recipe.build_model(), {"params": params}, batch.images[:real])
        if projection is not None:
            maps = maps.reshape(real, 2, 2, 2, 2, 4).mean((2, 4)) @ projection.kernel[None, None]
            maps += projection.bias[None, None, None]
        rows = losses.soft_cross_entropy(logits, batch.rows[:real])
        return rows.mean() + 0.5 * jax.vmap(distances.mse)(maps, batch.features[:real]).mean()

    vector, unravel = jax.flatten_util.ravel_pytree(both)
    total, _, gradient = jax.jit(lambda v: fit.loss_and_gradient(recipe, batch, v, unravel, {}))(vector)
    expected, slopes = jax.jit(jax.value_and_grad(wanted))(both)
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), unravel(gradient), slopes)
    assert (recipe is OTHER) == (slopes[1] is not None and bool((slopes[1].kernel != 0).all()))


def test_a_member_that_was_stopped_is_one_that_was_not():
    half = together()[1]
    rest = train(members([1, 2, 3]), program(), students=(half[0],), done=2)
    tiny.assert_bitwise(rest[-1], together()[-1])


def test_the_projection_is_learned_from_its_own_stream_and_is_no_part_of_the_network():
    first, plain = (jax.jit(lambda r=r: fit.initialize(r, tiny.SHAPE, jnp.int32(2)))() for r in (OTHER, PLAIN))
    kernel = jax.random.split(rng.key(2, rng.Stream.PROJECTION))[0]
    np.testing.assert_array_equal(first.projection.kernel, models._layers.torch_default(kernel, (4, 3)))
    tiny.assert_bitwise(first.variables, plain.variables)
    students, _ = last(together(), 1)
    assert (students.state.projection.kernel != first.projection.kernel).all()
    assert jax.tree.structure(students.best.variables) == jax.tree.structure(plain.variables)


def test_a_member_among_others_is_the_member_alone_beside_one_whose_labels_hold_no_maps():
    both = Program((Bucket(PLAIN, 1, 1, 2), Bucket(OTHER, 1, 1, 2)), tiny.SHAPE, select=2)
    who = tiny.members([2]), members([2])
    *_, (_, students, _) = ensemble.fit(both, bank((2, 2, 3)), tiny.evals(11, 5), who, 4)
    assert students[0].state.projection is None
    alone = jax.tree.map(lambda a: np.array(a[0]), students[1])
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), alone, last(together(), 1)[0])


def test_tiles_add_up_to_the_batch():
    _, state, batch = begun(OTHER, (2, 2, 3))
    vector, unravel = jax.flatten_util.ravel_pytree((state.variables["params"], state.projection))
    learn = jax.jit(lambda v, tile: fit.loss_and_gradient(OTHER, batch, v, unravel, {}, tile), static_argnums=1)
    whole, parts = learn(vector, 0), learn(vector, 2)
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-5)
    np.testing.assert_allclose(parts[2], whole[2], atol=1e-6)


def test_maps_of_another_size_are_means_of_windows_or_bilinear():
    maps = jnp.arange(32.0).reshape(1, 4, 4, 2)
    same = feature_maps.Projection(jnp.eye(2), jnp.zeros(2))
    np.testing.assert_allclose(feature_maps.projected(same, maps, "2x2x2")[0, 0, 0], maps[0, :2, :2].mean((0, 1)))
    larger = feature_maps.projected(same, maps, "8x8x2")
    np.testing.assert_allclose(larger[0, 0, :3, 0], [0, 0.5, 1.5], atol=1e-6)  # corners stay; a quarter is between two
    assert feature_maps.projected(same, maps, "3x3x2").shape == (1, 3, 3, 2)
    assert feature_maps.projected(None, maps, "4x4x2") is maps


def test_what_maps_cost_is_predicted():
    plain, same, other = (cost.state_bytes(r, tiny.SHAPE) for r in (PLAIN, SAME, OTHER))
    projection = (4 * 3 + 3) * 4
    assert (same - plain, other - plain) == (0, 2 * projection)  # with its momentum
    images = cost.training_bytes(SAME, tiny.SHAPE, 1, 4) - cost.training_bytes(PLAIN, tiny.SHAPE, 1, 4)
    assert images == pytest.approx(2 * 4 * 64 * 4, abs=1)  # of a batch of four maps of 4x4x4
    assert cost.step_flops(OTHER, tiny.SHAPE) > cost.step_flops(PLAIN, tiny.SHAPE)


@pytest.mark.parametrize("distance", ["mse", "cosine", "mse_l2norm_channels"])
def test_distances_of_maps_have_a_gradient_at_zeros_and_vanish_at_equal_maps(distance):
    function, maps = getattr(distances, distance), jax.random.normal(jax.random.key(0), (2, 2, 3))
    value, slope = jax.value_and_grad(function)(maps, maps)
    np.testing.assert_allclose([value, np.abs(slope).max()], 0, atol=1e-6)
    assert np.isfinite(jax.grad(function)(jnp.zeros((2, 2, 3)), maps)).all()


def test_sets_of_maps_are_at_no_distance_from_themselves():
    maps = jax.random.normal(jax.random.key(0), (5, 2, 2, 3))
    np.testing.assert_allclose(distances.mmd_rbf(maps, maps[::-1]), 0, atol=1e-6)
    assert distances.mmd_rbf(maps, maps + 1) > 0.01


@pytest.mark.parametrize(
    "loss, told",
    [
        (
            "features(distance='mmd_rbf')",
            "one of mse, cosine, mse_l2norm_channels, which compare the maps of one image",
        ),
        ("features(weight=-1.0)", "weight must be finite and 0 or more, got -1.0"),
    ],
)
def test_what_is_no_loss_of_maps_is_refused(loss, told):
    maps = jnp.ones((2, 2, 3))
    with pytest.raises(errors.ConfigError, match=told):
        OTHER._replace(loss=loss).build_loss()(jnp.zeros(3), row=jnp.ones(3) / 3, features=maps, label_features=maps)
