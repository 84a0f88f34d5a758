"""A tree as one array of bytes, and the record of what these bytes must be."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

ALIGNMENT = 64  # bytes; where a leaf may begin, so that JAX on a CPU need not copy it
SHOWN = 20  # differences that a table lists
WIDEST = 60  # characters of one of its cells


def pack(tree: Any) -> tuple[UInt8[np.ndarray, "bytes"], dict[str, dict[str, Any]]]:
    """Lay the leaves of a tree one after the other.

    Args:
      tree: arrays of any shape and dtype, on the host or on devices; no typed PRNG keys.

    Returns:
      The bytes, and by path what each leaf is: dtype, shape, where it begins, SHA-256.

    Raises:
      ValueError: two leaves have the same path.
    """
    leaves, record, end = _leaves(tree), {}, 0
    for path, leaf in leaves.items():
        dtype, shape = _kind(leaf)
        record[path] = {"dtype": dtype.name, "shape": list(shape), "begin": -(-end // ALIGNMENT) * ALIGNMENT}
        end = record[path]["begin"] + math.prod(shape) * dtype.itemsize
    packed = np.zeros(max(end, 1), np.uint8)
    for path, leaf in leaves.items():  # one at a time, so that the host holds the tree once
        content = np.ascontiguousarray(jax.device_get(leaf), record[path]["dtype"]).reshape(-1).view(np.uint8)
        begin = record[path]["begin"]
        packed[begin : begin + content.size] = content
        record[path]["sha256"] = _sha256(content)
    return packed, record


def unpack(packed: UInt8[np.ndarray, "bytes"], record: Mapping[str, Any], like: Any) -> Any:
    """The tree that was packed, in the structure of `like`; its leaves are views of `packed`.

    Raises:
      ValueError: a leaf is not bitwise what was packed.
    """
    leaves = []
    for path in _leaves(like):
        leaf = record[path]
        dtype = np.dtype(leaf["dtype"])
        content = packed[leaf["begin"] :][: math.prod(leaf["shape"]) * dtype.itemsize]
        if _sha256(content) != leaf["sha256"]:
            raise ValueError(f"{path} is not what was saved")
        leaves.append(content.view(dtype).reshape(leaf["shape"]))
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def differences(record: Mapping[str, Any], like: Any, tag: Mapping[str, Any], wanted_tag: Mapping[str, Any]) -> str:
    """A table of the leaves and tag keys that differ between what was packed and what is wanted; empty if none does."""
    saved = {path: f"{leaf['dtype']}{leaf['shape']}" for path, leaf in record.items()}
    wanted = {path: f"{dtype.name}{list(shape)}" for path, (dtype, shape) in _kinds(like).items()}
    saved |= {f"tag.{key}": json.dumps(value) for key, value in tag.items()}
    wanted |= {f"tag.{key}": json.dumps(value) for key, value in wanted_tag.items()}
    rows = [(key, saved.get(key, "absent"), wanted.get(key, "absent")) for key in {**wanted, **saved}]
    rows = [row for row in rows if row[1] != row[2]]
    if not rows:
        return ""
    shown = [("leaf", "saved", "wanted"), *(tuple(map(_short, row)) for row in rows[:SHOWN])]
    widths = [max(map(len, column)) for column in zip(*shown)]
    lines = ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in shown]
    return "\n".join(lines + [f"  and {len(rows) - SHOWN} more"] * (len(rows) > SHOWN))


def _short(text: str) -> str:
    """A cell of a table that a terminal can hold."""
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 4]} ..."


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


def _kinds(tree: Any) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    return {path: _kind(leaf) for path, leaf in _leaves(tree).items()}


def _sha256(content: Any) -> str:
    return hashlib.sha256(content).hexdigest()
