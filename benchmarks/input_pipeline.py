"""How many pictures a second reach a training loop, and how many by PyTorch's DataLoader of the same files?

  python benchmarks/input_pipeline.py [--size=toy|cpu|gpu] [--repeats=5]

JPEG files of noise over smooth colours are cropped, scaled to the side that networks see, and mirrored, by the very same
function in all cases; what differs is who calls it, and how batches come together. The cases take turns. Each begins
anew, and is timed from its second batch on, over many more than it may hold in advance. Cases:
  threads    of one process, as jaxsoft chooses on up to eight cores
  processes  as many, of one thread each
  torch      DataLoader with as many workers, forked, shuffling
"""

import functools
import importlib.util
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import measure
import numpy as np
from PIL import Image

from jaxsoft import data
from jaxsoft.data import stream
from jaxsoft.types import Split


class Size(NamedTuple):
    """Pictures of each of 20 classes, their width and height, the side that is seen; images of a batch, batches timed."""

    each: int
    picture: tuple[int, int]
    side: int
    batch: int
    batches: int
    processes: bool


SIZES = {
    "toy": Size(4, (50, 40), 16, 8, 4, False),
    "cpu": Size(50, (500, 400), 224, 64, 40, True),
    "gpu": Size(200, (500, 400), 224, 256, 60, True),
}
AHEAD = 2  # batches that each worker may hold in advance: PyTorch's default


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__)
    size, cores = SIZES[args.size], os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        split = pictures(Path(folder), size)
        cases: dict[str, Callable[[], Iterator[int]]] = {"threads": functools.partial(windows, split, size, 0, cores)}
        if size.processes:
            cases["processes"] = functools.partial(windows, split, size, cores, 1)
        if importlib.util.find_spec("torch"):
            cases["torch"] = functools.partial(torch_batches, split, size, cores)
        rounds = [[rate(case, size) for case in cases.values()] for _ in range(args.repeats)]
    for name, rates in zip(cases, zip(*rounds)):
        what = {"by": name, "cores": cores, "pixels": size.side, "batch": size.batch, "batches": size.batches}
        measure.tell("input_pipeline", args.size, what, rates, "images/s")
    found = dict(zip(cases, np.array(rounds).T))
    for name in [name for name in found if name != "torch" and "torch" in found]:
        what = {"by": f"{name}/torch", "cores": cores, "pixels": size.side, "batch": size.batch}
        measure.tell("input_pipeline", args.size, what, found[name] / found["torch"], "ratio")


def pictures(folder: Path, size: Size) -> Split:
    """JPEG files in class folders, prepared as an index."""
    draw = np.random.default_rng(0)
    for k, i in itertools.product(range(20), range(size.each)):
        path = folder / "own" / f"class{k:02}" / f"{i:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        smooth = Image.fromarray(draw.integers(0, 255, (16, 16, 3), np.uint8)).resize(
            size.picture, Image.Resampling.BICUBIC
        )
        noisy = np.asarray(smooth) + draw.normal(0, 6, np.asarray(smooth).shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    data.prepare("image_folder", folder, folder / "own", resize=size.side, encoded=True)
    return data.load("image_folder", folder, resize=size.side, validation=0.0).train


def rate(case: Callable[[], Iterator[int]], size: Size) -> float:
    """Images a second, once the first batch is there."""
    batches = case()
    next(batches)
    start, images = time.perf_counter(), 0
    while images < size.batch * size.batches:
        images += next(batches)
    seconds = time.perf_counter() - start
    batches.close()  # pyright: ignore[reportAttributeAccessIssue]
    return images / seconds


def windows(split: Split, size: Size, workers: int, threads: int) -> Iterator[int]:
    """Of jaxsoft: windows of one step, and how many images each holds; the last of an epoch has fewer."""
    ahead = AHEAD * max(workers, threads) * size.batch * split.images[:1].nbytes
    share = {"workers": workers, "threads": threads, "ahead": ahead}
    for _, labels in stream.windows(split, size.batch, 1, 0, **share):
        yield int((labels >= 0).sum())


def torch_batches(split: Split, size: Size, workers: int) -> Iterator[int]:
    """Of PyTorch, likewise: the same function of the same files, in its own order."""
    import torch  # pyright: ignore[reportMissingImports]
    from torch.utils.data import DataLoader, Dataset  # pyright: ignore[reportMissingImports]

    class Views(Dataset):
        def __len__(self) -> int:
            return len(split)

        def __getitem__(self, row: int) -> tuple[Any, int]:
            seen = split.images.view(row, stream.draws(0, 0, row))
            return torch.from_numpy(seen.copy()), int(split.labels[row])

    how: dict[str, Any] = {"num_workers": workers, "prefetch_factor": AHEAD, "persistent_workers": True}
    loader = DataLoader(Views(), size.batch, shuffle=True, **how)
    while True:
        yield from (len(labels) for _, labels in loader)


if __name__ == "__main__":
    main()
