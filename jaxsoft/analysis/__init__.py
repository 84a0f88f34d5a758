"""Reads results and never training code: arrays, statistics, laws, figures, the report."""

import os
import sys


def _import_matplotlib() -> None:
    """Import it whatever the user's settings of it are: ours need none, and broken ones must not cost a report."""
    try:
        import matplotlib  # noqa: F401
    except Exception:  # an unknown backend, a file that is no text: each has errors of its own
        kept = {name: os.environ.pop(name) for name in ("MPLBACKEND", "MATPLOTLIBRC") if name in os.environ}
        for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
            del sys.modules[name]
        try:
            import matplotlib  # noqa: F401
        finally:
            os.environ.update(kept)


_import_matplotlib()
