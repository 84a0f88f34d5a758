"""A tree as a safetensors file, whose header holds a sealed record of what its leaves must be.

safetensors by itself does not notice altered numbers, so the record has the type, the shape and the SHA-256 of each leaf.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from jaxsoft import files

_SHOWN = 20  # differences that a table lists
_WIDEST = 60  # characters of one of its cells


def packed(tree: Any, more: Mapping[str, Any]) -> bytes:
    """A tree as a safetensors file, whose record also says `more`.

    Raises:
      ValueError: two leaves have the same path.
    """
    arrays, leaves = {}, {}
    for path, leaf in _leaves(tree).items():
        dtype, shape = _kind(leaf)
        arrays[path] = np.asarray(jax.device_get(leaf), np.dtype(dtype.name), order="C")
        leaves[path] = {"dtype": dtype.name, "shape": list(shape), "sha256": _sha256(arrays[path])}
    return save(arrays, {"record": json.dumps(files.seal({"leaves": leaves, **more}))})


def read_record(path: Path) -> dict[str, Any]:
    """What a file's header says of its leaves, and beside them; damaged files make the reader raise anything."""
    files.opened(path).close()  # a regular file
    with safe_open(path, framework="numpy") as file:
        return files.unseal(json.loads(file.metadata()["record"]))


def read_leaves(path: Path, leaves: Mapping[str, Any], like: Any) -> Any:
    """The tree that was packed, in the structure of `like`.

    Raises:
      ValueError: a leaf is not bitwise what was packed.
    """
    found = []
    with safe_open(path, framework="numpy") as file:
        for name in _leaves(like):
            array, wanted = file.get_tensor(name), leaves[name]
            if (array.dtype.name, list(array.shape), _sha256(array)) != tuple(
                wanted[k] for k in ("dtype", "shape", "sha256")
            ):
                raise ValueError(f"{name} is not what was saved")
            found.append(array)
    return jax.tree.unflatten(jax.tree.structure(like), found)


def differences(leaves: Mapping[str, Any], like: Any, tag: Mapping[str, Any], wanted_tag: Mapping[str, Any]) -> str:
    """A table of the leaves and tag keys that differ between what was packed and what is wanted; empty if none does."""
    saved = {path: f"{leaf['dtype']}{leaf['shape']}" for path, leaf in leaves.items()}
    kinds = {path: _kind(leaf) for path, leaf in _leaves(like).items()}
    wanted = {path: f"{dtype.name}{list(shape)}" for path, (dtype, shape) in kinds.items()}
    saved |= {f"tag.{key}": json.dumps(value) for key, value in tag.items()}
    wanted |= {f"tag.{key}": json.dumps(value) for key, value in wanted_tag.items()}
    rows = [(key, saved.get(key, "absent"), wanted.get(key, "absent")) for key in {**wanted, **saved}]
    rows = [row for row in rows if row[1] != row[2]]
    if not rows:
        return ""
    shown = [("leaf", "saved", "wanted"), *(tuple(map(_short, row)) for row in rows[:_SHOWN])]
    widths = [max(map(len, column)) for column in zip(*shown)]
    lines = ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in shown]
    return "\n".join(lines + [f"  and {len(rows) - _SHOWN} more"] * (len(rows) > _SHOWN))


def _short(text: str) -> str:
    """A cell of a table that a terminal can hold."""
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 4]} ..."


def _leaves(tree: Any) -> dict[str, Any]:
    """The leaves by readable path, in the order of the tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    if len(named) < len(leaves):
        raise ValueError("two leaves have the same path: a key contains '/'")
    return named


def _kind(leaf: Any) -> tuple[np.dtype, tuple[int, ...]]:
    array = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    return np.dtype(array.dtype), tuple(array.shape)


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(array.reshape(-1).view(np.uint8).data).hexdigest()
