"""Learned labels: the labels of fixed images, improved by gradient descent through the training of students.

An outer step lets a pool of students train for a window of steps on the subset with the present labels, asks how well
they then predict other training images,

      minimise over z   E_students CE(student trained on softmax(z); train images outside the subset)

and moves the labels against the gradient of that loss. The gradient goes back through the window only; windows lie all
over a training, those of the first outer steps near its start.

There is no second training loop: a step is `fit.train_chunk`, with the order, augmentation, optimizer and schedule that
any member has. Its result is differentiable in the label rows and in the state that it starts from.

Everything is written for ONE subset; `many` adds the axis M. What is static about it, and the arrays that all subsets
share, make a `Lesson`.

Reference: Feng, Vedantam and Kempe (2023), "Embarrassingly Simple Dataset Distillation", section 3: random truncated
backpropagation, there of the images.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.custom_batching import sequential_vmap
from jaxtyping import Array, Float, Int

from jaxsoft import rng
from jaxsoft.config.settings import Learned
from jaxsoft.rng import Stream
from jaxsoft.training import evaluate, fit, losses
from jaxsoft.training.evaluate import EvalSet
from jaxsoft.training.fit import Bank, Member, State
from jaxsoft.training.recipe import Recipe


class Material(NamedTuple):
    """What all subsets share: all training images without label rows, their classes, and held-out images."""

    bank: Bank
    classes: Int[Array | np.ndarray, "N"]
    validation: EvalSet


class ImageSet(NamedTuple):
    """The images of one subset: its seed, from which all that is drawn for it follows, and their positions in train.

    As everywhere, stacked along a leading axis M outside this module, and in NumPy until it is placed.
    """

    seed: Int[Array | np.ndarray, "*M"]
    images: Int[Array | np.ndarray, "*M S"]


class Trainee(NamedTuple):
    """A member on its way: what it is, the steps behind it, and its state after them."""

    member: Member
    age: Int[Array, "*P"]
    state: State


class Learner(NamedTuple):
    """Labels in learning: their logits, the state of Adam, and the pool [P] of students that improve them."""

    logits: Float[Array, "*M S K"]
    memory: optax.OptState
    pool: Trainee


class Judged(NamedTuple):
    """What students trained from scratch on some labels reach."""

    accuracy: Float[Array | np.ndarray, "*M"]  # on validation, mean over those that finished; NaN if none did
    judges: Int[Array | np.ndarray, "*M"]  # how many finished
    bad_step: Int[Array | np.ndarray, "*M"]  # the first at which any of them was not finite; -1 if all of them were


def outer_steps(settings: Learned) -> int:
    """How many there are in all."""
    return settings.looks * settings.look_outer_steps


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Lesson:
    """How labels are learned, through which students, from what; static, but for the material."""

    settings: Learned = field(metadata={"static": True})
    recipe: Recipe = field(metadata={"static": True})  # of the students
    material: Material
    lowering: str = field(default="auto", metadata={"static": True})  # of convolutions

    def start(self, subset: ImageSet) -> Learner:
        """Labels before the first outer step: the true class with a margin; and a pool whose ages are spread evenly."""
        how = self.settings
        logits = how.margin * jax.nn.one_hot(self.material.classes[subset.images], self.recipe.num_classes)
        pool = self._newborns(subset, jnp.int32(0))
        if how.pool == "persistent":
            ages = jnp.arange(how.students, dtype=jnp.int32) * how.first_unroll_steps // how.students
            pool = jax.vmap(functools.partial(run_up, self.recipe, self._bank(logits)))(pool, ages)
        return Learner(logits, self._adam().init(logits), pool)

    def chunk(self, subset: ImageSet, learner: Learner, done: Int[Array, ""]) -> tuple[Learner, Float[Array, ""]]:
        """The outer steps between two looks, and the mean meta loss of those that had one; NaN if none had."""
        steps = done + jnp.arange(1, self.settings.look_outer_steps + 1, dtype=jnp.int32)
        learner, loss = jax.lax.scan(functools.partial(self.outer_step, subset), learner, steps)
        return learner, loss.mean(where=jnp.isfinite(loss))

    def outer_step(self, subset: ImageSet, learner: Learner, t: Int[Array, ""]) -> tuple[Learner, Float[Array, ""]]:
        """One update of the labels, number t = 1, 2, ...; a student that is not finite has no say, and is replaced.

        Returns:
          What is learned after it, and the mean meta loss of the pool; NaN if none is finite, and nothing is learned.
        """
        how, reach, newborns = self.settings, self._reach(t), self._newborns(subset, t)
        if how.pool == "fresh":  # all at one place, so that the steps before it are one loop for all subsets
            place = jax.random.randint(rng.key(0, Stream.ORDER, t), (), 0, reach - how.window_steps + 1, jnp.int32)
            bank = self._bank(learner.logits)
            pool = jax.vmap(lambda student: run_up(self.recipe, bank, student, place))(newborns)
        else:
            over = (learner.pool.age + how.window_steps > reach) | (learner.pool.state.bad_step >= 0)
            choose = lambda over, *both: jax.tree.map(functools.partial(jnp.where, over), *both)  # noqa: E731
            pool = jax.vmap(choose)(over, newborns, learner.pool)

        def improve(student: Trainee, p: Array) -> tuple[tuple[Array, Trainee], Array]:
            meta = self._outside(subset, t, p)
            return jax.value_and_grad(self.meta_loss, has_aux=True)(learner.logits, student, meta)

        (loss, pool), slope = jax.vmap(improve)(pool, jnp.arange(how.students))
        finite = jnp.isfinite(loss) & jnp.isfinite(slope.sum((1, 2))) & (pool.state.bad_step < 0)
        mean = jnp.where(finite[:, None, None], slope, 0).sum(0) / jnp.maximum(finite.sum(), 1)
        update, memory = self._adam().update(mean, learner.memory)
        logits: Any = optax.apply_updates(learner.logits, update)
        bad_step = jnp.where(finite, pool.state.bad_step, pool.age)
        pool = pool._replace(state=pool.state._replace(bad_step=bad_step))
        return Learner(logits, memory, pool), loss.mean(where=finite)

    def meta_loss(
        self, logits: Float[Array, "S K"], student: Trainee, meta: Int[Array, "b"]
    ) -> tuple[Float[Array, ""], Trainee]:
        """Mean cross-entropy of ONE student on some images after a window on these labels, and the student then."""
        bank = self._bank(logits)
        student = train(self.recipe, bank, student, self.settings.window_steps)
        said = self.recipe.logits(student.state.variables, bank.normalized(bank.images[meta]))
        wanted = jax.nn.one_hot(self.material.classes[meta], self.recipe.num_classes, dtype=logits.dtype)
        return losses.soft_cross_entropy(said, wanted).mean(), student

    def validate(self, subset: ImageSet, rows: Float[Array, "R K"]) -> Judged:
        """Train students from scratch on these labels, several of an image where they are of views, and ask them about
        held-out images.
        """
        bank = self.material.bank._replace(rows=rows)

        def judge(j: Array) -> tuple[Array, Array]:
            member, _, state = self._student(subset, j)
            state, _ = fit.train_chunk(self.recipe, bank, member, state, jnp.int32(0), self.settings.unroll_steps)
            return evaluate.evaluate(self.recipe, bank, state.variables, self.material.validation)[0], state.bad_step

        return judged(*jax.vmap(judge)(jnp.arange(self.settings.judges)))

    def _student(self, subset: ImageSet, *indices: Array) -> Trainee:
        """A student of this subset before its first step; its seed stands for the subset's and the indices."""
        how, slots = self.settings, len(subset.images)
        key = rng.key(jnp.asarray(subset.seed), Stream.INIT, *indices)
        seed = (jax.random.bits(key, dtype=jnp.uint32) >> 1).astype(jnp.int32)
        rates = jnp.asarray(how.learning_rate), jnp.asarray(how.weight_decay)
        counts = jnp.int32(slots), *rates, jnp.int32(how.unroll_steps)
        views = self.recipe.views
        rows = max(1, views) * jnp.arange(slots, dtype=jnp.int32)
        of_views = {"subset_seed": jnp.asarray(subset.seed)} if views else {}
        member = Member(seed, jnp.asarray(subset.images), rows, *counts, **of_views)
        return newborn(self.recipe, self.material.bank.images.shape[1:], member)

    def _newborns(self, subset: ImageSet, t: Array) -> Trainee:
        """The students that may begin at an outer step."""
        return jax.vmap(functools.partial(self._student, subset, t))(jnp.arange(self.settings.students))

    def _outside(self, subset: ImageSet, t: Array, p: Array) -> Array:
        """A student's meta batch: train images outside the subset, drawn with replacement."""
        taken = jnp.sort(subset.images)
        key = rng.key(jnp.asarray(subset.seed), Stream.SPLIT, t, p)
        others = len(self.material.classes) - len(taken)
        rank = jax.random.randint(key, (self.settings.meta_batch,), 0, others, taken.dtype)
        before = jnp.searchsorted(taken - jnp.arange(len(taken), dtype=taken.dtype), rank, side="right")
        return rank + before.astype(rank.dtype)

    def _bank(self, logits: Array) -> Bank:
        return self.material.bank._replace(rows=jax.nn.softmax(logits))

    def _reach(self, t: Array) -> Array:
        """How much of a training outer step t sees: grows evenly up to the middle one."""
        first, whole = self.settings.first_unroll_steps, self.settings.unroll_steps
        return (first + (whole - first) * jnp.minimum(2 * (t - 1) / outer_steps(self.settings), 1)).astype(jnp.int32)

    def _adam(self) -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(self.settings.outer_learning_rate, outer_steps(self.settings)))


def judged(accuracy: Float[Array, "J"], bad_step: Int[Array, "J"]) -> Judged:
    """Judges are judged as students are: one that was not finite at some step learned nothing from then on."""
    finished = bad_step < 0
    first = bad_step.min(where=~finished, initial=jnp.iinfo(jnp.int32).max)
    return Judged(accuracy.mean(where=finished), finished.sum(), jnp.where(finished.all(), -1, first))


def newborn(recipe: Recipe, image_shape: tuple[int, ...], member: Member) -> Trainee:
    """A student before its first step."""
    # One after the other: random numbers of many at once take four times as long to compile.
    start = sequential_vmap(functools.partial(fit.initialize, recipe, image_shape))
    return Trainee(member, jnp.int32(0), start(member.seed))


def train(recipe: Recipe, bank: Bank, student: Trainee, steps: int) -> Trainee:
    """Go on for `steps` steps; differentiable in `bank.rows`, to which the member's rows point, and in the state.

    Only the state between two steps is kept for the gradient; what happens inside a step is computed again.
    """
    step = jax.checkpoint(_step(recipe, bank, student.member), prevent_cse=False)  # a scan has nothing to fuse across
    numbers = student.age + jnp.arange(steps, dtype=jnp.int32)
    state, _ = jax.lax.scan(lambda state, t: (step(t, state), None), student.state, numbers)
    return Trainee(student.member, student.age + steps, state)


def run_up(recipe: Recipe, bank: Bank, student: Trainee, steps: Int[Array, ""]) -> Trainee:
    """Go on for a number of steps that may be drawn; no gradient passes."""
    step, age = _step(recipe, bank, student.member), student.age
    state = jax.lax.fori_loop(0, steps, lambda i, state: step(age + i, state), student.state)
    return Trainee(student.member, age + steps, state)


def _step(recipe: Recipe, bank: Bank, member: Member) -> Callable[[Array, State], State]:
    return lambda t, state: fit.train_chunk(recipe, bank, member, state, t, steps=1)[0]
