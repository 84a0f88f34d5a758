"""Settings: every key of a config with its type, default, range and meaning, written once.

A user's config is an `ml_collections.ConfigDict` that starts from `default()`; `read` turns it into frozen dataclasses,
or says in one line what is wrong. From there on nothing looks at a ConfigDict.
"""

import ast
import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict

from jaxsoft import errors

_LARGEST_INT = 10**9  # settings become 32-bit integers in compiled programs, some of them after a small addition


def setting(default: Any, doc: str, **rule: Any) -> Any:
    """A field with its meaning and rule: `low` (inclusive), `high` (inclusive), `above` (exclusive) or `choices`."""
    return dataclasses.field(default=default, metadata={"doc": doc, **rule})


@dataclass(frozen=True)
class Data:
    """Which images."""

    name: str = setting("digits", "dataset: a file of jaxsoft/data, or tfds:<name>")
    root: str = setting("", "folder of prepared data; empty: $JAXSOFT_DATA, else a per-user cache folder")
    validation: float = setting(0.1, "share of the training images held out per class", above=0.0, high=0.5)
    limit: int = setting(0, "keep this many training images per class; 0: all", low=0)
    resize: int = setting(0, "side in pixels, for image_folder; 0: as they are", low=0)
    normalize: str = setting("standardize", "what networks see", choices=("standardize", "zca", "none"))


@dataclass(frozen=True)
class Training:
    """How a network is trained; teachers and students alike. Exactly one of `epochs` and `steps` is positive."""

    model: str = setting("convnet(depth=3)", "architecture: a function of jaxsoft/models with its arguments")
    batch: int = setting(256, "images of a step; the whole subset if that is smaller", low=1)
    epochs: int = setting(0, "passes over the images", low=0)
    steps: int = setting(0, "gradient steps", low=0)
    optimizer: str = setting("sgd", "a function of jaxsoft/optim.py")
    schedule: str = setting("constant", "a function of jaxsoft/schedules.py")
    learning_rate: float = setting(0.01, "at the start", above=0.0)
    weight_decay: float = setting(0.0, "coupled for sgd, decoupled for adamw", low=0.0)
    augment: str = setting("none", "a function of jaxsoft/augment.py")


@dataclass(frozen=True)
class Teacher(Training):
    """The experts; each is kept after every epoch."""

    epochs: int = setting(50, "passes over the training images, one checkpoint after each", low=1)
    experts: int = setting(1, "how many, trained at once", low=1, high=1000)
    models: tuple[str, ...] = setting((), "one architecture for each expert; empty: all have `model`")
    seed: int = setting(0, "of the first expert; the others follow", low=0)
    store: str = setting("", "folder that several runs share for trained experts; empty: inside the run folder")


@dataclass(frozen=True)
class Student(Training):
    """What a sweep trains, unless an axis says otherwise."""

    epochs: int = setting(0, "passes over the subset", low=0)
    steps: int = setting(400, "gradient steps", low=0)
    optimizer: str = setting("sgd(momentum=0.9)", "a function of jaxsoft/optim.py")
    schedule: str = setting("step(0.3, 4)", "a function of jaxsoft/schedules.py")
    evaluations: int = setting(10, "equally spaced looks at the validation split", low=1)


@dataclass(frozen=True)
class Sweep:
    """Axes. Each multiplies the number of members; names that share an entry of `axes` advance together."""

    axes: tuple[str, ...] = setting(("ipc", "labels", "seed"), "order of the product; 'seed learning_rate' zips two")
    ipc: tuple[int, ...] = setting((1, 10), "images per class", low=1)
    labels: tuple[str, ...] = setting(("hard", "teacher(epoch=10)"), "label specs")
    seed: tuple[int, ...] = setting((0, 1, 2, 3, 4), "of initialisation, order and augmentation", low=0)
    subset_seed: tuple[int, ...] = setting((), "of the images drawn; empty: the member's seed", low=0)
    select: tuple[str, ...] = setting((), "which images; empty: config.select")
    without: tuple[int, ...] = setting((), "class whose images are left out of the subset; -1: none", low=-1)
    teacher_epoch: tuple[int, ...] = setting((), "for label specs that leave the epoch open", low=0)
    learning_rate: tuple[float, ...] = setting((), "empty: student.learning_rate", above=0.0)
    weight_decay: tuple[float, ...] = setting((), "empty: student.weight_decay", low=0.0)
    model: tuple[str, ...] = setting((), "empty: student.model")
    steps: tuple[int, ...] = setting((), "empty: student.steps or student.epochs", low=1)


@dataclass(frozen=True)
class Learned:
    """How labels are learned; students are `student.model`, and a duration counts their steps if it does not say outer."""

    looks: int = setting(20, "how often the labels are validated", low=1)
    look_outer_steps: int = setting(20, "outer steps, updates of the labels, between two looks", low=1)
    outer_learning_rate: float = setting(0.1, "of Adam on the label logits, at the start of half a cosine", above=0.0)
    meta_batch: int = setting(256, "training images outside the subset that judge a student in an outer step", low=1)
    unroll_steps: int = setting(200, "length of a student's training", low=1)
    first_unroll_steps: int = setting(40, "how much of it the first outer step sees; all, from half way on", low=1)
    window_steps: int = setting(20, "through which the gradient goes back", low=1)
    pool: str = setting(
        "persistent", "students begin anew in each outer step, or go on", choices=("fresh", "persistent")
    )
    students: int = setting(4, "in the pool; their gradients are averaged", low=1)
    judges: int = setting(8, "students trained from scratch at each look", low=1)
    batch: int = setting(256, "images of a step; the whole subset if that is smaller", low=1)
    optimizer: str = setting("sgd(momentum=0.9)", "of the students, a function of jaxsoft/optim.py")
    schedule: str = setting("constant", "a function of jaxsoft/schedules.py")
    learning_rate: float = setting(0.01, "of the students, at the start", above=0.0)
    weight_decay: float = setting(0.0, "of the students", low=0.0)
    augment: str = setting("none", "a function of jaxsoft/augment.py")
    margin: float = setting(8.0, "first label logit of the true class, the others are 0; 8: nearly hard", low=0.0)
    reference_epoch: int = setting(0, "teacher epoch whose pooled labels they are compared with; 0: the last", low=0)


@dataclass(frozen=True)
class Compute:
    """How, never what: these may change speed and memory, and last bits."""

    lowering: str = setting("auto", "of convolutions", choices=("auto", "patches", "map", "grouped"))
    block: int = setting(0, "members vmapped together; 0: chosen by size", low=0)
    tile: int = setting(0, "images of a batch taken at a time; 0: chosen by size", low=0)
    memory_gb: float = setting(0.0, "budget for a wave; 0: most of the device's memory", low=0.0, high=1e6)
    checkpoint_seconds: float = setting(20.0, "least time between two checkpoints of a wave", low=0.0)


@dataclass(frozen=True)
class Settings:
    """A whole experiment."""

    name: str = setting("experiment", "of the run folder, unless --workdir is given")
    protocol: str = setting(
        "sealed",
        "what selects: validation; the test set (paper); or validation, with what the test set would have chosen beside it",
        choices=("sealed", "paper", "both"),
    )
    select: str = setting("random", "which images: a function of jaxsoft/data/select.py")
    subjects: str = setting(
        "index",
        "what `without` and `drop_class` count: classes, or classes sorted by the accuracy of expert 0, worst first",
        choices=("index", "accuracy"),
    )
    precision: str = setting(
        "auto", "of feature maps; auto: float32 on CPU, else bfloat16", choices=("auto", "float32", "bfloat16")
    )
    data: Data = Data()
    teacher: Teacher = Teacher()
    student: Student = Student()
    sweep: Sweep = Sweep()
    learned: Learned = Learned()
    compute: Compute = Compute()


def default() -> ConfigDict:
    """Every setting at its default, for a config file to change.

    >>> config = default()
    >>> config.sweep.ipc = (1, 2, 5)
    >>> read(config).sweep.ipc
    (1, 2, 5)
    """
    return ConfigDict(as_dict(Settings()))


def as_dict(settings: Any) -> dict[str, Any]:
    """Settings as plain nested dictionaries, tuples kept."""
    return {
        f.name: as_dict(value) if dataclasses.is_dataclass(value := getattr(settings, f.name)) else value
        for f in dataclasses.fields(settings)
    }


def parse_arg(arg: str | None, **defaults: Any) -> types.SimpleNamespace:
    """Read what follows the colon in `--config=file.py:quick,data=cifar10`.

    Args:
      arg: comma-separated `name` or `name=value`; a bare name means True.
      **defaults: legal names with their defaults, whose types are kept.

    Raises:
      ConfigError: an unknown name, or a value of another type.
    """
    values = dict(defaults)
    for part in filter(None, (arg or "").split(",")):
        name, _, text = part.partition("=")
        if name not in defaults:
            raise errors.ConfigError(f"unknown config argument {name!r}; choices: {', '.join(defaults)}")
        kind = type(defaults[name])
        try:
            values[name] = {"": True, "true": True, "false": False}[text] if kind is bool else kind(text)
        except (KeyError, ValueError):
            expected = "true or false" if kind is bool else kind.__name__
            raise errors.ConfigError(f"config argument {name} expects {expected}, got {text!r}") from None
    return types.SimpleNamespace(**values)


def read(config: Any, kind: type = Settings, path: str = "config") -> Any:
    """Check a config against the settings and freeze it.

    Args:
      config: nested mappings, as a config file returns them; what is left out keeps its default.
      kind: the dataclass to read into.
      path: how messages name it.

    Raises:
      ConfigError: an unknown key, a wrong type, or a value out of range.
    """
    if not isinstance(config, (Mapping, ConfigDict)):
        raise errors.ConfigError(f"{path} expects a group of settings, got {config!r}")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in config:
        if key not in fields:
            raise errors.ConfigError(f"unknown setting {path}.{key}; did you mean {closest(f'{path}.{key}')}?")
    hints = typing.get_type_hints(kind)
    values = {}
    for key in config:
        where, value = f"{path}.{key}", config[key]
        if dataclasses.is_dataclass(hints[key]):
            values[key] = read(value, hints[key], where)
        else:
            values[key] = _checked(value, hints[key], fields[key].metadata, where)
    return kind(**values)


def check_override(path: str, text: str) -> None:
    """Check one `--config.KEY=VALUE` of a command line.

    Raises:
      ConfigError: no such setting, or the text is not of its type or range.
    """
    kind: Any = Settings
    *groups, word = path.split(".")[1:]
    for name in groups:
        kind = typing.get_type_hints(kind).get(name)
        if not dataclasses.is_dataclass(kind):
            raise errors.ConfigError(f"unknown setting {path}; did you mean {closest(path)}?")
    hints = typing.get_type_hints(kind)
    if word not in hints:
        raise errors.ConfigError(f"unknown setting {path}; did you mean {closest(path)}?")
    wanted = hints[word]
    if dataclasses.is_dataclass(wanted):
        raise errors.ConfigError(
            f"{path} is a group of settings; set one of them, such as {path}.{next(iter(typing.get_type_hints(wanted)))}"
        )
    rule = next(f.metadata for f in dataclasses.fields(kind) if f.name == word)
    element = typing.get_args(wanted)[0] if typing.get_origin(wanted) is tuple else wanted
    if element is not str or rule.get("choices"):
        _checked(_literal(text), wanted, rule, path)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def closest(path: str) -> str:
    """The legal setting that an unknown dotted path most likely means; its last word counts most.

    >>> closest("config.student.learing_rate")
    'config.student.learning_rate'
    """
    group, _, word = path.rpartition(".")

    def distance(known: str) -> tuple[float, float]:
        known_group, _, known_word = known.rpartition(".")
        ratio = difflib.SequenceMatcher(None, word, known_word).ratio()
        return ratio + 0.1 * (group == known_group), difflib.SequenceMatcher(None, path, known).ratio()

    return max(_paths(as_dict(Settings()), "config"), key=distance)


def _paths(settings: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{path}.{key}")
        else:
            yield f"{path}.{key}"


def _checked(value: Any, wanted: Any, rule: Mapping[str, Any], where: str) -> Any:
    if typing.get_origin(wanted) is tuple:
        items = value if isinstance(value, (tuple, list, range)) else (value,)
        return tuple(_checked(item, typing.get_args(wanted)[0], rule, where) for item in items)
    if wanted is float and type(value) is int and abs(value) <= _LARGEST_INT:
        value = float(value)
    low, high, above, choices = (rule.get(name) for name in ("low", "high", "above", "choices"))
    if type(value) is int and value > _LARGEST_INT:
        high = _LARGEST_INT
    fits = (
        type(value) is wanted
        and (wanted is not float or math.isfinite(value))
        and (wanted is not str or "\0" not in str(value))  # no file can have such a name
        and (low is None or value >= low)
        and (high is None or value <= high)
        and (above is None or value > above)
        and (choices is None or value in choices)
    )
    if not fits:
        bounds = [f"{sign} {bound}" for sign, bound in ((">=", low), (">", above), ("<=", high)) if bound is not None]
        expected = f"one of {', '.join(choices)}" if choices else f"{wanted.__name__} {' and '.join(bounds)}".strip()
        raise errors.ConfigError(f"{where} expects {expected}, got {value!r}")
    return value
