"""What a build adds: version, commit, and to a wheel the experiments. An editable install has the last two anyway."""

import re
import runpy
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.version import Version

RELEASE = "0.1.0"
"""The last release. What is built is never told to be older, whatever tags a clone lacks."""

MACHINE = "jaxsoft/experiment/machine"


def version() -> str:
    """The version of what is built: its tag's; N commits after the newest tag the next one's `.devN`; else `RELEASE`.

    A tag is `v` and a version. A source distribution is not asked: it says its version itself.
    """
    described = _git("describe", "--tags", "--long", "--dirty", "--match=v[0-9]*") if _is_checkout() else ""
    if not (found := re.fullmatch(r"v(.+)-(\d+)-g\w+(-dirty)?", described)):
        return RELEASE
    tag, commits, dirty = found.groups()
    is_tagged = commits == "0" and not dirty
    told = tag if is_tagged else f"{re.sub(r'[0-9]+$', lambda last: str(int(last[0]) + 1), tag)}.dev{commits}"
    return max(told, RELEASE, key=Version)


def _is_checkout() -> bool:
    """Whether git tracks this file; a folder of a clone of something else is no checkout."""
    return bool(_git("ls-files", Path(__file__).name))


def _git(*command: str) -> str:
    """What git says; nothing where there is no git, no clone or no tag."""
    where = ["git", "-C", str(Path(__file__).parent)]
    try:
        return subprocess.run([*where, *command], check=True, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


class Hook(BuildHookInterface):
    """Called before each build of a wheel or a source distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        if self.target_name == "wheel":
            build_data["force_include"][str(Path(self.root, "configs"))] = "jaxsoft/configs"
        if commit := runpy.run_path(str(Path(self.root, MACHINE, "commit.py")))["commit"]():
            self.written = tempfile.NamedTemporaryFile("w")  # there as long as this object is
            self.written.write(f"{commit}\n")
            self.written.flush()
            build_data["force_include"][self.written.name] = f"{MACHINE}/COMMIT"
