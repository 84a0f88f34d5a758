"""What a network of a user's own must promise, asked before anything is trained: one line for a promise that is broken."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxsoft import errors, imports, rng, target
from jaxsoft.models._adapt import Network, Variables

_IMAGES = 2
_HINT = "of clips are convnet3d and networks of your own"


def check(model: Any, name: str, num_classes: int, image_shape: tuple[int, ...], partial: str = "") -> None:
    """Refuse a network that would fail, or go wrong without a word, once it is trained. Those of this package pass.

    Args:
      model: as `build` gives it.
      name: its spec, for messages.
      num_classes: K.
      image_shape: (H, W, C), or (T, H, W, C) of clips.
      partial: which batches will not be full, for messages; empty if all are.

    Raises:
      ConfigError: it is of images and these are clips, or the other way round; it cannot be called on [B, H, W, C]; logits are not [B, K] or not finite; parameters are not float32
        or do not depend on the seed; it draws or keeps a state but cannot know when it is trained; it keeps a state
        over batches that are not full and takes no `mask`.
    """
    if not isinstance(model, Network):
        if len(image_shape) != 3 + (is_of_clips := getattr(model, "is_of_clips", False)):
            kinds = ("images", "clips") if is_of_clips else ("clips", "images")
            raise errors.ConfigError(
                "model {!r} cannot be: these are {}, and it is of {}; {}".format(name, *kinds, _HINT)
            )
        return
    try:
        _check_shapes(model, num_classes, image_shape, partial)
        _check_numbers(model, image_shape)
    except errors.ConfigError as problem:
        raise errors.ConfigError(f"model {name!r}: {problem}") from None
    except Exception as problem:  # of a user's code
        told = f"model {name!r} failed on images {(_IMAGES, *image_shape)}: {imports.located(problem)}"
        raise errors.ConfigError(told) from problem


def check_variables(model: Any, name: str, variables: Variables, image_shape: tuple[int, ...]) -> None:
    """Refuse variables that are not those of a network, in names and shapes; a DataError names the first that differs."""
    tree = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))
    wanted, found = _shapes(tree), _shapes(variables)
    for path in sorted(wanted.keys() | found.keys()):
        here, there = (f"of shape {list(of[path])}" if path in of else "none" for of in (wanted, found))
        if here != there:
            raise errors.DataError(f"{name} on images {list(image_shape)} has {path} {here}, the file has {there}")


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape for path, leaf in leaves}


def _check_shapes(model: Network, num_classes: int, image_shape: tuple[int, ...], partial: str) -> None:
    key, images = jax.eval_shape(lambda: (rng.key(0, rng.Stream.INIT), jnp.zeros((_IMAGES, *image_shape))))
    variables = jax.eval_shape(model.init, key, images)
    if not isinstance(variables, dict) or not jax.tree.leaves(variables.get("params")):
        raise errors.ConfigError("init must give a dict whose 'params' holds arrays")
    _check_parameters(variables["params"])
    state = {k: v for k, v in variables.items() if k != "params"}
    if "train" not in model.takes and not model.has_modes and (state or model.draws(image_shape)):
        what = f"keeps {', '.join(state)}" if state else "draws random numbers"
        raise errors.ConfigError(f"it {what}, and its call takes no argument train, which says when to")
    if partial and state and "mask" not in model.takes:
        raise errors.ConfigError(
            f"it keeps {', '.join(state)} and its call takes no argument mask, so every batch must be full: {partial}; "
            "take a batch that does, or give the call a mask"
        )
    _check_logits(jax.eval_shape(model.apply, variables, images), num_classes)
    logits, new = jax.eval_shape(
        lambda v, x, k: model.apply(v, x, True, jnp.ones(len(x), bool), [], k), variables, images, key
    )
    _check_logits(logits, num_classes)
    if _types(new) != _types(state):
        raise errors.ConfigError(f"training must keep the state as it was, {_types(state)}, got {_types(new)}")


def _check_parameters(params: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if leaf.dtype != jnp.float32:
            where = jax.tree_util.keystr(path, simple=True, separator="/")
            raise errors.ConfigError(f"every parameter must be float32, got {leaf.dtype}{list(leaf.shape)} at {where}")


def _check_logits(logits: Any, num_classes: int) -> None:
    wanted = (_IMAGES, num_classes)
    if logits.shape != wanted or not jnp.issubdtype(logits.dtype, jnp.floating):
        told = f"{logits.dtype}{list(logits.shape)}"
        raise errors.ConfigError(f"logits of {_IMAGES} images must be float32{list(wanted)}, got {told}")


def _check_numbers(model: Network, image_shape: tuple[int, ...]) -> None:
    """Of two seeds, initialised side by side as members are."""
    size = _IMAGES * math.prod(image_shape)
    images = np.sin(np.arange(size, dtype=np.float32)).reshape(_IMAGES, *image_shape)

    def begin(seed: Array) -> tuple[Variables, Array]:
        variables = model.init(rng.key(seed, rng.Stream.INIT), jnp.asarray(images))
        return variables, model.apply(variables, jnp.asarray(images))

    with target.aimed(target.of(jax.local_devices())):  # whatever is planned for, this is computed here
        variables, logits = jax.jit(jax.vmap(begin))(jnp.arange(2))
    params = jax.tree.leaves(variables["params"])
    if all(np.array_equal(leaf[0], leaf[1]) for leaf in params):
        raise errors.ConfigError("two seeds must give different parameters, got the same: draw them from the key")
    for what, tree in (("parameters", params), ("logits", logits)):
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)):
            raise errors.ConfigError(f"{what} must be finite numbers before training, got NaN or infinity")


def _types(tree: Any) -> str:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return ", ".join(
        f"{jax.tree_util.keystr(p, simple=True, separator='/')}: {v.dtype}{list(v.shape)}" for p, v in leaves
    )
