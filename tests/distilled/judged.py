"""What becomes of files that are named on the standard input: a line of JSON for each, with seconds and megabytes."""

import json
import resource
import sys
import time
from pathlib import Path

from jaxsoft import errors, models
from jaxsoft.data.formats import fkd, tensors
from jaxsoft.distilled.reading import layouts
from jaxsoft.distilled.reading.options import Options


def read(path: Path) -> None:
    """Read as what it claims to be: labels of FKD, a network, or a distilled set."""
    if path.name.startswith("fkd_"):
        fkd.read(path, (4, 32, 32, 3), 32)
    elif path.name.startswith("checkpoint_"):
        models.from_state_dict(tensors.read(path), (32, 32, 3))
    else:
        layouts.recognised(path, Options(factor=2 if path.name.startswith("ncfm_") else 0))


def judged(path: Path) -> dict:
    """What became of a file."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read(path)
        outcome = "loaded"
    except errors.JaxsoftError as problem:
        outcome = f"refused: {problem}"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"path": str(path), "outcome": outcome, "seconds": time.monotonic() - began, "megabytes": grown}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(judged(Path(line.rstrip("\n")))), flush=True)
