"""The priors of committees in label specs: whose they are, and the weights that they give."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxsoft import errors
from jaxsoft.labels import committee
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.types import History


def alone(spec: LabelSpec) -> tuple[LabelSpec, ...]:
    """The same labels of each expert of a committee alone.

    >>> [str(one) for one in alone(LabelSpec.parse("committee(2, epoch=5)|temperature(20)"))]
    ['teacher(epoch=5)|temperature(20)', 'teacher(expert=1, epoch=5)|temperature(20)']
    """
    one = replace(bare(spec), pool="logits", epoch=spec.epoch)
    return tuple(replace(one, experts=(expert,)) for expert in spec.experts)


def bare(spec: LabelSpec) -> LabelSpec:
    """A spec without its epoch and its prior: the same program serves all of them, and is compiled once."""
    return replace(spec, epoch=None, prior="", tau=committee.TAU)


def judged_by(spec: LabelSpec, histories: Mapping[int, History] | Sequence[History]) -> LabelSpec:
    """Turn the prior `experts` into their validation accuracies at the epoch, in percent; other specs stay as they are.

    Raises:
      ConfigError: these are not known.
    """
    if spec.prior != "experts":
        return spec
    known = [[r["val_accuracy"] for r in histories[e] if r["epoch"] == spec.epoch] for e in spec.experts]
    if [None] in known or [] in known:
        raise errors.ConfigError(f"label spec '{spec}' weighs experts by validation accuracies that are not known")
    return replace(spec, prior=tuple(100.0 * accuracy for (accuracy,) in known))


def weights(spec: LabelSpec) -> Float[Array, "n"] | None:
    """The weight of each expert of a committee whose prior is in numbers; None where none is fixed.

    Raises:
      ConfigError: the prior of the committee is not in numbers yet.
    """
    if spec.pool != "prior":
        return None
    if not isinstance(spec.prior, tuple):
        raise errors.ConfigError(f"label spec '{spec}' has no prior in numbers yet: {spec.prior} give it")
    return jnp.asarray(committee.weights(spec.prior, spec.tau), jnp.float32)


def drawn(
    spec: LabelSpec, fixed: Float[Array, "n"] | None, images: Int[Array, "*N"], views: Int[Array, "*N"]
) -> Float[Array, "n *N"] | Float[Array, "n"] | None:
    """The weights of experts for views of images: drawn where the committee is `random`, else those that are fixed."""
    if spec.pool != "random":
        return fixed
    draw = jax.vmap(committee.random_weights, (0, 0, None), 1) if images.ndim else committee.random_weights
    return draw(images, views, len(spec.experts))
