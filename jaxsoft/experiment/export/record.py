"""The folder of an export: a sealed record, and files that it knows by their SHA-256; written whole or not at all."""

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxsoft import config, errors, files
from jaxsoft.data.formats.exported import FORMAT, LABELS, RECORD
from jaxsoft.experiment.store.folder import differing, flat

CONFIG, CARD = "config.py", "README.md"
_PYTHON = '''"""The student of this export, trained again: jaxsoft run --config=config.py"""

from jaxsoft.config import default


def get_config():
    config = default()
    config.update_from_flattened_dict(
        {
%s
        }
    )
    return config
'''


def labels_spec(told: Mapping[str, Any]) -> str:
    """The label spec that names the stored labels of an export with this record."""
    return f"array({LABELS!r}, logits=True)" if told.get("logits") else f"array({LABELS!r})"


def write(folder: Path, record: Mapping[str, Any], content: Mapping[str, bytes]) -> int:
    """Make the folder; equal content gives equal bytes. Returns how many bytes its files have.

    Raises:
      CheckpointError: it cannot be written.
    """
    listed = {name: {"bytes": len(content[name]), "sha256": files.digest([content[name]])} for name in sorted(content)}
    sealed = files.seal({"format": FORMAT, **record, "files": listed})
    whole = {**content, RECORD: (json.dumps(sealed, indent=2) + "\n").encode()}
    with errors.writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
        try:
            for name, part in whole.items():
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                (staged / name).write_bytes(part)
            os.rename(staged, folder)  # in the place of an empty one too
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return sum(map(len, whole.values()))


def check_free(folder: Path) -> None:
    """Refuse a place that holds something: an export replaces nothing."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise errors.ConfigError(f"--to={folder} is there already, and not empty; choose another folder")


def config_file(values: config.Settings) -> bytes:
    """A config file of these settings: what is not as it is by default, one a line."""
    plain, own = (dict(flat(config.as_dict(s))) for s in (config.Settings(), values))
    lines = [f"            {key!r}: {now!r}," for key, (_, now) in differing(plain, own).items()]
    return (_PYTHON % "\n".join(lines)).encode()
