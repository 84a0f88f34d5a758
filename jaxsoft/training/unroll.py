"""A student's training as a function of its labels, of any length, that can be differentiated."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, UInt32

from jaxsoft import augment, models, optim, rng, spec
from jaxsoft.rng import Stream


class Course(NamedTuple):
    """How students are trained; static in the compiled program.

    Attributes:
      network: for one student.
      optimizer: with its rate in it.
      batch: images of a step; the whole subset if that is smaller.
      augment: what an image goes through.
    """

    network: nn.Module
    optimizer: optax.GradientTransformation
    batch: int
    augment: augment.Augmentation


class Student(NamedTuple):
    """A network in training.

    Attributes:
      seed: of its initialisation, order and augmentation.
      age: steps behind it.
      variables: what the network is applied with: `params`, and `batch_stats` if it has any.
      memory: state of the optimizer.
    """

    seed: UInt32[Array, "*P"]
    age: Int[Array, "*P"]
    variables: dict[str, Any]
    memory: optax.OptState


def course(
    model: str,
    num_classes: int,
    optimizer: str,
    learning_rate: float,
    weight_decay: float = 0.0,
    batch: int = 256,
    augmentation: str = "none",
) -> Course:
    """Read the specs.

    Raises:
      ConfigError: a name or an argument is unknown.
    """
    given = ("learning_rate", "weight_decay")
    build = spec.resolve(optimizer, spec.public_functions(optim), "optimizer", "jaxsoft/optim.py", given)
    network = models.build(model, num_classes)
    return Course(network, build(learning_rate, weight_decay), batch, augment.build(augmentation))


def begin(course: Course, image_shape: tuple[int, ...], seed: UInt32[Array, ""]) -> Student:
    """A student before its first step, from its seed alone."""
    variables = dict(course.network.init(rng.key(seed, Stream.INIT), jnp.zeros((1, *image_shape))))
    return Student(seed, jnp.int32(0), variables, course.optimizer.init(variables["params"]))


def train(
    course: Course, images: Float[Array, "S H W C"], rows: Float[Array, "S K"], student: Student, steps: int
) -> Student:
    """Go on for `steps` steps; differentiable in the rows and in the student.

    Only the student between two steps is kept for the gradient; what happened inside a step is computed again.

    Args:
      course: how.
      images: of the subset, normalised.
      rows: their soft labels.
      student: where it stands.
      steps: how many, fixed when the program is compiled.
    """
    step = jax.checkpoint(_step(course, images), prevent_cse=False)  # a scan has nothing to fuse across
    return jax.lax.scan(lambda student, _: (step(rows, student), None), student, length=steps)[0]


def run_up(
    course: Course,
    images: Float[Array, "S H W C"],
    rows: Float[Array, "S K"],
    student: Student,
    steps: Int[Array, ""],
) -> Student:
    """Go on for a number of steps that may be drawn; no gradient passes."""
    step = _step(course, images)
    return jax.lax.fori_loop(0, steps, lambda _, student: step(rows, student), student)


def _step(course: Course, images: Array) -> Callable[[Array, Student], Student]:
    """One step of gradient descent, as a function of (rows, student)."""
    draws, change = course.augment

    def step(rows: Array, student: Student) -> Student:
        params = student.variables["params"]
        stats = {name: value for name, value in student.variables.items() if name != "params"}
        x, y = _batch(course, images, rows, student)
        u = jax.random.uniform(rng.key(student.seed, Stream.AUGMENT, student.age), (1 + len(x) * draws,), x.dtype)
        x = jax.vmap(change, (0, 0, None))(x, u[1:].reshape(len(x), draws), u[0])

        def loss(params: Any) -> tuple[Array, Any]:
            logits, new = course.network.apply({"params": params, **stats}, x, train=True, mutable=list(stats))
            return optax.softmax_cross_entropy(logits, y).mean(), new

        gradient, new = jax.grad(loss, has_aux=True)(params)
        update, memory = course.optimizer.update(gradient, student.memory, params)
        return Student(student.seed, student.age + 1, {"params": optax.apply_updates(params, update), **new}, memory)

    return step


def _batch(course: Course, images: Array, rows: Array, student: Student) -> tuple[Array, Array]:
    """Images and labels of the student's next step; an epoch leaves out what would be a partial batch."""
    if course.batch >= len(images):
        return images, rows
    epoch, place = jnp.divmod(student.age, len(images) // course.batch)
    order = jax.random.permutation(rng.key(student.seed, Stream.ORDER, epoch), len(images))
    slots = jax.lax.dynamic_slice_in_dim(order, place * course.batch, course.batch)
    return images[slots], rows[slots]
