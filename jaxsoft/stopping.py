"""How a process is asked to stop: by the keyboard, by a scheduler that warns, by a terminal that closes."""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from jaxsoft import errors

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
_GRACE_SECONDS = 8.0


@contextlib.contextmanager
def heard(asked: Callable[[], Any], told: str = "", handler: Callable[..., Any] = lambda *_: None) -> Iterator[None]:
    """Hear the first signal that asks to stop; a second one, or no end within 8 s, ends the process.

    A thread reads the signals, because the main one may be inside a long compiled call. Ending hard loses nothing but
    the work since the last checkpoint.

    Args:
      asked: called in that thread at the first signal.
      told: what the user is told before that.
      handler: called in the main thread between two of its instructions, as Python does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return
    receive, send = socket.socketpair()
    send.setblocking(False)
    threading.Thread(target=_listen, args=(receive, asked, told, _GRACE_SECONDS), daemon=True).start()
    before = signal.set_wakeup_fd(send.fileno(), warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, handler) for number in SIGNALS if not _is_ignored(number)}
    try:
        yield
    finally:
        for number, earlier in handlers.items():
            signal.signal(number, earlier)
        signal.set_wakeup_fd(before)
        send.close()


def tell(text: str) -> None:
    """A line on standard error, if that can be written at all: a paused pager must not keep a process from stopping."""

    def write() -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    writing.join(timeout=1.0)


def _is_ignored(number: int) -> bool:
    """Whether whoever started this process wants a signal ignored, as nohup does.

    Shells ignore SIGINT for every command in the background; a keyboard or a script that sends it all the same means it.
    """
    return number != signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN


def _listen(receive: socket.socket, asked: Callable[[], Any], told: str, grace: float) -> None:
    waiting = False
    with receive:
        try:
            while received := receive.recv(1):  # nothing once the context is left
                if received[0] not in SIGNALS:
                    continue
                if waiting:
                    os._exit(errors.Interrupted.exit_code)
                waiting = True
                receive.settimeout(grace)
                if told:
                    tell(told)
                asked()
        except TimeoutError:
            tell("stopped; the same command goes on from the last checkpoint")
            os._exit(errors.Interrupted.exit_code)
