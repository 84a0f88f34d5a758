"""Learned labels: the labels of fixed images, improved by gradient descent through the training of students.

An outer step trains a pool of students on the subset with the present labels, asks how well they then predict other
training images, and moves the labels against the gradient of that loss. The gradient goes back through a window of the
students' last steps only, and the window lies at a random place of their training.

Everything is written for ONE subset; `learn` adds the axis.

Reference: Feng, Vedantam and Kempe (2023), "Embarrassingly Simple Dataset Distillation", section 3: random truncated
backpropagation, there of the images.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from jaxsoft import errors, losses, metrics, rng
from jaxsoft.config import setting
from jaxsoft.rng import Stream
from jaxsoft.training import unroll
from jaxsoft.training.unroll import Course, Student

_PREDICTED_TOGETHER = 256  # validation images
_OVER = 10**9  # age of a student that is due to be replaced


@dataclass(frozen=True)
class LearnedLabels:
    """How labels are learned; a duration without the word outer or look counts steps of a student."""

    looks: int = setting(20, "how often the labels are validated", low=1)
    look_steps: int = setting(20, "outer steps between two looks", low=1)
    outer_learning_rate: float = setting(0.1, "of Adam on the label logits", above=0.0)
    meta_batch: int = setting(256, "training images outside the subset that judge a student in an outer step", low=1)
    unroll_steps: int = setting(200, "length of a student's training", low=1)
    first_unroll_steps: int = setting(40, "the same in the first outer step; grows until half of all", low=1)
    window_steps: int = setting(20, "last steps through which the gradient goes back", low=1)
    pool: str = setting("persistent", "students begin anew in each outer step, or go on", choices=("fresh", "persistent"))
    students: int = setting(4, "in the pool; their gradients are averaged", low=1)
    judges: int = setting(4, "students trained from scratch at each look", low=1)
    optimizer: str = setting("sgd(momentum=0.9)", "of the students, a function of jaxsoft/optim.py")
    learning_rate: float = setting(0.01, "of the students", above=0.0)
    weight_decay: float = setting(0.0, "of the students", low=0.0)
    batch: int = setting(256, "images of a step; the whole subset if that is smaller", low=1)
    augment: str = setting("none", "a function of jaxsoft/augment.py")
    margin: float = setting(4.0, "first label logit of the true class; the others are 0", low=0.0)

    @property
    def outer_steps(self) -> int:
        return self.looks * self.look_steps


class Examples(NamedTuple):
    """Normalised images and their classes."""

    images: Float[Array | np.ndarray, "N H W C"]
    labels: Int[Array | np.ndarray, "N"]


class Task(NamedTuple):
    """Whose labels are learned.

    Attributes:
      seed: of students and meta batches.
      slots: positions of the subset in train.
    """

    seed: Int[Array | np.ndarray, "*M"]
    slots: Int[Array | np.ndarray, "*M S"]


class State(NamedTuple):
    """Labels in learning: their logits, the state of Adam, and the pool of students."""

    logits: Float[Array, "*M S K"]
    memory: optax.OptState
    students: Student


class Look(NamedTuple):
    """What is seen at a look; in a history stacked along a first axis T.

    Attributes:
      outer_step: outer steps behind.
      meta_loss: mean since the last look, in nats; NaN at the first.
      val_accuracy: mean over students trained from scratch on these labels, in [0, 1].
      entropy: mean over the labels, in nats.
      divergence: mean Jensen-Shannon divergence of the labels to the reference, in nats; NaN without one.
    """

    outer_step: Int[np.ndarray, "*T"]
    meta_loss: Float[np.ndarray, "*T M"]
    val_accuracy: Float[np.ndarray, "*T M"]
    entropy: Float[np.ndarray, "*T M"]
    divergence: Float[np.ndarray, "*T M"]


class Learned(NamedTuple):
    """The labels that validated best, the first of equals, and all looks in order."""

    labels: Float[np.ndarray, "M S K"]
    history: Look


def learn(
    settings: LearnedLabels,
    model: str,
    train: Examples,
    validation: Examples,
    task: Task,
    start: Float[np.ndarray, "M S K"] | None = None,
    reference: Float[np.ndarray, "M S K"] | None = None,
    look: Callable[[Look], None] = lambda _: None,
) -> Learned:
    """Learn the labels of several subsets at once; those of each depend on its seed and its images alone.

      minimise over z   E_students CE(student trained on softmax(z); train images outside the subset)

    Args:
      settings: how.
      model: spec of the students' architecture.
      train: all training images; each subset is judged by those outside it.
      validation: chooses among the looks.
      task: seeds [M] and positions [M, S].
      start: soft labels to begin with; the true classes with a margin if not given.
      reference: labels to compare with.
      look: called at each look.

    Raises:
      ConfigError: settings that do not fit each other or the data.
    """
    num_classes = int(train.labels.max()) + 1
    check(settings, len(train.labels), task.slots.shape[1])
    course = unroll.course(
        model,
        num_classes,
        settings.optimizer,
        settings.learning_rate,
        settings.weight_decay,
        settings.batch,
        settings.augment,
    )
    train, validation, task = jax.tree.map(jnp.asarray, (train, validation, task))
    if start is None:
        logits = settings.margin * jax.nn.one_hot(train.labels[task.slots], num_classes)
    else:
        logits = jnp.log(jnp.maximum(jnp.asarray(start), 1e-6))
    state = jax.jit(jax.vmap(functools.partial(begin, settings, course, train)))(task, logits)
    advance = jax.jit(jax.vmap(functools.partial(chunk, settings, course), (None, 0, 0, None)), donate_argnums=2)
    judge = jax.jit(jax.vmap(functools.partial(validate, settings, course), (None, None, 0, 0)))
    loss, looks, kept = jnp.full(len(logits), jnp.nan), [], []
    for done in range(0, settings.outer_steps + 1, settings.look_steps):
        if done:
            state, loss = advance(train, task, state, jnp.int32(done - settings.look_steps))
        labels = jax.nn.softmax(state.logits)
        accuracy = judge(train, validation, task, labels)
        near = jnp.full(len(logits), jnp.nan)
        if reference is not None:
            near = metrics.js_divergence(labels, jnp.asarray(reference)).mean(1)
        seen = (np.int32(done), loss, accuracy, metrics.entropy(labels).mean(1), near)
        looks.append(Look(*map(np.asarray, seen)))
        kept.append(np.asarray(labels))
        look(looks[-1])
    history = Look(*map(np.stack, zip(*looks)))
    best = history.val_accuracy.argmax(0)
    return Learned(np.stack(kept)[best, np.arange(len(best))], history)


def check(settings: LearnedLabels, images: int, slots: int) -> None:
    """Find settings that do not fit each other or the data.

    Raises:
      ConfigError: which, and what would.
    """
    window, first, whole = settings.window_steps, settings.first_unroll_steps, settings.unroll_steps
    if not window <= first <= whole:
        raise errors.ConfigError(
            f"window_steps <= first_unroll_steps <= unroll_steps must hold, got {window}, {first}, {whole}"
        )
    if slots >= images:
        raise errors.ConfigError(f"the subset has {slots} of {images} training images: none is left to judge by")


def begin(settings: LearnedLabels, course: Course, train: Examples, task: Task, logits: Float[Array, "S K"]) -> State:
    """Labels before the first outer step, and a pool that is due to be replaced."""
    shapes = jax.eval_shape(functools.partial(_newborn, settings, course, train), task, jnp.int32(0))
    students = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
    students = students._replace(age=students.age + _OVER)
    return State(logits, optax.adam(settings.outer_learning_rate).init(logits), students)


def chunk(
    settings: LearnedLabels, course: Course, train: Examples, task: Task, state: State, first_step: Int[Array, ""]
) -> tuple[State, Float[Array, ""]]:
    """The outer steps between two looks, and their mean meta loss."""
    step = functools.partial(outer_step, settings, course, train, task)
    state, loss = jax.lax.scan(step, state, first_step + jnp.arange(settings.look_steps, dtype=jnp.int32))
    return state, loss.mean()


def outer_step(
    settings: LearnedLabels, course: Course, train: Examples, task: Task, state: State, t: Int[Array, ""]
) -> tuple[State, Float[Array, ""]]:
    """One update of the labels; a student that is not finite has no say in it, and is replaced.

    Returns:
      The state after it, and the mean meta loss of the pool.
    """
    images, window, length = train.images[task.slots], settings.window_steps, _length(settings, t)
    over = (state.students.age + window > length) | (settings.pool == "fresh")
    newborn = _newborn(settings, course, train, task, t)
    students = jax.tree.map(functools.partial(_where, over), newborn, state.students)
    if settings.pool == "fresh":
        rows = jax.nn.softmax(state.logits)
        place = jax.random.randint(rng.key(0, Stream.ORDER, t), (), 0, length - window + 1)
        students = jax.vmap(lambda s: unroll.run_up(course, images, rows, s, place))(students)

    def gradient(student: Student, p: Array) -> tuple[tuple[Array, Student], Array]:
        meta = _outside(settings, train, task, t, p)
        loss = functools.partial(meta_loss, course, images, meta=meta, window=window)
        return jax.value_and_grad(loss, has_aux=True)(state.logits, student)

    (loss, students), slope = jax.vmap(gradient)(students, jnp.arange(settings.students))
    finite = jnp.isfinite(loss) & jnp.isfinite(slope.sum((1, 2)))
    mean = jnp.where(finite[:, None, None], slope, 0).sum(0) / jnp.maximum(finite.sum(), 1)
    update, memory = optax.adam(settings.outer_learning_rate).update(mean, state.memory)
    students = students._replace(age=jnp.where(finite, students.age, _OVER))
    return State(state.logits + update, memory, students), losses.masked_mean(loss, finite)


def meta_loss(
    course: Course,
    images: Float[Array, "S H W C"],
    logits: Float[Array, "S K"],
    student: Student,
    meta: Examples,
    window: int,
) -> tuple[Float[Array, ""], Student]:
    """Mean cross-entropy on the meta batch of a student that went on for a window, and the student then."""
    student = unroll.train(course, images, jax.nn.softmax(logits), student, window)
    said = course.network.apply(student.variables, meta.images)
    return optax.softmax_cross_entropy_with_integer_labels(said, meta.labels).mean(), student


def validate(
    settings: LearnedLabels,
    course: Course,
    train: Examples,
    validation: Examples,
    task: Task,
    rows: Float[Array, "S K"],
) -> Float[Array, ""]:
    """Mean accuracy of students that were trained from scratch on these labels."""

    def accuracy(j: Array) -> Array:
        seed = jax.random.bits(rng.key(task.seed, Stream.INIT, j), dtype=jnp.uint32)
        student = unroll.begin(course, train.images.shape[1:], seed)
        student = unroll.train(course, train.images[task.slots], rows, student, settings.unroll_steps)
        predict = lambda image: course.network.apply(student.variables, image[None])[0].argmax()
        said = jax.lax.map(predict, validation.images, batch_size=_PREDICTED_TOGETHER)
        return (said == validation.labels).mean()

    return jax.vmap(accuracy)(jnp.arange(settings.judges)).mean()


def _length(settings: LearnedLabels, t: Array) -> Array:
    """Length of a student's training at an outer step: grows evenly over the first half of all outer steps."""
    first, whole = settings.first_unroll_steps, settings.unroll_steps
    return first + (whole - first) * jnp.minimum(2 * t, settings.outer_steps) // settings.outer_steps


def _newborn(settings: LearnedLabels, course: Course, train: Examples, task: Task, t: Array) -> Student:
    """The students that begin at an outer step."""

    def one(p: Array) -> Student:
        seed = jax.random.bits(rng.key(task.seed, Stream.INIT, t, p), dtype=jnp.uint32)
        return unroll.begin(course, train.images.shape[1:], seed)

    students = jax.vmap(one)(jnp.arange(settings.students))
    # The first ages are spread, so that a pool that goes on sees all of a training at any time.
    spread = jnp.arange(settings.students, dtype=jnp.int32) * settings.first_unroll_steps // settings.students
    return students._replace(age=jnp.where((t == 0) & (settings.pool == "persistent"), spread, students.age))


def _where(choice: Array, new: Array, old: Array) -> Array:
    return jnp.where(choice.reshape(-1, *[1] * (old.ndim - 1)), new, old)


def _outside(settings: LearnedLabels, train: Examples, task: Task, t: Array, p: Array) -> Examples:
    """A student's meta batch: train images outside the subset, drawn with replacement."""
    count, taken = len(train.labels), jnp.sort(task.slots)
    key = rng.key(task.seed, Stream.SPLIT, t, p)
    rank = jax.random.randint(key, (settings.meta_batch,), 0, count - len(taken), taken.dtype)
    before = jnp.searchsorted(taken - jnp.arange(len(taken), dtype=taken.dtype), rank, side="right")
    return jax.tree.map(lambda a: a[rank + before.astype(rank.dtype)], train)
