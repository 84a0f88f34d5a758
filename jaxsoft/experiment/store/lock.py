"""One process at a time: a lock file that says who holds it (pid and host).

Where the file system has locks the kernel alone decides, and takes the lock of a process that dies back at once; what is
written in the file is for messages. Where it has none, a lease beside it is touched every few seconds, and one that nobody
has touched for a minute is nobody's.
"""

import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import filelock

from jaxsoft import errors, files

_BEAT_SECONDS, _GONE_SECONDS = 5.0, 60.0  # how often a lease is touched, and when it is nobody's
_POLL_SECONDS = 1.0
_SOMEONE = "another process"
LEASE = ".lease"  # what its name adds to that of the lock file

log = logging.getLogger(__name__)

OnWait = Callable[[str], None]
"""Called about once a second with the name of the process that holds the lock; may raise to stop."""


def told(say: Callable[[str], None], doing: str, stop: Callable[[], bool] = lambda: False) -> OnWait:
    """A way to wait: says once for whom, and what that process is doing meanwhile; leaves when `stop` says so."""
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
      on_wait: how to wait while another process holds it; without it, that is an error.

    Raises:
      CheckpointError: another process holds it.
      OSError: the file cannot be written, or is a link.
    """

    def __init__(self, path: Path, what: str = "run folder", on_wait: OnWait | None = None):
        os.close(files.own(path))  # no link, and no device
        self._path, self._descriptor = path, -1
        self._kernel = filelock.UnixFileLock(path, thread_local=False, fallback_to_soft=False, on_acquired=self._sign)
        self._lease = filelock.SoftFileLease(
            f"{path}{LEASE}",
            thread_local=False,
            lease_duration=_GONE_SECONDS,
            heartbeat_interval=_BEAT_SECONDS,
            on_compromise=lambda _: log.warning("%s was taken by another process while this one slept", path),
        )
        while not self._take():
            who = _signed(path) or self._leaseholder() or _SOMEONE
            if on_wait is None:
                raise errors.CheckpointError(f"{what} {path.parent} is in use by {who}; wait for it or choose another")
            on_wait(who)
            time.sleep(_POLL_SECONDS)

    def release(self) -> None:
        """Give the lock back. The file is emptied, not removed: a process that waits may have this very file open."""
        with contextlib.suppress(OSError):  # the folder may be read-only by now
            if self._kernel.is_locked:
                os.ftruncate(self._descriptor, 0)
        self._kernel.release()
        self._lease.release()

    def _take(self) -> bool:
        try:
            self._kernel.acquire(timeout=0)
        except filelock.Timeout:
            return False
        except OSError:  # a file system without locks
            return self._take_lease()
        return True

    def _take_lease(self) -> bool:
        """Take a lease that nobody touches; waits until that is sure."""
        path, left, seen = Path(self._lease.lock_file), self._leaseholder(), 0
        while True:
            with contextlib.suppress(filelock.Timeout):
                self._lease.acquire(timeout=0)
                self._say_left(left)
                return True
            with contextlib.suppress(FileNotFoundError):
                touched = path.stat().st_mtime_ns
                if touched != (seen or touched):
                    return False
                seen = touched
            time.sleep(_POLL_SECONDS)

    def _leaseholder(self) -> str:
        owner = self._lease.owner
        return _name(owner.pid, owner.hostname) if owner else ""

    def _sign(self, descriptor: int) -> None:
        """Write who holds the lock into its file."""
        self._say_left(_signed(self._path))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        self._descriptor = descriptor

    def _say_left(self, who: str) -> None:
        if who:
            log.warning("%s was left by %s, which is gone: taking over", self._path, who)


def _signed(path: Path) -> str:
    """Who is written in a lock; nobody where it was given back, or its writer died while writing."""
    try:
        found = json.loads(files.read(path, 4096))
        return _name(int(found["pid"]), str(found["host"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""


def _name(pid: int, host: str) -> str:
    return errors.shown(f"process {pid} on {host}")
