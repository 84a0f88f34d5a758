"""A student's training as a differentiable function: the one loop's steps, exact gradients, little memory."""

import jax
import jax.numpy as jnp
import numpy as np
import tiny

from jaxsoft.experiment.learned import one as unroll
from jaxsoft.training import fit


def student(recipe, seed=3, **options):
    return unroll.newborn(recipe, tiny.SHAPE, tiny.one(tiny.members([seed], **options), 0))


def test_steps_are_those_of_the_training_loop():
    """Orders, partial batches, augmentation, momentum and schedule, across a run-up of unknown length and a window."""
    recipe = tiny.MLP._replace(augment="crop_flip", schedule="cosine")
    bank, before = tiny.bank(), jax.jit(lambda: student(recipe))()

    @jax.jit
    def both(student, place):
        whole, _ = fit.train_chunk(recipe, bank, student.member, student.state, jnp.int32(0), 8)
        return whole, unroll.train(recipe, bank, unroll.run_up(recipe, bank, student, place), 5)

    wanted, after = both(before, jnp.int32(3))
    assert after.age == 8
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after.state, wanted)


def wide(tree):
    return jax.tree.map(lambda a: a.astype(jnp.float64) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def test_gradient_in_the_labels_equals_finite_differences():
    """In float64, through three steps of a ConvNet with its fused norm, and a loss on other images after them."""
    recipe = tiny.CONV._replace(augment="none", schedule="constant", precision="float64")
    began = jax.jit(lambda: student(recipe))()
    with jax.enable_x64(True):
        bank, who = wide(tiny.bank()), wide(began)
        fixed = bank.rows

        @jax.jit
        @jax.value_and_grad
        def loss(logits):
            rows = jax.nn.softmax(logits)
            state = unroll.train(recipe, bank._replace(rows=rows), who, 3).state
            said = recipe.logits(state.variables, bank.normalized(bank.images[-6:]))
            return -(fixed[-6:] * jax.nn.log_softmax(said)).sum(1).mean()

        logits, step = jnp.log(fixed), 1e-5
        gradient = loss(logits)[1]
        for seed in range(3):
            direction = jnp.asarray(np.random.default_rng(seed).standard_normal(logits.shape))
            slope = (loss(logits + step * direction)[0] - loss(logits - step * direction)[0]) / (2 * step)
            np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-6)
        unseen = np.setdiff1d(np.arange(tiny.IMAGES), who.member.rows)
        assert not gradient[unseen].any() and (jnp.abs(gradient[who.member.rows]).sum(1) > 1e-6).all()


def test_a_window_keeps_states_and_not_what_happens_between_them():
    recipe = tiny.MLP._replace(batch=16, slots=20)
    bank, began = tiny.bank(), jax.jit(lambda: student(recipe, slots=20))()

    def temporary(steps):
        def end(rows):
            after = unroll.train(recipe, bank._replace(rows=rows), began, steps)
            return after.state.variables["params"]["classifier"]["bias"].sum()

        return jax.jit(jax.grad(end)).lower(bank.rows).compile().memory_analysis().temp_size_in_bytes

    state = sum(a.nbytes for a in jax.tree.leaves(began.state))
    batch = 16 * 8 * 8 * 4
    assert (temporary(42) - temporary(2)) / 40 < 1.2 * state < state + batch
