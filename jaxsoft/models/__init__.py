"""Architectures. A public function in a module of this package is one: `name(num_classes, options) -> flax module`.

A function of a user's own may return a network of another kind, which `adapt` knows; `check` says what all promise.
Every module is written for ONE member and called as `module(x, train=False, mask=None)` with images [B, H, W, C];
one whose attribute `is_of_clips` is true is called with clips [B, T, H, W, C];
`mask` marks the real images of a padded batch, of which batch norm uses and records the statistics in training. It
returns logits [B, K]. Collections: `params`, and `batch_stats` for batch norm; who asks `features` is told the map after
each block. A choice that is unknown, or a size out
of range, is a ConfigError.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from flax import linen as nn

from jaxsoft import spec
from jaxsoft.models import _state_dict
from jaxsoft.models._adapt import Network, adapt
from jaxsoft.models._contract import check, check_variables
from jaxsoft.models._features import embeddings, feature_shape, features
from jaxsoft.models._state_dict import Found

__all__ = [
    "Found",
    "Network",
    "adapt",
    "architectures",
    "build",
    "check",
    "check_variables",
    "embeddings",
    "feature_shape",
    "features",
    "from_state_dict",
    "function",
]

_KIND = "model", "jaxsoft/models/"


def build(text: str, num_classes: int) -> nn.Module | Network:
    """The network that a spec names, such as `convnet(depth=2, width=16)`.

    Its `num_classes` K, the width of the output, is not part of the spec.

    Raises:
      ConfigError: the name or an argument is unknown, or what it names returns no network.

    >>> build("mlp(hidden=8)", num_classes=3).hidden
    8
    """
    return adapt(spec.resolve(text, architectures(), *_KIND, given=("num_classes",))(num_classes))


def function(text: str) -> Callable[..., Any]:
    """The architecture that a spec names, which `build` knows."""
    return spec.find(spec.parse_one(text).name, architectures(), *_KIND)


def from_state_dict(found: Any, image_shape: tuple[int, ...], model: str = "") -> Found:
    """The network whose state_dict a file of PyTorch holds.

    Args:
      found: what `tensors.read` gives: a state_dict, or a dictionary that holds it as `model` or `state_dict`.
      image_shape: (H, W, C) of the images that it sees: the inputs of a dense layer are in the order C, H, W there.
      model: the spec of its architecture; if not given, it is inferred from names and shapes, with ReLU and average
        pooling, and an instance norm where a norm has no statistics.

    Raises:
      DataError: it holds no network that is known, or not that of `model`.
      ConfigError: `model` cannot be read.
    """
    network = _state_dict.network(found, image_shape, model)
    check_variables(build(network.model, network.num_classes), network.model, network.variables, image_shape)
    return network


def architectures() -> dict[str, Callable[..., Any]]:
    """All of them: every public function of every module here whose name has no leading underscore."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            found |= spec.public_functions(importlib.import_module(f"{__name__}.{module.name}"))
    return found
