"""Images that are functions: fields of sines (SIREN), as DDiF stores them, decoded at any resolution.

A field maps a place (row, column) of [-1, 1]^2 to the channels there: h = sin(w0 (W h + b)) in every hidden layer, with a
frequency of its own in the first, and a linear layer last. Files have the weights alone, under torch's names; how many
layers there are and how wide they are follows from these, and the frequencies do in the settings that were published.

Reference: Shin et al. (2025), "Distilling Dataset into Neural Field", sections 3 and 4 and its code; Sitzmann et al. (2020).
"""

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Shaped

from jaxsoft import errors
from jaxsoft.data import refusals

_LAST = "last_layer.linear"
_FIRST_W0 = 30.0
_W0 = {**{(2, width): 10.0 for width in (6, 10, 15, 20, 30)}, **{(3, width): 40.0 for width in (20, 40)}}
"""Layers and width -> frequency after the first layer: CIFAR-10, CIFAR-100 and ImageNet."""
_MOST_BYTES = 1 << 32  # of what is decoded
_CHUNK_BYTES = 1 << 27  # of one layer of the fields that are decoded at a time
_CHANNELS = 4  # at most

Fields = Mapping[str, Float32[np.ndarray, "N *_"]]
"""Weights (out, in) and biases of N fields, by torch's names."""


def stacked(states: Any) -> dict[str, Float32[np.ndarray, "N *_"]]:
    """The fields of a list of state dictionaries, `net.K.linear.weight|bias` and `last_layer.linear.weight|bias`.

    Raises:
      ValueError: they are no fields, or not of one shape, or hold what is no finite number.
    """
    if type(states) not in (list, tuple) or not states or not all(isinstance(state, dict) for state in states):
        raise ValueError("wanted a list of the weights of fields, one dictionary for each image")
    shapes = _shapes(states[0])
    if 4 * len(states) * sum(map(math.prod, shapes.values())) > _MOST_BYTES:
        raise ValueError(f"{len(states):,} fields are too many")
    found = {name: np.empty((len(states), *shape), np.float32) for name, shape in shapes.items()}
    for n, state in enumerate(states):
        own = {name: np.shape(array) for name, array in state.items()}
        if own != shapes:
            raise ValueError(f"field {n} is of another shape than field 0")
        for name, array in state.items():
            found[name][n] = array
            if not np.isfinite(found[name][n]).all():
                raise ValueError(f"{name} of field {n} is not finite")
    return found


def dimensions(fields: Mapping[str, Any]) -> tuple[int, int, int]:
    """Hidden layers, their width, and channels."""
    channels, width = fields[f"{_LAST}.weight"].shape[-2:]
    return len(fields) // 2 - 1, width, channels


def numbers(layers: int, width: int, channels: int = 3) -> int:
    """How many numbers one field has.

    >>> numbers(2, 6), numbers(3, 40)
    (81, 3523)
    """
    return 3 * width + (layers - 1) * (width**2 + width) + channels * (width + 1)


def decoder(fields: Fields, shape: Sequence[int], w0: float = 0.0, w0_initial: float = 0.0) -> dict[str, np.ndarray]:
    """How fields are decoded: `w0`, the frequencies of the first layer and of those after it, and `sides`, [H, W].

    Args:
      shape: the height and width of the images.
      w0: frequency after the first layer; 0 if it is that of the published settings of this depth and width.
      w0_initial: frequency of the first layer; 0 if it is the published one, 30.

    Raises:
      ConfigError: the frequency is not known. DataError: the images would be too large.
    """
    layers, width, channels = dimensions(fields)
    known = w0 or _W0.get((layers, width), 0.0)
    if not known:
        told = f"the files do not say the frequency of their fields of {layers} layers of width {width}"
        raise errors.ConfigError(f"{told}; wanted --w0=, such as 10 (CIFAR) or 40 (ImageNet)")
    if not all(math.isfinite(value) and value >= 0 for value in (w0, w0_initial)):
        raise errors.ConfigError(f"--w0={w0:g} --w0_initial={w0_initial:g}: wanted numbers above 0")
    sides, count = np.array(shape[:2], np.int32), _count(fields)
    if min(sides) < 2 or 4 * count * math.prod(sides.tolist()) * channels > _MOST_BYTES:
        size = refusals.size(sides.tolist())
        raise errors.DataError(f"{count:,} images of {size} pixels cannot be decoded; wanted 2x2 up to 4 GiB in all")
    return {"w0": np.array([w0_initial or _FIRST_W0, known], np.float32), "sides": sides}


def told(fields: Fields, how: Mapping[str, np.ndarray], classes: int) -> list[str]:
    """What a user should know of fields and how they are decoded, a line each."""
    layers, width, channels = dimensions(fields)
    each, count, (height, along) = numbers(layers, width, channels), _count(fields), how["sides"].tolist()
    share = count * each / (classes * height * along * channels)
    first, after = how["w0"].tolist()
    return [
        f"{count} fields of {layers} hidden layers of width {width}, {each} numbers each: as many as {share:.3g} images a "
        f"class of {height}x{along}",
        f"their frequencies are taken as {first:g} and {after:g}, which no file says; --w0_initial= and --w0= are others",
    ]


def coordinates(height: int, width: int) -> Float[Array, "P 2"]:
    """Where the pixels are, row by row: 2 (i / (height - 1) - 1/2) on both axes, as DDiF has it."""
    rows, columns = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    return 2 * (jnp.stack([rows, columns], -1).reshape(-1, 2) / (height - 1) - 0.5)


def image(
    field: Mapping[str, Float[Array, "..."]], height: int, width: int, w0_initial: Any, w0: Any
) -> Float[Array, "H W C"]:
    """One field at every pixel; differentiable."""

    def linear(name: str, h: Float[Array, "P _"]) -> Float[Array, "P _"]:
        weight, bias = field[f"{name}.weight"], field[f"{name}.bias"]
        return jnp.matmul(h, weight.T, precision="highest") + bias[None]

    h = coordinates(height, width)
    for k in range(len(field) // 2 - 1):
        h = jnp.sin((w0 if k else w0_initial) * linear(f"net.{k}.linear", h))
    return linear(_LAST, h).reshape(height, width, -1)


def decode(fields: Fields, how: Mapping[str, np.ndarray]) -> Float32[np.ndarray, "N H W C"]:
    """The images of all fields, a chunk of them at a time on the device; `how` is as `decoder` gives it.

    Their channels are scaled and shifted at last where `how` has `scale` and `shift`.
    """
    (height, width), (first, after) = how["sides"].tolist(), how["w0"].tolist()
    count, (_, hidden, channels) = _count(fields), dimensions(fields)
    chunk = min(count, max(1, _CHUNK_BYTES // (4 * height * width * hidden)))
    found = np.empty((count, height, width, channels), np.float32)
    for start in range(0, count, chunk):
        some = np.minimum(np.arange(start, start + chunk), count - 1)  # all chunks are of one shape
        made = _images({name: array[some] for name, array in fields.items()}, height, width, first, after)
        found[start : start + chunk] = np.asarray(made)[: count - start]
    return found * how["scale"] + how["shift"] if "scale" in how else found


def kept(
    fields: Fields, how: Mapping[str, np.ndarray], to_pixels: Callable[[Float32[np.ndarray, "N H W C"]], np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays that a set of fields keeps, `fields/...` and `decoder/...`, and for its record how they are decoded.

    No more where a scale and a shift of each channel make pixels of what they give; whitened images are no such, and have
    their pixels beside, `images`.

    Args:
      to_pixels: from the space of the fields to pixels in units of [0, 1].
    """
    seen = decode(fields, how)
    pixels, *ends = (to_pixels(images).astype(np.float32) for images in (seen, 0 * seen[:1], 0 * seen[:1] + 1))
    shift, white = (image[0, 0, 0] for image in ends)
    if is_compressed := np.allclose(seen * (white - shift) + shift, pixels, rtol=1e-4, atol=1e-5):
        how = {**how, "scale": white - shift, "shift": shift}
    own = {f"fields/{name}": array for name, array in fields.items()}
    own |= {f"decoder/{name}": array for name, array in how.items()} | ({} if is_compressed else {"images": pixels})
    told = {name: array.tolist() for name, array in how.items()}
    return own, {"fields": "SIREN", **told, "decoded_when_read": is_compressed}


def decoded(arrays: Mapping[str, np.ndarray]) -> Shaped[np.ndarray, "N *S C"]:
    """The pixels of what `kept` gave: decoded, where they are not there."""
    parts: dict[str, dict[str, np.ndarray]] = {"fields": {}, "decoder": {}}
    for name, array in arrays.items():
        part, _, rest = name.partition("/")
        parts.get(part, {})[rest] = array
    return arrays["images"] if "images" in arrays else decode(parts["fields"], parts["decoder"])


def _count(fields: Fields) -> int:
    return len(fields[f"{_LAST}.weight"])


@functools.partial(jax.jit, static_argnums=(1, 2))
def _images(fields: Any, height: int, width: int, w0_initial: Any, w0: Any) -> Float[Array, "N H W C"]:
    return jax.vmap(lambda field: image(field, height, width, w0_initial, w0))(fields)


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of a field's arrays; ValueError if it is none."""
    layers = len(state) // 2 - 1
    names = [f"net.{k}.linear" for k in range(layers)] + [_LAST]
    wanted = {f"{name}.{part}" for name in names for part in ("weight", "bias")}
    arrays = {name: np.asarray(array) for name, array in state.items() if name in wanted}
    if layers < 1 or state.keys() != wanted or any(array.dtype.kind != "f" for array in arrays.values()):
        raise ValueError(f"wanted net.K.linear and {_LAST}, weight and bias of each, as DDiF names them")
    shapes = {name: array.shape for name, array in arrays.items()}
    last = shapes[f"{_LAST}.weight"]
    channels, width = last if len(last) == 2 else (0, 0)
    sizes = [2, *[width] * layers, channels]
    expected = {}
    for name, (before, after) in zip(names, itertools.pairwise(sizes), strict=True):
        expected |= {f"{name}.weight": (after, before), f"{name}.bias": (after,)}
    if not 1 <= channels <= _CHANNELS or not width or shapes != expected:
        raise ValueError(f"the layers of a field do not fit one another, from 2 coordinates to 1..{_CHANNELS} channels")
    return shapes
