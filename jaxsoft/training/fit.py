"""How one student (or one expert) is trained: loss of a batch -> chunk of steps. The only training loop.

Everything is written for ONE member; `ensemble` adds the member axis. What is static is a `Recipe`; what a
sweep may vary is in `Member` and enters as an array.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Shaped

from jaxsoft import models, rng, target
from jaxsoft.data.normalize import Normalizer
from jaxsoft.rng import Stream
from jaxsoft.training import augment, feature_maps, flat, metrics, mixing, views
from jaxsoft.training.recipe import Recipe

_AHEAD = 128  # steps, at most, whose orders and random numbers are made at once: a few kB each


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


class State(NamedTuple):
    """A member in training."""

    variables: dict[str, Any]  # what the model is applied with: `params`, and what else it keeps, as `batch_stats`
    optimizer: optax.OptState  # over the parameters as ONE vector
    bad_step: Int[Array, "*M"]  # the first step whose loss or update was not finite; -1 while all is well
    projection: Any = None  # from the network's feature map to that of its labels, where these differ in shape


def initialize(recipe: Recipe, image_shape: tuple[int, ...], seed: Int[Array, ""]) -> State:
    """The state before the first step, from the member's seed alone."""
    dummy = jnp.zeros((1, *image_shape), jnp.float32)
    network, projection = recipe.build_model(), None
    variables = network.init(rng.key(seed, Stream.INIT), dummy)
    if recipe.features:
        key = rng.key(seed, Stream.PROJECTION)
        projection = feature_maps.begin(network, image_shape, recipe.layer, recipe.features, key)
    vector, _ = flat.ravel((variables["params"], projection))
    return State(dict(variables), recipe.build_optimizer()(0.0, 0.0).init(vector), jnp.int32(-1), projection)


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
    order, augmentation, view = slots_at(recipe, member, t), augment.build(recipe.augment), None
    if recipe.is_of_views:
        view = t // recipe.steps_per_epoch(member.slots)
        view = view % recipe.views if recipe.views else view
        uniform = view_draws(recipe, member, order[0], jnp.broadcast_to(view, order[0].shape))
    else:
        count = 1 + recipe.batch * augmentation.draws
        uniform = jax.random.uniform(rng.key(member.seed, Stream.AUGMENT, t), (count,))
    key = rng.key(member.seed, Stream.MODEL, t) if isinstance(recipe.build_model(), models.Network) else None
    rate = member.learning_rate * recipe.build_schedule()(t / member.steps)
    return Ahead(t, None if recipe.batch == recipe.slots else order, order[1].sum(), view, uniform, key, rate)


def batch_at(recipe: Recipe, bank: Bank, member: Member, t: Int[Array, ""]) -> Batch:
    """What step `t` sees."""
    return batch_of(recipe, bank, member, ahead_of(recipe, member, t))


def batch_of(recipe: Recipe, bank: Bank, member: Member, ahead: Ahead) -> Batch:
    """Gather and augment the images of a step."""
    slots, mask = ahead.order or slots_at(recipe, member, ahead.t)
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
    (draws, change), own = augment.build(recipe.augment), ahead.uniform[1:]
    images = bank.normalized(bank.images[member.images[slots]])
    return jax.vmap(change, (0, 0, None))(images, own.reshape(recipe.batch, draws), ahead.uniform[0])


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


def loss_and_gradient(
    recipe: Recipe, batch: Batch, vector: Float[Array, "P"], unravel: Callable[[Array], Any], stats: Any, tile: int = 0
) -> tuple[Float[Array, ""], Any, Float[Array, "P"]]:
    """Mean loss over the real images of a batch, the new statistics, and the gradient in the parameters.

    Args:
      recipe, batch: of the member, and what the step sees.
      vector, unravel: the parameters as one vector, and the way back to the trees of the network and the projection.
      stats: of batch norm and the like; empty for networks that look at one image at a time.
      tile: of the latter, so many images at a time (a divisor of B), to keep their maps in cache; 0 for all at once.
    """
    real = batch.mask.sum() if batch.real is None else batch.real
    count, of_one = jnp.maximum(real, 1), recipe.build_loss()
    own_loss = jax.vmap(lambda logits, label: of_one(logits, **label))

    def loss(vector: Array, part: Batch) -> tuple[Array, Any]:
        options: dict[str, Any] = {} if part.key is None else {"key": part.key}
        options |= {"mask": part.mask, "mutable": list(stats)}
        params, projection = unravel(vector)
        logits, maps, new = recipe.learn({"params": params, **stats}, projection, part.images, **options)
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        return jnp.where(part.mask, own_loss(logits, part.label(recipe.wants, maps)), 0).sum() / count, new

    learn = jax.value_and_grad(loss, has_aux=True)
    if stats or tile in (0, recipe.batch):
        (total, stats), gradient = learn(vector, batch)
        return total, stats, gradient

    def add(sums: tuple[Array, Array], part: Batch) -> tuple[tuple[Array, Array], None]:
        (part_loss, _), gradient = learn(vector, part)
        return (sums[0] + part_loss, sums[1] + gradient), None

    pieces = recipe.batch // tile
    whole = batch._replace(key=None, real=None)
    parts = jax.tree.map(lambda a: a.reshape(pieces, tile, *a.shape[1:]), whole)
    if batch.key is not None:
        parts = parts._replace(key=jax.random.split(batch.key, pieces))
    (total, gradient), _ = jax.lax.scan(add, (jnp.float32(0), jnp.zeros_like(vector)), parts)
    return total, stats, gradient


def train_chunk(
    recipe: Recipe,
    bank: Bank,
    member: Member,
    state: State,
    first_step: Int[Array, ""],
    steps: int,
    tile: int = 0,
    alone: bool = False,
) -> tuple[State, Float[Array, ""]]:
    """`steps` steps of gradient descent from `first_step` on.

    A step that is past the member's last changes nothing; one whose loss or update is not finite changes nothing
    either, and ends the member's training. Parameters are one vector here: a third less to compile. `alone` says that
    the member is not vmapped with others, so that a GPU convolves it by its library.

    Returns:
      The state after them, and the mean loss over those of them that the member still had to do.
    """
    optimizer = recipe.build_optimizer()
    kept, turned = (state.variables["params"], state.projection), alone and target.platform() == "gpu"
    vector, unravel = flat.ravel(kept, turned)
    stats = {name: value for name, value in state.variables.items() if name != "params"}

    def step(carry: Any, ahead: Ahead) -> tuple[Any, Array]:
        ((vector, stats, memory), bad_step), t = carry, ahead.t
        batch = batch_of(recipe, bank, member, ahead)
        loss, new_stats, gradient = loss_and_gradient(recipe, batch, vector, unravel, stats, tile)
        update, new_memory = optimizer(ahead.rate, member.weight_decay).update(gradient, memory, vector)
        new = vector + update
        live = (bad_step < 0) & (t < member.steps)
        finite = jnp.isfinite(loss) & jnp.isfinite(new.sum())  # a sum is finite only if all of its terms are
        bad_step = jnp.where(live & ~finite, t.astype(jnp.int32), bad_step)
        keep = functools.partial(jnp.where, live & finite)
        return (jax.tree.map(keep, (new, new_stats, new_memory), (vector, stats, memory)), bad_step), loss

    def together(carry: Any, t: Int[Array, "A"]) -> tuple[Any, Float[Array, "A"]]:
        return jax.lax.scan(step, carry, jax.vmap(functools.partial(ahead_of, recipe, member))(t))

    memory = flat.reordered(state.optimizer, kept, False, turned)
    t, start = first_step + jnp.arange(steps), ((vector, stats, memory), state.bad_step)
    ahead = max(n for n in range(1, min(steps, _AHEAD) + 1) if steps % n == 0)  # parts of equal length
    end, loss = jax.lax.scan(together, start, t.reshape(-1, ahead), unroll=ahead == steps)
    (vector, stats, memory), bad_step = end
    (params, projection), memory = unravel(vector), flat.reordered(memory, kept, turned, False)
    mean = metrics.masked_mean(loss.ravel(), t < member.steps)
    return State({"params": params, **stats}, memory, bad_step, projection), mean
