"""A folder of pictures of ImageNet's sizes, made of small ones: to try what is written for large images.

python benchmarks/pictures.py tiny-imagenet-200/train TO --classes=20 --each=200 --test=25

writes TO/train/CLASS/*.jpg and TO/val/CLASS/*.jpg. Small pictures are enlarged (bicubic) to sides of 320 to 500 pixels
and given noise, so that a file has the bytes of a photograph of that size; no detail is added. Equal arguments write
equal files.
"""

import argparse
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from jaxsoft.data.sets.image_folder import Listing

SIDES = 320, 500
NOISE, QUALITY = 12.0, 90  # standard deviation in levels of 255, of JPEG


def enlarge(source: Path, target: Path, seed: int) -> None:
    """Write one picture large; what is drawn of its sides and noise follows from the seed."""
    rng = np.random.default_rng(seed)
    width, height = rng.integers(*SIDES, size=2, endpoint=True).tolist()
    with Image.open(source) as small:
        large = np.asarray(small.convert("RGB").resize((width, height), Image.Resampling.BICUBIC), np.float32)
    noisy = large + NOISE * rng.standard_normal(large.shape, np.float32)
    Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)).save(target, quality=QUALITY)


def jobs(source: Path, target: Path, classes: int, each: int, test: int) -> list[tuple[Path, Path]]:
    """Of every class the first `each` pictures for training, the next `test` for the test, and where they go."""
    found = []
    for name, paths in itertools.islice(Listing(source).classes(source).items(), classes):
        splits = ["train"] * each + ["val"] * test
        found += [(path, target / split / name / f"{path.stem}.jpg") for path, split in zip(paths, splits)]
    return found


def main() -> None:
    """Write the folder that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a folder of class folders")
    parser.add_argument("target", type=Path, help="a folder to write")
    for name, default in (("classes", 20), ("each", 200), ("test", 25)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    found = jobs(args.source, args.target, args.classes, args.each, args.test)
    for folder in {to.parent for _, to in found}:
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(enlarge, *zip(*found), itertools.count()))
    size = sum(to.stat().st_size for _, to in found)
    print(f"{args.target}: {len(found):,} pictures, {size / len(found) / 1e3:.0f} kB each")


if __name__ == "__main__":
    main()
