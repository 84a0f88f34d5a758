"""A folder of class folders of pictures, enlarged from digits with noise; a script too: `python pictures.py FOLDER COUNT SIDE`."""

import sys
from pathlib import Path

import numpy as np
import sklearn.datasets
from PIL import Image


def write(folder, count, side, classes=10):
    """For each class so many JPEGs; of more than ten classes the others are turned digits, so that all look different."""
    digits, random = sklearn.datasets.load_digits(), np.random.default_rng(0)
    for k in range(classes):
        where = Path(folder) / f"class-{k:02d}"
        where.mkdir(parents=True, exist_ok=True)
        own = digits.images[digits.target == k % 10]
        for i in range(count):
            pixels = np.rot90(own[i % len(own)] * 14, k // 10)
            large = Image.fromarray(pixels.astype(np.uint8)).resize((side * 5 // 4, side), Image.Resampling.BICUBIC)
            noisy = np.asarray(large, float)[..., None] + random.normal(0, 12, (side, side * 5 // 4, 3))
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(where / f"{i:04d}.jpg", quality=90)
    return folder


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), classes=20)
