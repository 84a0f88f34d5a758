"""The label spec: where labels come from and what is then done to them, as one string.

`teacher(epoch=11)|temperature(2)|topk(10)` is a source, then operations of `jaxsoft/labels/ops.py` from left to right.
The sources are the functions of `sources.py`, or one of the user's own that gives rows. A spec is parsed, bound and
checked once, before any data is read; who wants to know something about labels asks for the parts of what `parse` gave.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Array, Float, Int

from jaxsoft import errors, imports
from jaxsoft import spec as language
from jaxsoft.labels import ages, sources, treatments
from jaxsoft.labels.treatments import Label
from jaxsoft.spec import Call
from jaxsoft.training import mixing
from jaxsoft.types import History

_MOST_VIEWS = 10_000


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
    pool: str = "logits"  # of several experts; or `probabilities`; of a committee `prior` or `random`
    views: int = 0  # labels of one image, each of a view of its own; 0: one label, of the image as it is
    mix: str = ""  # spec of what a view has of another image, see `mixing`; empty for what is usual
    online: bool = False  # experts are asked at every step, of what the student sees
    prior: str | tuple[int | float, ...] = ""  # of a committee: whose accuracies, or these, in percent
    tau: float = sources.TAU  # of a committee, in points
    statistics: str = "running"  # that batch norm of experts goes by; or `batch`
    is_learned: bool = False
    file: str = ""  # of rows of one's own, or their name once they are read
    is_logits: bool = False  # what that file holds
    function: Call | None = None  # of one's own, that gives rows, until it is asked
    rows: str = ""  # the digest of the rows, once they are read (`given.py`)
    imported: str = ""  # the teacher from elsewhere that is asked: its name or its folder
    distilled: str = ""  # the imported set whose labels these are: its name or its folder
    weights: str = ""  # the digest of that teacher or set, once it is known
    epoch: int | None = None
    accuracy: float | None = None
    entropy: float | None = None
    features: int | None = None  # after which block the expert's feature map is part of the label; None: it is not
    operations: tuple[Call, ...] = ()  # of `jaxsoft/labels/ops.py`, with all arguments by position, defaults too

    def __post_init__(self) -> None:
        when = self.when
        _require(len(when) <= 1, "give one of epoch, accuracy and entropy", " and ".join(when))
        _require(when.get("epoch", 0) >= 0, "epoch must be 0 or more", self.epoch)
        _require(0 < when.get("accuracy", 1) <= 1, "accuracy must be a fraction in (0, 1]", self.accuracy)
        _require(0 <= when.get("entropy", 0) < math.inf, "entropy must be 0 nats or more", self.entropy)
        _require(0 <= self.views <= _MOST_VIEWS, f"views must be in 0..{_MOST_VIEWS}", self.views)
        drawn = [call.name for call in self.operations if self.online and "key" in treatments.taken(call)]
        _require(not drawn, "online labels take no operation that draws once for an image", ", ".join(drawn))
        stored = [call.name for call in self.operations if self.online and treatments.is_at_once(call.name)]
        _require(not stored, "online labels are asked for at every step and never stored", ", ".join(stored))

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
            if call.name in _SOURCES and not treatments.is_operation(call.name):
                raise errors.ConfigError(f"{call.name!r} is a source of labels and can only come first (in {text!r})")
        spec = dataclasses.replace(source, operations=tuple(treatments.bound(call, text) for call in rest))
        treatments.check_logits(spec.operations, spec.source_has_logits, str(spec))
        return spec

    def __str__(self) -> str:
        if self.function:
            return language.render((self.function, *map(treatments.tidied, self.operations)))
        several = len(self.experts) if self.source in ("teachers", "committee") else ""
        of = self.file or self.imported or self.distilled or several
        args = (of,) if of else ()
        named = {"expert": self.experts[0]} if self.source == "teacher" and self.experts[0] else {}
        named |= {} if self.pool in ("logits", "prior") else {"pool": self.pool}
        named |= {} if self.prior in ("", "students") else {"prior": self.prior}
        named |= {} if self.tau == sources.TAU else {"tau": self.tau}
        named |= ({"logits": True} if self.is_logits else {}) | self.when
        named |= {n: getattr(self, n) for n in ("rows", "weights", "views", "mix", "online") if getattr(self, n)}
        named |= {} if self.statistics == "running" else {"statistics": self.statistics}
        named |= {} if self.features is None else {"features": self.features}
        return language.render(tuple(map(treatments.tidied, (Call(self.source, args, named), *self.operations))))

    def __hash__(self) -> int:  # operations hold dictionaries; the canonical text says the same
        return hash(str(self))

    @property
    def source(self) -> str:
        """The name of the source: `hard`, `learned`, `array`, `imported`, `distilled`, `teacher`, `teachers` or `committee`."""
        if self.imported or self.distilled:
            return "imported" if self.imported else "distilled"
        if not self.experts:
            return "array" if self.file or self.function else "learned" if self.is_learned else "hard"
        if self.pool in sources.POOLS:
            return "committee"
        return "teacher" if len(self.experts) == 1 else "teachers"

    @property
    def has_logits(self) -> bool:
        """Whether its labels have logits, not only rows: its source says some, and what is done to them is defined there."""
        return treatments.leave_logits(self.operations, self.source_has_logits)

    @property
    def source_has_logits(self) -> bool:
        """Whether its source says logits, of which a row is the softmax."""
        return self.is_logits or bool(self.imported) or (bool(self.experts) and self.pool != "probabilities")

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
        return self.source == "hard" or any("true_class" in treatments.taken(call) for call in self.operations)

    @property
    def is_of_subset(self) -> bool:
        """Whether a label belongs to an image of one subset, not to the image wherever it is used."""
        return (
            self.is_learned or self.views > 0 or self.online or self.statistics == "batch" or self.prior == "students"
        )

    @property
    def rows_per_image(self) -> int:
        """How many finished rows there are of an image: none of those that are asked for at every step."""
        return 0 if self.online else max(1, self.views)

    @property
    def mixing(self) -> str:
        """The way to mix the images of a view, as `training/mixing.py` knows it."""
        return self.mix or (mixing.CUTMIX if self.views else mixing.NONE)

    @property
    def networks(self) -> dict[str, int]:
        """The experts whom online labels ask, by the names of what they are at the epoch: `0@11` -> 0."""
        return {f"{expert}@{self.epoch or 0}": expert for expert in self.experts if self.online}

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
        found = ages.first(str(self), self.when, self.experts, histories)
        return dataclasses.replace(self, epoch=found, accuracy=None, entropy=None)

    def check(self, num_classes: int) -> None:
        """Try the operations, so that a bad argument is found by the plan.

        Raises:
          ConfigError: an argument is out of range for this number of classes; or logits are not finite.
        """
        first = (Call("hard"),) if self.source == "hard" else ()
        treatments.check((*first, *self.operations), self.source_has_logits, num_classes, str(self))

    def finish(
        self, label: Label, true_class: Int[Array, ""], image_id: Int[Array, ""], which: range | None = None
    ) -> Label:
        """Apply the operations, or `which` of them, to the label of one image; if the source is `hard`, whatever it is."""
        which = range(len(self.operations)) if which is None else which
        if self.source == "hard" and which.start == 0:
            label = treatments.treated(Call("hard"), label, {"true_class": true_class})
        return treatments.finished(self.operations, which, label, true_class, image_id)

    def treat(self, row: Float[Array, "K"], true_class: Int[Array, ""], image_id: Int[Array, ""]) -> Float[Array, "K"]:
        """What `finish` makes of a row that has no logits."""
        return self.finish(Label(row), true_class, image_id).row


GIVEN = ("images", "labels")  # to a source of the user's own: the train split
_SOURCES = language.public_functions(sources)


def _source(call: Call, text: str) -> LabelSpec:
    """What the first call of a spec says."""
    if imports.is_outside(call.name):
        function = imports.function(call.name)
        language.check_takes(call.name, function, "label source", GIVEN)
        language.bind(call, function, (*GIVEN, "class_names"), text)
        return LabelSpec(function=call)
    if call.name not in _SOURCES and treatments.is_operation(call.name):
        told = f"a label spec starts with a source ({', '.join(_SOURCES)}), got the operation {call.name!r}"
        raise errors.ConfigError(f"{told} (in {text!r})")
    if call.name not in _SOURCES:
        raise errors.ConfigError(errors.unknown("label source", call.name, _SOURCES, "jaxsoft/labels/sources.py"))
    arguments = language.bind(call, _SOURCES[call.name], text=text)
    try:
        return LabelSpec(**_SOURCES[call.name](**arguments))
    except errors.ConfigError as problem:
        raise errors.ConfigError(f"{problem} (in {text!r})") from None


def _require(holds: bool, rule: str, got: Any) -> None:
    if not holds:
        raise errors.ConfigError(f"{rule}, got {got!r}")
