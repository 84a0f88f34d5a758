"""Where a run's events go beside the terminal: tables, TensorBoard, Weights & Biases, a function of one's own.

An event is a small mapping. `event` says what happened and `step` when, counted from 1; of its other values the floats
were measured, None where there is no number, and the rest says of what:

  teacher   step is the epoch; expert; train_loss and label_entropy in nats, val_accuracy
  students  step is the look, counted through all waves; wave, ipc, labels; means over that group: train_loss, val_accuracy
  speed     step as before; wave; student_steps_per_second, compilation left out
  member    step counts what has finished; the row of the results

The module is the registry: a public function is a legal name in `config.sinks`. It takes `folder`, RUN/logs, which exists
and which no manifest lists, and options; it returns a `Sink`. Nothing here decides a number, and a sink that fails stops
no run.
"""

import contextlib
import importlib.util
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from csv import DictWriter, reader
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxsoft import errors, files, imports, spec

Event = Mapping[str, Any]

_OF = ("expert", "ipc", "labels")  # what a measured value of an event is of
_SETTINGS = ("learning_rate", "weight_decay")  # floats of a row that nobody measured
_PACKAGES = {"tensorboard": "tensorboard>=2.20,<3", "wandb": "wandb>=0.22,<1"}  # as in pyproject.toml


@runtime_checkable
class Sink(Protocol):
    """Where events go. Whatever it raises is told once, and ends it."""

    def write(self, event: Event) -> None:
        """Take one event; each comes once, also when a run is stopped and goes on."""
        ...

    def close(self) -> None:
        """Called at the end, and when a run stops."""
        ...


class Sinks(contextlib.AbstractContextManager):
    """All sinks of a run; closed when the context ends."""

    def __init__(self, texts: Sequence[str], folder: Path, say: Callable[[str], None]):
        """
        Args:
          texts: specs that `check` let pass.
          folder: RUN/logs, made when there is something to write.
          say: tells the user a line.
        """
        self._sinks = [_Guarded(text, folder, say) for text in dict.fromkeys(texts)]

    def __bool__(self) -> bool:
        return bool(self._sinks)

    def write(self, events: Iterable[Event]) -> None:
        """Hand on what each sink has not been given before."""
        if self:
            for event in events:
                for sink in self._sinks:
                    sink.write(event)

    def __exit__(self, *_: object) -> None:
        for sink in self._sinks:
            sink.close()


NONE = Sinks((), Path(), lambda _: None)


def csv(folder: Path) -> Sink:
    """A table of each kind of event: teacher.csv, students.csv, speed.csv, member.csv."""
    return _Tables(folder)


def tensorboard(folder: Path) -> Sink:
    """Scalars for `tensorboard --logdir RUN/logs`; every start adds a file to the same curves."""
    return _TensorBoard(folder / "tensorboard")


def wandb(folder: Path, project: str = "jaxsoft", mode: str = "online", entity: str = "", name: str = "") -> Sink:
    """A run of Weights & Biases, named as the run folder unless `name` is given; every start goes on with it.

    Offline each start leaves a folder in RUN/logs/wandb; `wandb sync` in RUN/logs makes one run of them.
    """
    return _Wandb(folder, dict(project=project, mode=mode, entity=entity or None, name=name or folder.parent.name))


def check(text: str) -> None:
    """Refuse a sink that there is not, or whose package is missing.

    Raises:
      ConfigError: in one line, with the choices, or with the command that installs what is missing.
    """
    _maker(text)
    name = spec.parse_one(text).name
    if name in _PACKAGES and importlib.util.find_spec(name) is None:
        raise errors.ConfigError(f"{text} needs a package that is not installed: pip install '{_PACKAGES[name]}'")


def _maker(text: str) -> Callable[[Path], Sink]:
    known = {name: maker for name, maker in spec.public_functions(sys.modules[__name__]).items() if maker is not check}
    return spec.resolve(text, known, "sink", "jaxsoft/sinks.py", ("folder",))


class _Guarded:
    """One sink: made at its first event, given each event once, and given up when it fails."""

    def __init__(self, text: str, folder: Path, say: Callable[[str], None]):
        self._text, self._folder, self._say = text, folder, say
        self._sink: Sink | None = None
        self._failed = False
        self._told_path = folder / f"told-{files.digest([text])[:8]}.jsonl"
        self._told: set[str] = set()
        with self._telling(), contextlib.suppress(FileNotFoundError), files.opened(self._told_path) as file:
            self._told = set(file.read().decode(errors="replace").split("\n"))

    def write(self, event: Event) -> None:
        key = _identity(event)
        if self._failed or key in self._told:
            return
        self._told.add(key)
        with self._telling():
            sink = self._sink = self._sink or self._made()
            self._memory.write(f"{key}\n")
            sink.write(event)

    def close(self) -> None:
        if self._sink:
            with self._telling(), self._memory:
                self._sink.close()

    def _made(self) -> Sink:
        self._folder.mkdir(parents=True, exist_ok=True)
        made = _maker(self._text)(self._folder)
        if not isinstance(made, Sink):
            told = f"should return an object with write(event) and close(), got {type(made).__name__}"
            raise errors.ConfigError(f"{self._text} {told}")
        self._memory = open(files.own(self._told_path), "a", buffering=1)
        return made

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Say once what a sink raises, whatever it is; from then on it gets nothing."""
        try:
            yield
        except (Exception, SystemExit) as problem:
            is_told = isinstance(problem, errors.JaxsoftError)
            said = str(problem) if is_told else f"{self._text}: {imports.located(problem)}"
            if not self._failed:
                self._say(f"warning: the run goes on without a sink: {said}")
            self._failed = True


class _Tables:
    def __init__(self, folder: Path):
        self._folder, self._tables = folder, {}

    def write(self, event: Event) -> None:
        if (kind := event["event"]) not in self._tables:
            self._tables[kind] = self._opened(self._folder / f"{kind}.csv", [key for key in event if key != "event"])
        file, table = self._tables[kind]
        table.writerow(event)
        file.flush()

    def close(self) -> None:
        for file, _ in self._tables.values():
            file.close()

    def _opened(self, path: Path, columns: list[str]) -> tuple[Any, DictWriter]:
        """A table to add to, with the columns that it has, if it has some."""
        file = open(files.own(path), "a+", newline="", encoding="utf-8")
        file.seek(0)
        there = next(reader(file), None)
        table = DictWriter(file, there or columns, extrasaction="ignore", lineterminator="\n")
        if not there:
            table.writeheader()
        return file, table


class _TensorBoard:
    def __init__(self, folder: Path):
        from tensorboard.compat.proto import event_pb2, summary_pb2  # pyright: ignore[reportMissingImports]
        from tensorboard.summary.writer import event_file_writer  # pyright: ignore[reportMissingImports]

        messages: Any = event_pb2, summary_pb2  # made when they are imported
        self._event, self._summary = messages[0].Event, messages[1].Summary
        self._writer = event_file_writer.EventFileWriter(str(folder), flush_secs=2)

    def write(self, event: Event) -> None:
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in _scalars(event).items()]
        told = self._summary(value=values)
        self._writer.add_event(self._event(wall_time=time.time(), step=event["step"], summary=told))

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(self, folder: Path, options: Mapping[str, Any]):
        import wandb  # pyright: ignore[reportMissingImports]

        quietly = wandb.Settings(console="off", silent=True)
        self._run = wandb.init(**options, dir=str(folder), id=_kept_id(folder), resume="allow", settings=quietly)
        for kind in ("teacher", "students", "speed", "member"):
            self._run.define_metric(f"{kind} step")
            self._run.define_metric(f"{kind} *", step_metric=f"{kind} step")

    def write(self, event: Event) -> None:
        self._run.log({f"{event['event']} step": event["step"], **_scalars(event)})

    def close(self) -> None:
        self._run.finish()


def _kept_id(folder: Path) -> str:
    """By which Weights & Biases knows the run; the same for all starts."""
    path = folder / "wandb-id"
    if not path.exists():
        files.replace(path, secrets.token_hex(4).encode())
    return files.read(path, 100).decode()


def _scalars(event: Event) -> dict[str, float]:
    """The measured values of an event by what, and of what, they are.

    >>> _scalars({"event": "teacher", "step": 3, "expert": 0, "val_accuracy": 0.5, "train_loss": None})
    {'teacher val_accuracy/expert=0': 0.5}
    """
    of = " ".join(f"{name}={event[name]}" for name in _OF if name in event)
    measured = {name: v for name, v in event.items() if isinstance(v, float) and name not in _SETTINGS}
    return {f"{event['event']} {name}" + f"/{of}" * bool(of): value for name, value in measured.items()}


def _identity(event: Event) -> str:
    """What tells an event from all others of a run."""
    names = ("event", "member") if "member" in event else ("event", "step", *_OF)
    return json.dumps([event.get(name) for name in names])
