"""How a process is asked to stop: by the keyboard, by a scheduler that warns, by a terminal that closes."""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

from jaxsoft import errors

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
GRACE_SECONDS = 8.0  # less than any scheduler leaves between asking and killing


@contextlib.contextmanager
def heard(asked: Callable[[], None], told: str, grace_seconds: float = GRACE_SECONDS) -> Iterator[None]:
    """Hear the first signal that asks to stop; a second one, or no end within the grace, ends the process.

    A thread reads the signals, because the main one may be inside a long compiled call. Ending hard loses nothing but
    the work since the last checkpoint. At the first signal the user is told, then that thread calls `asked`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return
    receive, send = socket.socketpair()
    send.setblocking(False)
    threading.Thread(target=_listen, args=(receive, asked, told, grace_seconds), daemon=True).start()
    before = signal.set_wakeup_fd(send.fileno(), warn_on_full_buffer=False)
    # What nohup ignores stays so; but SIGINT, which shells ignore for the background, is meant by whoever sends it.
    wanted = [n for n in SIGNALS if n == signal.SIGINT or signal.getsignal(n) is not signal.SIG_IGN]
    handlers = {number: signal.signal(number, lambda *_: None) for number in wanted}
    try:
        yield
    finally:
        for number, earlier in handlers.items():
            signal.signal(number, earlier)
        signal.set_wakeup_fd(before)
        send.close()


def leave() -> None:
    """End the process at once, saved or not, so that the same command goes on; its bar may have hidden the cursor."""
    if os.isatty(1):
        _try(lambda: os.write(1, b"\x1b[?25h"))
    os._exit(errors.Interrupted.exit_code)


def tell(text: str) -> None:
    """A line on standard error, if that can be written at all."""
    _try(lambda: print(f"{text}\n", end="", file=sys.stderr, flush=True))


def _try(write: Callable[[], object]) -> None:
    """Write within a second or not at all: a paused terminal must not keep a process from stopping."""

    def writing() -> None:
        with contextlib.suppress(OSError, ValueError):
            write()

    thread = threading.Thread(target=writing, daemon=True)
    thread.start()
    thread.join(timeout=1.0)


def _listen(receive: socket.socket, asked: Callable[[], None], told: str, grace_seconds: float) -> None:
    waiting = False
    with receive:
        try:
            while received := receive.recv(1):  # nothing once the context is left
                if received[0] not in SIGNALS:
                    continue
                if waiting:
                    leave()
                waiting = True
                receive.settimeout(grace_seconds)
                tell(told)
                asked()
        except TimeoutError:
            tell("stopped; the same command goes on from the last checkpoint")
            leave()
