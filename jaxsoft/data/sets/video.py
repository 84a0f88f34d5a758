"""Clips as frames: a folder of class folders, as for images, which hold a folder of frames for each clip or frames by name.

Frames of one clip are taken in the order of the numbers in their names. Of each clip the frames that are asked for are
spread evenly: the clip is cut into as many parts of equal length, and the frame in the middle of each part is taken.
"""

import collections
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxsoft import errors
from jaxsoft.data import raw, refusals
from jaxsoft.data.sets import Published, image_folder

FILES = (
    "one folder per class, or train/, val/ and test/ that hold such folders; in it a folder of frames for each clip, or "
    "frames named CLIP_t000.jpg, CLIP_t001.jpg"
)
_FRAME = re.compile(r"(.*)_t(\d+)", re.DOTALL)  # as Video-DC names them
_FEW = "clips of fewer frames than are asked for, some of which are taken twice"
_BYTES = 1 << 28  # of one clip


class Clip(NamedTuple):
    """A clip: its name in messages, and the files of its frames in their order."""

    name: str
    frames: Sequence[Path]

    def __str__(self) -> str:
        return self.name


def read(found: Path, resize: int | None, frames: int | None = None) -> raw.Raw:
    """Splits as those of image folders, of clips of so many frames; without a number all clips must have as many."""

    def part(paths: image_folder.Paths, names: list[str], seen: image_folder.Listing) -> raw.Part:
        labelled = [(clip, k) for k, name in enumerate(names) for clip in clips(name, paths.get(name, ()))]
        counts = collections.Counter(len(clip.frames) for clip, _ in labelled)
        if not frames and len(counts) > 1:
            told = f"{found} holds clips of {min(counts)} to {max(counts)} frames; pass --frames={min(counts)}"
            raise errors.DataError(errors.shown(f"{told} (from Python: frames={min(counts)})"))
        for clip, _ in labelled:
            if len(clip.frames) < (frames or 0):
                seen.tell(_FEW, Path(clip.name))
        if frames and (told := f"{frames} frames of each clip, spread evenly") not in seen.remarks:
            seen.remarks.append(told)
        taken = [Clip(clip.name, spread(clip.frames, frames or len(clip.frames))) for clip, _ in labelled]
        labels = np.array([k for _, k in labelled], np.int32)
        return raw.Part(labels, taken, lambda clip: decoded(clip, resize, seen))

    return image_folder.read_as("clip", found, part)


def clips(name: str, paths: Sequence[Path]) -> list[Clip]:
    """The frames of one class as clips, by what comes before `_t000` in their names, or else by their folder.

    Raises:
      DataError: frames lie in the class folder itself, and their names do not say of which clip they are.
    """
    found = collections.defaultdict(list)
    for path in paths:
        named = _FRAME.fullmatch(path.stem)
        if not named and path.parent.name == name:
            told = f"{path} is in no folder of a clip, and its name does not end in _t and a number"
            raise errors.DataError(errors.shown(f"{told}; wanted are {FILES}"))
        found[str(path.with_name(named[1]) if named else path.parent)].append(path)
    return [Clip(name, sorted(frames, key=_number)) for name, frames in sorted(found.items())]


def spread(frames: Sequence[Path], count: int) -> list[Path]:
    """So many frames, each the middle of one of as many equal parts; of fewer frames some are taken twice.

    >>> [path.name for path in spread([*map(Path, "abcdefg")], 3)]
    ['b', 'd', 'f']
    """
    return [frames[(2 * i + 1) * len(frames) // (2 * count)] for i in range(count)]


def decoded(clip: Clip, resize: int | None, seen: image_folder.Listing) -> UInt8[np.ndarray, "T H W C"]:
    """The frames of a clip; DataError if one cannot be read, or has another size, or all are too large."""
    frames: list[np.ndarray] = []
    for path in clip.frames:
        frames.append(image_folder.pixels(path, resize, seen))
        if frames[-1].shape != frames[0].shape:
            sizes = " and ".join(refusals.size(frame.shape) for frame in (frames[0], frames[-1]))
            raise errors.DataError(f"frames of {clip.name} differ in size: {sizes}; pass --resize=SIDE")
        if sum(frame.nbytes for frame in frames) > _BYTES:
            raise errors.DataError(f"frames of {clip.name} take more than {_BYTES:,} bytes; pass --resize=SIDE")
    return np.stack(frames)


def _number(path: Path) -> tuple[list[int], str]:
    return [int(digits) for digits in re.findall(r"\d+", path.stem)], path.name


TITLE = "your own clips as folders of frames, one folder per class"
SETS = {"video": Published(TITLE, "your own disk", FILES, None, image_folder.find, read, True)}
