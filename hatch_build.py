"""What a build adds: the commit, and to a wheel the experiments. An editable install finds both where they are."""

import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MACHINE = "jaxsoft/experiment/machine"


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
