"""From axes to members: the ordered product of a sweep, each member a complete description of one student."""

import functools
import itertools
import json
import math
import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from jaxsoft import config, errors, files
from jaxsoft.labels.given import spec_of
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training.recipe import wanted
from jaxsoft.types import History

BY_MEMBER = "model", "learning_rate", "weight_decay", "steps", "loss", "optimizer", "augment"
"""Settings of students that each member says."""
to_text = json.JSONEncoder(sort_keys=True).encode


class Draw(NamedTuple):
    """What a table of images is drawn from; `ipc` is 0 where subsets of all sizes are parts of one table."""

    select: str
    seed: int
    ipc: int = 0


class Subset(NamedTuple):
    """What tells the images of one member from those of another; `without` is -1 where no class is left out."""

    select: str
    seed: int
    ipc: int
    without: int


@dataclass(frozen=True)
class MemberSpec:
    """One student of a sweep: everything that a sweep may vary.

    `labels` is the canonical text of a label spec; `epochs` is 0 when `steps` says how long to train; `without` is -1
    when the subset has images of every class.
    """

    ipc: int
    labels: str
    seed: int
    subset_seed: int
    model: str
    learning_rate: float
    weight_decay: float
    steps: int
    epochs: int
    select: str = "random"
    without: int = -1
    loss: str = config.Student().loss
    optimizer: str = config.Student().optimizer
    augment: str = config.Student().augment

    def slots(self, num_classes: int) -> int:
        """How many images the subset holds."""
        return self.ipc * (num_classes - (self.without >= 0))

    @property
    def form(self) -> str:
        """What its loss wants of its labels, `row` or `label_logits`."""
        return "label_logits" if "label_logits" in wanted(self.loss) else "row"

    @property
    def seen(self) -> str:
        """The augmentation of the views that its labels are of; `none` where they are of images."""
        return self.augment if LabelSpec.parse(self.labels).views else "none"

    @property
    def subset(self) -> Subset:
        """The subset that the member reads; many members share it."""
        return Subset(self.select, self.subset_seed, self.ipc, self.without)

    def draw(self, protocol: str) -> Draw:
        """The draw of the member's images; the paper's protocol draws anew for every IPC."""
        return Draw(self.select, self.subset_seed, self.ipc if protocol == "paper" else 0)

    def key(self, context: str, labels: str = "", select: str = "") -> str:
        """Twelve hex digits of a hash over all that determines the member's numbers.

        The context is the rest of that, as JSON by `to_text`: data, teacher, student settings with loss, optimizer and
        augmentation, protocol, code. `labels` and `select` are the member's own, by content if they have a name.
        """
        own = vars(self) | {"labels": labels or self.labels, "select": select or self.select}
        del own["loss"], own["optimizer"], own["augment"]
        return files.digest([f"[{to_text(own)}, {context}]"])[:12]


def expand(settings: config.Settings) -> tuple[MemberSpec, ...]:
    """All members of a sweep in the order of its axes, each once.

    A label spec that leaves the teacher's epoch open takes it from `sweep.teacher_epoch`; one that does not (such as
    `hard`) is the same member for every teacher epoch, and appears once.

    Raises:
      ConfigError: an axis that is unknown, empty, without effect, has a value twice, or is zipped with one of another
        length; an open teacher epoch.
    """
    axes, student, specs = settings.sweep, settings.student, _label_specs(settings.sweep)

    @functools.cache  # many members have the same
    def labels(text: str, epoch: int | None) -> str:
        return str(specs[text] if epoch is None else specs[text].with_epoch(epoch))

    own = {name: getattr(student, name) for name in BY_MEMBER}
    own |= {"ipc": 1, "labels": "hard", "seed": 0, "select": settings.select, "teacher_epoch": None}
    own["epochs"] = 0 if axes.steps else student.epochs

    def member(point: tuple[dict[str, Any], ...]) -> MemberSpec:
        values = functools.reduce(operator.or_, point, own)
        values["labels"] = labels(values["labels"], values.pop("teacher_epoch"))
        return MemberSpec(**{"subset_seed": values["seed"], **values})

    return tuple(dict.fromkeys(map(member, itertools.product(*_columns(axes)))))


def combinations(sweep: config.Sweep) -> int:
    """How many points the axes have; more than members where several points mean the same student."""
    return math.prod(map(len, _columns(sweep)))


def largest_ipc(members: Sequence[MemberSpec], protocol: str) -> dict[Draw, int]:
    """Of every draw the largest IPC: smaller subsets are parts of its table."""
    largest: dict[Draw, int] = {}
    for m in members:
        largest[m.draw(protocol)] = max(m.ipc, largest.get(m.draw(protocol), 0))
    return largest


def teachers(settings: config.Settings) -> list[LabelSpec]:
    """The teachers that a sweep names, without what is done to their labels."""
    specs = [LabelSpec.parse(text) for text in settings.sweep.labels]
    filled = [spec.with_epoch(epoch) for spec in specs for epoch in settings.sweep.teacher_epoch]
    named = [spec for spec in (*specs, *filled) if spec.needs_teacher and not spec.has_open_epoch]
    bare = {"operations": (), "views": 0, "mix": "", "online": False, "features": None}
    return list(dict.fromkeys(replace(spec, **bare) for spec in named))


def asked(settings: config.Settings) -> list[LabelSpec]:
    """Likewise, with the teacher to whose labels learned ones are compared: all that a run asks beside the last epoch."""
    learns = any(LabelSpec.parse(text).is_learned for text in settings.sweep.labels)
    compared = settings.learned.reference_epoch if learns else 0
    return [*teachers(settings), *([LabelSpec(experts=(0,), epoch=compared)] if compared else [])]


def resolved(text: str, histories: Sequence[History], subjects: Sequence[int] = ()) -> str:
    """The label spec with its accuracy or entropy turned into an epoch, and its subject into a class."""
    spec = spec_of(text).resolve(histories)
    return str(spec.with_classes(subjects) if subjects else spec)


def resolve(
    members: Sequence[MemberSpec], histories: Sequence[History], subjects: Sequence[int]
) -> tuple[MemberSpec, ...]:
    """The members with resolved label specs and with classes for subjects, where there are such; duplicates go."""
    texts = {text: resolved(text, histories, subjects) for text in {m.labels for m in members}}
    classes = dict(enumerate(subjects))
    meant = (replace(m, labels=texts[m.labels], without=int(classes.get(m.without, m.without))) for m in members)
    return tuple(dict.fromkeys(meant))


def _columns(sweep: config.Sweep) -> list[list[dict[str, Any]]]:
    """The values of each axis, with their names, of which there are several where they advance together."""
    legal = [name for name in vars(sweep) if name != "axes"]
    values = {name: getattr(sweep, name) for name in legal if getattr(sweep, name)}
    groups = [entry.split() for entry in sweep.axes]
    named = [name for group in groups for name in group]
    if not all(groups):
        raise errors.ConfigError(f"config.sweep.axes has an empty entry; choices: {', '.join(legal)}")
    for name in named:
        if name not in legal:
            raise errors.ConfigError(f"config.sweep.axes names {name!r}; choices: {', '.join(legal)}")
        if name not in values:
            raise errors.ConfigError(f"config.sweep.axes names {name!r} but config.sweep.{name} is empty")
        if named.count(name) > 1:
            raise errors.ConfigError(f"config.sweep.axes names {name!r} twice")
    groups += [[name] for name in values if name not in named]
    columns = []
    for group in groups:
        lengths = {name: len(values[name]) for name in group}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} has {n}" for name, n in lengths.items())
            raise errors.ConfigError(f"config.sweep.axes zips names of different lengths: {shown}")
        rows = list(zip(*(values[name] for name in group)))
        if twice := [row for row, n in Counter(rows).items() if n > 1]:
            shown = ", ".join(f"config.sweep.{name} has {value!r}" for name, value in zip(group, twice[0]))
            raise errors.ConfigError(f"{shown} more than once")
        columns.append([dict(zip(group, row)) for row in rows])
    return columns


def _label_specs(sweep: config.Sweep) -> dict[str, LabelSpec]:
    """The label specs by text; `teacher_epoch` is there if one of them leaves its epoch open, and only then."""
    try:
        specs = {text: spec_of(text) for text in sweep.labels or ("hard",)}
    except errors.ConfigError as problem:
        raise errors.ConfigError(f"config.sweep.labels: {problem}") from None
    names: dict[str, str] = {}  # equal rows, or teachers, are the same labels, under the first of their names
    specs = {text: replace(spec, file=names.setdefault(spec.rows, spec.file)) for text, spec in specs.items()}
    specs = {
        text: replace(s, imported=names.setdefault(s.weights, s.imported)) if s.imported else s
        for text, s in specs.items()
    }
    specs = {
        text: replace(s, distilled=names.setdefault(s.weights, s.distilled)) if s.distilled else s
        for text, s in specs.items()
    }
    unsaid = [spec for spec in specs.values() if spec.has_open_epoch]
    if sweep.teacher_epoch and not unsaid:
        raise errors.ConfigError(
            "config.sweep.teacher_epoch has no effect: every spec of config.sweep.labels says its epoch, or needs none; "
            "leave it open, as in 'teacher' or 'teacher|topk(3)'"
        )
    if unsaid and not sweep.teacher_epoch:
        raise errors.ConfigError(
            f"label spec '{unsaid[0]}' leaves the epoch open; write epoch=, accuracy= or entropy=, "
            "or set config.sweep.teacher_epoch"
        )
    return specs
