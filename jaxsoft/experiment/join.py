"""Shares of a sweep made one run folder, as one process would have left it: compared, found whole, merged."""

import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxsoft import errors
from jaxsoft.console import Console
from jaxsoft.experiment import run, teachers
from jaxsoft.experiment.learned import judges
from jaxsoft.experiment.learned import kept as learned
from jaxsoft.experiment.plan import stored
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store import manifest, results, shares, starts
from jaxsoft.experiment.store.folder import CONFIG, FREE, SHOWN, TIMING, RunFolder, differing, flat
from jaxsoft.experiment.students import kept
from jaxsoft.experiment.tell import examples
from jaxsoft.types import Row

_ONCE = teachers.FOLDER, learned.ROWS, learned.STORY, judges.KEPT  # made once, beside the shares
_DIFFER = "device", "version", "commit"  # columns of the rows whose values are told where there are several
_NUMBERS = "status", "first_bad_step", "val_accuracy", "test_accuracy", "paper_accuracy", "accuracy_by_class"


class Part(NamedTuple):
    """A share as it is found."""

    folder: RunFolder
    share: shares.Share
    plan: Plan  # of the whole sweep
    rows: list[Row]

    @property
    def missing(self) -> int:
        """How many of its students are not done."""
        return len({*self.plan.part(*self.share).trained} - {row["member"] for row in self.rows})


def join(paths: Sequence[Path], to: Path | None, console: Console, partial: bool = False) -> tuple[list[Row], Path]:
    """Merge shares into one run folder; one that was merged before takes in what is new.

    Args:
      paths: shares, or folders of shares.
      to: the run folder; by default the one in which all shares lie.
      console: who is told.
      partial: whether students may be missing, which `jaxsoft run` trains in the run folder then.

    Returns:
      The rows of all students, in the plan's order, none where students are missing; and the run folder.

    Raises:
      CheckpointError: there are no shares, they are not of one sweep, not all there, or not whole; says which.
      ConfigError: it is not clear where the run folder shall be.
    """
    parts = _found(paths)
    where = to or _around(parts)
    _compare(parts)
    told = _missing(parts, partial)
    for line in [*told, *_apart(parts)]:
        console.say(line)
    first = parts[0].folder
    with RunFolder(where, console.seconds).open(first.read_json(CONFIG)) as folder:
        _check_target(folder, first)
        _check_rows(parts, folder)
        manifest.goes_on(folder)
        _copy(parts, folder)
        log = results.ResultsLog(folder.path / results.LOG)
        for part in parts:
            log.append(part.rows)
        if {*parts[0].plan.keys} - log.finished:
            log.close()
            return [], where
        return run.collected(parts[0].plan, log, folder), where


def _found(paths: Sequence[Path]) -> list[Part]:
    """The shares by number, each once and all of equally many."""
    parts = [_read(path) for path in shares.within(paths)]
    if not parts:
        where = ", ".join(map(str, paths))
        raise errors.CheckpointError(f"there are no shares in {where}; jaxsoft run NAME --share=I/N trains one")
    for one, other in itertools.pairwise(parts):
        two = f"{one.folder.path} and {other.folder.path}"
        if one.share.count != other.share.count:
            raise errors.CheckpointError(f"shares of different sweeps: {two}; {_LEAVE_OUT}")
        if one.share == other.share:
            told = f"share {one.share.index} of {one.share.count} is there twice: {two}"
            raise errors.CheckpointError(f"{told}; {_LEAVE_OUT}")
    return parts


def _read(path: Path) -> Part:
    folder = RunFolder(path)
    log = folder.path / results.LOG
    try:
        return Part(folder, shares.of(path), stored.as_begun(folder), results.read(log) if log.exists() else [])
    except errors.CheckpointError as problem:
        raise errors.CheckpointError(f"{problem}; {_LEAVE_OUT}") from None


def _around(parts: Sequence[Part]) -> Path:
    around = {part.folder.path.parent for part in parts}
    if len(around) > 1:
        raise errors.ConfigError(f"the shares lie in {len(around)} folders; --to=DIR says where they are joined")
    return around.pop()


def _compare(parts: Sequence[Part]) -> None:
    """Refuse shares that are not of one sweep: of other settings, data, code, experts or students than the first."""
    kinds: dict[str, Callable[[RunFolder], Any]] = {
        "settings": _settings,
        "data and code": lambda folder: folder.read_json(stored.PLAN)["identity"],
        "students": lambda folder: [member["member"] for member in folder.read_json(stored.PLAN)["members"]],
        "experts": _experts,
    }
    first = parts[0].folder
    for kind, read in kinds.items():
        wanted = read(first)
        for part in parts[1:]:
            if (found := read(part.folder)) != wanted:
                told = f"{part.folder.path} is no share of the sweep of {first.path}: other {kind}"
                raise errors.CheckpointError(f"{told}{_difference(wanted, found)}{_MEND.get(kind, '')}; {_LEAVE_OUT}")


_LEAVE_OUT = "delete the one that is not wanted, or name the others: jaxsoft join SHARE SHARE"
_MEND = {"experts": "; give all shares one --workdir, or one config.teacher.store, that all of them see"}


def _difference(wanted: Any, found: Any) -> str:
    if not (isinstance(wanted, dict) and isinstance(found, dict)):
        return ""
    pairs = differing(dict(flat(wanted)), dict(flat(found)))
    shown = [f"{key} is {was!r:.60} there, {now!r:.60} here" for key, (was, now) in list(pairs.items())[:SHOWN]]
    return f": {'; '.join(shown)}" if shown else ""


def _settings(folder: RunFolder) -> dict[str, Any]:
    return {key: value for key, value in flat(folder.read_json(CONFIG), "config") if not key.startswith(FREE)}


def _experts(folder: RunFolder) -> Any:
    """Their settings and key, and all that was seen of them; files of two shares that taught their own may differ."""
    found = folder.read_json(stored.TEACHERS)
    free = [key.removeprefix("config.teacher.") for key in FREE if key.startswith("config.teacher.")]
    return {key: v for key, v in found["teacher"].items() if key not in free}, found["experts"], found["resolved"]


def _missing(parts: Sequence[Part], partial: bool) -> list[str]:
    """What shares are lost, not whole, or altered; refused unless some may be missing."""
    count, there = parts[0].share.count, {part.share.index for part in parts}
    lost = [i for i in range(count) if i not in there]
    lines = [f"share {i} of {count} is not there: the command with --share={i}/{count} trains it" for i in lost]
    for part in parts:
        index, _ = part.share
        if missing := part.missing:
            told = f"share {index} of {count} in {part.folder.path} has {missing} students to go"
            lines.append(f"{told}: the command with --share={index}/{count} goes on")
        elif problems := manifest.verify(part.folder.path):
            raise errors.CheckpointError(f"{part.folder.path} is not what the share left: {'; '.join(problems)}")
    if lines and not partial:
        raise errors.CheckpointError(*lines, "--partial joins what is there")
    return lines


def _apart(parts: Sequence[Part]) -> Iterator[str]:
    """What may have changed last bits: shares on other devices, by other versions, in other blocks."""
    for name in _DIFFER:
        if len(values := sorted({str(row.get(name)) for part in parts for row in part.rows})) > 1:
            yield f"shares differ in {name}: {', '.join(values)}; last bits may differ with it"
    if len({str([getattr(part.plan, name, None) for name in ("waves", "buckets", "devices")]) for part in parts}) > 1:
        yield "shares were laid out for different devices or memory; last bits may differ with it"


def _check_target(folder: RunFolder, first: RunFolder) -> None:
    """Refuse a run folder in which another run has begun."""
    began, own = (stored.plan(one) for one in (folder, first))
    if began and own and (began.get("identity"), _keys(began)) != (own["identity"], _keys(own)):
        raise errors.CheckpointError(f"{folder.path} has another run in it; choose another folder, as --to=DIR")


def _check_rows(parts: Sequence[Part], folder: RunFolder) -> None:
    """Refuse shares whose students the run folder has with other numbers: which are right, nobody here knows."""
    log = folder.path / results.LOG
    there = {row["member"]: row for row in results.read(log)} if log.exists() else {}
    for part in parts:
        both = ((row, there[row["member"]]) for row in part.rows if row["member"] in there)
        if other := sum(any(row.get(name) != own.get(name) for name in _NUMBERS) for row, own in both):
            told = f"{other} students of {part.folder.path} have other numbers in {folder.path}, where they were trained too"
            raise errors.CheckpointError(f"{told}; join into another folder, as --to=DIR")


def _keys(plan: dict[str, Any]) -> list[str]:
    return [member["member"] for member in plan["members"]]


def _copy(parts: Sequence[Part], folder: RunFolder) -> None:
    """All but rows: the plan, what is told of experts and sets, examples, learned labels, experts, students, starts."""
    first = parts[0].folder.path
    with errors.writing(folder.path):
        for name in (stored.PLAN, stored.TEACHERS, stored.SETS, examples.NAME):
            _add(first / name, folder.path / name)
        for name in _ONCE:
            _add(shares.home(first) / name, folder.path / name)
        for part in parts:
            if (there := part.folder.path / kept.FOLDER).is_dir():
                shutil.copytree(there, folder.path / kept.FOLDER, dirs_exist_ok=True)
    starts.gather([part.folder for part in parts], folder)
    own = list(folder.read_json(TIMING).values())  # the last of them is of this very start
    times = [time for part in parts for time in part.folder.read_json(TIMING).values() if time not in own]
    folder.write_json(TIMING, {f"start {number}": stages for number, stages in enumerate([*times, *own], 1)})


def _add(source: Path, target: Path) -> None:
    """Copy a file or a folder to where there is none."""
    if target.exists() or not source.exists():
        return
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("lock*"))
    else:
        shutil.copyfile(source, target)
