"""What a run tells its user while it goes on, and how it is asked to stop.

On a terminal a bar moves, in a notebook one output is updated; elsewhere plain lines come at most every few seconds.
Nothing here decides a number.
"""

import contextlib
import importlib
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console as Rich
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from jaxsoft import errors
from jaxsoft.command import stopping

_LINE_SECONDS = 5.0
_WIDE = 120  # columns of a terminal; in a narrower one the bar is short, and leaves its place to words
_CELLS = 20  # of the bar in a notebook


class Console:
    """Lines, a bar, stage times, and whether the user asked to stop.

    Attributes:
      seconds: wall time of each finished stage.
      stop: whether a signal to stop has come.
    """

    def __init__(self, quiet: bool = False):
        self.seconds: dict[str, float] = {}
        self.stop = False
        self._is_notebook = Rich().is_jupyter and not quiet
        self._rich = Rich(quiet=quiet, highlight=False, emoji=False, soft_wrap=True, force_jupyter=False)
        self._bar: Progress | None = None
        self._output: Any = None  # of a notebook's cell
        self._last_line = 0.0

    def say(self, text: str) -> None:
        """One line, or several; what the user wrote is taken neither for markup nor for commands to the terminal."""
        self._rich.print(errors.lines(text), markup=False)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, and clear its bar at the end; in a notebook it stays as it was last.

        Raises:
          Interrupted: the user asked to stop before it.
        """
        if self.stop:
            raise errors.Interrupted(f"stopped before the stage {name}; the same command goes on from there")
        start = time.perf_counter()
        try:
            yield
        finally:
            if self._bar:
                self._bar.stop()
                self._bar = None
            self._output = None
            self._last_line = 0.0
            self.seconds[name] = round(time.perf_counter() - start, 3)

    def progress(self, done: int, total: int, text: str) -> None:
        """Move the bar; without a terminal or a notebook print a line now and then, and at the end."""
        text = errors.shown(text)
        if self._is_notebook:
            self._display(f"{'█' * (_CELLS * done // total):░<{_CELLS}} {done}/{total}  {text}")
        elif self._rich.is_terminal:
            self._bar = self._bar or self._started()
            self._bar.update(self._bar.task_ids[0], completed=done, total=total, description=text)
        elif done == total or time.monotonic() - self._last_line > _LINE_SECONDS:
            self._last_line = time.monotonic()
            self.say(f"  {done}/{total}  {text}")

    def columns(self) -> int | None:
        """How wide the terminal is; None where there is none."""
        return self._rich.width if self._rich.is_terminal else None

    def _started(self) -> Progress:
        """A bar whose words take as many lines as they need, so that none is cut."""
        bar = BarColumn(40 if self._rich.width >= _WIDE else 10)
        words = TextColumn("{task.description}", markup=False, table_column=Column())
        count = TextColumn("{task.completed}/{task.total}")
        made = Progress(bar, count, TimeElapsedColumn(), words, console=self._rich, transient=True)
        made.start()
        made.add_task("")
        return made

    def _display(self, text: str) -> None:
        shown = {"text/plain": text}
        if self._output:
            self._output.update(shown, raw=True)
        else:
            self._output = importlib.import_module("IPython.display").display(shown, raw=True, display_id=True)

    def interruptible(self, seconds: float = stopping.GRACE_SECONDS) -> contextlib.AbstractContextManager[None]:
        """Turn the first signal to stop into `stop`; a second one, or no boundary within so long, ends the process."""
        return stopping.heard(self._ask_to_stop, "stopping at the next boundary; once more to stop at once", seconds)

    def _ask_to_stop(self) -> None:
        self.stop = True
