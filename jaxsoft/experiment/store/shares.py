"""Shares of a sweep, for processes that never meet, as those of a job array: how their run folders are called.

The name says it all: `runs/big/share-2-of-8` is the third of eight parts of the sweep that `runs/big` will hold. What is
made once, experts and learned labels, lies in `runs/big` itself, for all shares that see it.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxsoft import errors
from jaxsoft.experiment.store import lock
from jaxsoft.experiment.store.folder import CONFIG, LOCK, RunFolder

_NAME = re.compile(r"share-(\d+)-of-(\d+)")
_FIRST, _ONLY_FIRST = "teachers", "share-teachers"
_WAY_ON = (
    "shares that lie in one folder are of one sweep: delete that one if it is not wanted, or choose another --workdir"
)


class Share(NamedTuple):
    """One part of a sweep, counted from 0; of 0 parts where only what is made once is made."""

    index: int = 0
    count: int = 1


WHOLE = Share()


def folder(workdir: Path, text: str) -> Path:
    """The run folder of a share, `I/N`, or of what all shares need first, `teachers`.

    Raises:
      ConfigError: there is no such share.

    >>> str(folder(Path("runs/big"), "2/8"))
    'runs/big/share-2-of-8'
    """
    if text == _FIRST:
        return workdir / _ONLY_FIRST
    numbers = re.fullmatch(r"(\d+)/(\d+)", text)
    if not numbers or int(numbers[1]) >= int(numbers[2]):
        wanted = f"I/N, I from 0 to N-1, or {_FIRST}, which are taught then and nothing else is done"
        raise errors.ConfigError(f"--share expects {wanted}; got {text!r}")
    return workdir / f"share-{int(numbers[1])}-of-{int(numbers[2])}"


def of(path: Path) -> Share:
    """Which share a run folder is, by its name.

    >>> of(Path("runs/big/share-2-of-8")), of(Path("runs/big"))
    (Share(index=2, count=8), Share(index=0, count=1))
    """
    if path.name == _ONLY_FIRST:
        return Share(0, 0)
    numbers = _NAME.fullmatch(path.name)
    found = Share(*map(int, numbers.groups())) if numbers else WHOLE
    return found if found.index < found.count else WHOLE


def is_share(name: str) -> bool:
    """Whether a folder of this name is a share's, or that of what all shares need."""
    return of(Path(name)) != WHOLE


def home(path: Path) -> Path:
    """Where what is made once lies: of a share the folder around it, else the run folder itself."""
    return path.absolute().parent if is_share(path.name) else path


def beside(path: Path) -> list[Path]:
    """What has begun of the sweep of a share: other shares, what all of them need, and the run that they are joined in."""
    around = home(path)
    inner = (one for one in around.glob("share-*") if is_share(one.name))
    begun = (one for one in (around, *inner) if (one / CONFIG).exists())
    return sorted(one for one in begun if one.name != path.name) if around != path else []


def check_beside(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse a share beside which another sweep has begun, before anything is written: nobody could join the two.

    Raises:
      CheckpointError: what lies there is of other settings, or of another number of shares; names it.
    """
    count = of(path).count
    for other in beside(path):
        RunFolder(other).compare(config, _WAY_ON)
        if is_share(other.name) and count and (there := of(other).count) not in (0, count):
            raise errors.CheckpointError(f"{other} is one of {there} shares, and this one of {count}; {_WAY_ON}")


@contextlib.contextmanager
def door(path: Path, one_at_a_time: bool, on_wait: lock.OnWait) -> Iterator[Path]:
    """The `home` of a run folder; of shares that see one home, one after the other where that is asked."""
    where = home(path)
    with contextlib.ExitStack() as stack:
        if one_at_a_time and where != path:
            stack.callback(lock.Lock(where / LOCK, on_wait=on_wait).release)
        yield where


def within(paths: Iterable[Path]) -> list[Path]:
    """The shares among folders, and those that lie in them, by number."""
    inner = (path for one in paths for path in ([one] if is_share(one.name) else one.glob("share-*-of-*")))
    return sorted((path for path in inner if of(path).count and path.is_dir()), key=lambda path: (of(path), path))
