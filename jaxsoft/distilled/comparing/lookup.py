"""What a user means by a set: an imported one, by name or path, or a way to select train images, such as `k_centers`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxsoft import errors, imports, sealed, spec
from jaxsoft.data import select
from jaxsoft.distilled.comparing.cells import HARD, RANDOM, Compared
from jaxsoft.distilled.kept import KIND, NAME
from jaxsoft.spec import Call

_NUMBER_BYTES = 4  # of a published label, where its record does not say
SELECTIONS = spec.public_functions(select)
_EXPORT = "export.json"


def find(text: str, root: str = "") -> Compared:
    """What a user means by a set: a way to select, else an imported set, in the folder of sets or at a path.

    Raises:
      ConfigError: there is no such set, or it is something else that would have to be imported.
      CheckpointError: its record was altered.
    """
    if text == RANDOM:
        raise errors.ConfigError("random images are what every set is compared with; name another set")
    is_path = "/" in text and not text.startswith(f"{NAME}(")
    call = Call(NAME, (text,)) if is_path or _is_name(text) else spec.parse_one(text)
    if call.name != NAME:
        if call.name not in SELECTIONS and not imports.is_outside(call.name):
            raise errors.ConfigError(errors.unknown("way to select", call.name, SELECTIONS, "jaxsoft/data/select.py"))
        return Compared(text, text)
    name = str(spec.bind(call, select.distilled, ("labels", "ipc", "key", "pool"))["name"])
    if is_path and (Path(name) / _EXPORT).is_file():
        told = "an export, no imported set; import it first"
        raise errors.ConfigError(f"{name} is {told}: jaxsoft import {name} --as={Path(name).name}")
    return _imported(name, KIND.recorded(name, root))


def _is_name(text: str) -> bool:
    return sealed.is_name(text) and text not in SELECTIONS


def _imported(name: str, record: Mapping[str, Any]) -> Compared:
    classes, way, data = len(record["class_names"]), str(Call(NAME, (name,))), record["data"]["name"]
    if record["kind"] == HARD:
        return Compared(Path(name).name, way, "", record["ipc"], 0, classes, data)
    taken = record.get("bytes", {}).get("labels", 0) / max(record.get("images", 0), 1)
    return Compared(Path(name).name, way, way, record["ipc"], taken or _NUMBER_BYTES * classes, classes, data)
