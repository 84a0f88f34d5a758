"""Learning the labels of many subsets at once: the axis M, the devices, and looks at what is learned so far."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from jaxsoft import errors, target
from jaxsoft.config.settings import Learned
from jaxsoft.experiment.learned.one import ImageSet, Judged, Lesson, outer_steps
from jaxsoft.ops import conv
from jaxsoft.training import cost
from jaxsoft.training.recipe import Recipe

_SPREAD, _SHARED = PartitionSpec("subset"), PartitionSpec()


class Evaluation(NamedTuple):
    """What is seen before the first outer step and after every `look_outer_steps`."""

    outer_step: int  # outer steps behind
    rows: Float[np.ndarray, "M S K"]  # the labels as they are
    meta_loss: Float[np.ndarray, "M"]  # mean since the last look, in nats; NaN at the first
    judged: Judged  # on these labels


def place(lesson: Lesson, subsets: ImageSet) -> tuple[Lesson, ImageSet]:
    """Put both on the devices: a copy of the lesson on each, and of the subsets equally many."""
    return jax.device_put((lesson, subsets), places(jax.local_devices()))


def places(devices: Sequence[Any]) -> tuple[NamedSharding, NamedSharding]:
    """How a lesson and what there is of each subset lie on some devices, which may be only a description."""
    mesh = Mesh(np.array(devices), ("subset",))
    return NamedSharding(mesh, _SHARED), NamedSharding(mesh, _SPREAD)


def mesh_of(subsets: ImageSet) -> Mesh:
    """The devices on which subsets lie; for those that are still on the host, all local ones."""
    there: Any = getattr(subsets.seed, "sharding", None) or places(jax.local_devices())[1]
    return there.mesh


def learn(lesson: Lesson, subsets: ImageSet) -> Iterator[Evaluation]:
    """Learn the labels of several subsets at once; those of each depend on its seed and its images alone.

    The labels of the last look are the result. None is chosen on validation, so validation compares them fairly. Seeds
    [M] and images [M, S] are spread over the devices, whose number divides M.

    Raises:
      ConfigError: settings with which students, judges or labels do not stay finite.
    """
    settings, every = lesson.settings, lesson.settings.look_outer_steps
    mesh, loss = mesh_of(subsets), np.full(len(subsets.seed), np.nan, np.float32)
    learner = _start(lesson, subsets, mesh=mesh)
    for done in range(0, outer_steps(settings) + 1, every):
        if done:
            learner, loss = _chunk(lesson, subsets, learner, np.int32(done - every), mesh=mesh)
            loss = np.asarray(loss)
            if (lost := np.flatnonzero(~np.isfinite(loss))).size:  # no student moved these labels
                whose = f"the labels of the subset of seed {int(subsets.seed[lost[0]])}"
                told = f"no student stayed finite in outer steps {done - every + 1} to {done} of {whose}"
                raise errors.ConfigError(f"{told}; {_todo(lesson)}")
        rows = jax.nn.softmax(learner.logits)
        if not np.isfinite(rows).all():
            todo = f"lower config.learned.outer_learning_rate ({settings.outer_learning_rate:g})"
            raise errors.ConfigError(f"learned labels are not finite; {todo}")
        yield Evaluation(done, np.asarray(rows), loss, judge(lesson, subsets, rows))


def judge(lesson: Lesson, subsets: ImageSet, rows: Float[Array | np.ndarray, "M R K"], part: str = "learned") -> Judged:
    """What students reach on any labels: for learned ones and others equal seeds, equal training.

    Raises:
      ConfigError: all judges of a subset diverged, trained as a `part` of the settings says; one that did knows as little
        as it knew then.
    """
    judged = Judged(*map(np.asarray, _validate(lesson, subsets, rows, mesh=mesh_of(subsets))))
    if not judged.judges.all():
        first = judged.bad_step[judged.judges == 0].min()
        what = "learned labels" if part == "learned" else "an expert's labels"
        told = f"all {lesson.settings.judges} judges of {what} diverged, the first at step {first}"
        raise errors.ConfigError(f"{told}: its loss or update is not finite; {_todo(lesson, part)}")
    return judged


def turns(sizes: Mapping[str, int], most: Callable[[int], int]) -> Iterator[list[str]]:
    """Keys of subsets of equal size, at `most(size)` at once, evenly, and equally many for each device."""
    for size in dict.fromkeys(sizes.values()):
        alike, devices = [key for key in sizes if sizes[key] == size], target.current().devices // jax.process_count()
        count = math.ceil(len(alike) / math.ceil(len(alike) / max(1, most(size))))
        count += -count % devices
        alike += alike[-1:] * (-len(alike) % count)  # one program serves all turns; the last one is filled up
        yield from (alike[start : start + count] for start in range(0, len(alike), count))


def subset_bytes(settings: Learned, recipe: Recipe, image_shape: tuple[int, ...]) -> int:
    """What learning the labels of one subset takes at its peak, with room: some twice what XLA plans on CPU."""
    state = cost.state_bytes(recipe, image_shape)
    step, meta = (cost.activation_bytes(recipe, image_shape, n)[1] for n in (recipe.batch, settings.meta_batch))
    seen = cost.activation_bytes(recipe, image_shape, cost.evaluation_batch(recipe, image_shape))[0]
    students = settings.students * ((settings.window_steps + 4) * state + max(2 * step, meta // 2))
    return students + settings.judges * (2 * state + max(step // 2, 2 * seen))


def _todo(lesson: Lesson, part: str = "learned") -> str:
    rate = f"lower config.{part}.learning_rate ({lesson.settings.learning_rate:g})"
    return f"{rate} or change config.{part}.optimizer ({lesson.recipe.optimizer})"


def _spread(method: Callable, *specs: PartitionSpec, donate: tuple[int, ...] = ()) -> Callable:
    """A method of `Lesson` for many subsets, spread over the devices of a mesh."""
    axes = tuple(None if spec == _SHARED else 0 for spec in specs)

    def many(lesson: Lesson, *args: Any) -> Any:
        with conv.exactly(lesson.lowering):
            return jax.vmap(functools.partial(method, lesson), axes)(*args)

    def apart(lesson: Lesson, *args: Any, mesh: Mesh) -> Any:
        spread = jax.shard_map(many, mesh=mesh, in_specs=(_SHARED, *specs), out_specs=_SPREAD, check_vma=False)
        with target.aimed(target.of(mesh.devices.ravel().tolist())):
            return spread(lesson, *args)

    return jax.jit(apart, static_argnames="mesh", donate_argnums=donate)


_start = _spread(Lesson.start, _SPREAD)
_chunk = _spread(Lesson.chunk, _SPREAD, _SPREAD, _SHARED, donate=(2,))
_validate = _spread(Lesson.validate, _SPREAD, _SPREAD)
