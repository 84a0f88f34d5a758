"""From pixels to what a network sees: fitted on the train images, then one affine map, or a whitening matrix.

    standardize   x' = (x - mean_c) / std_c, for each channel c
    zca           x' = W (x - mean),  W = U diag((S + regularization)^-1/2) U^T,  U S U^T = covariance over N - 1
    none          x' = x
with x in [0, 1].
"""

import dataclasses
import functools
import inspect
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from jaxsoft import errors, spec
from jaxsoft.data.encoded import Encoded

_CHUNK = 1000  # images at a time at most
_CHUNK_BYTES = 1 << 28  # and of these in float64; bounds the memory
_SAMPLE = 4096  # of images that are decoded when they are read
_MAX_PIXELS = 12_288  # a 64 x 64 x 3 image; the matrix is the square of it

Arrays = UInt8[np.ndarray, "N *S C"] | Float32[np.ndarray, "N *S C"]
Images = Arrays | Encoded


@dataclasses.dataclass(frozen=True, eq=False)
class Normalizer:
    """A fitted normalization.

    Without `matrix` it is `uint8 * scale + shift`, channel by channel, which a compiled program may do itself on the
    device. With `matrix` (whitening) images are mapped once, on the host: `(x - mean) @ matrix`, x flattened in H, W, C.
    """

    scale: Float32[np.ndarray, "C"]
    shift: Float32[np.ndarray, "C"]
    mean: Float32[np.ndarray, "D"] | None = None
    matrix: Float32[np.ndarray, "D D"] | None = None

    def __call__(self, images: Images) -> Float32[np.ndarray, "N *S C"]:
        """Normalise images, uint8 or float in [0, 1], [N, H, W, C], or clips [N, T, H, W, C]."""
        _check(images)
        return self._mapped(images)

    def _mapped(self, images: Images) -> Float32[np.ndarray, "N *S C"]:
        out = np.empty(images.shape, np.float32)
        for part in _chunks(images):
            chunk = _bytes(images[part]) * self.scale + self.shift
            if self.matrix is not None and self.mean is not None:
                chunk = ((chunk.reshape(len(chunk), -1) - self.mean) @ self.matrix).reshape(chunk.shape)
            out[part] = chunk
        return out

    def store(self, images: Images) -> Arrays:
        """Images as a device keeps them: pixels up to 255, or whitened ones; `affine` does the rest."""
        _check(images)
        return np.asarray(self.store_beyond(images))

    def store_beyond(self, images: Images) -> Any:
        """Likewise; floats are in units of [0, 1], but may leave it, as those of distilled sets do.

        What is `Encoded` stays so, unless it is whitened.
        """
        if self.matrix is not None:
            return self._mapped(images)
        if isinstance(images, Encoded):
            return images
        return np.asarray(images) if images.dtype == np.uint8 else _bytes(images)

    @property
    def affine(self) -> tuple[Float32[np.ndarray, "C"], Float32[np.ndarray, "C"]]:
        """Scale and shift, by channel, from stored images to what a network sees."""
        if self.matrix is None:
            return self.scale, self.shift
        return np.ones_like(self.scale), np.zeros_like(self.shift)


def affine(mean: Sequence[float], std: Sequence[float]) -> Normalizer:
    """(x - mean) / std for each channel, with x in [0, 1]."""
    middle, width = (np.asarray(each, np.float64) for each in (mean, std))
    return Normalizer((1 / (255 * width)).astype(np.float32), (-middle / width).astype(np.float32))


def fit(name: str, images: Images) -> Normalizer:
    """Fit the normalization that a config names to the train images, [N, H, W, C]; ConfigError if it names none."""
    return _resolved(name)(images)


def canonical(name: str) -> str:
    """The one spelling of a normalization: arguments by name, and none that is the default; ConfigError as `fit`.

    >>> canonical("zca(0.01)"), canonical("zca(regularization=0.1)")
    ('zca(regularization=0.01)', 'zca')
    """
    chosen = _resolved(name)
    defaults = inspect.signature(chosen.func).parameters
    given = {key: value for key, value in chosen.keywords.items() if value != defaults[key].default}
    return str(spec.Call(spec.parse_one(name).name, kwargs=given))


def _resolved(name: str) -> functools.partial[Normalizer]:
    choices = {"standardize": standardize, "zca": zca, "none": identity}
    chosen = spec.resolve(name, choices, "normalization", "jaxsoft/data/normalize.py", given=("images",))
    assert isinstance(chosen, functools.partial)
    if not chosen.keywords.get("regularization", 1.0) > 0:
        raise errors.ConfigError(f"zca expects regularization > 0, got {chosen.keywords['regularization']}")
    return chosen


def identity(images: Images) -> Normalizer:
    """Pixels in [0, 1] as they are."""
    channels = images.shape[-1]
    return Normalizer(np.full(channels, 1 / 255, np.float32), np.zeros(channels, np.float32))


def standardize(images: Images) -> Normalizer:
    """Zero mean and unit deviation for each channel, over all pixels of all images; one that never varies is only shifted.

    Of images that stay in their files it is over the first 4,096, which hold nearly the same share of every class.
    """
    images = images[:_SAMPLE] if isinstance(images, Encoded) else images
    channels, pixels = images.shape[-1], images.size // images.shape[-1]
    sums, squares = np.zeros(channels), np.zeros(channels)
    for chunk in _flat(images):  # over the images first: ten times faster than over all but the short channel axis
        sums += chunk.sum(0).reshape(-1, channels).sum(0)
        squares += np.einsum("nd,nd->d", chunk, chunk).reshape(-1, channels).sum(0)
    mean = sums / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    std = np.where(std > 1e-6, std, 1.0)  # a constant channel leaves rounding errors of about 1e-8
    return Normalizer((1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32))


def zca(images: Images, regularization: float = 0.1) -> Normalizer:
    """Whiten the covariance between all pixels, staying as close as possible to the image.

    Args:
      images: the train images, [N, H, W, C], N >= 2.
      regularization: above 0, added to the covariance's eigenvalues, in squared units of [0, 1] pixels.

    Raises:
      ConfigError: the images are clips, too large or too few, or the matrix leaves the range of float32.

    Reference: Qin et al., "A Label is Worth a Thousand Images in Dataset Distillation", 2024 (CIFAR-10 experiments).
    """
    size = int(np.prod(images.shape[1:]))
    if images.ndim > 4:
        raise errors.ConfigError("zca is of images, not of clips; use standardize")
    if size > _MAX_PIXELS:
        raise errors.ConfigError(f"zca of {size} values an image needs a matrix of {size} x {size}; use standardize")
    if len(images) < 2:
        raise errors.ConfigError(f"zca expects 2 images or more, got {len(images)}")
    mean = np.zeros(size)
    for chunk in _flat(images):
        mean += chunk.sum(0) / len(images)
    covariance = np.zeros((size, size))
    for chunk in _flat(images):
        chunk -= mean
        covariance += chunk.T @ chunk / (len(images) - 1)
    values, vectors = np.linalg.eigh(covariance)
    deviation = np.sqrt(np.maximum(values, 0) + regularization)
    if not max(deviation.max(), 1 / deviation.min()) <= np.finfo(np.float32).max:
        raise errors.ConfigError(f"zca with regularization {regularization:g} leaves the range of float32")
    matrix = ((vectors * (1 / deviation)) @ vectors.T).astype(np.float32)
    return dataclasses.replace(identity(images), mean=mean.astype(np.float32), matrix=matrix)


def _chunks(images: Images) -> Iterator[slice]:
    """Which images are taken at a time."""
    size = max(1, min(_CHUNK, _CHUNK_BYTES // (8 * max(1, math.prod(images.shape[1:])))))
    return (slice(start, start + size) for start in range(0, len(images), size))


def _bytes(images: Arrays) -> Float32[np.ndarray, "n *S C"]:
    """Float32 up to 255."""
    return images.astype(np.float32) * np.float32(1 if images.dtype == np.uint8 else 255)


def _check(images: Images) -> None:
    """Refuse what is neither uint8 nor float in [0, 1], which would be scaled wrongly."""
    if isinstance(images, Encoded) or images.dtype == np.uint8:
        return
    if images.dtype.kind != "f" or (images.size and not 0 <= images.min() <= images.max() <= 1):
        ends = f" from {images.min():.6g} to {images.max():.6g}" if images.size else ""
        raise errors.DataError(f"images are {images.dtype.name}{ends}; wanted uint8, or floats in [0, 1]")


def _flat(images: Images) -> Iterator[np.ndarray]:
    """Chunks in [0, 1], float64, [n, D]: sums over a whole train set need the precision."""
    for part in _chunks(images):
        chunk = images[part].astype(np.float64)
        yield (chunk / 255 if images.dtype == np.uint8 else chunk).reshape(len(chunk), -1)
