"""Five small sets of a data set, made in seconds: three choices of real images, class means, and one by gradients.

  python tests/experiment/five_sets.py digits 5 FOLDER

writes them for `jaxsoft import`: data set, images per class, and where to.
"""

import functools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxsoft import data
from jaxsoft.data import select
from jaxsoft.distilled import kept


def made(dataset, ipc, steps=300, seed=0):
    """Images by name, [K * ipc, H, W, C] class by class: uint8, or float32 in units of [0, 1]."""
    images, labels = dataset.train.images, dataset.train.labels.astype(np.int32)
    flat = images.reshape(len(images), -1).astype(np.float32) / 255
    middle = np.stack([flat[labels == k].mean(0) for k in range(dataset.num_classes)])
    away = ((flat - middle[labels]) ** 2).sum(1)
    key = jax.random.key(seed)
    tables = {
        "drawn": select.random(labels, ipc, key=key),
        "easy": select.decile(labels, ipc, key=key, difficulty=away, i=0),
        "spread": select.k_centers(labels, ipc, key=key, embeddings=flat),
    }
    found = {name: images[table.ravel()] for name, table in tables.items()}
    parts = [np.array_split(np.flatnonzero(labels == k), ipc) for k in range(dataset.num_classes)]
    found["means"] = np.stack([flat[own].mean(0) for of in parts for own in of]).reshape(-1, *images.shape[1:])
    found["matched"] = matched(dataset, found["drawn"], steps, seed)
    return found


def keep(dataset, name, images, **soft):
    """Keep images that lie class by class as an imported set, with `rows` or `logits` where its labels are soft."""
    ipc = len(images) // dataset.num_classes
    record = {
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        "class_names": list(dataset.class_names),
        "image_shape": list(dataset.image_shape),
        "kind": next(iter(soft), "hard").replace("rows", "probabilities"),
        "ipc": ipc,
        "images": len(images),
        "bytes": {"images": images.nbytes, "labels": sum(rows.nbytes for rows in soft.values()) or 8 * len(images)},
    }
    labels = np.repeat(np.arange(dataset.num_classes, dtype=np.int32), ipc)
    return kept.KIND.keep(kept.KIND.place(name), record, {"images": images, "labels": labels, **soft})


def matched(dataset, start, steps, seed=0, batch=64, rate=0.01):
    """Images whose mean features match those of real ones under random networks, class by class.

    Reference: Zhao and Bilen, "Dataset Condensation with Distribution Matching" (WACV 2023).
    """
    images, labels, count = dataset.train.images, dataset.train.labels, dataset.num_classes
    shape = (count, len(start) // count, *images.shape[1:])
    pixels = jnp.asarray(start, jnp.float32).reshape(shape) / 255
    optimizer = optax.adam(rate)
    step, rng = functools.partial(_step, optimizer), np.random.default_rng(seed)
    state = optimizer.init(pixels)
    places = [np.flatnonzero(labels == k) for k in range(count)]
    for key in jax.random.split(jax.random.key(seed), steps):
        real = np.stack([images[rng.choice(own, batch)] for own in places]).astype(np.float32) / 255
        pixels, state = step(pixels, state, real, key)
    return np.asarray(pixels).reshape(-1, *images.shape[1:])


@functools.partial(jax.jit, static_argnums=0)
def _step(optimizer, pixels, state, real, key):
    def loss(pixels):
        kernels = [
            jax.random.normal(k, (3, 3, i, 16)) * (2 / 9 / i) ** 0.5
            for k, i in zip(jax.random.split(key), (real.shape[-1], 16))
        ]
        means = [jax.vmap(lambda of: _features(of, kernels).mean(0))(images) for images in (pixels, real)]
        return ((means[0] - means[1]) ** 2).sum()

    updates, state = optimizer.update(jax.grad(loss)(pixels), state)
    return optax.apply_updates(pixels, updates), state


def _features(images, kernels):
    for kernel in kernels:
        images = jax.lax.conv_general_dilated(
            images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        images = jax.lax.reduce_window(jax.nn.relu(images), 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
    return images.reshape(len(images), -1)


if __name__ == "__main__":
    name, ipc, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    dataset = data.load(name, validation=0.2 if name == "digits" else 0.1)
    folder.mkdir(parents=True, exist_ok=True)
    for each, images in made(dataset, ipc).items():
        np.savez(folder / f"{each}.npz", images=images, labels=np.repeat(np.arange(dataset.num_classes), ipc))
