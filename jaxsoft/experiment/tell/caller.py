"""What a function of the Python interface tells whoever calls it, and how Ctrl-C stops it."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from jaxsoft import errors
from jaxsoft.command import stopping
from jaxsoft.console import Console

Progress = Callable[[str, int, int, str], None]
"""Called with the stage (`teachers`, `labels` or `students`), how much is done, of how much in all, and words for it."""


class Caller(Console):
    """A console that calls the user's `progress`; without one it has a bar where there is somebody to see it.

    What can be gone on with in a folder, `resumable`, is told in lines too, and a first Ctrl-C stops at a boundary.
    """

    def __init__(self, progress: Progress | None = None, resumable: bool = False):
        super().__init__(quiet=progress is not None)
        if not (self._is_notebook or self._rich.is_terminal):
            self._rich.quiet = True
        self._call, self._stage, self._resumable = progress, "", resumable

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, and name it to `progress`."""
        self._stage = name
        with super().stage(name):
            yield

    def say(self, text: str) -> None:
        """A line, of what can be gone on with."""
        if self._resumable:
            super().say(text)

    def progress(self, done: int, total: int, text: str) -> None:
        """Tell how far the stage is: the user's function, or the bar."""
        if self._call:
            self._call(self._stage, done, total, text)
        else:
            super().progress(done, total, text)

    @contextlib.contextmanager
    def interruptible(self, seconds: float = stopping.GRACE_SECONDS) -> Iterator[None]:
        """Let the first Ctrl-C stop at the next boundary, with all saved, and a second one at once; the process lives on."""
        if not self._resumable or threading.current_thread() is not threading.main_thread():
            yield  # only the main thread can handle signals
            return
        before = signal.getsignal(signal.SIGINT) or signal.default_int_handler

        def ask(*_: object) -> None:
            self.stop = True
            signal.signal(signal.SIGINT, before)

        signal.signal(signal.SIGINT, ask)
        try:
            yield
        except errors.Interrupted as problem:
            raise KeyboardInterrupt(str(problem)) from None
        finally:
            signal.signal(signal.SIGINT, before)
