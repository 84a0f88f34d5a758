"""The description of a prepared dataset: one JSON file, sealed with its own digest, believed only if all of it makes sense."""

import itertools
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jaxsoft import errors, files

FORMAT = 2
NAME = "dataset.json"
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
CHUNK = 1 << 24  # bytes of a piece of an array that has a digest of its own; part of the format

_MAX_BYTES = 1 << 26


@dataclass(frozen=True)
class Manifest:
    """What the JSON file says.

    `digests` are SHA-256 in hex, one for each array without its header; `chunks` those of its pieces of `CHUNK` bytes, which
    can be checked at once. Format 1 has no chunks and no seal. `raw.Raw` has origin and notes.
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

    def text(self) -> bytes:
        """The content of the file."""
        told = asdict(self)
        return (json.dumps({**told, "seal": files.seal(told)["sha256"]}, indent=1) + "\n").encode()


def read(folder: Path, name: str, remedy: str) -> Manifest:
    """The description of the dataset `name` in a folder.

    Raises:
      DataError: it is missing, damaged, of another dataset or another format; ends with the remedy.
    """
    path = folder / NAME
    try:
        told = json.loads(files.read(path, _MAX_BYTES))
        form, seal = told["format"], told.pop("seal", None)
        if type(form) is int and form not in (1, FORMAT):
            raise errors.DataError(f"{path} has format {form}, wanted {FORMAT}; {remedy}")
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


def _makes_sense(told: dict[str, Any]) -> bool:
    """Whether every entry is of its type and they fit each other; arithmetic on what is not could do anything."""
    names, train, test = told["class_names"], told["train_counts"], told["test_counts"]
    digests, chunks, notes = told["digests"], told.get("chunks", {}), told.get("notes", [])
    texts = told["name"], told["source"], told["licence"], told.get("origin", ""), *names, *notes
    return (
        all(type(entry) is list for entry in (names, train, test, *chunks.values()))
        and all(type(text) is str for text in itertools.chain(texts, *chunks.values()))
        and all(type(count) is int for count in (*train, *test))
        and len(names) == len(train) >= len(test)
        and min(train) > 0
        and min(test) >= 0 < sum(test)
        and digests.keys() == set(ARRAYS)
        and all(type(digest) is str and re.fullmatch("[0-9a-f]{64}", digest) for digest in digests.values())
        and chunks.keys() == (set(ARRAYS) if told["format"] > 1 else set())
        and all(chunks.values())
    )
