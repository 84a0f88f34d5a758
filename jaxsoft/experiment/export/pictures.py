"""The images of an export: as arrays, as PNG by class, one for each frame of a clip, and as the tensors that other code bases read."""

import io
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32, Shaped
from PIL import Image

from jaxsoft.data.formats.exported import PIXELS
from jaxsoft.data.normalize import Normalizer
from jaxsoft.experiment.export import torch_file
from jaxsoft.experiment.store.folder import packed

Files = dict[str, bytes]
Pixels = Shaped[np.ndarray, "S *frame C"]


def files_of(
    normalizer: Normalizer, pixels: Pixels, places: Int32[np.ndarray, "S"], classes: Int32[np.ndarray, "S"],
    names: Sequence[str], rows: np.ndarray, learning_rate: float,
) -> Files:  # fmt: skip
    """All of them, by their paths in the export.

    Args:
      normalizer: what networks see.
      pixels: as the dataset has them, uint8 or float32 in [0, 1].
      places, classes: positions in train, which name the PNG files, and true classes.
      names: of the classes.
      rows: a label for each image, [S, K]; of several views of each there are no tensors.
      learning_rate: of the student, at the start.
    """
    whole = {"images": pixels, "classes": classes, "places": places, "names": np.array(list(names))}
    made = {PIXELS: packed(whole)}
    for image, place, k in zip(pixels, places, classes):
        where = f"images/{k:03d}-{re.sub(r'[^A-Za-z0-9_.-]', '_', names[int(k)])}/{place}"
        frames = {f"{where}_t{t:03d}": frame for t, frame in enumerate(image)} if image.ndim == 4 else {where: image}
        made |= {f"{name}.png": png for name, frame in frames.items() if (png := _png(frame))}
    if len(rows) == len(pixels):
        seen = np.moveaxis(normalizer(pixels), -1, -3)
        tensors = {"images": seen, "labels": rows, "lr": np.array(learning_rate, np.float32)}
        made |= {f"{name}_best.pt": torch_file.packed(tensor) for name, tensor in tensors.items()}
    return made


def _png(image: np.ndarray) -> bytes:
    """A PNG file; nothing where pixels are no bytes, or have other channels than grey or red, green and blue."""
    if image.dtype != np.uint8 or image.shape[-1] not in (1, 3):
        return b""
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG")
    return file.getvalue()
