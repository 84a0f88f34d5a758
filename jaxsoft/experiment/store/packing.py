"""A tree as the bytes of a safetensors file, and the record of what its leaves must be.

safetensors by itself does not notice altered numbers, so the record has the type, the shape and the SHA-256 of each leaf.
"""

import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8
from safetensors import deserialize
from safetensors.numpy import save

from jaxsoft import files

_SHOWN = 20  # differences that a table lists
_WIDEST = 60  # characters of one of its cells


def pack(tree: Any) -> tuple[UInt8[np.ndarray, "bytes"], dict[str, dict[str, Any]]]:
    """The bytes of a safetensors file of a tree, and by path what each leaf is: dtype, shape, SHA-256.

    Args:
      tree: arrays of any shape and dtype, on the host or on devices; no typed PRNG keys.

    Raises:
      ValueError: two leaves have the same path.
    """
    arrays, leaves = {}, {}
    for path, leaf in _leaves(tree).items():
        dtype, shape = _kind(leaf)
        arrays[path] = np.asarray(jax.device_get(leaf), np.dtype(dtype.name), order="C")
        sha256 = files.digest([arrays[path].reshape(-1).view(np.uint8).data])
        leaves[path] = {"dtype": dtype.name, "shape": list(shape), "sha256": sha256}
    return np.frombuffer(save(arrays), np.uint8), leaves


def unpack(packed: UInt8[np.ndarray, "bytes"], leaves: Mapping[str, Any], like: Any) -> Any:
    """The tree that was packed, in the structure of `like`.

    Raises:
      ValueError: a leaf is not bitwise what was packed.
    """
    found = dict(deserialize(packed.tobytes()))
    arrays = []
    for path in _leaves(like):
        wanted, content = leaves[path], found.get(path, {}).get("data", b"")
        if path not in found or files.digest([memoryview(content)]) != wanted["sha256"]:
            raise ValueError(f"{path} is not what was saved")
        arrays.append(np.frombuffer(content, wanted["dtype"]).reshape(wanted["shape"]))
    return jax.tree.unflatten(jax.tree.structure(like), arrays)


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
