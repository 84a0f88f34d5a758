"""What one step sees: images of a bank in an order that is drawn, or of a window as they come; augmented, with labels.

Everything is written for ONE member; `ensemble` adds the member axis.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Int32, Shaped, UInt8

from jaxsoft import models, rng
from jaxsoft.data.normalize import Normalizer
from jaxsoft.rng import Stream
from jaxsoft.training import augment, mixing, views
from jaxsoft.training.recipe import Recipe

DATA = "data"
"""The axis of a mesh along which devices share each batch."""


class Member(NamedTuple):
    """What may differ between members; stacked along a leading axis M in a bucket, in NumPy until it is placed."""

    seed: Int[Array, "*M"]  # of initialisation, order and augmentation
    images: Int[Array, "*M N"]  # which images of the bank fill the slots
    rows: Int[Array, "*M N"]  # which rows of the label bank are theirs; the first of several where labels are of views
    slots: Int[Array, "*M"]  # how many there are; what follows in `images` and `rows` is never read
    learning_rate: Float[Array, "*M"]
    weight_decay: Float[Array, "*M"]
    steps: Int[Array, "*M"]  # length of its training; later steps change nothing
    subset_seed: Int[Array, "*M"] | None = None  # of the views of its images
    features: Int[Array, "*M N"] | None = None  # which feature maps of the bank are of its labels


class Bank(NamedTuple):
    """What all members read: images once, and every label row that any of them needs."""

    images: Shaped[Array, "N *S C"]  # as stored (uint8), or already whitened (float32)
    scale: Float[Array, "C"]  # the network sees images * scale + shift
    shift: Float[Array, "C"]
    rows: Float[Array, "R K"]  # labels: probabilities, or logits for members whose loss wants these
    classes: Int[Array, "N"] | None = None  # true classes of the images, where a step reads them
    teachers: Mapping[str, Any] | None = None  # variables of those that are asked at every step, see `Recipe.asked`
    features: Mapping[str, Any] | None = None  # feature maps of labels [F, h, w, c], by their shape, as `4x4x128`

    def normalized(self, images: Shaped[Array, "*S C"]) -> Float[Array, "*S C"]:
        """Stored images as the network sees them."""
        scale, shift = (jnp.broadcast_to(a, images.shape) for a in (self.scale, self.shift))
        return images.astype(scale.dtype) * scale + shift


def make_bank(
    normalizer: Normalizer, images: Any, rows: Any, classes: Any = None, teachers: Any = None, features: Any = None
) -> Bank:
    """What members share, as `Bank` has it, with the map from stored images to what a network sees."""
    affine: tuple[Any, Any] = normalizer.affine
    return Bank(images, *affine, rows, classes, teachers, features)


class Window(NamedTuple):
    """S steps of a stream, as they come from the host; every member sees the same."""

    images: UInt8[Any, "S B *S C"]
    labels: Int32[Any, "S B"]  # -1 for padding; a step that is all padding changes nothing


def slots_at(recipe: Recipe, member: Member, t: Int[Array, ""]) -> tuple[Int[Array, "B"], Bool[Array, "B"]]:
    """Which slots step `t` sees, and which entries of the batch are real.

    Every epoch visits each slot once, in an order drawn from (seed, epoch); its last batch may be partial. An order is
    never stored: any place in it can be computed at any time.
    """
    place = jnp.arange(recipe.batch)
    if recipe.batch == recipe.slots:  # the order of a sum does not matter
        return place, place < member.slots
    epoch, within = jnp.divmod(t, recipe.steps_per_epoch(member.slots))
    place = within * recipe.batch + place
    slots = rng.permuted(rng.key(member.seed, Stream.ORDER, epoch), place, member.slots)
    return slots, place < member.slots


class Batch(NamedTuple):
    """What a step sees: augmented images, their label rows, and which entries are real."""

    images: Float[Array, "B *S C"]
    rows: Float[Array, "B K"]
    mask: Bool[Array, "B"]
    key: Array | None = None  # of what the network draws, such as dropout
    classes: Int[Array, "B"] | None = None  # where the loss wants them
    features: Float[Array, "B h w c"] | None = None  # feature maps of the labels, likewise
    real: Int[Array, ""] | None = None  # how many entries are, where somebody has counted

    def label(self, wants: tuple[str, ...], features: Any = None) -> dict[str, Any]:
        """What a loss wants of the labels, by name, with the network's own feature maps where these are compared."""
        of_label = {"row": self.rows, "label_logits": self.rows, "true_class": self.classes}
        of_label["label_features"] = self.features
        return {name: of_label[name] for name in wants} | ({} if features is None else {"features": features})


class Ahead(NamedTuple):
    """What a step needs that no parameter has a part in: it is made for many steps at once, before the first of them."""

    t: Int[Array, ""]
    order: tuple[Array, Array] | None  # as `slots_at` has it; None where every step sees the whole subset
    real: Int[Array, ""]  # how many of its images are real
    view: Int[Array, ""] | None  # number of the views of its images, where it sees such
    uniform: Array  # what its views draw [B, U]; or its augmentation [U], one number for all, then each image's
    key: Array | None  # of what the network draws, such as dropout; those of this package draw nothing
    rate: Float[Array, ""]  # of learning


def ahead_of(recipe: Recipe, member: Member, t: Int[Array, ""]) -> Ahead:
    """Random numbers are drawn once for a step; those of an image do not depend on the size of the batch."""
    order, view = slots_at(recipe, member, t), None
    if recipe.is_of_views:
        view = t // recipe.steps_per_epoch(member.slots)
        view = view % recipe.views if recipe.views else view
        uniform = view_draws(recipe, member, order[0], jnp.broadcast_to(view, order[0].shape))
    else:
        uniform = _augmentation(recipe, member, t)
    key, rate = _key_and_rate(recipe, member, t)
    return Ahead(t, None if recipe.batch == recipe.slots else order, order[1].sum(), view, uniform, key, rate)


def ahead_in_window(recipe: Recipe, member: Member, t: Int[Array, ""], real: Int[Array, ""]) -> Ahead:
    """The same for a step of a window, so many of whose images are real."""
    return Ahead(t, None, real, None, _augmentation(recipe, member, t), *_key_and_rate(recipe, member, t))


def _augmentation(recipe: Recipe, member: Member, t: Array) -> Array:
    count = 1 + recipe.batch * augment.build(recipe.augment).draws
    return jax.random.uniform(rng.key(member.seed, Stream.AUGMENT, t), (count,))


def _key_and_rate(recipe: Recipe, member: Member, t: Array) -> tuple[Array | None, Array]:
    key = rng.key(member.seed, Stream.MODEL, t) if isinstance(recipe.build_model(), models.Network) else None
    return key, member.learning_rate * recipe.build_schedule()(t / member.steps)


def share_of(recipe: Recipe, ahead: Ahead, shards: int) -> Ahead:
    """What one of so many devices needs of a step of them all: its part of the images, which are drawn for all."""
    if shards == 1:
        return ahead
    place, size = jax.lax.axis_index(DATA), recipe.batch // shards

    def part(whole: Array) -> Array:
        return jax.lax.dynamic_slice_in_dim(whole, place * size, size)

    of_step, of_images = ahead.uniform[:1], ahead.uniform[1:].reshape(recipe.batch, -1)
    uniform = jnp.concatenate([of_step, part(of_images).ravel()]) if ahead.view is None else part(ahead.uniform)
    key = None if ahead.key is None else jax.random.fold_in(ahead.key, place)
    return ahead._replace(order=jax.tree.map(part, ahead.order), uniform=uniform, key=key)


def batch_at(recipe: Recipe, bank: Bank, member: Member, t: Int[Array, ""]) -> Batch:
    """What step `t` sees."""
    return batch_of(recipe, bank, member, ahead_of(recipe, member, t))


def batch_of(recipe: Recipe, bank: Bank, member: Member, ahead: Ahead, shards: int = 1) -> Batch:
    """Gather and augment the images of a step; of several devices that share them, those of this one."""
    order = ahead.order or slots_at(recipe, member, ahead.t)
    ahead = share_of(recipe, ahead._replace(order=order), shards)
    assert ahead.order is not None
    slots, mask = ahead.order
    classes = None
    if recipe.reads_class:
        assert bank.classes is not None
        classes = bank.classes[member.images[slots]]
    images = images_of(recipe, bank, member, slots, ahead)
    if recipe.online:
        assert bank.teachers is not None
        return Batch(images, recipe.ask(bank.teachers, images, classes), mask, ahead.key, classes, None, ahead.real)
    places = member.rows[slots]
    if recipe.views:
        assert ahead.view is not None
        places = places + ahead.view
    features = None
    if recipe.features:
        assert bank.features is not None and member.features is not None
        features = bank.features[recipe.features][member.features[slots]]
    return Batch(images, bank.rows[places], mask, ahead.key, classes, features, ahead.real)


def images_of(
    recipe: Recipe, bank: Bank, member: Member, slots: Int[Array, "B"], ahead: Ahead
) -> Float[Array, "B *S C"]:
    """What the network sees of some slots."""
    if ahead.view is not None:
        return views_of(recipe, bank, member, slots, ahead.uniform)
    own = ahead.uniform[1:]
    return augmented(recipe, bank.normalized(bank.images[member.images[slots]]), own, ahead)


def batch_in_window(
    recipe: Recipe, bank: Bank, images: Shaped[Array, "B *S C"], labels: Int[Array, "B"], ahead: Ahead, shards: int = 1
) -> Batch:
    """Augment the images of a step of a window; of several devices that share them, those of this one."""
    ahead, classes = share_of(recipe, ahead, shards), labels if recipe.reads_class else None
    seen = augmented(recipe, bank.normalized(images), ahead.uniform[1:], ahead)
    return Batch(seen, bank.rows[labels], labels >= 0, ahead.key, classes, None, ahead.real)


def augmented(
    recipe: Recipe, images: Float[Array, "B *S C"], own: Float[Array, "U"], ahead: Ahead
) -> Float[Array, "B *S C"]:
    """Images as the network sees them, after what was drawn for each of them, its `own`, and for the step."""
    draws, change = augment.build(recipe.augment)
    return jax.vmap(change, (0, 0, None))(images, own.reshape(len(images), draws), ahead.uniform[0])


def view_draws(recipe: Recipe, member: Member, slots: Int[Array, "B"], numbers: Int[Array, "B"]) -> Float[Array, "B U"]:
    """The uniform numbers of views of a member's images."""
    assert member.subset_seed is not None
    return jax.vmap(functools.partial(views.draws, augment.build(recipe.augment), member.subset_seed))(slots, numbers)


def views_of(
    recipe: Recipe, bank: Bank, member: Member, slots: Int[Array, "B"], uniform: Float[Array, "B U"]
) -> Float[Array, "B *S C"]:
    """Views of a member's images, as its network sees them; whoever labels them asks for the same.

    `uniform` is what `view_draws` says of them.
    """

    def image_at(slot: Int[Array, ""]) -> Array:
        return bank.normalized(bank.images[member.images[slot]])

    how = augment.build(recipe.augment), mixing.build(recipe.mix)
    return jax.vmap(functools.partial(views.view, *how, image_at, member.slots))(slots, uniform)
