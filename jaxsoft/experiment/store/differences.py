"""Where what a file of leaves holds is not as what is wanted, as a table for the user."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxsoft.experiment.store.folder import differing
from jaxsoft.packing import leaves_of

_SHOWN = 20  # differences that a table lists
_WIDEST = 60  # characters of one of its cells


def differences(leaves: Mapping[str, Any], like: Any, tag: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """Where what was packed, and its tag, is not as what is wanted: lines of a table, none where all is alike."""
    saved = {path: f"{leaf['dtype']}{leaf['shape']}" for path, leaf in leaves.items()}
    arrays = {path: leaf if hasattr(leaf, "dtype") else np.asarray(leaf) for path, leaf in leaves_of(like).items()}
    wanted = {path: f"{array.dtype.name}{list(array.shape)}" for path, array in arrays.items()}
    for texts, values in ((saved, tag), (wanted, own)):
        texts |= {f"tag.{key}": json.dumps(value) for key, value in values.items()}
    differ = differing(wanted, saved)
    if not differ:
        return []
    rows = [("leaf", "saved", "wanted"), *((path, there, here) for path, (here, there) in differ.items())]
    shown = [
        [cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 4]} ..." for cell in row] for row in rows[: _SHOWN + 1]
    ]
    widths = [max(map(len, column)) for column in zip(*shown)]
    lines = ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in shown]
    return lines + [f"  and {len(differ) - _SHOWN} more"] * (len(differ) > _SHOWN)
