"""What is told of sets whose files say neither space nor order? Sets that are made, each in a way that is known.

  python benchmarks/recognition.py [--data=cifar10] [--ipc=10] [--draws=3] [--epochs=6] [--limit=1000]

First a table of trials, with the verdict on each. Then, over draws, how often the space is told (and rightly), refused with
the right one among the candidates, or told wrongly: for real images, noisy ones, averages of real ones, and images that
matched features of random networks, each in four spaces. The network that is asked about classes is taught for a few epochs.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import jaxsoft
from jaxsoft import Teacher, errors, models
from jaxsoft.command import starting
from jaxsoft.data import normalize
from jaxsoft.distilled.inference import class_order, spaces
from jaxsoft.experiment.machine.commit import commit

NET = "convnet(depth=3, width=32)"
SPACES = ("pixels", "bytes", "standardize", "zca")


class Trial(NamedTuple):
    """Images and classes as a file might have them, whose they are said to be, and what is to be found."""

    images: np.ndarray
    labels: np.ndarray
    system: str
    wanted: str


def main() -> None:
    """Make, ask and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10", help="a prepared data set")
    parser.add_argument("--root", default=None, help="folder of prepared data")
    parser.add_argument("--ipc", type=int, default=10, help="images per class")
    parser.add_argument("--draws", type=int, default=3, help="of images, for the rates")
    parser.add_argument("--epochs", type=int, default=6, help="of the network that is asked")
    parser.add_argument("--limit", type=int, default=1000, help="train images per class that it is taught on")
    args = parser.parse_args()
    starting.set_up_jax(keep_programs=True)
    data = jaxsoft.load(args.data, args.root)
    some = jaxsoft.load(args.data, args.root, limit=args.limit)
    experts = jaxsoft.teach(some, Teacher(model=NET, epochs=args.epochs, batch=64, learning_rate=0.05))

    def ask(images: np.ndarray) -> np.ndarray:
        return np.log(experts.label(images, f"teacher(epoch={args.epochs})") + 1e-12)

    print("| trial | wanted | found | in words |\n|---|---|---|---|")
    for name, trial in trials(data, args.ipc).items():
        found, words = concluded(trial, data, ask)
        print(f"| {name} | {trial.wanted} | {found} | {words} |", flush=True)
    print("\n| images | space | told rightly | refused, right one named | refused, not named | told wrongly |")
    print("|---|---|---|---|---|---|")
    for made, space, counts in rates(data, args.ipc, args.draws):
        print(f"| {made} | {space} | {' | '.join(str(counts[kind]) for kind in KINDS)} |", flush=True)
    print(f"\nn = {args.draws} draws of {args.ipc} images a class; {data.name}; commit {commit()}")


def concluded(trial: Trial, data: jaxsoft.Dataset, ask: class_order.Ask) -> tuple[str, str]:
    """The space and what the network sees, as an import would find them; or at what it stops."""
    try:
        space = spaces.infer_space(trial.images, data, trial.system).space
    except errors.ConfigError as problem:
        return "refused (space)", errors.first_line(problem)
    found = class_order.seen(spaces.to_pixels(trial.images, space, data), trial.labels, data, ask)
    told = found.arrangement or found.verdict
    return f"{space}, {told}", found.lines[0]


def trials(data: jaxsoft.Dataset, ipc: int) -> dict[str, Trial]:
    """Sets of which all is known."""
    pixels, labels = drawn(data, ipc, 0)
    other = enlarged_digits(data.image_shape)
    strange = normalize.zca(other)(pixels)
    wanted, order = "{}, fits", np.roll(np.arange(data.num_classes), 3)
    by_rows = np.ascontiguousarray(into(pixels, "standardize", data).transpose(0, 3, 1, 2)).reshape(pixels.shape)
    whitened = noisy(into(pixels, "zca", data), 0)
    made: dict[str, tuple[np.ndarray, np.ndarray, str, str]] = {
        "pixels, uint8": ((pixels * 255).round().astype(np.uint8), labels, "", wanted.format("pixels")),
        "pixels and noise": (noisy(pixels, 0), labels, "", wanted.format("pixels")),
        "0 to 255, as floats": (pixels * 255, labels, "", wanted.format("bytes")),
        "standardised": (into(pixels, "standardize", data), labels, "", wanted.format("standardize")),
        "by ImageNet's constants": (
            into(pixels, "standardize(imagenet)", data), labels, "", wanted.format("standardize(imagenet)"),
        ),
        "whitened": (into(pixels, "zca", data), labels, "", wanted.format("zca")),
        "whitened and noise, of MTT": (whitened, labels, "MTT", wanted.format("zca")),
        "classes in another order": (pixels, order[labels], "", "pixels, another order"),
        "blue first": (pixels[..., ::-1], labels, "", "pixels, red and blue exchanged"),
        "columns for rows": (pixels.swapaxes(1, 2), labels, "", "pixels, rows and columns exchanged"),
        "channels first, read as last": (by_rows, labels, "", "refused (space)"),
        "another data set": (other[: len(labels)], labels, "", "pixels, at chance or refused (space)"),
        "whitened as another data set is": (strange, labels, "", "refused (space)"),
    }  # fmt: skip
    return {name: Trial(np.ascontiguousarray(one[0]), *one[1:]) for name, one in made.items()}


KINDS = ("right", "named", "not named", "wrong")
MADE: dict[str, Callable[..., np.ndarray]] = {
    "real": lambda images, *_: images,
    "noise of half the deviation": lambda images, data, space, draw: noisy(images, draw),
    "averages of 5 of a class": lambda images, data, space, draw: averaged(data, space, len(images), draw),
    "matched features": lambda images, data, space, draw: matched(images, data, space, draw),
}


def rates(data: jaxsoft.Dataset, ipc: int, draws: int) -> Iterator[tuple[str, str, Counter[str]]]:
    """How often each kind of images is told to be in the space it is in."""
    for made, make in MADE.items():
        for space in SPACES:
            counts: Counter[str] = Counter()
            for draw in range(draws):
                images = make(into(drawn(data, ipc, draw)[0], space, data), data, space, draw)
                found = spaces.judged(images.astype(np.float32), data)
                right = space in found.choices or _same(space, found.choices, images, data)
                counts[KINDS[3 - 3 * right if len(found.choices) == 1 else 2 - right]] += 1
            yield made, space, counts


def _same(space: str, choices: tuple[str, ...], images: np.ndarray, data: jaxsoft.Dataset) -> bool:
    """Whether a choice gives the same pixels, such as the published constants of the data set's own statistics."""
    wanted = spaces.to_pixels(images, space, data)
    return any(np.abs(spaces.to_pixels(images, choice, data) - wanted).mean() < 1 / 255 for choice in choices)


def drawn(data: jaxsoft.Dataset, ipc: int, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Random train images in [0, 1], class by class, and their classes."""
    random, known = np.random.RandomState(draw), np.asarray(data.train.labels)
    rows = [random.permutation(np.flatnonzero(known == k))[:ipc] for k in range(data.num_classes)]
    return data.train.images[np.concatenate(rows)] / np.float32(255), np.repeat(np.arange(data.num_classes), ipc)


def into(pixels: np.ndarray, space: str, data: jaxsoft.Dataset) -> np.ndarray:
    """Pixels in [0, 1] as a space has them."""
    known = spaces.space_of(space, data).forward
    images = pixels * 255 * known.scale + known.shift
    if known.matrix is not None and known.mean is not None:
        images = ((images.reshape(len(images), -1) - known.mean) @ known.matrix).reshape(images.shape)
    return images.astype(np.float32)


def noisy(images: np.ndarray, draw: int) -> np.ndarray:
    """With noise of half their deviation."""
    noise = np.random.RandomState(draw).normal(size=images.shape) * images.std() / 2
    return (images + noise).astype(np.float32)


def averaged(data: jaxsoft.Dataset, space: str, count: int, draw: int) -> np.ndarray:
    """Means of five images of a class each."""
    ipc = count // data.num_classes
    pixels = drawn(data, 5 * ipc, draw)[0]
    return into(pixels.reshape(count, 5, *pixels.shape[1:]).mean(1), space, data)


def matched(images: np.ndarray, data: jaxsoft.Dataset, space: str, draw: int, steps: int = 60) -> np.ndarray:
    """Images after steps of Adam on the distance of mean features, of random networks, from those of real ones (DM)."""
    net, ipc, optimizer = (
        models.build(NET, data.num_classes),
        len(images) // data.num_classes,
        optax.adam(0.05 * images.std()),
    )

    def features(variables: Any, batch: Any) -> Any:
        found = models.features(net, variables, batch, -1)[1]
        return found.reshape(data.num_classes, -1, found[0].size).mean(1)

    @jax.jit
    def step(own: Any, state: Any, key: Any, real: Any) -> Any:
        variables = net.init(key, real[:1])
        wanted = features(variables, real)
        slope = jax.grad(lambda x: ((wanted - features(variables, x)) ** 2).sum())(own)
        updates, state = optimizer.update(slope, state)
        return own + updates, state

    assert ipc > 0
    own = jnp.asarray(images)
    state = optimizer.init(own)
    for number in range(steps):
        real = into(drawn(data, 16, 1000 * draw + number)[0], space, data)
        own, state = step(own, state, jax.random.key(1000 * draw + number), real)
    return np.asarray(own)


def enlarged_digits(shape: tuple[int, ...]) -> np.ndarray:
    """Digits of scikit-learn of another size, alike in all channels, in [0, 1]."""
    height, width, channels = shape
    small = np.asarray(load_digits(return_X_y=True)[0], np.float32).reshape(-1, 8, 8) / 16
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    return np.repeat(small[:, rows][:, :, columns, None], channels, axis=3)


if __name__ == "__main__":
    main()
