"""What a run tells its user while it goes on, and how it is asked to stop.

On a terminal a bar moves; elsewhere plain lines come at most every few seconds. Nothing here decides a number.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator

from rich.console import Console as Rich
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from jaxsoft import errors

_LINE_SECONDS = 5.0
_GRACE_SECONDS = 8.0


class Console:
    """Lines, a bar, stage times, and whether the user asked to stop.

    Attributes:
      seconds: wall time of each finished stage.
      stop: whether SIGINT or SIGTERM has come.
    """

    def __init__(self, quiet: bool = False):
        self.seconds: dict[str, float] = {}
        self.stop = False
        self._rich = Rich(quiet=quiet, highlight=False, emoji=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._last_line = 0.0

    def say(self, text: str) -> None:
        """One line, or several; what the user wrote is not taken for markup."""
        self._rich.print(text, markup=False)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, and clear its bar at the end."""
        start = time.perf_counter()
        try:
            yield
        finally:
            if self._bar:
                self._bar.stop()
                self._bar = None
            self._last_line = 0.0
            self.seconds[name] = round(time.perf_counter() - start, 3)

    def progress(self, done: int, total: int, text: str) -> None:
        """Move the bar; without a terminal print a line now and then, and at the end."""
        if self._rich.is_terminal:
            if self._bar is None:
                columns = (BarColumn(), TextColumn("{task.completed}/{task.total}"), TextColumn("{task.description}"))
                self._bar = Progress(*columns, TimeElapsedColumn(), console=self._rich, transient=True)
                self._bar.start()
                self._bar.add_task("", total=total)
            self._bar.update(self._bar.task_ids[0], completed=done, total=total, description=text)
        elif done == total or time.monotonic() - self._last_line > _LINE_SECONDS:
            self._last_line = time.monotonic()
            self.say(f"  {done}/{total}  {text}")

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Turn the first SIGINT or SIGTERM into `stop`; a second one, or no boundary within 8 s, ends the process.

        A thread reads the signals, because the main one may be inside a long compiled call. Ending hard loses nothing
        but the work since the last checkpoint.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread can handle signals
            return
        receive, send = socket.socketpair()
        send.setblocking(False)
        before = signal.set_wakeup_fd(send.fileno(), warn_on_full_buffer=False)
        handlers = {s: signal.signal(s, lambda *_: None) for s in (signal.SIGINT, signal.SIGTERM)}
        threading.Thread(target=self._watch, args=(receive,), daemon=True).start()
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)
            send.close()

    def _watch(self, receive: socket.socket) -> None:
        wanted = (signal.SIGINT, signal.SIGTERM)
        with receive:
            try:
                while received := receive.recv(1):  # nothing once the run is over
                    if received[0] not in wanted:
                        continue
                    if self.stop:
                        os._exit(errors.Interrupted.exit_code)
                    self.stop = True
                    receive.settimeout(_GRACE_SECONDS)
                    print("stopping at the next boundary; once more to stop at once", file=sys.stderr, flush=True)
            except TimeoutError:
                print("stopped; the same command goes on from the last checkpoint", file=sys.stderr, flush=True)
                os._exit(errors.Interrupted.exit_code)
