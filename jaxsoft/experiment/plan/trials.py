"""What users' functions return, tried on shapes before anything is trained; what is not as it should be is one line."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Int

from jaxsoft import config, errors, imports, spec
from jaxsoft.training import augment
from jaxsoft.training.fit import Batch
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset

_NUMBER = jax.ShapeDtypeStruct((), jnp.float32)


def of_training(part: config.Training | config.Learned, dataset: Dataset) -> Iterator[tuple[str, Any]]:
    """A setting, and what tries it, for each function of the user's own that trains a network.

    Those raise ConfigError.
    """
    recipe = Recipe("", 10, 1, 1, part.optimizer, part.schedule, part.augment)
    if _name(part.optimizer):
        yield "optimizer", lambda: _optimizer(_name(part.optimizer), recipe.build_optimizer())
    if _name(part.schedule):
        yield "schedule", lambda: _shaped(_name(part.schedule), (), recipe.build_schedule(), _NUMBER)
    yield from (("augment", try_) for try_ in _augmentations(part.augment, dataset))


def of_sweep(sweep: config.Sweep, dataset: Dataset) -> Iterator[tuple[str, Any]]:
    """The same of the axes of a sweep."""
    for text in filter(_name, sweep.optimizer):
        build = Recipe("", 10, 1, 1, text).build_optimizer()
        yield "optimizer", functools.partial(_optimizer, _name(text), build)
    yield from (("augment", try_) for text in sweep.augment for try_ in _augmentations(text, dataset))


def loss(text: str, num_classes: int) -> None:
    """Try a loss on a hard row and an even one: what takes the logarithm of a weight that may be 0 is found out here.

    Raises:
      ConfigError: an argument of it is out of range; or a user's own gives no number, or none that is finite.
    """
    recipe = Recipe("", num_classes, 1, 1, loss=text)
    wants, of_one, name = recipe.wants, recipe.build_loss(), _name(text) or text
    size, whole = jax.ShapeDtypeStruct((num_classes,), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32)
    maps = jnp.ones((2, 2, 3)) if "label_features" in wants else None

    def on(logits: Any, row: Any, true_class: Any) -> Any:
        return of_one(logits, **Batch(row, row, row, classes=true_class, features=maps).label(wants, maps))

    if not _name(text):
        jax.eval_shape(on, size, size, whole)
        return
    _shaped(name, (), on, size, size, whole)
    for row in (jnp.eye(num_classes)[0], jnp.full(num_classes, 1 / num_classes)):
        with imports.telling(name):
            told = jax.jit(jax.value_and_grad(on))(jnp.zeros(num_classes), row, jnp.int32(0))
        if not all(np.isfinite(part).all() for part in told):
            shown = np.array2string(np.asarray(row), precision=3, threshold=4, edgeitems=2)
            raise errors.ConfigError(
                f"{name} should be finite, with its gradient, at logits of 0; it is not for {shown}"
            )


def telling(text: str) -> contextlib.AbstractContextManager[None]:
    """Say in one line what goes wrong in what a spec names, if that is a user's own."""
    return imports.telling(name) if (name := _name(text)) else contextlib.nullcontext()


def check_table(text: str, table: Any, labels: Int[np.ndarray, "N"], ipc: int) -> np.ndarray:
    """The table of a selection, positions in train, [K, ipc]; of a user's it is checked that it is one.

    Raises:
      ConfigError: another shape, a place that there is not, an image of another class, or one twice.
    """
    table, name = np.asarray(table), _name(text)
    if not name:
        return table
    wanted = (int(labels.max()) + 1, ipc)
    if table.shape != wanted or not np.issubdtype(table.dtype, np.integer):
        told = f"{list(wanted)} positions in train, got {table.dtype} {list(table.shape)}"
        raise errors.ConfigError(f"{name} should return {told}")
    if table.min() < 0 or table.max() >= len(labels) or len(np.unique(table)) < table.size:
        raise errors.ConfigError(f"{name} should return positions in 0..{len(labels) - 1}, each once")
    if (labels[table] != np.arange(len(table))[:, None]).any():
        raise errors.ConfigError(f"{name} should return images of class k in row k")
    return table


def check_nested(text: str, choose: Callable[[int], np.ndarray], ipc: int) -> None:
    """Refuse a selection whose smaller tables are not the first columns of its larger ones."""
    if _name(text) and ipc > 1 and not np.array_equal(choose(ipc)[:, :-1], choose(ipc - 1)):
        raise errors.ConfigError(f"{_name(text)} should return for ipc={ipc - 1} the first columns of ipc={ipc}")


def _name(text: str) -> str:
    """The path that a spec names; empty where it is a function of this package."""
    name = spec.parse_one(text).name
    return name if imports.is_outside(name) else ""


def _optimizer(name: str, build: Callable[..., Any]) -> None:
    def update(rate: jax.Array, decay: jax.Array, vector: jax.Array) -> Any:
        made = build(rate, decay)
        if not isinstance(made, optax.GradientTransformation):
            told = f"should return an optax.GradientTransformation, got {type(made).__name__}"
            raise errors.ConfigError(f"{name} {told}")
        return made.update(vector, made.init(vector), vector)[0]

    _shaped(name, (3,), update, _NUMBER, _NUMBER, jax.ShapeDtypeStruct((3,), jnp.float32))


def _augmentations(text: str, dataset: Dataset) -> Iterator[Callable[[], None]]:
    """What tries an augmentation, if any of it is the user's own."""
    if any(map(imports.is_found, augment.code_of(text))):
        yield functools.partial(_augmentation, text, dataset.image_shape)


def _augmentation(text: str, image_shape: tuple[int, ...]) -> None:
    made = augment.build(text)
    image, u = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (image_shape, (made.draws,)))
    _shaped(text, image_shape, made.change, image, u, _NUMBER)


def _shaped(name: str, shape: tuple[int, ...], function: Callable[..., Any], *inputs: jax.ShapeDtypeStruct) -> None:
    with imports.telling(name):
        found = jax.eval_shape(lambda *given: jnp.asarray(function(*given)), *inputs)
    if found.shape != shape or not jnp.issubdtype(found.dtype, jnp.floating):
        raise errors.ConfigError(f"{name} should give float32 {list(shape)}, got {found.dtype} {list(found.shape)}")
