"""The values that flow from one stage to the next.

Axis letters: B batch, N images, S slots, K classes, H W C image, E experts, P epochs kept, A label specs, M members.
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
    from them when they are used, whatever is given. `sound` says that all of this holds; a copy has to show it anew.
    """

    name: str
    class_names: Sequence[str]
    train: Split
    validation: Split
    test: Split
    fingerprint: str = ""
    source: str = ""
    licence: str = ""
    sound: bool = field(default=False, init=False, repr=False, compare=False)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return tuple(self.train.images.shape[1:])
