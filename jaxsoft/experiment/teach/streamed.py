"""Experts whose images come from the disk: windows of a few steps go to the devices while later ones are made ready.

All experts of a cohort see the same windows, in one order and with the same crops, as decoding is what limits; they
differ in where they begin, and in what is drawn on the devices.
"""

import collections
import contextlib
import math
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from jaxsoft import config, target
from jaxsoft.data import stream
from jaxsoft.data.encoded import Encoded
from jaxsoft.data.normalize import Normalizer
from jaxsoft.experiment.machine import memory
from jaxsoft.experiment.teach.course import Pace, Seen
from jaxsoft.experiment.teach.resident import sample
from jaxsoft.training.ensemble import Judged, Member, Program, Report, Students
from jaxsoft.training.fit import Window, make_bank
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset, Split

_WINDOW_BYTES = {"cpu": 4 << 20}  # a window is a boundary: a CPU takes seconds for one of large images
_USUAL_BYTES, _MOST_STEPS = 256 << 20, 128
_IN_FLIGHT = 2  # windows that the devices have been given at most
_SHARE = 0.5  # of a device's memory, that images may fill


class Streamed:
    """Teaches from windows, and looks at splits window by window."""

    def __init__(
        self,
        program: Program,
        members: Member,
        dataset: Dataset,
        normalizer: Normalizer,
        epochs: int,
        compute: config.Compute,
    ):
        """`epochs` of them in all; the first expert's seed is that of orders and crops."""
        ((self._recipe, *_),) = program.buckets
        self._program, self._dataset, self._normalizer = program, dataset, normalizer
        self._epochs, self._seed = epochs, int(members.seed[0])
        workers, threads = stream.chosen(compute.workers, compute.threads)
        self._decoding = {"workers": workers, "threads": threads}
        self._looking = {"threads": min(max(1, workers) * threads, stream.MOST_THREADS)}  # processes would begin anew
        none = np.zeros((0, *dataset.image_shape), np.uint8)
        bank = make_bank(normalizer, none, np.eye(dataset.num_classes, dtype=np.float32))
        self._bank, self._members = program.place(bank, (members,))
        self._each = self._recipe.steps_per_epoch(len(dataset.train))
        self._window = window_steps(self._recipe, dataset.image_shape)
        self._sample = [*self._in_order(sample(dataset.train))]

    def look(self, students: tuple[Students, ...]) -> Report:
        """As `Resident.look`; the validation images are decoded anew."""
        looked = self._in_order(self._dataset.validation), self._sample
        accuracy, entropy = (np.stack(each, axis=1) for each in zip(*(self._judged(one, students) for one in looked)))
        told: tuple[Any, ...] = np.zeros(len(accuracy)), accuracy, entropy
        return Report(*told)

    def course(self, students: tuple[Students, ...], step: int, last: int, so_far: Any) -> Generator[Seen, None, None]:
        """Teach from a step up to an epoch, a window at a time; `so_far` is what `Seen` gave. What is read ahead is closed."""
        losses, meter = Losses(so_far), Meter(step)
        windows = self._windows(self._dataset.train, self._seed, step, last * self._each)
        with contextlib.closing(windows), contextlib.closing(meter):
            while step < last * self._each:
                count = min(self._window, self._each - step % self._each)
                window, compiled = meter.next(windows), self._program.compile_seconds
                students, (loss,) = self._program.learn(self._bank, window, self._members, students, step)
                meter.sent(loss, self._program.compile_seconds - compiled)
                losses.add(loss, count)
                step += count
                if step % self._each:
                    yield Seen(step, students[0], None, losses.so_far, self._pace(step, meter))
                    continue
                mean = losses.mean()
                pace = self._pace(step, meter)  # after the mean: the devices are done with the epoch
                yield Seen(step, students[0], self.look(students)._replace(loss=mean), pace=pace)
                losses = Losses(None)
                meter.begin(step)

    def _pace(self, step: int, meter: "Meter") -> Pace:
        """Of the epoch that the last steps were of."""
        before, images = (step - 1) // self._each, len(self._dataset.train)
        done = min((step - before * self._each) * self._recipe.batch, images)
        earlier = meter.first_step % self._each * self._recipe.batch
        return Pace(before + 1, self._epochs, done, images, *meter.times(), earlier)

    def _windows(self, split: Split, seed: int | None, step: int, last: int) -> Generator[Window, None, None]:
        """From a step up to another; an epoch begins with a window of its own. Of several processes each has its share."""
        what = split, self._recipe.batch, self._window, seed, step, last
        decoding = self._looking if seed is None else self._decoding
        found = stream.windows(*what, share=self._program.share, **decoding)
        with contextlib.closing(found):
            for images, labels in found:
                flat = self._normalizer.store(images.reshape(-1, *images.shape[2:]))
                yield self._program.place_window(Window(np.reshape(flat, images.shape), labels))

    def _in_order(self, split: Split) -> Iterator[Window]:
        """A split as it is seen in evaluation."""
        steps = stream.steps_per_epoch(len(split), self._recipe.batch)
        return self._windows(split, None, 0, steps) if steps else iter(())

    def _judged(self, windows: Iterable[Window], students: tuple[Students, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Accuracy and mean entropy of each expert; of no images, NaN."""
        sums, said = np.zeros((3, self._program.buckets[0].members)), None
        for window in windows:
            before, (said,) = said, self._program.judge(self._bank, window, students)
            sums += 0 if before is None else _sums(before)  # while the devices are at the next one
        sums += 0 if said is None else _sums(said)
        with np.errstate(invalid="ignore"):
            return sums[0] / sums[2], sums[1] / sums[2]


class Losses:
    """Losses of an epoch's windows, on the devices until they are asked for; added one by one, so that they can go on."""

    def __init__(self, so_far: Any):
        self._sum, self._steps = so_far or (0.0, 0)
        self._later: list[tuple[Any, int]] = []

    def add(self, mean: Any, steps: int) -> None:
        """Those of a window: their mean over its steps, of each expert."""
        self._later.append((mean, steps))

    def so_far(self) -> tuple[Any, int]:
        """As JSON."""
        for mean, steps in self._later:
            self._sum = np.asarray(self._sum) + steps * np.asarray(mean, np.float64)
            self._steps += steps
        self._later.clear()
        return np.asarray(self._sum).tolist(), self._steps

    def mean(self) -> np.ndarray:
        """Over the steps of the epoch, of each expert."""
        total, steps = self.so_far()
        return np.asarray(total) / steps


class Meter:
    """How long devices wait for windows. A thread sees when they are done with one."""

    def __init__(self, first_step: int):
        self._thread, self._flying = ThreadPoolExecutor(1), collections.deque[Future[float]]()
        self.begin(first_step)

    def begin(self, first_step: int) -> None:
        """Count anew, from this step on."""
        self.first_step, self._began, self._waited = first_step, time.monotonic(), 0.0

    def next(self, windows: Iterator[Window]) -> Window:
        """The next window; not before the devices are done with all but the last that they were given."""
        window, free = next(windows), self._began
        while len(self._flying) >= _IN_FLIGHT or (self._flying and self._flying[0].done()):
            free = max(free, self._flying.popleft().result())
        if not self._flying:
            self._waited += time.monotonic() - free
        return window

    def sent(self, loss: Any, compiling: float) -> None:
        """The devices were given a window, and will say this of it; so many seconds before it do not count."""
        self._began += compiling
        self._flying.append(self._thread.submit(lambda: (jax.block_until_ready(loss), time.monotonic())[1]))

    def times(self) -> tuple[float, float]:
        """Seconds since it began to count, and those that devices waited."""
        return time.monotonic() - self._began, self._waited

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()


def window_steps(recipe: Recipe, image_shape: tuple[int, ...]) -> int:
    """Steps of a window: as many as have room in it, spread evenly over an epoch."""
    room = _WINDOW_BYTES.get(target.platform(), _USUAL_BYTES)
    most = min(max(1, room // (recipe.batch * math.prod(image_shape))), _MOST_STEPS)
    steps = recipe.steps_per_epoch(recipe.slots)
    return -(-steps // -(-steps // most))


def is_streamed(dataset: Dataset, stream: str, normalization: str) -> bool:
    """Whether the images of a dataset come window by window, as `config.teacher.stream` says."""
    images = dataset.train.images
    size = math.prod(images.shape) * (4 if normalization.startswith("zca") else images.dtype.itemsize)
    large = size > _SHARE * (target.current().memory or memory.host_bytes())
    return stream == "always" or (stream == "auto" and (isinstance(images, Encoded) or large))


def _sums(said: Judged) -> np.ndarray:
    """Correct ones, entropies and images, of each expert."""
    correct, entropy = (np.asarray(a, np.float64) for a in (said.correct, said.entropy))
    return np.stack([correct, entropy, np.full(len(correct), np.asarray(said.count))])
