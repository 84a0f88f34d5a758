"""How much images look like those of a data set, if nothing but their statistics is known.

Distilled images are no photographs: they are noisy, leave [0, 1], or are averages. What stays is their mean, and their
power at the lowest frequencies, where noise has little; there a wrong scale shows as another level, and whitening, which
makes all frequencies alike, as another shape. What of the images lies on whole numbers of 255 was never optimised.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

_CYCLES = 3  # an image; the highest frequency that is looked at
_MEAN, _IMAGE_MEAN = 0.02, 0.15  # tolerance of a channel's mean, and how much it varies from image to image
_BRIGHTER, _FAINTER = 0.35, 0.9  # of the level, in nats of power: optimising adds to it, averaging takes away
_SHAPE, _CELL = 0.35, 1.0
_OUTSIDE = 0.1
_ON_GRID, _NEAR = 0.5, 0.05  # share of values, and units of 1/255
_BONUS = 6.0


class Looks(NamedTuple):
    """Statistics of images in units of [0, 1].

    Attributes:
      mean: of each channel.
      power: logarithm of the power at low frequencies, mean over images and channels.
      outside: root mean square of how far values leave [0, 1].
      on_grid: share of values that are a whole number of 255.
    """

    mean: Float[np.ndarray, "C"]
    power: Float[np.ndarray, "F"]
    outside: float
    on_grid: float


def of(images: Float32[np.ndarray, "N H W C"]) -> Looks:
    """The statistics of images."""
    beyond = np.maximum(np.abs(images - 0.5) - 0.5, 0)
    scaled = images * 255
    on_grid = (np.abs(scaled - np.round(scaled)) < _NEAR) & (beyond * 255 < _NEAR)
    return Looks(images.mean((0, 1, 2)), _power(images), float(np.sqrt(np.mean(beyond**2))), float(on_grid.mean()))


def _power(images: Float32[np.ndarray, "N H W C"]) -> Float[np.ndarray, "F"]:
    """Log power of the frequencies of at most `_CYCLES` an image, along both axes, without that of the mean."""
    height, width = images.shape[1:3]
    rows, columns = min(_CYCLES, (height - 1) // 2), min(_CYCLES, (width - 1) // 2)
    power = (np.abs(np.fft.fft2(images, axes=(1, 2))) ** 2).mean((0, 3)) / (height * width)
    below = power[: rows + 1, np.r_[0 : columns + 1, width - columns : width]].ravel()[1:]  # others are their mirror
    return np.log(below + 1e-12)


def score(images: Float32[np.ndarray, "N H W C"], like: Looks) -> float:
    """How likely images are, as a logarithm: 0 if they have the statistics `like`, and below it otherwise."""
    own, count = of(images), len(images)
    mean, level, shape, outside = _differences(own, like)
    tolerance = np.hypot(_MEAN, _IMAGE_MEAN / np.sqrt(count))
    squares = (
        (mean / tolerance) ** 2,
        (level / (_BRIGHTER if level > 0 else _FAINTER)) ** 2,
        (shape / np.hypot(_SHAPE, _CELL / np.sqrt(count))) ** 2,
        (outside / _OUTSIDE) ** 2,
    )
    return float(_BONUS * (own.on_grid > _ON_GRID) - sum(squares) / 2)


def _differences(own: Looks, like: Looks) -> tuple[float, float, float, float]:
    """How far statistics are apart in mean, level of power, shape of power, and beyond [0, 1]."""
    power = own.power - like.power
    mean = float(np.sqrt(np.mean((own.mean - like.mean) ** 2)))
    return mean, float(power.mean()) if power.size else 0.0, float(power.std()) if power.size else 0.0, own.outside


def told(images: Float32[np.ndarray, "N H W C"], like: Looks) -> str:
    """The evidence in words."""
    mean, level, shape, outside = _differences(of(images), like)
    low, high = images.min(), images.max()
    return (
        f"as pixels they run from {low:.2f} to {high:.2f}; beside images of the data set their means are {mean:.3f} off, "
        f"their power at low frequencies is {np.exp(level):.2g} times theirs, its shape {shape:.2f} nats off"
    )
