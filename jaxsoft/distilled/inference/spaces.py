"""In which space the images of a set are, and how its pixels come back.

Files say what a student was fed: pixels, or pixels that were standardised or whitened, by statistics that they do not
name. A space is the transform that took pixels to them, so each candidate is undone, and `looks` tells how much what
comes back is like images of the data set.

    pixels                        in [0, 1], or uint8
    bytes                         0 to 255
    standardize                   (x - mean_c) / std_c, by the data set's own statistics
    standardize(cifar10)          by published constants: one of `CONSTANTS`
    standardize(mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2))
    zca(regularization=0.1)       whitened as `data/normalize.py` does, and as MTT's code does
    zca(standardized=true)        standardised before it is whitened
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

from jaxsoft import errors, spec
from jaxsoft.data import normalize
from jaxsoft.data.encoded import Encoded
from jaxsoft.data.normalize import Normalizer
from jaxsoft.distilled.inference import likeness
from jaxsoft.types import Dataset

CONSTANTS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar10_by_image": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),  # deviations within images, averaged
    "cifar100": ((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)),
    "svhn": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5,), (0.5,)),
    "mnist": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.2861,), (0.3530,)),
}
"""Published means and deviations of each channel, in [0, 1]; one number stands for every channel."""

_FOR_ANY = ("cifar10", "cifar10_by_image", "cifar100", "imagenet", "half")
_MATCHING = ("DC", "DSA", "DM", "MTT", "DATM", "FTD", "EDF", "DRUPI")  # one family of code, and what it standardises by
_USED = {
    "cifar10": "cifar10_by_image",
    "cifar100": "cifar100",
    "svhn": "svhn",
    "tiny_imagenet": "imagenet",
    "mnist": "mnist",
    "fashion_mnist": "fashion_mnist",
}
_FITTED, _WHITENED = 2000, 600  # images of the data set that looks, and a whitening to recognise by, are taken from
_REGULARIZATION, _DIRECTIONS = 0.1, 300
_MARGIN = 2.0  # by how much a space must be ahead
_GOOD, _HOPELESS = -1.2, -12.0
_LARGEST = 4000  # values of an image that is whitened exactly to tell: the time goes with the cube
_SAME = 2 / 255  # pixels that differ by less, root mean square, are the same images
_KNOWN: dict[tuple[str, str], "Space"] = {}

Images = UInt8[np.ndarray, "N *S C"] | Float32[np.ndarray, "N *S C"]


class Space(NamedTuple):
    """A transform of pixels, and the matrix that undoes its own, if it has one."""

    forward: Normalizer
    back: Float[np.ndarray, "D D"] | None = None

    def pixels(self, images: Shaped[np.ndarray, "N *S C"]) -> Float32[np.ndarray, "N *S C"]:
        """The pixels of images of this space, in units of [0, 1], which they may leave."""
        known, out = np.asarray(images, np.float64), self.forward
        if self.back is not None and out.mean is not None:
            known = (known.reshape(len(known), -1) @ self.back + out.mean).reshape(known.shape)
        return ((known - out.shift) / (255 * out.scale.astype(np.float64))).astype(np.float32)


class Verdict(NamedTuple):
    """What was concluded of images.

    Attributes:
      space: the likeliest.
      scores: how likely each candidate is, from the likeliest on; a logarithm, 0 for images like those of the data set.
      choices: the candidates that it could be, more than one if that cannot be told, none if nothing fits.
      lines: what a user should know.
    """

    space: str
    scores: dict[str, float]
    choices: tuple[str, ...]
    lines: tuple[str, ...]


def infer_space(images: Images, dataset: Dataset, system: str = "") -> Verdict:
    """The space of images that do not say it.

    Args:
      images: [N, H, W, C], N >= 1, or uint8; as stored.
      dataset: that they were distilled from, of the same shape of images.
      system: whose they are, such as "MTT": what its code uses decides between constants that fit as well.

    Raises:
      ConfigError: several spaces are about as likely, or none is likely; names them, and the flag that decides.
    """
    found = judged(images, dataset, system)
    if len(found.choices) == 1:
        return found
    told = ", ".join(f"--space='{name}'" for name in found.choices or list(found.scores)[:3])
    if found.choices:
        raise errors.ConfigError(f"the space of the images cannot be told, {found.lines[0]}; wanted one of {told}")
    raise errors.ConfigError(
        f"the images are in no known space of {dataset.name}, {found.lines[0]}; usual reasons: another data set, "
        f"channels first that were read as last; if one of these is right: {told}"
    )


def judged(images: Images, dataset: Dataset, system: str = "") -> Verdict:
    """As `infer_space`, but whatever it finds is told and nothing refused."""
    if images.dtype == np.uint8:
        return Verdict("pixels", {"pixels": 0.0}, ("pixels",), ("images are uint8, which are pixels",))
    own = _sample(dataset, _FITTED)
    like = likeness.of(own / np.float32(255) if own.dtype == np.uint8 else own)
    mapped = _mapped(images, dataset, own, like)
    scores = {name: likeness.score(pixels, like) for name, pixels in mapped.items()}
    for name in _near(scores, mapped):
        if len(_near(scores, mapped)) > 1 and name.startswith("zca") and own[0].size <= _LARGEST:
            mapped[name] = space_of(name, dataset).pixels(images)  # exactly, so that what was not optimised shows
            scores[name] = likeness.score(mapped[name], like)
    choices = _near(scores, mapped)
    usual = tuple(name for name in choices if name in _used(system, dataset.name))
    settled = usual if len(usual) == 1 else choices
    best = settled[0] if settled else max(scores, key=lambda name: scores[name])
    scores = dict(sorted(scores.items(), key=lambda item: -item[1]))
    lines = [", ".join(f"{name} {score:.1f}" for name, score in list(scores.items())[:4]) + " (0 is like the data set)"]
    lines += [f"{best} is what the code of {system} does; the pixels alone do not tell"] * (settled != choices)
    return Verdict(best, scores, settled, (*lines, likeness.told(mapped[best], like)))


def _mapped(
    images: Images, dataset: Dataset, own: Shaped[np.ndarray, "M *S C"], like: likeness.Looks
) -> dict[str, Float32[np.ndarray, "N *S C"]]:
    """The pixels that images would have in each space; whitening is thought of where nothing else fits well."""
    known = {"standardize": space_of("standardize", dataset)}  # of all images: whole numbers show rounding
    known |= {name: Space(_resolved(name)(own)) for name in _without_matrix(dataset) if name not in known}
    mapped = {name: space.pixels(images) for name, space in known.items()}
    if max(likeness.score(pixels, like) for pixels in mapped.values()) < _GOOD and len(own) > 1 and images.ndim == 4:
        some = _sample(dataset, _WHITENED)
        mapped["zca"] = _coloured(images, some, normalize.identity(some))
        mapped["zca(standardized=true)"] = _coloured(images, some, normalize.standardize(some))
    return mapped


def _near(scores: dict[str, float], mapped: dict[str, np.ndarray]) -> tuple[str, ...]:
    """The spaces that images could be in, the likeliest first; what gives the same pixels counts once."""
    best, *others = sorted(scores, key=lambda name: -scores[name])
    if scores[best] < _HOPELESS:
        return ()
    least = scores[best] - _MARGIN + min(scores[best], 0) / 2  # what fits badly has to be further ahead
    near = [name for name in others if scores[name] > least and _apart(mapped[name], mapped[best]) > _SAME]
    return (best, *near)


def to_pixels(images: Images, space: str, dataset: Dataset) -> Images:
    """Images of a space as pixels, which is exactly undone: uint8 as they are, or float32 in units of [0, 1], not clipped.

    Statistics are those of the train and validation images, which are the published train images.

    Raises:
      ConfigError: there is no such space, or it is not of images of this size.
    """
    if images.dtype == np.uint8 and space in ("pixels", "bytes"):
        return images
    if space == "pixels":
        return images.astype(np.float32, copy=False)
    return space_of(space, dataset).pixels(images)


def space_of(space: str, dataset: Dataset) -> Space:
    """A space by the statistics of a data set; the last few are kept, as a whitening takes a minute."""
    key = (space, dataset.fingerprint)
    if key in _KNOWN:
        return _KNOWN[key]
    parts = [part.images for part in (dataset.train, dataset.validation) if len(part)]
    if isinstance(parts[0], Encoded):
        parts = parts[:1]  # of which a sample is read
    made = _inverted(_resolved(space)(parts[0] if len(parts) == 1 else np.concatenate(parts)))
    if dataset.fingerprint and (made.back is not None or space == "standardize"):
        while len(_KNOWN) > 3:
            _KNOWN.pop(next(iter(_KNOWN)))
        _KNOWN[key] = made
    return made


def _resolved(space: str) -> Callable[[normalize.Images], Normalizer]:
    choices = {"pixels": normalize.identity, "bytes": _bytes, "standardize": _standardize, "zca": _zca}
    return spec.resolve(space, choices, "space", "docs/sets.md", given=("images",))


def _bytes(images: normalize.Images) -> Normalizer:
    channels = images.shape[-1]
    return Normalizer(np.ones(channels, np.float32), np.zeros(channels, np.float32))


def _standardize(
    images: normalize.Images, constants: str = "", mean: tuple[float | int, ...] = (), std: tuple[float | int, ...] = ()
) -> Normalizer:
    if constants not in ("", *CONSTANTS):
        raise errors.ConfigError(errors.unknown("constants", constants, CONSTANTS, "docs/sets.md"))
    if not (constants or mean or std):
        return normalize.standardize(images)
    middle, width = CONSTANTS[constants] if constants else (mean, std)
    channels = images.shape[-1]
    if {len(middle), len(width)} - {1, channels} or min(width) <= 0:
        told = f"mean={tuple(middle)}, std={tuple(width)}"
        raise errors.ConfigError(
            f"standardize expects a mean and a std above 0 for each of {channels} channels, got {told}"
        )
    return normalize.affine(np.resize(middle, channels).tolist(), np.resize(width, channels).tolist())


def _zca(images: normalize.Images, regularization: float = 0.1, standardized: bool = False) -> Normalizer:
    plain = normalize.fit(f"zca({regularization})", images)
    if not standardized or plain.matrix is None or plain.mean is None:
        return plain
    first, root = normalize.standardize(images), np.linalg.inv(plain.matrix.astype(np.float64))
    scale, shift = (np.resize(each, len(root)).astype(np.float64) for each in (255 * first.scale, first.shift))
    covariance = (root @ root - regularization * np.eye(len(root))) * scale * scale[:, None]
    values, vectors = np.linalg.eigh(covariance)
    matrix = (vectors / np.sqrt(np.maximum(values, 0) + regularization)) @ vectors.T
    mean = (plain.mean * scale + shift).astype(np.float32)
    return dataclasses.replace(first, mean=mean, matrix=matrix.astype(np.float32))


def _inverted(forward: Normalizer) -> Space:
    matrix = forward.matrix
    return Space(forward, None if matrix is None else np.linalg.inv(matrix.astype(np.float64)))


def _without_matrix(dataset: Dataset) -> tuple[str, ...]:
    """The candidates without a matrix: constants of other data sets are those that are used for any."""
    names = [name for name in CONSTANTS if name in _FOR_ANY or name == dataset.name]
    fit = [name for name in names if len(CONSTANTS[name][0]) in (dataset.image_shape[-1], 1)]
    return ("pixels", "bytes", "standardize", *(f"standardize({name})" for name in fit))


def _coloured(images: Images, own: Shaped[np.ndarray, "M *S C"], before: Normalizer) -> Float32[np.ndarray, "N *S C"]:
    """About the pixels of images that were whitened after `before`; the few directions of most variance do."""
    known = before(own).reshape(len(own), -1)
    mean = known.mean(0)
    known -= mean
    variance, vectors = np.linalg.eigh(known @ known.T / np.float32(len(own) - 1))
    variance, vectors = variance[-_DIRECTIONS:], vectors[:, -_DIRECTIONS:]
    directions = vectors.T @ known
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)
    root = np.sqrt(np.maximum(variance, 0) + _REGULARIZATION) - np.float32(np.sqrt(_REGULARIZATION))
    flat = images.reshape(len(images), -1).astype(np.float32)
    back = np.float32(np.sqrt(_REGULARIZATION)) * flat + (flat @ directions.T * root) @ directions + mean
    return Space(before).pixels(back.reshape(images.shape))


def _used(system: str, name: str) -> tuple[str, ...]:
    """What the code of a system is known to use for a data set."""
    is_matching = any(word in _MATCHING for word in system.upper().replace("/", " ").split())
    return ("zca", f"standardize({_USED.get(name, '')})") if is_matching else ()


def _sample(dataset: Dataset, most: int) -> normalize.Arrays:
    """Some train images, drawn by a fixed shuffle: what lies class by class is not taken in steps."""
    images = dataset.train.images
    rows = np.random.RandomState(0).permutation(len(images))[:most]
    return np.asarray(images[np.sort(rows)])


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2)))
