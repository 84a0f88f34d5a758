"""One process at a time: a lock file that says who holds it (pid, host, start time)."""

import fcntl
import json
import logging
import os
import socket
from pathlib import Path
from typing import Any

from jaxsoft import errors

log = logging.getLogger(__name__)


class Lock:
    """Holds a lock file from construction to `release`; the kernel takes it back when the process dies.

    Args:
      path: the lock file; its folder exists.
      what: is locked, for the message.

    Raises:
      CheckpointError: another process holds it, or may hold it on another host.
      OSError: the file cannot be written.
    """

    def __init__(self, path: Path, what: str = "run folder"):
        self._what = what
        self._descriptor: int = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._acquire(path)
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Give the lock back. The file is emptied, not removed: a process that waits may have this very file open."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def _acquire(self, path: Path) -> None:
        kernel_knows = True
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _refusal(self._what, path, _holder(self._descriptor)) from None
        except OSError:  # a file system without locks: believe what is written
            kernel_knows = False
        holder = _holder(self._descriptor)
        elsewhere = holder.get("host", socket.gethostname()) != socket.gethostname()
        if holder and (elsewhere or not (kernel_knows or _gone(holder))):
            raise _refusal(self._what, path, holder)
        if holder:
            log.warning("%s was left by process %s, which is gone: taking over", path, holder["pid"])
        os.ftruncate(self._descriptor, 0)
        me = {"pid": os.getpid(), "host": socket.gethostname(), "start": _start(os.getpid())}
        os.pwrite(self._descriptor, json.dumps(me).encode(), 0)


def _holder(descriptor: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        return {"pid": int(found["pid"]), "host": str(found["host"]), "start": str(found["start"])}
    except (ValueError, KeyError, TypeError):  # given back, or its writer died while writing
        return {}


def _refusal(what: str, path: Path, holder: dict[str, Any]) -> errors.CheckpointError:
    who = "process {pid} on {host}".format(**holder) if holder else "another process"
    return errors.CheckpointError(
        f"{what} {path.parent} is in use by {who}; wait for it or choose another "
        f"(if you are sure that it is gone, delete {path})"
    )


def _gone(holder: dict[str, Any]) -> bool:
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # alive, of another user
        pass
    return _start(holder["pid"]) != holder["start"]


def _start(pid: int) -> str:
    """When a process began, in ticks since boot: tells it from a later one of the same number. Empty if not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # a zombie writes nothing any more
