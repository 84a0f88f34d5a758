"""What a build adds to the files: the commit they are of. An editable install asks git, and finds configs/ beside it."""

import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HOME = "jaxsoft/experiment/machine"


class Hook(BuildHookInterface):
    """Hatchling calls it before each build of a wheel or a source distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        commit = runpy.run_path(str(Path(self.root, HOME, "commit.py")))["commit"]()
        if commit and version == "standard":
            self.made = tempfile.NamedTemporaryFile("w", suffix="COMMIT")  # gone with this object
            self.made.write(f"{commit}\n")
            self.made.flush()
            build_data["force_include"][self.made.name] = f"{HOME}/COMMIT"
