"""Folders that say what they are: a sealed record in JSON and its arrays, made whole or not at all.

What is imported is kept so: the folder NAME lies in the folder that a variable of the environment names, else in one
below the folder of prepared data; a path may stand for the name.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsoft import data, errors, files, packing
from jaxsoft.config import values
from jaxsoft.data import refusals
from jaxsoft.types import Dataset

FORMAT = 1
_MOST_JSON, _MOST_BYTES = 1 << 24, 1 << 33


class Kind(NamedTuple):
    """What is kept in folders of one kind.

    Attributes:
      what: the word for it, in messages.
      record, arrays: the names of its two files.
      variable, below: which variable says where, and the folder's name otherwise.
      fields: what a record must hold, and of which type.
      identity: the fields that tell one from another, beside its arrays.
      made: the command that makes one.
    """

    what: str
    record: str
    arrays: str
    variable: str
    below: str
    fields: Mapping[str, type]
    identity: tuple[str, ...]
    made: str

    def home(self, root: str = "") -> Path:
        """The folder that all of a kind lie in."""
        own = os.environ.get(self.variable)
        return Path(values.path(own, self.variable)) if own else data.root_folder(root or None) / self.below

    def place(self, name: str, root: str = "") -> Path:
        """The folder that a name, or a path, stands for; ConfigError if it can be neither."""
        if "/" in name:
            return Path(values.path(name, self.what))
        if not is_name(name):
            told = f"the name of a {self.what} has letters, digits, '_', '.' and '-', got {errors.quoted(name)}"
            raise errors.ConfigError(told)
        return self.home(root) / name

    def names(self, root: str = "") -> list[str]:
        """Those that there are."""
        there = (path.parent.name for path in self.home(root).glob(f"*/{self.record}"))
        return sorted(name for name in there if is_name(name))

    def check_free(self, folder: Path) -> None:
        """Refuse a place that is taken: an import replaces nothing."""
        if os.path.lexists(folder):
            told = f"there is a {self.what} in {folder} already; choose another name, or delete it first"
            raise errors.ConfigError(told)

    def keep(self, folder: Path, record: Mapping[str, Any], arrays: Any) -> dict[str, Any]:
        """Make a folder, whole or not at all; returns its record, with the digest by which results know it.

        Args:
          arrays: a tree of them.

        Raises:
          ConfigError: there is one already. CheckpointError: it cannot be written.
        """
        self.check_free(folder)
        packed, leaves = packing.pack(arrays)
        whole = {"format": FORMAT, **record, "leaves": leaves}
        whole["digest"] = self.digest(whole)
        with errors.writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            staged = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
            try:
                staged.mkdir()
                files.replace(staged / self.arrays, packed.tobytes())
                files.replace(staged / self.record, (json.dumps(files.seal(whole), indent=2) + "\n").encode())
                self.check_free(folder)
                os.rename(staged, folder)
                files.sync(folder.parent)
            finally:
                shutil.rmtree(staged, ignore_errors=True)
        return whole

    def recorded(self, name: str, root: str = "", digest: str = "") -> dict[str, Any]:
        """The record of the one of a name, or path; of this digest, if one is wanted.

        Raises:
          ConfigError: there is none, or it is another one by now. CheckpointError: the record was altered.
        """
        folder = self.place(name, root)
        if not (folder / self.record).is_file():
            known = self.names(root)
            told = f"those there: {refusals.listed(known)}" if known else f"`{self.made}` makes one"
            raise errors.ConfigError(f"there is no {self.what} {name!r} in {folder.parent}; {told}")
        with _reading(folder / self.record):
            found = files.unseal(json.loads(files.read(folder / self.record, _MOST_JSON)))
            if found["format"] != FORMAT:
                raise ValueError(f"its format is {found['format']}; this version reads {FORMAT}")
            held = {key: type(found.get(key)) for key in self.fields}
            if held != self.fields or found["digest"] != self.digest(found):
                raise ValueError("it is not what was saved")
        if digest not in ("", found["digest"]):
            raise errors.ConfigError(f"the {self.what} {name!r} is {found['digest']} now; wanted {digest}")
        return found

    def unpacked(self, folder: Path, record: Mapping[str, Any], like: Any = None) -> Any:
        """The arrays of a folder, once every one is known to be as it was kept; CheckpointError if it is not.

        Args:
          like: a tree of their structure; if not given, they come by their paths.
        """
        with _reading(folder / self.arrays):
            packed = np.frombuffer(files.read(folder / self.arrays, _MOST_BYTES), np.uint8)
            return packing.unpack(
                packed, record["leaves"], dict.fromkeys(record["leaves"], 0) if like is None else like
            )

    def check_data(self, name: str, record: Mapping[str, Any], dataset: Dataset) -> None:
        """Refuse one of other images than those of a dataset: another data set, other classes, or another size."""
        own = {"data set": dataset.name, "size": list(dataset.image_shape), "classes": list(dataset.class_names)}
        for what, was in zip(own, (record["data"]["name"], record["image_shape"], record["class_names"])):
            if was != own[what]:
                told = f"is of the {what} {str(was):.80}; this run is of {str(own[what]):.80}"
                raise errors.ConfigError(f"the {self.what} {name!r} {told}; import it with --data={dataset.name}")

    def digest(self, record: Mapping[str, Any]) -> str:
        """What tells one from another."""
        own = [*(record[name] for name in self.identity), record["leaves"]]
        return "x" + files.digest([json.dumps(own, sort_keys=True)])[:12]


def is_name(text: str) -> bool:
    """Whether a text can be the name of a folder of ours.

    >>> is_name("2022-mtt"), is_name(".mtt"), is_name("a+b")
    (True, False, False)
    """
    return bool(re.fullmatch(r"\w[\w.-]*", text))


def _sweep(folder: Path) -> None:
    """Remove what was left beside a folder where the making of it was killed."""
    for leftover in folder.parent.glob(f".{folder.name}.*.tmp"):
        if re.fullmatch(r"[0-9a-f]{8}", leftover.name[len(folder.name) + 2 : -4]):
            shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong in reading a file is a CheckpointError in one line; damage may raise anything."""
    try:
        yield
    except Exception as problem:
        told = errors.shown(getattr(problem, "strerror", None) or errors.first_line(problem))
        raise errors.CheckpointError(f"cannot read {path}: {told}; import it again") from None
