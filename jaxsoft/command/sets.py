"""What `jaxsoft import` does: a set that others distilled becomes one that selections and label specs can name."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxsoft import config, errors
from jaxsoft.command import arguments, starting

_EXPECTED = "expected: jaxsoft import SOURCE --as=NAME [--dataset=cifar10 --format= --space= --kind= --labels= ...]"
_NUMBERS = {"epochs": int, "draws": int, "factor": int, "side": int, "run": int, "w0": float, "w0_initial": float}
_TEXTS = ("format", "space", "kind", "decode", "licence")
_FLAGS = ("as", "dataset", "data", "teacher", "root", "classes", "labels", *_TEXTS, *_NUMBERS)


def imported(argv: Sequence[str]) -> list[str]:
    """Import a set; what became of it, in lines.

    Raises:
      ConfigError: the words or flags do not fit, or files may mean several things; names the flag that decides.
      DataError: the files, or the data set, cannot be read. CheckpointError: the set cannot be written.
    """
    flags: dict[str, Any] = dict.fromkeys(_FLAGS, "") | {"resize": None, "no_order": False}
    words, given = arguments.parse(argv, **flags)
    source = arguments.folder(words[0], "jaxsoft import") if len(words) == 1 else None
    if source is None or not given["as"]:
        raise errors.ConfigError(_EXPECTED)
    if "/" in given["as"]:
        raise errors.ConfigError(f"--as expects a name, got {errors.quoted(given['as'])}; $JAXSOFT_SETS says where")
    if given["data"] and given["dataset"]:
        raise errors.ConfigError("--data and --dataset are one flag; give one of them")
    if given["teacher"] and given["no_order"]:
        raise errors.ConfigError("--teacher says who checks the order of classes, and --no_order that nobody does")
    options, root = _options(given), arguments.folder(given["root"], "--root")
    with starting.starting_jax():
        starting.set_up_jax(keep_programs=True)
        from jaxsoft import data
        from jaxsoft.distilled import importing
        from jaxsoft.distilled.comparing import lookup
        from jaxsoft.distilled.kept import KIND

    if given["as"] in lookup.SELECTIONS:
        raise errors.ConfigError(f"--as={given['as']} is a way to select images; choose another name")
    folder = KIND.place(given["as"], str(root or ""))
    KIND.check_free(folder)
    name = given["dataset"] or given["data"] or config.Data().name
    dataset = data.load(name, root, resize=given["resize"])
    asking = functools.partial(_asked, dataset, root, given["teacher"], given["no_order"])
    return list(importing.import_set(source, folder, dataset, options, asking).lines)


def _options(given: dict[str, Any]) -> Any:
    """What the user says of the set; ConfigError names a flag whose value cannot be read."""
    from jaxsoft.distilled.reading.options import Options

    told: dict[str, Any] = {name: given[name] for name in _TEXTS if given[name]}
    told |= {name: _number(given[name], name, kind) for name, kind in _NUMBERS.items() if given[name]}
    if given["labels"]:
        told["labels"] = arguments.folder(given["labels"], "--labels")
    if given["classes"]:
        told["classes"] = tuple(_number(word, "classes", int) for word in given["classes"].split(","))
    return Options(**told)


def _number(text: str, flag: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:
        what = "whole numbers with commas between them" if flag == "classes" else "a number"
        raise errors.ConfigError(f"--{flag} expects {what}, got {errors.quoted(text)}") from None


def _asked(dataset: Any, root: Path | None, teacher: str, is_off: bool) -> Any:
    """The network that the order of classes is checked with, or in words why there is none."""
    from jaxsoft.console import Console
    from jaxsoft.experiment.teach import asked
    from jaxsoft.experiment.tell import progress

    if is_off:
        return "--no_order"
    if len(dataset.image_shape) > 3:
        return "the order of clips is not checked"
    if teacher:
        return asked.teacher(teacher, dataset, str(root or ""))
    if asked.is_dear(dataset):
        return f"teaching an expert of {dataset.name} takes long; --teacher=NAME is one of your own"
    console = Console()
    with console.stage("expert"), console.interruptible():
        return asked.expert(dataset, root, functools.partial(progress.of_teachers, console))
