"""1,797 real handwritten digits, 8x8 grey, that travel with scikit-learn: for demos and tests, without a download."""

from pathlib import Path

import numpy as np

from jaxsoft.data import raw
from jaxsoft.data.sets import Published

SOURCE = "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits"
LICENCE = "CC BY 4.0"
SIDE = 8

_TEST_PER_CLASS = 50


def find(where: Path, argument: str) -> Path:
    """The images are a part of scikit-learn, wherever one looks."""
    import sklearn

    return Path(sklearn.__file__).parent / "datasets" / "data"


def read(found: Path, resize: int | None) -> raw.Raw:
    """1,297 train and 500 test images; 16 grey levels are stretched to 0..255."""
    from sklearn import datasets  # takes a second, and only this set needs it

    pixels, labels = datasets.load_digits(return_X_y=True)
    images = np.round(np.asarray(pixels) * (255 / 16)).astype(np.uint8).reshape(-1, SIDE, SIDE, 1)
    everything = raw.Part(np.asarray(labels, np.int32), range(len(images)), images.__getitem__)
    train, test = raw.carve(everything, np.full(10, _TEST_PER_CLASS))
    return raw.Raw(tuple("0123456789"), train, test, SOURCE, LICENCE)


SETS = {"digits": Published("1,797 handwritten digits, 8x8 grey, 10 classes", SOURCE, "", SIDE, find, read)}
