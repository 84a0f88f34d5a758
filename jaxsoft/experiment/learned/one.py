"""Learned labels: the labels of fixed images, improved by gradient descent through the training of students.

An outer step lets a pool of students train for a window of steps on the subset with the present labels, asks how well
they then predict other training images,

      minimise over z   E_students CE(student trained on softmax(z); train images outside the subset)

and moves the labels against the gradient of that loss. The gradient goes back through the window only; windows lie all
over a training, those of the first outer steps near its start.

Everything is written for ONE subset; `many` adds the axis M.

Reference: Feng, Vedantam and Kempe (2023), "Embarrassingly Simple Dataset Distillation", section 3: random truncated
backpropagation, there of the images.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxsoft import errors, rng
from jaxsoft.config.settings import Learned
from jaxsoft.experiment.learned import unroll
from jaxsoft.experiment.learned.unroll import Trainee
from jaxsoft.rng import Stream
from jaxsoft.training import evaluate, fit, losses
from jaxsoft.training.evaluate import EvalSet
from jaxsoft.training.fit import Bank, Member, Recipe


class Material(NamedTuple):
    """What all subsets share: all training images without label rows, their classes, and held-out images."""

    bank: Bank
    classes: Int[Array, "N"]
    validation: EvalSet


class ImageSet(NamedTuple):
    """The images of one subset: its seed, from which all that is drawn for it follows, and their positions in train.

    As everywhere, stacked along a leading axis M outside this module, and in NumPy until it is placed.
    """

    seed: Int[Array, "*M"]
    images: Int[Array, "*M S"]


class Learner(NamedTuple):
    """Labels in learning: their logits, the state of Adam, and the pool of students [P] whose training improves them."""

    logits: Float[Array, "*M S K"]
    memory: optax.OptState
    pool: Trainee


class Judged(NamedTuple):
    """What students trained from scratch on some labels reach.

    Attributes:
      accuracy: on validation, mean over those that finished; NaN if none did.
      judges: how many finished.
      bad_step: the first at which any of them was not finite; -1 if all of them were.
    """

    accuracy: Float[Array, "*M"]
    judges: Int[Array, "*M"]
    bad_step: Int[Array, "*M"]


def outer_steps(settings: Learned) -> int:
    """How many there are in all."""
    return settings.looks * settings.look_outer_steps


def check(settings: Learned, images: int, slots: int) -> None:
    """Find settings that do not fit each other or the data.

    Raises:
      ConfigError: which, and what would.
    """
    window, first, whole = settings.window_steps, settings.first_unroll_steps, settings.unroll_steps
    if not window <= first <= whole:
        rule = "config.learned expects window_steps <= first_unroll_steps <= unroll_steps"
        raise errors.ConfigError(f"{rule}, got {window}, {first}, {whole}")
    if slots >= images:
        told = f"learned labels: a subset has {slots} of {images} training images"
        raise errors.ConfigError(f"{told}, none is left to judge students by; lower config.sweep.ipc")


def start(settings: Learned, recipe: Recipe, material: Material, subset: ImageSet) -> Learner:
    """Labels before the first outer step: the true class with a margin; and a pool whose ages are spread evenly."""
    logits = settings.margin * jax.nn.one_hot(material.classes[subset.images], recipe.num_classes)
    pool = _newborn(settings, recipe, material, subset, jnp.int32(0))
    if settings.pool == "persistent":
        bank = _labelled(material, jax.nn.softmax(logits))
        ages = jnp.arange(settings.students, dtype=jnp.int32) * settings.first_unroll_steps // settings.students
        pool = jax.vmap(functools.partial(unroll.run_up, recipe, bank))(pool, ages)
    return Learner(logits, _adam(settings).init(logits), pool)


def chunk(
    settings: Learned, recipe: Recipe, material: Material, subset: ImageSet, learner: Learner, done: Int[Array, ""]
) -> tuple[Learner, Float[Array, ""]]:
    """The outer steps between two looks, and the mean meta loss of those that had one; NaN if none had."""
    step = functools.partial(outer_step, settings, recipe, material, subset)
    learner, loss = jax.lax.scan(step, learner, done + jnp.arange(1, settings.look_outer_steps + 1, dtype=jnp.int32))
    return learner, _mean(loss, jnp.isfinite(loss))


def outer_step(
    settings: Learned, recipe: Recipe, material: Material, subset: ImageSet, learner: Learner, t: Int[Array, ""]
) -> tuple[Learner, Float[Array, ""]]:
    """One update of the labels, number t = 1, 2, ...; a student that is not finite has no say in it, and is replaced.

    Returns:
      What is learned after it, and the mean meta loss of the pool; NaN if no student is finite, and nothing is learned.
    """
    window, reach = settings.window_steps, _reach(settings, t)
    newborn = _newborn(settings, recipe, material, subset, t)
    if settings.pool == "fresh":  # all at one place, so that the steps before it are one loop for all subsets
        place = jax.random.randint(rng.key(0, Stream.ORDER, t), (), 0, reach - window + 1, jnp.int32)
        bank = _labelled(material, jax.nn.softmax(learner.logits))
        pool = jax.vmap(lambda student: unroll.run_up(recipe, bank, student, place))(newborn)
    else:
        over = (learner.pool.age + window > reach) | (learner.pool.state.bad_step >= 0)
        pool = jax.tree.map(functools.partial(_where, over), newborn, learner.pool)

    def improve(student: Trainee, p: Array) -> tuple[tuple[Array, Trainee], Array]:
        meta = _outside(settings, material, subset, t, p)
        loss = functools.partial(meta_loss, recipe, material, student=student, meta=meta, window=window)
        return jax.value_and_grad(loss, has_aux=True)(learner.logits)

    (loss, pool), slope = jax.vmap(improve)(pool, jnp.arange(settings.students))
    finite = jnp.isfinite(loss) & jnp.isfinite(slope.sum((1, 2))) & (pool.state.bad_step < 0)
    mean = jnp.where(finite[:, None, None], slope, 0).sum(0) / jnp.maximum(finite.sum(), 1)
    update, memory = _adam(settings).update(mean, learner.memory)
    logits: Any = optax.apply_updates(learner.logits, update)
    bad_step = jnp.where(finite, pool.state.bad_step, pool.age)
    pool = pool._replace(state=pool.state._replace(bad_step=bad_step))
    return Learner(logits, memory, pool), _mean(loss, finite)


def meta_loss(
    recipe: Recipe,
    material: Material,
    logits: Float[Array, "S K"],
    student: Trainee,
    meta: Int[Array, "b"],
    window: int,
) -> tuple[Float[Array, ""], Trainee]:
    """Mean cross-entropy on some training images of ONE student after a window on these labels, and the student then."""
    bank = _labelled(material, jax.nn.softmax(logits))
    student = unroll.train(recipe, bank, student, window)
    said = recipe.logits(student.state.variables, bank.normalized(bank.images[meta]))
    wanted = jax.nn.one_hot(material.classes[meta], recipe.num_classes, dtype=logits.dtype)
    return losses.soft_cross_entropy(said, wanted).mean(), student


def validate(
    settings: Learned, recipe: Recipe, material: Material, subset: ImageSet, rows: Float[Array, "S K"]
) -> Judged:
    """Train students from scratch on these labels, and ask them about held-out images."""
    bank = _labelled(material, rows)

    def judge(j: Array) -> tuple[Array, Array]:
        member, _, state = _student(settings, recipe, material, subset, j)
        state, _ = fit.train_chunk(recipe, bank, member, state, jnp.int32(0), settings.unroll_steps)
        return evaluate.evaluate(recipe, bank, state.variables, material.validation)[0], state.bad_step

    return judged(*jax.vmap(judge)(jnp.arange(settings.judges)))


def judged(accuracy: Float[Array, "J"], bad_step: Int[Array, "J"]) -> Judged:
    """Judges are judged as students are: one that was not finite at some step learned nothing from then on."""
    finished, never = bad_step < 0, jnp.iinfo(jnp.int32).max
    first = jnp.where(finished, never, bad_step).min()
    return Judged(_mean(accuracy, finished), finished.sum(), jnp.where(finished.all(), -1, first))


def _mean(values: Array, mask: Array) -> Array:
    """Over what counts; NaN if nothing does, for 0 would be a number."""
    return jnp.where(mask.any(), losses.masked_mean(values, mask), jnp.nan)


def _reach(settings: Learned, t: Array) -> Array:
    """How much of a training outer step t sees: grows evenly up to the middle one."""
    first, whole = settings.first_unroll_steps, settings.unroll_steps
    return (first + (whole - first) * jnp.minimum(2 * (t - 1) / outer_steps(settings), 1)).astype(jnp.int32)


def _labelled(material: Material, rows: Array) -> Bank:
    return material.bank._replace(rows=rows)


def _student(settings: Learned, recipe: Recipe, material: Material, subset: ImageSet, *indices: Array) -> Trainee:
    """A student of this subset before its first step; its seed stands for the subset's and the indices."""
    key, slots = rng.key(subset.seed, Stream.INIT, *indices), len(subset.images)
    seed = (jax.random.bits(key, dtype=jnp.uint32) >> 1).astype(jnp.int32)
    rates = jnp.asarray(settings.learning_rate), jnp.asarray(settings.weight_decay)
    counts = jnp.int32(slots), *rates, jnp.int32(settings.unroll_steps)
    member = Member(seed, subset.images, jnp.arange(slots, dtype=jnp.int32), *counts)
    return unroll.newborn(recipe, material.bank.images.shape[1:], member)


def _newborn(settings: Learned, recipe: Recipe, material: Material, subset: ImageSet, t: Array) -> Trainee:
    """The students that may begin at an outer step."""
    one = functools.partial(_student, settings, recipe, material, subset, t)
    return jax.vmap(one)(jnp.arange(settings.students))


def _where(choice: Array, new: Array, old: Array) -> Array:
    return jnp.where(choice.reshape(-1, *[1] * (old.ndim - 1)), new, old)


def _outside(settings: Learned, material: Material, subset: ImageSet, t: Array, p: Array) -> Array:
    """A student's meta batch: train images outside the subset, drawn with replacement."""
    taken = jnp.sort(subset.images)
    key = rng.key(subset.seed, Stream.SPLIT, t, p)
    rank = jax.random.randint(key, (settings.meta_batch,), 0, len(material.classes) - len(taken), taken.dtype)
    before = jnp.searchsorted(taken - jnp.arange(len(taken), dtype=taken.dtype), rank, side="right")
    return rank + before.astype(rank.dtype)


def _adam(settings: Learned) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(settings.outer_learning_rate, outer_steps(settings)))
