"""Learning the labels of many subsets at once: the axis M, the devices, and looks at what is learned so far."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Float, Int

from jaxsoft import errors
from jaxsoft.config.settings import Learned
from jaxsoft.experiment.learned import one
from jaxsoft.experiment.learned.one import ImageSet, Judged, Material
from jaxsoft.ops import conv
from jaxsoft.training import cost
from jaxsoft.training.fit import Recipe

_SPREAD, _SHARED = PartitionSpec("subset"), PartitionSpec()


class Evaluation(NamedTuple):
    """What is seen before the first outer step and after every `look_outer_steps`.

    Attributes:
      outer_step: outer steps behind.
      rows: the labels as they are.
      meta_loss: mean since the last look, in nats; NaN at the first.
      val_accuracy: of judges, students trained from scratch on these labels; mean over those that finished, in [0, 1].
      judges: how many finished.
    """

    outer_step: int
    rows: Float[np.ndarray, "M S K"]
    meta_loss: Float[np.ndarray, "M"]
    val_accuracy: Float[np.ndarray, "M"]
    judges: Int[np.ndarray, "M"]


def learn(
    settings: Learned, recipe: Recipe, material: Material, subsets: ImageSet, lowering: str = "auto"
) -> Iterator[Evaluation]:
    """Learn the labels of several subsets at once; those of each depend on its seed and its images alone.

    The labels of the last look are the result. None is chosen on validation, so validation compares them fairly.

    Args:
      settings: how.
      recipe: of the students.
      material: what they read, and what judges them.
      subsets: seeds [M] and images [M, S].
      lowering: of convolutions.

    Raises:
      ConfigError: settings that do not fit each other or the data, or with which students or labels do not stay finite.
    """
    one.check(settings, len(material.classes), subsets.images.shape[1])
    count, every = len(subsets.seed), settings.look_outer_steps
    begin, advance, validate = _programs(settings, recipe, lowering)
    material, subsets = _placed(material, subsets)
    learner, loss = begin(material, subsets), np.full(count, np.nan, np.float32)
    for done in range(0, one.outer_steps(settings) + 1, every):
        if done:
            learner, loss = advance(material, subsets, learner, np.int32(done - every))
            _check_learned(settings, np.asarray(loss)[:count], subsets, done)
        rows = jax.nn.softmax(learner.logits)
        if not np.isfinite(rows).all():
            todo = f"lower config.learned.outer_learning_rate ({settings.outer_learning_rate:g})"
            raise errors.ConfigError(f"learned labels are not finite; {todo}")
        heard = _heard(settings, validate(material, subsets, rows))
        yield Evaluation(done, *(np.asarray(a)[:count] for a in (rows, loss, heard.accuracy, heard.judges)))


def judge(
    settings: Learned,
    recipe: Recipe,
    material: Material,
    subsets: ImageSet,
    rows: Float[np.ndarray, "M S K"],
    lowering: str = "auto",
) -> Float[np.ndarray, "M"]:
    """Validation accuracy of any labels, by the judges that see the learned ones: equal seeds, equal training.

    Raises:
      ConfigError: all judges of a subset diverged.
    """
    material, subsets = _placed(material, subsets)
    validate = _programs(settings, recipe, lowering)[2]
    return np.asarray(_heard(settings, validate(material, subsets, _filled_up(rows))).accuracy)[: len(rows)]


def subset_bytes(settings: Learned, recipe: Recipe, image_shape: tuple[int, ...]) -> int:
    """What learning the labels of one subset takes at its peak, with room: some twice what XLA plans on CPU."""
    state = cost.state_bytes(recipe, image_shape)
    step, meta = (cost.activation_bytes(recipe, image_shape, n)[1] for n in (recipe.batch, settings.meta_batch))
    seen = cost.activation_bytes(recipe, image_shape, cost.evaluation_batch(recipe, image_shape))[0]
    students = settings.students * ((settings.window_steps + 4) * state + max(2 * step, meta // 2))
    return students + settings.judges * (2 * state + max(step // 2, 2 * seen))


def _heard(settings: Learned, judged: Judged) -> Judged:
    """What judges said, if any of them can be heard: one that diverged knows as little as it knew then."""
    if (np.asarray(judged.judges) == 0).any():
        first = np.asarray(judged.bad_step)[np.asarray(judged.judges) == 0].min()
        told = f"all {settings.judges} judges of learned labels diverged, the first at step {first}"
        raise errors.ConfigError(f"{told}: its loss or update is not finite; {_todo(settings)}")
    return judged


def _check_learned(settings: Learned, loss: Float[np.ndarray, "M"], subsets: ImageSet, done: int) -> None:
    """Refuse labels that stayed as they were because every student of the pool diverged."""
    if (lost := np.flatnonzero(~np.isfinite(loss))).size:
        when = f"outer steps {done - settings.look_outer_steps + 1} to {done}"
        who = f"the labels of the subset of seed {int(subsets.seed[lost[0]])}"
        raise errors.ConfigError(f"no student stayed finite in {when} of {who}; {_todo(settings)}")


def _todo(settings: Learned) -> str:
    rate, optimizer = f"{settings.learning_rate:g}", settings.optimizer
    return f"lower config.learned.learning_rate ({rate}) or change config.learned.optimizer ({optimizer})"


@functools.lru_cache(8)
def _programs(settings: Learned, recipe: Recipe, lowering: str) -> tuple[Callable, ...]:
    """`start`, `chunk` and `validate` of `one` for many subsets, spread over the devices."""

    def spread(function: Callable, *specs: PartitionSpec, donate: tuple[int, ...] = ()) -> Callable:
        axes = tuple(None if spec == _SHARED else 0 for spec in specs)

        def many(*args: Any) -> Any:
            with conv.exactly(lowering):
                return jax.vmap(functools.partial(function, settings, recipe), axes)(*args)

        apart = jax.shard_map(many, mesh=_mesh(), in_specs=specs, out_specs=_SPREAD, check_vma=False)
        return jax.jit(apart, donate_argnums=donate)

    return (
        spread(one.start, _SHARED, _SPREAD),
        spread(one.chunk, _SHARED, _SPREAD, _SPREAD, _SHARED, donate=(2,)),
        spread(one.validate, _SHARED, _SPREAD, _SPREAD),
    )


def _mesh() -> Mesh:
    return Mesh(np.array(jax.local_devices()), ("subset",))


def _placed(material: Material, subsets: ImageSet) -> tuple[Material, ImageSet]:
    mesh = _mesh()
    filled: Any = map(_filled_up, subsets)
    return jax.device_put((material, ImageSet(*filled)), (NamedSharding(mesh, _SHARED), NamedSharding(mesh, _SPREAD)))


def _filled_up(values: Any) -> np.ndarray:
    """The last subset repeated, so that every device has equally many."""
    return np.concatenate([values, np.repeat(values[-1:], -len(values) % jax.local_device_count(), axis=0)])
