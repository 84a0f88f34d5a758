"""Reads results and never training code: arrays, statistics, laws, figures, the report."""

import os
import sys

try:
    import matplotlib  # noqa: F401
except (
    Exception
):  # broken settings of the user's own, each with errors of its own: ours need none, and no report is lost
    kept = {name: os.environ.pop(name) for name in ("MPLBACKEND", "MATPLOTLIBRC") if name in os.environ}
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        del sys.modules[name]
    import matplotlib  # noqa: F401

    os.environ.update(kept)
