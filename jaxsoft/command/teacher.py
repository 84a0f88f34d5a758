"""What `jaxsoft teacher import` does: a network of PyTorch becomes a teacher that label specs can name."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxsoft import config, errors
from jaxsoft.command import arguments, starting

_EXPECTED = (
    "expected: jaxsoft teacher import FILE --as=NAME [--model=SPEC --data=NAME --resize=SIDE --mean=M,M,M --std=S,S,S]"
)


def imported(argv: Sequence[str]) -> list[str]:
    """Import a file; what became of it, in lines.

    Raises:
      ConfigError: the words or flags do not fit, or the network is no better than chance.
      DataError: the file, or the data set, cannot be read. CheckpointError: the teacher cannot be written.
    """
    flags: dict[str, Any] = {
        "as": "",
        "model": "",
        "data": config.Data().name,
        "root": "",
        "mean": "",
        "std": "",
        "resize": None,
    }
    words, given = arguments.parse(argv, **flags)
    file = arguments.folder(words[1], "jaxsoft teacher import") if len(words) == 2 else None
    if file is None or words[0] != "import" or not given["as"]:
        raise errors.ConfigError(_EXPECTED)
    if "/" in given["as"]:
        raise errors.ConfigError(f"--as expects a name, got {errors.quoted(given['as'])}; $JAXSOFT_TEACHERS says where")
    mean, std = (_numbers(given[name], f"--{name}") for name in ("mean", "std"))
    if not all(each > 0 for each in std):
        raise errors.ConfigError(f"--std expects numbers above 0, got {given['std']}")
    with starting.starting_jax():
        starting.set_up_jax(keep_programs=True)
        from jaxsoft import data
        from jaxsoft.experiment.teach import importing
        from jaxsoft.experiment.teach.imported import KIND

    root = arguments.folder(given["root"], "--root")
    folder = KIND.place(given["as"], str(root or ""))
    dataset = data.load(given["data"], root, resize=given["resize"])
    for name, numbers in (("mean", mean), ("std", std)):
        if len(numbers) not in (0, 1, dataset.image_shape[-1]):
            told = f"{dataset.image_shape[-1]} numbers, one for each channel of {dataset.name}, or one for all"
            raise errors.ConfigError(f"--{name} expects {told}, got {given[name]}")
    record, found = importing.import_file(file, folder, dataset, given["model"], mean, std)
    lines = [*_told(given, folder, record, found), importing.reordering(found, dataset.class_names)]
    return [line for line in lines if line]


def _told(given: dict[str, Any], folder: Path, record: dict[str, Any], found: Any) -> list[str]:
    seen = [
        f"{', '.join(f'{each:.4g}' for each in record[name])} ({'given' if given[name] else 'of the train images'})"
        for name in ("mean", "std")
    ]
    return [
        f"{record['model']}: right about {found.accuracy:.1%} of {found.images:,} validation images of {given['data']} "
        f"(one class alone: {found.chance:.1%}), labels of {found.entropy:.3f} nats",
        f"it sees images in [0, 1] less {seen[0]}, over {seen[1]}",
        "if it was trained on the validation images too, its accuracy there flatters it",
        f"kept in {folder}; a label spec names it: imported({given['as']!r})",
    ]


def _numbers(text: str, flag: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(word) for word in text.split(",")) if text else ()
    except ValueError:
        numbers = (math.nan,)
    if not all(0 <= each <= 1 for each in numbers):
        raise errors.ConfigError(
            f"{flag} expects numbers in [0, 1], with commas between them, got {errors.quoted(text)}"
        )
    return numbers
