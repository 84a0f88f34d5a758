"""A tree as the bytes of a safetensors file, and the record of what its leaves must be.

safetensors by itself does not notice altered numbers, so the record has the type, the shape and the SHA-256 of each leaf.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8
from safetensors import deserialize
from safetensors.numpy import save

from jaxsoft import files


def pack(tree: Any) -> tuple[UInt8[np.ndarray, "bytes"], dict[str, dict[str, Any]]]:
    """The bytes of a safetensors file of a tree, and by path what each leaf is: dtype, shape, SHA-256.

    Args:
      tree: arrays of any shape and dtype, on the host or on devices; no typed PRNG keys, nor two leaves of one path.
    """
    arrays, leaves = {}, {}
    for path, leaf in leaves_of(tree).items():
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
    for path in leaves_of(like):
        wanted = leaves[path]
        if path not in found or files.digest([found[path]["data"]]) != wanted["sha256"]:
            raise ValueError(f"{path} is not what was saved")
        arrays.append(np.frombuffer(found[path]["data"], wanted["dtype"]).reshape(wanted["shape"]))
    return jax.tree.unflatten(jax.tree.structure(like), arrays)


def leaves_of(tree: Any) -> dict[str, Any]:
    """The leaves by readable path, in the order of the tree; ValueError if two have the same."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    if len(named) < len(leaves):
        raise ValueError("two leaves have the same path: a key contains '/'")
    return named
