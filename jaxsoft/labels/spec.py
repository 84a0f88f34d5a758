"""The label spec: where labels come from and what is then done to them, as one string.

`teacher(epoch=11)|temperature(2)|topk(10)` is a source, then operations of `jaxsoft/labels/ops.py` from left to right.
The sources are the five functions below, or a function of the user's own that gives rows. A spec is parsed, bound and
checked once, before any data is read; who wants to know something about labels asks for the parts of what `parse` gave.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxsoft import errors, imports, rng
from jaxsoft import spec as language
from jaxsoft.labels import ops, treatments
from jaxsoft.spec import Call
from jaxsoft.types import History

_UNSET: Any = None
_MOST_VIEWS = 10_000
_MEASURES = {"accuracy": ("val_accuracy", 1, "best"), "entropy": ("label_entropy", -1, "lowest")}
"""Column of a history, the sign of what is better, and the word for the best."""


@dataclasses.dataclass(frozen=True)
class LabelSpec:
    """A source of labels and the operations that follow. Made by `parse`; `str` gives its one canonical text.

    At most one of `epoch`, `accuracy` and `entropy` is set. None of them: the epoch is open, and is filled from the
    member's `teacher_epoch` by `with_epoch`.

    >>> str(spec := LabelSpec.parse("teacher(0, epoch=11) | temperature(t=2.0) | smooth"))
    'teacher(epoch=11)|temperature(2)|smooth(0.1)'
    >>> spec.source, spec.epoch, spec.operations[1].name, spec.operations[1].args
    ('teacher', 11, 'smooth', (0.1,))
    >>> str(dataclasses.replace(spec, epoch=None, operations=spec.operations[:1]))
    'teacher|temperature(2)'
    """

    experts: tuple[int, ...] = ()  # whose logits are read; none for hard and for learned labels
    pool: str = "logits"  # of several experts; or `probabilities`
    views: int = 0  # labels of one image, each of a view of its own; 0: one label, of the image as it is
    is_learned: bool = False
    file: str = ""  # of rows of one's own, or their name once they are read
    is_logits: bool = False  # what that file holds
    function: Call | None = None  # of one's own, that gives rows, until it is asked
    rows: str = ""  # the digest of the rows, once they are read (`given.py`)
    epoch: int | None = None
    accuracy: float | None = None
    entropy: float | None = None
    operations: tuple[Call, ...] = ()  # of `jaxsoft/labels/ops.py`, with all arguments by position, defaults too

    def __post_init__(self) -> None:
        when = self.when
        _require(len(when) <= 1, "give one of epoch, accuracy and entropy", " and ".join(when))
        _require(when.get("epoch", 0) >= 0, "epoch must be 0 or more", self.epoch)
        _require(0 < when.get("accuracy", 1) <= 1, "accuracy must be a fraction in (0, 1]", self.accuracy)
        _require(0 <= when.get("entropy", 0) < math.inf, "entropy must be 0 nats or more", self.entropy)
        _require(0 <= self.views <= _MOST_VIEWS, f"views must be in 0..{_MOST_VIEWS}", self.views)

    @staticmethod
    @imports.cached  # a run asks for the specs of its members again and again; for a kB each they are kept
    def parse(text: str) -> "LabelSpec":
        """Read a label spec, and bind every argument.

        Raises:
          ConfigError: unreadable text, an unknown source or operation, or arguments that do not fit it.
        """
        first, *rest = language.parse(text)
        source = _source(first, text)
        for call in rest:
            if call.name in _SOURCES and call.name not in language.public_functions(ops):
                raise errors.ConfigError(f"{call.name!r} is a source of labels and can only come first (in {text!r})")
        return dataclasses.replace(source, operations=tuple(treatments.bound(call, text) for call in rest))

    def __str__(self) -> str:
        if self.function:
            return language.render((self.function, *map(_tidy, self.operations)))
        args = (self.file,) if self.file else (len(self.experts),) if self.source == "teachers" else ()
        named = {"expert": self.experts[0]} if self.source == "teacher" and self.experts[0] else {}
        named |= {} if self.pool == "logits" else {"pool": self.pool}
        named |= {name: value for name, value in (("logits", self.is_logits), ("rows", self.rows)) if value}
        named |= self.when | ({"views": self.views} if self.views else {})
        return language.render(tuple(map(_tidy, (Call(self.source, args, named), *self.operations))))

    def __hash__(self) -> int:  # operations hold dictionaries; the canonical text says the same
        return hash(str(self))

    @property
    def source(self) -> str:
        """The name of the source: `hard`, `learned`, `array`, `teacher` or `teachers`."""
        if not self.experts:
            return "array" if self.file or self.function else "learned" if self.is_learned else "hard"
        return "teacher" if len(self.experts) == 1 else "teachers"

    @property
    def when(self) -> dict[str, Any]:
        """That of epoch, accuracy and entropy which is set, by its name."""
        named = {"epoch": self.epoch, "accuracy": self.accuracy, "entropy": self.entropy}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def needs_teacher(self) -> bool:
        """Whether logits are read; the true classes suffice for `hard`."""
        return bool(self.experts)

    @property
    def reads_class(self) -> bool:
        """Whether a row depends on the true class of its image."""
        operations = (treatments.operation(call.name) for call in self.operations)
        return self.source == "hard" or any("true_class" in language.parameters(each) for each in operations)

    @property
    def is_of_subset(self) -> bool:
        """Whether a label belongs to an image of one subset, not to the image wherever it is used."""
        return self.is_learned or self.views > 0

    @property
    def has_open_epoch(self) -> bool:
        """Whether the teacher's epoch is left to the member's `teacher_epoch`."""
        return self.needs_teacher and not self.when

    def with_epoch(self, epoch: int) -> "LabelSpec":
        """Fill the epoch if it is open; any other spec stays as it is."""
        return dataclasses.replace(self, epoch=int(epoch)) if self.has_open_epoch else self

    def with_classes(self, classes: Sequence[int]) -> "LabelSpec":
        """Let class c of `drop_class` mean `classes[c]`.

        Raises:
          ConfigError: there is no such class.
        """

        def meant(operation: Call) -> Call:
            if operation.name != "drop_class":
                return operation
            (c,) = operation.args
            _require(c < len(classes), f"drop_class: c must be in 0..{len(classes) - 1}", c)
            return Call("drop_class", (int(classes[c]),))

        return dataclasses.replace(self, operations=tuple(map(meant, self.operations)))

    def resolve(self, histories: Mapping[int, History] | Sequence[History]) -> "LabelSpec":
        """Turn `accuracy` or `entropy` into the first epoch that reaches it; any other spec stays as it is.

        Pooled experts are judged by their mean at each epoch.

        Raises:
          ConfigError: no epoch reaches it, or an expert has no history.
        """
        if self.epoch is not None or not self.when:
            return self
        ((measure, goal),) = self.when.items()
        column, sign, extreme = _MEASURES[measure]
        try:
            records = [{int(r["epoch"]): float(r[column]) for r in histories[expert]} for expert in self.experts]
        except (KeyError, IndexError):
            raise errors.ConfigError(f"label spec '{self}' needs {column} of experts {self.experts}") from None
        shared = sorted(set.intersection(*map(set, records)))
        means = {epoch: sum(record[epoch] for record in records) / len(records) for epoch in shared}
        means = {epoch: mean for epoch, mean in means.items() if math.isfinite(mean)}
        for epoch, mean in means.items():
            if sign * mean >= sign * goal - 1e-6:  # 0.35 measured in float32 is a little less than 0.35
                return dataclasses.replace(self, epoch=epoch, accuracy=None, entropy=None)
        if not means:
            raise errors.ConfigError(f"label spec '{self}': no epoch of experts {self.experts} has a finite {column}")
        nearest = max(means, key=lambda epoch: sign * means[epoch])
        found = f"{extreme} is {means[nearest]:.4g} at epoch {nearest}"
        raise errors.ConfigError(f"label spec '{self}': no epoch reaches {measure} {goal:g}; {found}")

    def check(self, num_classes: int) -> None:
        """Run the operations on shapes alone, so that a bad argument is found by the plan.

        Raises:
          ConfigError: an argument is out of range for this number of classes.
        """
        scalar = jax.ShapeDtypeStruct((), jnp.int32)
        try:
            jax.eval_shape(self.treat, jax.ShapeDtypeStruct((num_classes,), jnp.float32), scalar, scalar)
        except errors.ConfigError as problem:
            raise errors.ConfigError(f"{problem} (in '{self}')") from None

    def treat(self, row: Float[Array, "K"], true_class: Int[Array, ""], image_id: Int[Array, ""]) -> Float[Array, "K"]:
        """Apply the operations to one image's row, which is not looked at if the source is `hard`.

        Operations that are random depend on the image's identity and on their turn, on nothing else.
        """
        keys = (rng.key(0, rng.Stream.LABEL, image_id, turn) for turn in itertools.count())
        first = (Call("hard"),) if self.source == "hard" else ()
        for call in (*first, *self.operations):
            wanted = language.parameters(treatments.operation(call.name))
            supplied = {"true_class": true_class} if "true_class" in wanted else {}
            supplied |= {"key": next(keys)} if "key" in wanted else {}
            row = treatments.treated(call, row, supplied)
        return row


def hard() -> LabelSpec:
    """The one-hot row of the true class; needs no teacher."""
    return LabelSpec()


def learned() -> LabelSpec:
    """Labels learned for the subset by gradient descent through the training of students (`config.learned`)."""
    return LabelSpec(is_learned=True)


def array(file: str, logits: bool = False, rows: str = "") -> LabelSpec:
    """Rows of another teacher, of one's own, in a file of NumPy: one for each training image, in their order.

    Args:
      file: .npy, or .npz of one array, [N, K]; sought beside the config, then in the current folder.
      logits: whether the rows are logits, of which the softmax is taken; else they are probabilities.
      rows: the digest of the rows, by which results know them; if given, the file must hold these.
    """
    _require(file != "", "array: a file must be named", file)
    return LabelSpec(file=file, is_logits=logits, rows=rows)


def teacher(
    expert: int = 0, epoch: int = _UNSET, accuracy: float = _UNSET, entropy: float = _UNSET, views: int = 0
) -> LabelSpec:
    """The softmax of one expert's logits.

    Args:
      expert: which expert, from 0.
      epoch: index into its trajectory, 0 is the initialisation; or
      accuracy: the first epoch whose validation accuracy (a fraction) is at least this; or
      entropy: the first epoch whose mean label entropy (nats) is at most this. None of them leaves the epoch open.
      views: how many augmented views of each image are labelled, one after the other epoch by epoch; the student sees
        the view that the label is of. 0: one label, of the image as it is.

    Raises:
      ConfigError: an argument is out of range, or more than one says when.
    """
    _require(expert >= 0, "teacher: expert must be 0 or more", expert)
    return LabelSpec((expert,), "logits", views, epoch=epoch, accuracy=accuracy, entropy=entropy)


def teachers(
    n: int = 3,
    pool: str = "logits",
    epoch: int = _UNSET,
    accuracy: float = _UNSET,
    entropy: float = _UNSET,
    views: int = 0,
) -> LabelSpec:
    """The experts 0..n-1 pooled: the softmax of their mean logits, or the mean of their probabilities.

    Args:
      n: how many experts, 1 to 1000.
      pool: `logits` or `probabilities`.
      epoch, accuracy, entropy, views: as for `teacher`; accuracy and entropy are means over the experts.
    """
    _require(1 <= n <= 1000, "teachers: n must be in 1..1000", n)
    _require(pool in ("logits", "probabilities"), "teachers: pool must be logits or probabilities", pool)
    pool = pool if n > 1 else "logits"
    return LabelSpec(tuple(range(n)), pool, views, epoch=epoch, accuracy=accuracy, entropy=entropy)


GIVEN = ("images", "labels")  # to a source of the user's own: the train split
_SOURCES = {source.__name__: source for source in (hard, teacher, teachers, learned, array)}


def _source(call: Call, text: str) -> LabelSpec:
    """What the first call of a spec says."""
    if imports.is_outside(call.name):
        function = imports.function(call.name)
        language.check_takes(call.name, function, "label source", GIVEN)
        language.bind(call, function, (*GIVEN, "class_names"), text)
        return LabelSpec(function=call)
    if call.name not in _SOURCES and call.name in language.public_functions(ops):
        told = f"a label spec starts with a source ({', '.join(_SOURCES)}), got the operation {call.name!r}"
        raise errors.ConfigError(f"{told} (in {text!r})")
    if call.name not in _SOURCES:
        raise errors.ConfigError(errors.unknown("label source", call.name, _SOURCES, "jaxsoft/labels/spec.py"))
    arguments = language.bind(call, _SOURCES[call.name], text=text)
    try:
        return _SOURCES[call.name](**arguments)
    except errors.ConfigError as problem:
        raise errors.ConfigError(f"{problem} (in {text!r})") from None


def _tidy(call: Call) -> Call:
    """2.0 is written 2, so that one meaning has one text."""

    def tidy(value: Any) -> Any:
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value

    return Call(call.name, tuple(map(tidy, call.args)), {name: tidy(value) for name, value in call.kwargs.items()})


def _require(holds: bool, rule: str, got: Any) -> None:
    if not holds:
        raise errors.ConfigError(f"{rule}, got {got!r}")
