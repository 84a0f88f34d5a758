"""The values that flow from one stage to the next.

Axis letters: B batch, N images, S slots, K classes, H W C image, T H W C clip, *S C either, E experts, P epochs kept, A label specs, M members.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
"""One line of results: column name -> value. Accuracies are fractions in [0, 1]."""

History = Sequence[Mapping[str, Any]]
"""One expert, one record an epoch: `epoch`, `val_accuracy` (fraction), `label_entropy` (nats)."""


@dataclass(frozen=True)
class Split:
    """Images and their integer labels.

    Inside the package images are uint8, or float32 in [0, 1], [N, H, W, C], perhaps a memory map, and labels int32 [N].
    Clips of T frames are images with one axis more, [N, T, H, W, C].
    Your own may be of other types: `data/arrays.py` says which are converted; others are refused.
    """

    images: Any
    labels: Any

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """Three splits and where they come from.

    `validation` is carved from the published training images by a fixed rule; `test` is opened once, at the end.
    `fingerprint` is a SHA-256 in hex that stands for pixels, labels and the split. That of your own arrays is computed
    from them when they are used, whatever is given. `sets` are the imported sets, by digest, whose images students may
    read beside `train`; `distilled/pool.py` joins them. `sound` says that all of this holds; a copy has to show it anew.
    """

    name: str
    class_names: Sequence[str]
    train: Split
    validation: Split
    test: Split
    fingerprint: str = ""
    source: str = ""
    licence: str = ""
    sets: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    sound: bool = field(default=False, init=False, repr=False, compare=False)

    @classmethod
    def from_arrays(
        cls,
        images: Any,
        labels: Any,
        *,
        class_names: Any = None,
        validation: Any = 0.1,
        test: Any = None,
        name: str = "own",
    ) -> "Dataset":
        """A dataset of your own images, which are copied.

        Args:
          images: [N, H, W, C] or [N, H, W] of any size, or clips [N, T, H, W, C]: uint8, floats in [0, 1], or what
            `data/arrays.py` can tell.
          labels: [N], class numbers 0 to K - 1; classes may differ in size.
          class_names: K of them; the numbers if not given.
          validation: (images, labels), or the share of each class that becomes it, by a fixed shuffle and at least one
            image, of what `test` leaves; none if 0.
          test: likewise, of all images; a fifth if not given.
          name: the column `dataset` of the results.

        Raises:
          ConfigError: a share that there is not, or that leaves a class without train images.
          DataError: arrays that are not clear; names the first row that is wrong.

        >>> import numpy as np
        >>> data = Dataset.from_arrays(np.random.default_rng(0).random((40, 8, 6)), np.arange(40) % 4)
        >>> len(data.train), len(data.validation), len(data.test), data.image_shape
        (28, 4, 8, (8, 6, 1))
        """
        from jaxsoft.data import own  # the one import that goes up: arrays are checked there

        return own.from_arrays(images, labels, class_names, validation, test, name)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """H, W, C; of clips T, H, W, C."""
        return tuple(self.train.images.shape[1:])
