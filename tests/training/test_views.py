"""Views of images: what is mixed, with what, and that a view is the same whoever asks for it."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxsoft.training import augment, mixing, views

SIDE = 8
FLAT = jnp.arange(1.0, 7.0)[:, None, None, None] * jnp.ones((6, SIDE, SIDE, 1))  # image s is s + 1 everywhere


def many(augmentation, images, slots, count, slot=2, seed=5, mix="cutmix"):
    def one(number):
        how, which = augment.build(augmentation), jnp.int32(slot)
        u = views.draws(how, jnp.int32(seed), which, number)
        return views.view(how, mixing.build(mix), lambda s: images[s], jnp.int32(slots), which, u)

    return np.asarray(jax.jit(jax.vmap(one))(jnp.arange(count)))


def test_a_view_is_the_image_with_a_box_of_another_of_the_subset():
    seen = many("none", FLAT, slots=4, count=300)[..., 0]
    others = set()
    for view in seen:
        inside = view != 3.0
        if inside.any():
            rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
            box = view[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert len(np.unique(box)) == 1 and box.size == inside.sum()
            others.add(float(box[0, 0]))
    assert others == {1.0, 2.0, 4.0}  # slot 3 holds 4; slots 4 and 5 are not of the subset


def test_boxes_have_any_area_and_lie_anywhere():
    inside = many("none", FLAT, slots=2, count=4000, slot=0)[..., 0] != 1.0
    mixed = inside[inside.any((1, 2))]
    share = inside.mean() * 2  # half of all partners are the image itself
    # A box of side r whose centre is uniform keeps (r - r^2 / 4)^2 of the image on average, and r^2 is uniform.
    r = np.linspace(0, 1, 10001)
    expected = np.trapezoid(2 * r * (r - r**2 / 4) ** 2, r)
    assert abs(share - expected) < 0.02
    assert mixed.mean(0).min() > 0.1  # every pixel is covered at times


def test_a_view_depends_on_subset_whichand_number_alone():
    one, two = (many("dsa", FLAT, slots=4, count=6, slot=1)[i] for i in (3, 4))
    np.testing.assert_array_equal(one, many("dsa", FLAT, slots=4, count=4, slot=1)[3])
    assert (one != two).any()
    assert (many("none", FLAT, 4, 6, seed=5) != many("none", FLAT, 4, 6, seed=6)).any()
    covered = [many("none", FLAT, 4, 6, slot=slot) != slot + 1 for slot in (0, 1)]
    assert (covered[0] != covered[1]).any()


def test_both_images_are_augmented():
    images = jnp.stack([jnp.zeros((SIDE, SIDE, 1)).at[0].set(1.0), jnp.zeros((SIDE, SIDE, 1)).at[0].set(2.0)])
    seen = many("crop_flip(padding=1)", images, slots=2, count=200, slot=0)[..., 0]
    assert {float(v) for view in seen for v in view[0]} == {0.0, 1.0, 2.0}  # both are shifted away at times
    assert (seen[:, 1] == 2.0).any() and (seen[:, 1] == 1.0).any()


def test_ways_to_mix_differ_in_nothing_else():
    """Views of equal number have the same two augmented images, so that their labels are compared pair by pair."""
    images = jax.random.normal(jax.random.key(0), (4, SIDE, SIDE, 1))
    alone, boxed, blended = (many("dsa", images, slots=4, count=50, mix=mix) for mix in ("none", "cutmix", "mixup(1)"))
    other = boxed != alone
    both = other.any((1, 2, 3)) & (other.sum((1, 2, 3)) > 4)
    assert both.sum() > 20
    for first, box, mean, inside in zip(alone[both], boxed[both], blended[both], other[both]):
        share = ((mean - box) / np.where(inside, first - box, 1))[inside]  # what is inside of the box is of the second
        np.testing.assert_allclose(share, np.median(share), atol=1e-3)
        assert 0 <= np.median(share) <= 1
    assert alone.tobytes() == many("dsa", images, slots=2, count=50, mix="none").tobytes()  # whoever else is there
