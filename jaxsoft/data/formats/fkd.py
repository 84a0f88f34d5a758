"""Labels of FKD: for every batch of every epoch how its images were cropped, flipped and mixed, and a teacher's logits.

SRe2L, CV-DD and their kin keep them in files `epoch_<e>/batch_<b>.tar`, lists that torch.save wrote. Images are not in
there: a view is made again, of an image and these numbers, as their code made it. Which image stands where in a batch no
file says either: it is the order of torch's RandomSampler, a shuffle of all images for each epoch, of one seed.

A new sampler shuffles twice for an epoch and uses the first; an old one shuffles once. Where classes are known, labels
tell which it was.

Reference: Shen and Xing (2022), "A Fast Knowledge Distillation Framework for Visual Recognition", section 3; Yin et al.
(2023), "Squeeze, Recover and Relabel", section 3.3, and its code.
"""

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from PIL import Image

from jaxsoft import errors
from jaxsoft.data import refusals
from jaxsoft.data.formats import tensors

_SEED = 42
_DRAWS = (2, 1)  # how often a sampler shuffles for an epoch
_NAME = re.compile(r"epoch_(\d{1,9})/batch_(\d{1,9})\.tar")
_MOST_BYTES = 1 << 30  # of one array
_ROUNDING = 1e-5  # of a crop that ends where the image does


class Batch(NamedTuple):
    """What one file says of B views.

    Attributes:
      crops: top, left, height and width, in shares of the image's sides.
      flips: which are mirrored, left for right, after that.
      partners: which view of the batch each is mixed with; None if it is not.
      share: by how much a view counts where it is mixed by mixup.
      box: first row, first column, last row and last column, both excluded, that CutMix takes of the partner; None for mixup.
      logits: of the mixed views, or of the unmixed ones, see `replay`.
    """

    crops: Float[np.ndarray, "B 4"]
    flips: Bool[np.ndarray, "B"]
    partners: Int[np.ndarray, "B"] | None
    share: float | None
    box: tuple[int, ...] | None
    logits: Float[np.ndarray, "B K"]


class Views(NamedTuple):
    """All views of all images: images in [0, 1], and the logits that belong to them, in the order of the images."""

    images: Float32[np.ndarray, "E N S S C"]
    logits: Float32[np.ndarray, "E N K"]


def replay(
    folder: Path,
    images: UInt8[np.ndarray, "N H W C"],
    classes: Int[np.ndarray, "M"] | None = None,
    *,
    side: int = 0,
    epochs: Sequence[int] = (),
    draws: int = 0,
    mixed: bool = True,
) -> Views:
    """Make the views of a folder of labels again.

    Args:
      images: in the order in which their folders list them: by class, then by name.
      classes: of the images, [N]; by them it is found out how often the sampler shuffled.
      side: of a view in pixels, as it was set for the student; the height of the images, if not given.
      epochs: which ones; all, if not given.
      draws: how often the sampler shuffled for an epoch, 1 or 2, where that is known.
      mixed: whether views are mixed. The code of CV-DD labels unmixed views where it mixes by mixup, and only there.

    Raises:
      DataError: a file is missing or damaged or holds impossible values, or nothing tells how often was shuffled.
    """
    there, side = _epochs(folder), side or images.shape[1]
    asked = list(epochs) or list(range(len(there)))
    if wrong := [epoch for epoch in asked if epoch not in range(len(there))]:
        raise errors.DataError(f"{folder} has no epoch {wrong[0]}; it has epochs 0..{len(there) - 1}")
    if draws not in (0, *_DRAWS):
        raise errors.DataError(f"draws={draws}; wanted 1 or 2, or 0 to find it out")
    if classes is not None and len(classes) != len(images):
        raise errors.DataError(f"there are {len(classes)} classes for {len(images)} images")
    found = [[read(path, images.shape, side) for path in there[epoch]] for epoch in asked]
    for path, batches in zip((there[epoch][0].parent for epoch in asked), found):
        _check_batches(path, batches, len(images), found[0][0].logits.shape[1])
    logits = np.stack([np.concatenate([b.logits for b in batches]) for batches in found]).astype(np.float32)
    order = _order(folder, logits.argmax(axis=2), classes, asked, draws)
    views = np.zeros((*logits.shape[:2], side, side, images.shape[3]), np.float32)
    sorted_logits = np.zeros_like(logits)
    for e, batches in enumerate(found):
        sorted_logits[e, order[e]] = logits[e]
        parts = np.split(order[e], np.cumsum([len(b.flips) for b in batches[:-1]]))
        for which, batch in zip(parts, batches, strict=True):
            views[e, which] = _views(images[which], batch, side, mixed)
    return Views(views, sorted_logits)


def order(images: int, epochs: int, draws: int = 2, seed: int = _SEED) -> Int[np.ndarray, "E N"]:
    """Which image torch's RandomSampler takes at each place of each epoch.

    A shuffle exchanges each place with one of those from it on, by a word of 32 bits of the Mersenne Twister.
    """
    words, found = np.random.RandomState(seed), np.tile(np.arange(images), (epochs, 1))
    for row in found:
        drawn = words.randint(0, 1 << 32, (draws, max(images - 1, 0)), np.uint32)[0].astype(np.int64)
        places = np.arange(images - 1) + drawn % np.arange(images, 1, -1)
        for i, j in enumerate(places.tolist()):
            row[i], row[j] = row[j], row[i]
    return found


def read(path: Path, shape: Sequence[int], side: int) -> Batch:
    """What a file says of its batch.

    Args:
      shape: of all images, [N, H, W, C].
      side: of a view in pixels.

    Raises:
      DataError: the file is missing or damaged, or what it says cannot be true of such images and views.
    """
    value = tensors.read(path)
    with refusals.naming(f"{path} holds no labels of FKD"):
        if type(value) not in (list, tuple) or len(value) != 6:
            raise ValueError("wanted a list of coords, flip, mix_index, mix_lam, mix_bbox and logits")
        crops, flips, logits = _array(value[0], "coords", "f", 2), _array(value[1], "flip", "b", 1), value[5]
        logits = _array(logits, "logits", "f", 2)
        if not len(crops) == len(flips) == len(logits) or crops.shape[1] != 4 or not logits.size:
            told = f"coords {list(crops.shape)}, flip {list(flips.shape)}, logits {list(logits.shape)}"
            raise ValueError(f"its arrays differ in length: {told}; wanted [B, 4], [B] and [B, K]")
        _check_crops(crops, shape)
        return Batch(crops, flips, *_mixing(value[2:5], len(flips), side), logits)


def mix(views: Float32[np.ndarray, "B S S C"], batch: Batch) -> Float32[np.ndarray, "B S S C"]:
    """Views with what their partners have part in."""
    if batch.partners is None or batch.share is None:
        return views
    others = views[batch.partners]
    if batch.box is None:
        return np.float32(batch.share) * views + np.float32(1 - batch.share) * others
    top, left, bottom, right = batch.box
    mixed = views.copy()
    mixed[:, top:bottom, left:right] = others[:, top:bottom, left:right]
    return mixed


def _epochs(folder: Path) -> list[list[Path]]:
    """The files of every epoch, in order; none may be missing before the last of their kind."""
    names = (path.relative_to(folder).as_posix() for path in folder.glob("epoch_*/batch_*.tar"))
    there = {(int(name[1]), int(name[2])) for name in map(_NAME.fullmatch, names) if name}
    epochs, batches = (1 + max((place[i] for place in there), default=0) for i in (0, 1))
    for e, b in itertools.product(range(epochs), range(batches)):
        if (e, b) not in there:
            told = "" if there else ": wanted the labels of FKD as SRe2L and CV-DD write them"
            raise errors.DataError(f"{folder} lacks epoch_{e}/batch_{b}.tar{told}")
    return [[folder / f"epoch_{e}" / f"batch_{b}.tar" for b in range(batches)] for e in range(epochs)]


def _check_crops(crops: Float[np.ndarray, "B 4"], shape: Sequence[int]) -> None:
    ends = crops[:, :2] + crops[:, 2:]
    least = 0.5 / np.array(shape[1:3])  # of a pixel, to which crops are rounded
    wrong = ((crops[:, :2] < 0) | (crops[:, 2:] <= least) | (ends > 1 + _ROUNDING)).any(axis=1)
    if wrong.any():
        shown = [round(float(x), 4) for x in crops[wrong.argmax()]]
        raise ValueError(f"the crop {shown} (top, left, height, width) leaves the image, or has no pixel")


def _mixing(value: Sequence[Any], count: int, side: int) -> tuple[Any, float | None, tuple[int, ...] | None]:
    """Partners, share and box; refused unless they are those of CutMix, of mixup, or of no mixing."""
    if all(part is None for part in value):
        return None, None, None
    partners, share, box = _array(value[0], "mix_index", "i", 1), value[1], value[2]
    if len(partners) != count or (outside := partners[(partners < 0) | (partners >= count)]).size:
        told = f"{outside[0]}" if len(partners) == count else f"{len(partners)} numbers"
        raise ValueError(f"its mix_index holds {told}; wanted {count} of 0..{count - 1}")
    if type(share) is not float or not 0 <= share <= 1:
        raise ValueError(f"its mix_lam is {share}; wanted a number from 0 to 1")
    if box is None:
        return partners, share, None
    corners = _array(box, "mix_bbox", "i", 1).tolist()
    if len(corners) != 4 or not (0 <= corners[0] <= corners[2] <= side and 0 <= corners[1] <= corners[3] <= side):
        raise ValueError(f"its mix_bbox is {corners}; wanted rows and columns of {side} pixels")
    return partners, share, tuple(corners)


def _array(value: Any, name: str, kind: str, axes: int) -> np.ndarray:
    """An array of finite numbers of a kind of NumPy's, with so many axes; ValueError if it is none."""
    found = np.asarray(value)
    if found.dtype.kind != kind or found.ndim != axes or found.nbytes > _MOST_BYTES or not found.size:
        raise ValueError(f"its {name} is {found.dtype} {list(found.shape)}; wanted {axes} axes of kind {kind!r}")
    if not np.isfinite(found).all():
        raise ValueError(f"its {name} is not finite")
    return found


def _check_batches(where: Path, batches: Sequence[Batch], images: int, classes: int) -> None:
    """Refuse batches that are not those of so many images: all as large as the first, but the last."""
    sizes = [len(batch.flips) for batch in batches]
    if sum(sizes) != images or {*sizes[:-1]} - {sizes[0]} or sizes[-1] > sizes[0]:
        told = f"batches of {refusals.listed(list(map(str, sizes)), 4)} views, {sum(sizes)} in all"
        raise errors.DataError(f"{where} has {told}; wanted {images}, one of each image")
    if other := {batch.logits.shape[1] for batch in batches} - {classes}:
        raise errors.DataError(f"{where} has logits of {min(other)} classes, and others of {classes}")


def _order(folder: Path, said: Int[np.ndarray, "E N"], classes: Any, epochs: list[int], draws: int) -> np.ndarray:
    """The order of the epochs that are asked: of the two samplers it is the one whose images are what labels say."""
    count, last = said.shape[1], max(epochs) + 1
    if draws:
        return order(count, last, draws)[epochs]
    found = [order(count, last, times)[epochs] for times in _DRAWS]
    if last == 1:  # the first shuffle is the same
        return found[0]
    right = [] if classes is None else [int((np.asarray(classes)[o] == said).sum()) for o in found]
    if not right or abs(right[0] - right[1]) <= 3 * math.sqrt(sum(right)):
        told = (
            f"labels agree with {right[0]} and {right[1]} of {said.size} classes" if right else "classes are not given"
        )
        way = "give draws=2 if a new version of torch wrote them, draws=1 if an old one"
        raise errors.DataError(f"{folder}: nothing tells how often the sampler shuffled for an epoch ({told}); {way}")
    return found[int(np.argmax(right))]


def _views(
    images: UInt8[np.ndarray, "B H W C"], batch: Batch, side: int, mixed: bool
) -> Float32[np.ndarray, "B S S C"]:
    """The views of a batch."""
    each = zip(images, batch.crops.tolist(), batch.flips.tolist(), strict=True)
    views = np.stack([_crop(image, crop, side)[:, :: -1 if flip else 1] for image, crop, flip in each])
    views = views.astype(np.float32) / 255
    return mix(views, batch) if mixed else views


def _crop(image: UInt8[np.ndarray, "H W C"], crop: Sequence[float], side: int) -> UInt8[np.ndarray, "S S C"]:
    """A crop in whole pixels, resized by Pillow with antialiasing."""
    height, width, channels = image.shape
    top, left, down, along = (share * size for share, size in zip(crop, (height, width, height, width)))
    cut = Image.fromarray(image[:, :, 0] if channels == 1 else image).crop((left, top, left + along, top + down))
    return np.asarray(cut.resize((side, side), Image.Resampling.BILINEAR)).reshape(side, side, channels)
