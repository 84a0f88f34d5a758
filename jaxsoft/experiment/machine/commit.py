"""The commit that the package is of. The build runs this file by itself: it imports nothing of the package."""

import subprocess
from pathlib import Path

WRITTEN = Path(__file__).with_name("COMMIT")
"""What a build leaves beside this file, in wheels and source distributions alone."""


def commit() -> str | None:
    """The checkout's commit, `-dirty` when a tracked file was changed, else the one that was built; None if not known."""
    tracked = ["ls-files", "--error-unmatch", Path(__file__).name]  # not a checkout that merely holds the environment
    described = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    git, how = ["git", "-C", str(Path(__file__).parent)], {"capture_output": True, "text": True, "timeout": 10}
    try:
        done = [subprocess.run(git + command, check=True, **how) for command in (tracked, described)]
    except (OSError, subprocess.SubprocessError):
        return WRITTEN.read_text().strip() if WRITTEN.exists() else None
    return done[1].stdout.strip()
