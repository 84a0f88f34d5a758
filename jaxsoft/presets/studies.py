"""What is known of a dataset that is studied, and sweeps that are written from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from jaxsoft import errors

LOSSES = ("soft_cross_entropy", "kl(20, scaled=true)", "mse", "cosine", "gift", "squared_error")
"""What students may minimise, the most asked for first. Scaled, `kl` has gradients of the size of the others."""
_RATES = {"adamw": (1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2), "sgd": (5e-3, 1e-2, 5e-2, 0.1, 0.5)}

Age = int | float
"""Of a teacher: an epoch (int), or the first one to reach a validation accuracy (float, a fraction)."""

Config = Any  # an `ml_collections.ConfigDict`, whose keys no type checker knows


@dataclass(frozen=True)
class Study:
    """A dataset and how it is studied."""

    config: Config  # complete but for the sweep; `sweep` writes that
    num_classes: int  # K; 0 if it is not known before the data is read
    small: bool  # the grids are those of a study of minutes, not the paper's
    ipc: tuple[int, ...]  # a few budgets, images per class
    curve: tuple[int, ...]  # budgets for a curve
    epochs: tuple[Age, ...]  # a grid of teacher ages
    stages: tuple[Age, ...]  # an early, a middle and a late one
    best: Mapping[int, Age]  # budget -> the age that is best for it
    rates: tuple[float, ...] = (5e-4, 1e-3, 5e-3, 1e-2, 5e-2)  # learning rates to compare
    rate: Mapping[int, float] = field(default_factory=dict)  # budget -> the student's, where one rate does not fit all
    exchange: tuple[Age, Age, Age] = (11, 20, 50)  # of data for knowledge; TinyImageNet's, whose rate others share
    expected: Mapping[int, float] = field(default_factory=dict)  # epoch -> validation accuracy, as found before
    pooled: bool = False  # the teacher is all experts, not the first
    seeds: int = 5  # how many
    quick: bool = False  # less of everything; shows that the machine works, not what is claimed
    asked: SimpleNamespace = field(default_factory=SimpleNamespace)  # what arguments of its own an experiment was given

    def classes(self) -> int:
        """K, or a ConfigError if it is not known."""
        if not self.num_classes:
            raise errors.ConfigError(
                f"config argument classes expects the number of classes of {self.config.data.name}, such as classes=10"
            )
        return self.num_classes

    def budgets(self, known: Iterable[int]) -> tuple[int, ...]:
        """The budgets that the argument ipc asks for, or all; of a study that is not small only those that are `known`."""
        asked = self.asked.ipc
        if not self.small and (others := sorted({*asked} - {*known})):
            told = f"{', '.join(map(str, known))} (table 7), got {', '.join(map(str, others))}"
            raise errors.ConfigError(f"config argument ipc expects some of {told}")
        return asked or self.ipc

    def teacher(self, age: Age) -> str:
        """The label spec of the teacher at an age: one expert, or all of them pooled."""
        experts = self.config.teacher.experts
        return f"teachers({experts}, {when(age)})" if self.pooled and experts > 1 else f"teacher({when(age)})"

    def best_age(self, ipc: int) -> Age:
        """The teacher's age that is best for a budget; for budgets in between, that of the next smaller one."""
        return _at(self.best, ipc)

    def epoch_near(self, age: Age) -> int:
        """An age as an epoch, where nothing else will do: of those expected, the nearest to its accuracy."""
        return age if isinstance(age, int) else min(self.expected, key=lambda epoch: abs(self.expected[epoch] - age))

    def wide_rates(self) -> tuple[float, ...]:
        """Learning rates that leave room for the best of any loss: on logits it is larger than that of a cross-entropy."""
        found = _RATES[self.config.student.optimizer.partition("(")[0]]
        return found[1:4:2] if self.quick else found

    def every(self, step: int) -> tuple[int, ...]:
        """Every so many epochs of the teacher's trajectory."""
        return tuple(range(step, self.config.teacher.epochs + 1, step))

    def sweep(self, axes: Mapping[str, Iterable[Any]]) -> Config:
        """Write the sweep: the product of the axes, and seeds.

        Args:
          axes: name -> values, in the order of the product; names that advance together, such as "ipc labels", have
            rows of values. Seeds come last unless they are named. Where the rate depends on the budget it goes along.

        Returns:
          The whole config.
        """
        own, entries = self.config.sweep, []
        for entry, rows in axes.items():
            names, columns = entry.split(), list(zip(*(row if " " in entry else (row,) for row in rows), strict=True))
            if self.rate and "ipc" in names and not any("learning_rate" in other.split() for other in axes):
                names.append("learning_rate")
                columns.append(tuple(_at(self.rate, ipc) for ipc in columns[names.index("ipc")]))
            for name, column in zip(names, columns, strict=True):
                own[name] = column
            entries.append(" ".join(names))
        own.axes = tuple(entries if "seed" in axes else [*entries, "seed"])
        return self.config

    def soft_against_hard(self, budgets: Iterable[int]) -> Config:
        """Hard labels beside the teacher's at each budget's best age; beside all stages in a small study."""
        if self.small:
            return self.sweep({"ipc": budgets, "labels": ("hard", *map(self.teacher, self.stages))})
        cells = [(ipc, text) for ipc in budgets for text in ("hard", self.teacher(self.best_age(ipc)))]
        return self.sweep({"ipc labels": cells})


def when(age: Age) -> str:
    """An age as an argument of a label spec.

    >>> when(20), when(0.56)
    ('epoch=20', 'accuracy=0.56')
    """
    return f"epoch={age}" if isinstance(age, int) else f"accuracy={age:g}"


def _at(table: Mapping[int, Any], ipc: int) -> Any:
    """The entry of the largest budget that is not above this one; of the smallest where there is none."""
    return table[max((known for known in table if known <= ipc), default=min(table))]
