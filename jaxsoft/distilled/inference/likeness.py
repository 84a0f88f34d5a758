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
_BRIGHTER, _FAINTER = 0.35, 1.0  # of the level, in nats of power: optimising adds to it, averaging takes away
_SHAPE, _CELL = 0.35, 1.0
_SMOOTHER, _NOISIER = 0.6, 4.0  # of the highest frequencies beside the lowest, in nats of power
_OUTSIDE = 0.1
_ON_GRID, _NEAR = 0.5, 0.05  # share of values, and units of 1/255
_BONUS = 6.0


class Looks(NamedTuple):
    """Statistics of images in units of [0, 1].

    Attributes:
      mean: of each channel.
      power: logarithm of the power at low frequencies, mean over images and channels.
      fine: the same at the highest frequency along both axes.
      outside: root mean square of how far values leave [0, 1].
      on_grid: share of values that are a whole number of 255.
    """

    mean: Float[np.ndarray, "C"]
    power: Float[np.ndarray, "F"]
    fine: float
    outside: float
    on_grid: float


def of(images: Float32[np.ndarray, "N *S C"]) -> Looks:
    """The statistics of images, or of the frames of clips."""
    images = images.reshape(-1, *images.shape[-3:])
    beyond = np.maximum(np.abs(images - 0.5) - 0.5, 0)
    scaled = images * 255
    on_grid = (np.abs(scaled - np.round(scaled)) < _NEAR) & (beyond * 255 < _NEAR)
    low, high = _power(images)
    return Looks(images.mean((0, 1, 2)), low, high, float(np.sqrt(np.mean(beyond**2))), float(on_grid.mean()))


def _power(images: Float32[np.ndarray, "N H W C"]) -> tuple[Float[np.ndarray, "F"], float]:
    """Log power of the frequencies of at most `_CYCLES` an image along both axes, and of those near the highest; no mean."""
    height, width = images.shape[1:3]
    rows, columns = (min(_CYCLES, (side - 1) // 2) for side in (height, width))
    power = (np.abs(np.fft.fft2(images, axes=(1, 2))) ** 2).mean((0, 3)) / (height * width)
    below = power[: rows + 1, np.r_[0 : columns + 1, width - columns : width]].ravel()[1:]  # others are their mirror
    high = power[height // 3 : height - height // 3 + 1, width // 3 : width - width // 3 + 1]
    return np.log(below + 1e-12), float(np.log(high.mean() + 1e-12))


def score(images: Float32[np.ndarray, "N *S C"], like: Looks) -> float:
    """How likely images are, as a logarithm: 0 if they have the statistics `like`, and below it otherwise."""
    own, count = of(images), len(images)
    mean, level, shape, fine = _differences(own, like)
    tolerance = np.hypot(_MEAN, _IMAGE_MEAN / np.sqrt(count))
    squares = (
        (mean / tolerance) ** 2,
        (level / _BRIGHTER) ** 2 if level > 0 else -2 * level / _FAINTER,  # of averages any level may be
        (shape / np.hypot(_SHAPE, _CELL / np.sqrt(count))) ** 2,
        2 * fine / _NOISIER if fine > 0 else (fine / _SMOOTHER) ** 2,
        (own.outside / _OUTSIDE) ** 2,
    )
    return float(_BONUS * (own.on_grid > _ON_GRID) - sum(squares) / 2)


def _differences(own: Looks, like: Looks) -> tuple[float, float, float, float]:
    """How far statistics are apart in mean, level of power, its shape, and its share of the highest frequencies."""
    power = own.power - like.power
    level, shape = (float(power.mean()), float(power.std())) if power.size else (0.0, 0.0)
    return float(np.sqrt(np.mean((own.mean - like.mean) ** 2))), level, shape, own.fine - like.fine - level


def told(images: Float32[np.ndarray, "N *S C"], like: Looks) -> str:
    """The evidence in words."""
    mean, level, shape, fine = _differences(of(images), like)
    return (
        f"as pixels they run from {images.min():.2f} to {images.max():.2f}; beside images of the data set their means are "
        f"{mean:.3f} off, power at low frequencies is {np.exp(level):.2g} times as high (its shape {shape:.2f} nats off), "
        f"that at high ones {np.exp(fine + level):.2g} times"
    )
