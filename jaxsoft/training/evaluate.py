"""What trained members say about images: logits, accuracy, entropy. No gradient, no augmentation."""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Shaped

from jaxsoft import imports, models, rng, target
from jaxsoft.data.normalize import Images, Normalizer
from jaxsoft.ops import conv
from jaxsoft.rng import Stream
from jaxsoft.training import cost, metrics
from jaxsoft.training.batches import DATA
from jaxsoft.training.fit import Bank, make_bank
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Split

PIECE_BYTES = 1_000_000_000
"""Of a split's images that are on a device at a time, where many members are asked."""

_AT_ONCE = 1024  # images that are read
_ON_DEVICE = 1 << 31  # bytes likewise, where experts are: batches, and with them last bits of labels, follow from it


class EvalSet(NamedTuple):
    """Images in batches of equal size; label -1 marks the padding of the last one."""

    images: Shaped[Array | np.ndarray, "n b *S C"]
    labels: Int[Array | np.ndarray, "n b"]


def eval_set(images: Images, labels: Int[np.ndarray, "N"], batch: int = 256, room: int = 0) -> EvalSet:
    """Cut a split into equal batches on the host, of at most `batch` images; what is not in memory is read once.

    With `room` the batches are those of so many images, where that is more than there are.
    """
    total = max(room, len(labels))
    count = max(1, -(-total // batch))
    size = max(1, -(-total // count))
    spare = count * size - len(labels)
    padded = np.zeros((count * size, *images.shape[1:]), images.dtype)
    for start in range(0, len(labels), _AT_ONCE):
        padded[start : start + _AT_ONCE][: len(labels) - start] = images[start : start + _AT_ONCE]
    known = np.concatenate([labels, np.full(spare, -1, labels.dtype)])
    return EvalSet(padded.reshape(count, size, *images.shape[1:]), known.reshape(count, size).astype(np.int32))


@dataclass(frozen=True)
class Pieces:
    """A split whose images go to a device once, and no more than `PIECE_BYTES` of them at a time, in pieces of one shape."""

    split: Split
    normalizer: Normalizer
    batch: int  # images at a time, at most

    def __iter__(self) -> Iterator[EvalSet]:
        labels, image = self.split.labels, self.normalizer.store_beyond(self.split.images[:1])
        room = piece_images(len(labels), image.nbytes)
        for start in range(0, max(1, len(labels)), max(1, room)):
            part = slice(start, start + room)
            yield eval_set(self.normalizer.store_beyond(self.split.images[part]), labels[part], self.batch, room)


def piece_images(images: int, each: int) -> int:
    """How many of so many images, of so many bytes each, are on a device at a time where each is asked about once."""
    return -(-images // max(1, -(-images * each // PIECE_BYTES)))


def evaluate(
    recipe: Recipe, bank: Bank, variables: dict, data: EvalSet, shards: int = 1
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Accuracy in [0, 1] of one member on one split, and the mean entropy of its predictions in nats; of no images, NaN.

    Of several devices, along the axis `DATA`, each looks at some batches.
    """
    correct, entropy = sums(recipe, bank, variables, _share(data, shards))
    count = jnp.sum(jnp.asarray(data.labels) >= 0)
    return _together(correct.sum(), shards) / count, _together(entropy.sum(), shards) / count


def sums(recipe: Recipe, bank: Bank, variables: dict, data: EvalSet) -> tuple[Int[Array, "n"], Float[Array, "n"]]:
    """Of each batch, how many images one member predicts correctly, and its predictions' entropies in nats, summed."""

    def batch(part: EvalSet) -> tuple[Array, Array]:
        logits = recipe.logits(variables, bank.normalized(jnp.asarray(part.images)))
        entropy = metrics.entropy(jax.nn.softmax(logits))
        real = part.labels >= 0  # what pads has label -1, which no network predicts
        return metrics.correct_count(logits, jnp.asarray(part.labels)), jnp.where(real, entropy, 0).sum()

    return jax.lax.map(batch, data)


def correct_by_class(recipe: Recipe, bank: Bank, variables: dict, data: EvalSet, shards: int = 1) -> Int[Array, "K"]:
    """How many images of each class one member predicts correctly; of several devices each looks at some batches."""

    def batch(part: EvalSet) -> Array:
        logits = recipe.logits(variables, bank.normalized(jnp.asarray(part.images)))
        true = jax.nn.one_hot(part.labels, recipe.num_classes, dtype=jnp.int32)  # of padding: no class
        return (true * (logits.argmax(-1) == jnp.asarray(part.labels))[:, None]).sum(0)

    return _together(jax.lax.map(batch, _share(data, shards)).sum(0), shards)


def _share(data: EvalSet, shards: int) -> EvalSet:
    """The batches of one of so many devices; where they are not enough for all, one again, as padding."""
    if shards == 1:
        return data
    at = jnp.arange(-(-len(data.labels) // shards)) * shards + jax.lax.axis_index(DATA)
    there, known = at < len(data.labels), jnp.minimum(at, len(data.labels) - 1)
    return EvalSet(data.images[known], jnp.where(there[:, None], data.labels[known], -1))


def _together(counts: Any, shards: int) -> Any:
    return jax.lax.psum(counts, DATA) if shards > 1 else counts


def predict(recipe: Recipe, bank: Bank, variables: dict, images: Shaped[Array, "n b *S C"]) -> Float[Array, "n b K"]:
    """Logits of one member for images in batches."""
    return jax.lax.map(lambda part: recipe.logits(variables, bank.normalized(part)), images)


@functools.cache  # what was compiled is known by what was asked
def maps_of(layer: int) -> Callable[..., Float[Array, "n b h w c"]]:
    """What `answers` asks for feature maps after a block, counted as Python does."""

    def ask(recipe: Recipe, bank: Bank, variables: dict, images: Array) -> Array:
        network = recipe.build_model()

        def batch(part: Array) -> Array:
            return models.features(network, variables, bank.normalized(part).astype(recipe.precision), layer)[1]

        return jax.lax.map(batch, images)

    return ask


def embeddings(recipe: Recipe, bank: Bank, variables: dict, images: Shaped[Array, "n b *S C"]) -> Float[Array, "n b D"]:
    """What the last layer of one member is given of images in batches; see `models.embeddings`."""
    ask = functools.partial(models.embeddings, recipe.build_model(), variables)
    return jax.lax.map(lambda part: ask(bank.normalized(part).astype(recipe.precision)), images)


def expert_logits(
    recipe: Recipe, variables: Any, images: Float[Array, "B *S C"], statistics: str = "running"
) -> Float[Array, "B K"]:
    """What an expert says about a batch of images, as networks see them.

    Args:
      recipe, variables: of the expert.
      images: the batch; for batch statistics at least four, see `halves`.
      statistics: those that batch norm goes by: `running`, as training left them, or `batch`, of each half of this batch.

    Reference: Cui et al. (2025), "Dataset Distillation via Committee Voting", section 3: batch-specific soft labels.
    """
    if statistics == "running":
        return recipe.logits(variables, images)
    is_own = isinstance(recipe.build_model(), models.Network)
    options = {"key": rng.key(0, Stream.MODEL)} if is_own else {}  # who draws from it gives no such labels
    state = [name for name in variables if name != "params"]
    parts = (recipe.logits(variables, part, train=True, mutable=state, **options)[0] for part in halves(images))
    return jnp.concatenate([*parts])


def halves(batch: Any) -> tuple[Any, Any]:
    """The two parts of a batch that have statistics of their own; of an odd one the first is smaller by one."""
    return batch[: len(batch) // 2], batch[len(batch) // 2 :]


def answers(
    recipe: Recipe,
    normalizer: Normalizer,
    stored: Images,
    networks: Iterable[Any],
    lowering: str = "auto",
    ask: Callable[..., Any] = predict,
) -> Iterator[Float32[np.ndarray, "E N ..."]]:
    """What networks say about images as `Normalizer.store` gives them: logits [E, N, K], if nothing else is asked.

    Args:
      recipe, normalizer: of all networks, and what they see.
      networks: variables of E of them at a time, stacked.
      lowering: of their convolutions.
      ask: what, of each network: `predict`, `embeddings` or `maps_of` a layer.
    """
    at_a_time = cost.evaluation_batch(recipe, stored.shape[1:])
    each = min(len(stored), max(1, _ON_DEVICE // (math.prod(stored.shape[1:]) * stored.dtype.itemsize)))

    def piece(start: int) -> Array:
        part = stored[start : start + each]
        return jax.device_put(eval_set(part, np.zeros(len(part), np.int32), at_a_time, each).images)

    first = piece(0)
    bank = make_bank(normalizer, first[:0, 0], np.zeros((0, recipe.num_classes), np.float32))
    code = *recipe.code().items(), imports.stamps(), target.platform()
    for variables in networks:
        found = []
        for start in range(0, max(1, len(stored)), max(1, each)):
            said = np.asarray(_said(recipe, code, lowering, ask, bank, variables, piece(start) if start else first))
            found.append(said.reshape(len(said), -1, *said.shape[3:])[:, : min(each, len(stored) - start)])
        yield found[0] if len(found) == 1 else np.concatenate(found, axis=1)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))  # `code` is here to be known by
def _said(recipe: Recipe, code: tuple, lowering: str, ask: Any, bank: Bank, variables: Any, images: Any) -> Any:
    with conv.exactly(lowering):
        return jax.lax.map(lambda one: ask(recipe, bank, one, images), variables)
