"""Settings: every key of a config with its type, default, range and meaning, written once.

What names a function takes in Python the function or network itself, and has the text that stands for it from then on.
"""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

from jaxsoft import objects

Spec = Any
"""The text of a spec, or in Python what it would name: a function, a network."""


def setting(default: Any, doc: str, **rule: Any) -> Any:
    """A field with its meaning and rule: `low` (inclusive), `high` (inclusive), `above` (exclusive), `choices`, or what
    it `names`: a "path", a "folder" inside of another, or a "function"."""
    return dataclasses.field(default=default, metadata={"doc": doc, **rule})


def function(default: Any, doc: str) -> Any:
    """A field that names a function, or several; see `objects.named`."""
    return setting(default, doc, names="function")


def named(field: dataclasses.Field, value: Any, where: str) -> Any:
    """A value of a field with texts in the place of functions and networks."""
    if field.metadata.get("names") != "function":
        return value
    own = functools.partial(objects.named, kind=field.name.removesuffix("s"), where=where)
    several = isinstance(field.default, tuple) and isinstance(value, (tuple, list))
    return tuple(map(own, value)) if several else own(value)


class _Group:
    """Settings of one group; of `Settings` itself the outermost."""

    def __post_init__(self) -> None:
        group = type(self).__name__.lower()
        for field in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
            where = f"config.{field.name}" if group == "settings" else f"config.{group}.{field.name}"
            object.__setattr__(self, field.name, named(field, getattr(self, field.name), where))


@dataclass(frozen=True)
class Data:
    """Which images."""

    name: str = setting("digits", "dataset: a file of jaxsoft/data/sets, tfds:<name>, or package.module:function")
    root: str = setting("", "folder of prepared data; empty: $JAXSOFT_DATA, else a per-user cache folder", names="path")
    validation: float = setting(
        0.1, "share of each class, or the set's own; 0 where the test chooses", low=0.0, high=0.5
    )
    limit: int = setting(0, "keep this many training images per class; 0: all", low=0)
    resize: int = setting(0, "side in pixels, for image_folder and video; 0: as they are", low=0)
    normalize: str = setting("standardize", "what networks see: standardize, zca, zca(regularization=0.1) or none")


@dataclass(frozen=True)
class Training(_Group):
    """How a network is trained; teachers and students alike. Exactly one of `epochs` and `steps` is positive."""

    model: Spec = function("convnet(depth=3)", "architecture: a function of jaxsoft/models with its arguments")
    batch: int = setting(256, "images of a step; the whole subset if that is smaller", low=1)
    epochs: int = setting(0, "passes over the images", low=0)
    steps: int = setting(0, "gradient steps", low=0)
    optimizer: Spec = function("sgd", "a function of jaxsoft/training/optim.py")
    schedule: Spec = function("constant", "a function of jaxsoft/training/schedules.py")
    learning_rate: float = setting(0.01, "at the start", above=0.0)
    weight_decay: float = setting(0.0, "coupled for sgd, decoupled for adamw", low=0.0)
    augment: Spec = function("none", "a function of jaxsoft/training/augment.py")


@dataclass(frozen=True)
class Teacher(Training):
    """The experts; each is kept after every epoch, or after those that `keep` says."""

    epochs: int = setting(50, "passes over the training images", low=1)
    experts: int = setting(1, "how many, trained at once, if a label needs them", low=0, high=1000)
    models: tuple[Spec, ...] = function((), "one architecture for each expert; empty: all have `model`")
    rates: tuple[float, ...] = setting(
        (), "one learning rate for each expert; empty: all have `learning_rate`", above=0.0
    )
    seed: int = setting(0, "of the first expert; the others follow", low=0)
    expected: tuple[str, ...] = setting((), "epoch:validation accuracy that is expected; a teacher far from it is told")
    store: str = setting("", "folder of experts that several runs share; empty: inside the run folder", names="path")
    keep: str = setting(
        "all", "epochs that are kept: all, every(k), or asked by the sweep's labels; the last one always"
    )
    stream: str = setting(
        "auto",
        "whether images come from the disk window by window; auto: those kept encoded, or too large for a device",
        choices=("auto", "always", "never"),
    )
    accumulate: int = setting(
        1, "parts of a batch taken one after another, each with its own batch statistics; they divide it", low=1
    )
    batch_norm: str = setting(
        "global", "statistics of a batch that devices share: global, or device(N), each of N devices its own"
    )
    rate_rule: str = setting(
        "none", "learning rates times batch / 256 (linear), or its root (sqrt)", choices=("none", "linear", "sqrt")
    )


@dataclass(frozen=True)
class Student(Training):
    """What a sweep trains, unless an axis says otherwise."""

    steps: int = setting(400, "gradient steps", low=0)
    optimizer: Spec = function("sgd(momentum=0.9)", "a function of jaxsoft/training/optim.py")
    schedule: Spec = function("step(0.3, 4)", "a function of jaxsoft/training/schedules.py")
    loss: Spec = function("soft_cross_entropy", "a function of jaxsoft/training/losses.py; teachers have this one")
    evaluations: int = setting(10, "equally spaced looks at the validation split", low=1)


@dataclass(frozen=True)
class Sweep(_Group):
    """Axes. Each multiplies the number of members; names that share an entry of `axes` advance together."""

    axes: tuple[str, ...] = setting(("ipc", "labels", "seed"), "order of the product; 'seed learning_rate' zips two")
    ipc: tuple[int, ...] = setting((1, 10), "images per class", low=1)
    labels: tuple[Spec, ...] = function(("hard", "teacher(epoch=10)"), "label specs")
    seed: tuple[int, ...] = setting((0, 1, 2, 3, 4), "of initialisation, order and augmentation", low=0)
    subset_seed: tuple[int, ...] = setting((), "of the images drawn; empty: the member's seed", low=0)
    select: tuple[Spec, ...] = function((), "which images; empty: config.select")
    without: tuple[int, ...] = setting((), "class whose images are left out of the subset; -1: none", low=-1)
    teacher_epoch: tuple[int, ...] = setting((), "for label specs that leave the epoch open", low=0)
    learning_rate: tuple[float, ...] = setting((), "empty: student.learning_rate", above=0.0)
    weight_decay: tuple[float, ...] = setting((), "empty: student.weight_decay", low=0.0)
    model: tuple[Spec, ...] = function((), "empty: student.model")
    loss: tuple[Spec, ...] = function((), "empty: student.loss")
    optimizer: tuple[Spec, ...] = function((), "empty: student.optimizer")
    augment: tuple[Spec, ...] = function((), "empty: student.augment")
    steps: tuple[int, ...] = setting((), "empty: student.steps or student.epochs", low=1)


@dataclass(frozen=True)
class Learned(_Group):
    """How labels are learned; students have the `model` and `loss` of `student`.

    Durations count their steps unless they say outer.
    """

    looks: int = setting(20, "how often the labels are validated", low=1)
    look_outer_steps: int = setting(20, "outer steps, updates of the labels, between two looks", low=1)
    outer_learning_rate: float = setting(0.1, "of Adam on the label logits, at the start of half a cosine", above=0.0)
    meta_batch: int = setting(256, "training images outside the subset that judge a student in an outer step", low=1)
    unroll_steps: int = setting(200, "length of a student's training", low=1)
    first_unroll_steps: int = setting(40, "how much of it the first outer step sees; all, from half way on", low=1)
    window_steps: int = setting(20, "through which the gradient goes back", low=1)
    pool: str = setting("persistent", "students begin anew each outer step, or go on", choices=("fresh", "persistent"))
    students: int = setting(4, "in the pool; their gradients are averaged", low=1)
    judges: int = setting(8, "students trained from scratch at each look", low=1)
    batch: int = setting(256, "images of a step; the whole subset if that is smaller", low=1)
    optimizer: Spec = function("sgd(momentum=0.9)", "of the students, a function of jaxsoft/training/optim.py")
    schedule: Spec = function("constant", "a function of jaxsoft/training/schedules.py")
    learning_rate: float = setting(0.01, "of the students, at the start", above=0.0)
    weight_decay: float = setting(0.0, "of the students", low=0.0)
    augment: Spec = function("none", "a function of jaxsoft/training/augment.py")
    margin: float = setting(8.0, "first label logit of the true class, the others are 0; 8: nearly hard", low=0.0)
    reference_epoch: int = setting(0, "teacher epoch whose pooled labels they are compared with; 0: the last", low=0)


@dataclass(frozen=True)
class Keep:
    """What a run folder keeps beside its results."""

    students: str = setting(
        "none",
        "networks of students: none; best, each one's chosen checkpoint; or all, those of every look too",
        choices=("none", "best", "all"),
    )


@dataclass(frozen=True)
class Compute:
    """How, never what: these may change speed and memory, and last bits."""

    lowering: str = setting(
        "auto",
        "of convolutions; auto: by device and size, on a GPU by kernels not yet timed, which patches and map avoid",
        choices=("auto", "patches", "kernel", "winograd", "map", "grouped"),
    )
    block: int = setting(0, "members vmapped together; 0: chosen by size", low=0)
    tile: int = setting(0, "images of a batch taken at a time; 0: chosen by size", low=0)
    memory_gb: float = setting(0.0, "budget for a wave on all devices; 0: most of their memory", low=0.0, high=1e6)
    checkpoint_seconds: float = setting(20.0, "least time between two checkpoints of a wave", low=0.0)
    expert_devices: int = setting(
        0, "that share each batch of an expert; 0: one, or of accelerators what streamed experts leave", low=0
    )
    grace_seconds: float = setting(8.0, "from being asked to stop to the end at the latest, saved or not", above=0.0)
    workers: int = setting(0, "processes that decode streamed images; 0: chosen, none up to 8 cores", low=0, high=1024)
    threads: int = setting(0, "that decode, of each process; 0: chosen by cores", low=0, high=1024)


@dataclass(frozen=True)
class Settings(_Group):
    """A whole experiment."""

    name: str = setting(
        "{config}-{data}",
        "of the run folder, unless --workdir is given; {config}: the file, {data}: the dataset",
        names="folder",
    )
    protocol: str = setting(
        "sealed",
        "what selects: validation; the test set (paper); or validation, beside what the test set would have chosen",
        choices=("sealed", "paper", "both"),
    )
    select: Spec = function("random", "which images: a function of jaxsoft/data/select.py")
    subjects: str = setting(
        "index",
        "what `without` and `drop_class` count: classes, or classes sorted by the accuracy of expert 0, worst first",
        choices=("index", "accuracy"),
    )
    precision: str = setting(
        "auto", "of feature maps; auto: float32 on CPU, else bfloat16", choices=("auto", "float32", "bfloat16")
    )
    sinks: tuple[str, ...] = setting(
        (), "who else is told of events: csv, tensorboard, wandb(project='x'), or your own"
    )
    note: str = setting("", "what every table of the results says beneath it, such as what a small run cannot show")
    data: Data = Data()
    teacher: Teacher = Teacher()
    student: Student = Student()
    sweep: Sweep = Sweep()
    learned: Learned = Learned()
    keep: Keep = Keep()
    compute: Compute = Compute()
