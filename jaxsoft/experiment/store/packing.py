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
from jaxsoft.experiment.store.folder import differing

_SHOWN = 20  # differences that a table lists
_WIDEST = 60  # characters of one of its cells


def pack(tree: Any) -> tuple[UInt8[np.ndarray, "bytes"], dict[str, dict[str, Any]]]:
    """The bytes of a safetensors file of a tree, and by path what each leaf is: dtype, shape, SHA-256.

    Args:
      tree: arrays of any shape and dtype, on the host or on devices; no typed PRNG keys, nor two leaves of one path.
    """
    arrays, leaves = {}, {}
    for path, leaf in _leaves(tree).items():
        array = np.asarray(jax.device_get(leaf), order="C")
        arrays[path] = array = array.astype(array.dtype.newbyteorder("="), copy=False)
        sha256 = files.digest([array.reshape(-1).view(np.uint8).data])
        leaves[path] = {"dtype": array.dtype.name, "shape": list(array.shape), "sha256": sha256}
    return np.frombuffer(save(arrays), np.uint8), leaves


def unpack(packed: UInt8[np.ndarray, "bytes"], leaves: Mapping[str, Any], like: Any) -> Any:
    """The tree that was packed, in the structure of `like`.

    Raises:
      ValueError: a leaf is not bitwise what was packed.
    """
    found, arrays = dict(deserialize(packed.tobytes())), []
    for path in _leaves(like):
        wanted = leaves[path]
        if path not in found or files.digest([found[path]["data"]]) != wanted["sha256"]:
            raise ValueError(f"{path} is not what was saved")
        arrays.append(np.frombuffer(found[path]["data"], wanted["dtype"]).reshape(wanted["shape"]))
    return jax.tree.unflatten(jax.tree.structure(like), arrays)


def differences(leaves: Mapping[str, Any], like: Any, tag: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """Where what was packed, and its tag, is not as what is wanted: lines of a table, none where all is alike."""
    saved = {path: f"{leaf['dtype']}{leaf['shape']}" for path, leaf in leaves.items()}
    arrays = {path: leaf if hasattr(leaf, "dtype") else np.asarray(leaf) for path, leaf in _leaves(like).items()}
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


def _leaves(tree: Any) -> dict[str, Any]:
    """The leaves by readable path, in the order of the tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    if len(named) < len(leaves):
        raise ValueError("two leaves have the same path: a key contains '/'")
    return named
