"""What a run tells its user while it goes on, and how it is asked to stop.

On a terminal a bar moves; elsewhere plain lines come at most every few seconds. Nothing here decides a number.
"""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console as Rich
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from jaxsoft import errors
from jaxsoft.command import stopping

_LINE_SECONDS = 5.0


class Console:
    """Lines, a bar, stage times, and whether the user asked to stop.

    Attributes:
      seconds: wall time of each finished stage.
      stop: whether a signal to stop has come.
    """

    def __init__(self, quiet: bool = False):
        self.seconds: dict[str, float] = {}
        self.stop = False
        self._rich = Rich(quiet=quiet, highlight=False, emoji=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._last_line = 0.0

    def say(self, text: str) -> None:
        """One line, or several; what the user wrote is taken neither for markup nor for commands to the terminal."""
        self._rich.print(errors.lines(text), markup=False)

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
        text = errors.shown(text)
        if self._rich.is_terminal:
            if self._bar is None:
                words = TextColumn("{task.completed}/{task.total}"), TextColumn("{task.description}", markup=False)
                self._bar = Progress(BarColumn(), *words, TimeElapsedColumn(), console=self._rich, transient=True)
                self._bar.start()
                self._bar.add_task("", total=total)
            self._bar.update(self._bar.task_ids[0], completed=done, total=total, description=text)
        elif done == total or time.monotonic() - self._last_line > _LINE_SECONDS:
            self._last_line = time.monotonic()
            self.say(f"  {done}/{total}  {text}")

    def interruptible(self) -> contextlib.AbstractContextManager[None]:
        """Turn the first signal to stop into `stop`; a second one, or no boundary within 8 s, ends the process."""
        return stopping.heard(self._ask_to_stop, "stopping at the next boundary; once more to stop at once")

    def _ask_to_stop(self) -> None:
        self.stop = True
