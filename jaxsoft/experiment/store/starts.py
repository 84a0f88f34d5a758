"""With what each start of a run began: `env.json` of the run folder."""

import contextlib
import logging
from typing import Any

from jaxsoft import errors, numerics, sources
from jaxsoft.experiment.machine.environment import environment
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.experiment.store.writing import differing, flat

log = logging.getLogger(__name__)

_STARTS = "env.json"


def add_start(folder: RunFolder) -> list[str]:
    """Write down with what a run starts, or goes on, beside its earlier starts.

    Returns:
      What differs from the start before, in words; empty for the first.
    """
    starts: list[dict[str, Any]] = []
    if (folder.path / _STARTS).exists():
        try:
            starts = _starts(folder.read_json(_STARTS))
        except (errors.CheckpointError, ValueError):
            aside = f"{_STARTS}.corrupt"
            log.warning("%s cannot be read; it is set aside as %s, and begun anew", folder.path / _STARTS, aside)
            with contextlib.suppress(OSError):  # what cannot be moved is told when it cannot be written
                (folder.path / _STARTS).replace(folder.path / aside)
    now = {**environment(), "engine": sources.engine(), "settings": numerics.recorded()}
    folder.write_json(_STARTS, {"starts": [*starts, now]})
    two = (starts[-1] if starts else now, now)
    before, after = ({key: str(value) for key, value in flat(start) if value != {}} for start in two)
    changed = differing(before, after, absent=None)
    return [f"{key} was {was}, is {is_now} now" for key, (was, is_now) in changed.items()]


def _starts(found: Any) -> list[dict[str, Any]]:
    """Those that a file tells of; earlier versions kept the last one alone.

    Raises:
      ValueError: it tells of none.
    """
    starts = found.get("starts", [found]) if isinstance(found, dict) else None
    if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
        raise ValueError("no list of starts")
    return starts
