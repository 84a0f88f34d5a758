"""With what each start of a run began: `env.json` of the run folder."""

import contextlib
import logging
from collections.abc import Iterable

from jaxsoft import errors, numerics, sources
from jaxsoft.experiment.machine.environment import environment
from jaxsoft.experiment.store.folder import RunFolder, differing, flat

log = logging.getLogger(__name__)

_STARTS = "env.json"


def gather(folders: Iterable[RunFolder], into: RunFolder) -> None:
    """Write down the starts of several run folders, and those of this one, as its own; equal ones once."""
    there = (one for one in (*folders, into) if (one.path / _STARTS).exists())
    found = [start for one in there for start in one.read_json(_STARTS)["starts"]]
    into.write_json(_STARTS, {"starts": [start for i, start in enumerate(found) if start not in found[:i]]})


def add_start(folder: RunFolder) -> list[str]:
    """Write down with what a run starts, or goes on, beside its earlier starts.

    Returns:
      What differs from the start before, in words; empty for the first.
    """
    file, starts = folder.path / _STARTS, []
    if file.exists():
        try:
            found = folder.read_json(_STARTS)
            starts = [dict(start) for start in found.get("starts", [found])]  # earlier versions kept the last one alone
        except (errors.CheckpointError, AttributeError, TypeError, ValueError):
            aside = file.with_name(f"{_STARTS}.corrupt")
            log.warning("%s cannot be read; it is set aside as %s, and begun anew", file, aside.name)
            with contextlib.suppress(OSError):  # what cannot be moved is told when it cannot be written
                file.replace(aside)
    now = {**environment(), "engine": sources.engine(), "settings": numerics.recorded()}
    folder.write_json(_STARTS, {"starts": [*starts, now]})
    two = (starts[-1] if starts else now, now)
    before, after = ({key: str(value) for key, value in flat(start) if value != {}} for start in two)
    changed = differing(before, after, absent=None)
    return [f"{key} was {was}, is {is_now} now" for key, (was, is_now) in changed.items()]
