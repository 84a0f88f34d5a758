"""One process at a time: a lock file that says who holds it (pid and host).

Where the file system has locks the kernel alone decides, and takes the lock of a process that dies back at once; what is
written in the file is for messages. Where it has none, the holder touches the file every few seconds, and a lock that
nobody has touched for a minute is nobody's.
"""

import contextlib
import fcntl
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxsoft import errors, files

_BEAT_SECONDS, _GONE_SECONDS = 5.0, 60.0  # where there are no locks: how often one is touched, and when it is nobody's
_SETTLE_SECONDS = 1.0  # there, two that find it free at the same time see after this whose name stayed
_POLL_SECONDS = 1.0
_SOMEONE = "another process"

log = logging.getLogger(__name__)

OnWait = Callable[[str], None]
"""Called about once a second with the name of the process that holds the lock; may raise to stop."""


def told(say: Callable[[str], None], doing: str, stop: Callable[[], bool] = lambda: False) -> OnWait:
    """A way to wait: says once for whom, and leaves when it is asked to stop.

    Args:
      say: a line to the user.
      doing: what the holder of the lock does meanwhile.
      stop: whether the user asked for it.
    """
    said: set[str] = set()

    def wait(who: str) -> None:
        if who not in said and not (said and who == _SOMEONE):  # who has not yet written its name, or just left
            said.add(who)
            say(f"waiting for {who}, which {doing}")
        if stop():
            raise errors.Interrupted(f"stopped while waiting for {who}; the same command goes on from there")

    return wait


class Lock:
    """Holds a lock file from construction to `release`.

    Args:
      path: the lock file; its folder exists.
      what: is locked, for the message.
      on_wait: called again and again while another process holds it; without it, that is an error.

    Raises:
      CheckpointError: another process holds it.
      OSError: the file cannot be written, or is a link.
    """

    def __init__(self, path: Path, what: str = "run folder", on_wait: OnWait | None = None):
        self._path, self._released = path, threading.Event()
        self._me = {"pid": os.getpid(), "host": socket.gethostname(), "token": secrets.token_hex(4)}
        while (taken := self._take()) is None:
            who = _name(_holder(path))
            if on_wait is None:
                raise errors.CheckpointError(f"{what} {path.parent} is in use by {who}; wait for it or choose another")
            on_wait(who)
            time.sleep(_POLL_SECONDS)
        self._descriptor: int = taken

    def release(self) -> None:
        """Give the lock back. The file is emptied, not removed: a process that waits may have this very file open."""
        self._released.set()
        with contextlib.suppress(OSError):  # the folder may be gone, or read-only by now
            if _holder(self._path) == self._me:
                os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def _take(self) -> int | None:
        """The descriptor of the file, if nobody holds the lock; opened anew each time, as it may have been deleted."""
        descriptor = files.own(self._path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            os.close(descriptor)
            return None if isinstance(problem, BlockingIOError) else self._claim()  # a file system without locks
        self._say_left()
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(self._me).encode())
        return descriptor

    def _claim(self) -> int | None:
        """Take a lock that nobody touches; of several that try at once the last one to write its name has it."""
        if _holder(self._path) and not _forgotten(self._path):
            return None
        self._say_left()
        files.replace(self._path, json.dumps(self._me).encode())
        time.sleep(_SETTLE_SECONDS)
        if _holder(self._path) != self._me:
            return None
        threading.Thread(target=self._beat, daemon=True).start()
        return files.own(self._path)

    def _say_left(self) -> None:
        if holder := _holder(self._path):
            log.warning("%s was left by %s, which is gone: taking over", self._path, _name(holder))

    def _beat(self) -> None:
        while not self._released.wait(_BEAT_SECONDS):
            with contextlib.suppress(OSError):
                if _holder(self._path) != self._me:
                    return log.warning("%s was taken by another process while this one slept", self._path)
                os.utime(self._path)


def _holder(path: Path) -> dict[str, Any]:
    """Who is written in a lock; nobody where it was given back, or its writer died while writing."""
    try:
        found = json.loads(files.read(path, 4096))
        return {"pid": int(found["pid"]), "host": str(found["host"]), "token": str(found.get("token"))}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _name(holder: dict[str, Any]) -> str:
    return errors.shown("process {pid} on {host}".format(**holder)) if holder else _SOMEONE


def _forgotten(path: Path) -> bool:
    """Whether nobody has touched a lock for a minute, by its file system's clock or by ours; waits until that is sure."""
    first, began = path.stat().st_mtime, time.monotonic()
    probe = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    while path.stat().st_mtime == first:
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
        if max(now - first, time.monotonic() - began) > _GONE_SECONDS:
            return True
        time.sleep(_POLL_SECONDS)
    return False
