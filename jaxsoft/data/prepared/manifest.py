"""The description of a prepared dataset: one JSON file, sealed with its own digest, believed only if all of it makes sense."""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jaxsoft import errors, files

FORMAT = 2
NAME = "dataset.json"
SPLITS = ("train", "test")
ARRAYS = tuple(f"{split}_{kind}" for split in SPLITS for kind in ("images", "labels"))

_MAX_BYTES = 1 << 26


@dataclass(frozen=True)
class Manifest:
    """What the JSON file says.

    `digests` are SHA-256 in hex, one for each array; `chunks` those of its pieces, which can be checked at once. Format 1
    has no chunks and no seal. `raw.Raw` has origin and notes.
    """

    name: str
    class_names: list[str]
    train_counts: list[int]
    test_counts: list[int]
    digests: dict[str, str]
    source: str
    licence: str
    format: int = FORMAT
    chunks: dict[str, list[str]] = field(default_factory=dict)
    origin: str = ""
    notes: list[str] = field(default_factory=list)

    def counts(self, split: str) -> list[int]:
        """How many images of each class the train or the test split has."""
        return self.train_counts if split == "train" else self.test_counts


def text(manifest: Manifest) -> bytes:
    """The content of the file."""
    told = asdict(manifest)
    return (json.dumps({**told, "seal": files.seal(told)["sha256"]}, indent=1) + "\n").encode()


def read(folder: Path, name: str, remedy: str) -> Manifest:
    """The description of the dataset `name` in a folder.

    Raises:
      DataError: it is missing, damaged, of another dataset or another format; ends with the remedy.
    """
    path = folder / NAME
    try:
        told = json.loads(files.read(path, _MAX_BYTES))
        form = told["format"]
        if type(form) is int and form not in (1, FORMAT):
            raise errors.DataError(f"{path} has format {form}, wanted {FORMAT}; {remedy}")
        seal = told.pop("seal", None)
        if not _makes_sense(told) or (form > 1 and seal != files.seal(told)["sha256"]):
            raise ValueError
        manifest = Manifest(**told)
    except FileNotFoundError:
        raise errors.DataError(f"{path} is missing; {remedy}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        reason = f" ({problem.strerror})" if isinstance(problem, OSError) else ""
        raise errors.DataError(f"{path} is damaged{reason}; {remedy}") from None
    if manifest.name != name:
        raise errors.DataError(f"{folder} holds {errors.shown(manifest.name)}, not {name}; {remedy}")
    return manifest


def origin(folder: Path) -> str:
    """The folder that prepared images were read from; "" if there are none, or their name says what they are."""
    try:
        return str(json.loads(files.read(folder / NAME, _MAX_BYTES)).get("origin", ""))
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""


def _makes_sense(told: Any) -> bool:
    """Whether every entry is of its type and they fit each other; arithmetic on what is not could do anything."""
    names, train, test = told["class_names"], told["train_counts"], told["test_counts"]
    return (
        all(type(told[entry]) is str for entry in ("name", "source", "licence"))
        and _all_are(str, names)
        and all(_all_are(int, counts) for counts in (train, test))
        and len(names) == len(train) >= len(test)
        and min(train) > 0
        and min(test) >= 0 < sum(test)
        and told["digests"].keys() == set(ARRAYS)
        and all(type(digest) is str and re.fullmatch("[0-9a-f]{64}", digest) for digest in told["digests"].values())
        and told.get("chunks", {}).keys() == (set(ARRAYS) if told["format"] > 1 else set())
        and all(_all_are(str, chunks) for chunks in told.get("chunks", {}).values())
        and type(told.get("origin", "")) is str
        and all(type(note) is str for note in told.get("notes", []))
    )


def _all_are(kind: type, values: Any) -> bool:
    return type(values) is list and len(values) > 0 and all(type(value) is kind for value in values)
