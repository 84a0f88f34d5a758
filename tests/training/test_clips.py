"""Clips in training: one draw for all frames of a clip, and a member alone is the member among others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxsoft.training import augment, mixing, views
from jaxsoft.training.ensemble import Bucket, Program
from jaxsoft.training.evaluate import eval_set

SHAPE = (3, 8, 8, 1)
NET = tiny.MLP._replace(model="convnet3d(depth=1, width=4)", augment="dsa(operations='crop_cutout_scale')")


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random(shape), jnp.float32)


@pytest.mark.parametrize("text", ["none", "dsa", "dsa_all", "crop_flip(2)", "resized_crop(0.3, 1, patches=2)"])
def test_all_frames_of_a_clip_are_changed_alike(text):
    made = augment.build(text)
    clip, u, step = draw(*SHAPE), draw(made.draws, seed=1), jnp.float32(0.3)
    changed = made.change(clip, u, step)
    for frame, seen in zip(clip, changed):
        np.testing.assert_allclose(seen, made.change(frame, u, step), atol=1e-6)
    still = made.change(jnp.broadcast_to(clip[0], SHAPE), u, step)
    np.testing.assert_array_equal(still[0], still[-1])


@pytest.mark.parametrize("text", ["none", "cutmix", "mixup"])
def test_two_clips_are_mixed_alike_in_all_frames(text):
    mix = mixing.build(text)
    first, second, u = draw(*SHAPE), draw(*SHAPE, seed=1), jnp.array([0.4, 0.3, 0.6])
    mixed = mix(first, second, u)
    for i in range(len(first)):
        np.testing.assert_allclose(mixed[i], mix(first[i], second[i], u), atol=1e-6)
    assert text == "none" or not np.array_equal(mixed, first)


def test_a_view_of_a_clip_is_made_anew():
    clips = draw(4, *SHAPE)
    how = augment.build("resized_crop(0.5, 1)"), mixing.build("cutmix")
    slots, slot = jnp.int32(4), jnp.int32(1)
    drawn = (views.draws(how[0], jnp.int32(7), slot, jnp.int32(n)) for n in (0, 0, 1))
    made = [views.view(*how, lambda i: clips[i], slots, slot, u) for u in drawn]
    assert made[0].shape == SHAPE
    np.testing.assert_array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_a_member_alone_is_the_member_among_others():
    random = np.random.default_rng(0)
    bank = tiny.bank()._replace(images=jnp.asarray(random.integers(0, 256, (tiny.IMAGES, *SHAPE)), jnp.uint8))
    bank = bank._replace(scale=jnp.array([1 / 64]), shift=jnp.array([-2.0]))
    images, labels = random.integers(0, 256, (6, *SHAPE)).astype(np.uint8), np.arange(6, dtype=np.int32) % 3
    looked = (eval_set(images, labels, batch=4),)

    def trained(seeds):
        program = Program((Bucket(NET, len(seeds), 1, 2),), SHAPE, select=1)
        return tiny.train(program, tiny.members(seeds, steps=4), 2, bank, looked)[-1]

    together, alone = trained([5, 6]), trained([6])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1:], b, rtol=1e-5, atol=1e-6), together, alone)
