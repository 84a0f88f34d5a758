"""Which devices do what: groups of members, and in each group devices that share every batch; arrays on them.

A mesh may span processes. What all of them know is placed from each one's own copy, nothing is sent; of a window each
process gives the rows that its devices take.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsoft.training.batches import DATA

SPREAD, SHARED, SPLIT = PartitionSpec("member"), PartitionSpec(), PartitionSpec(None, DATA)
"""Of an array: members are its first axis; each device has all of it; images of a batch are its second axis."""


def over(devices: Sequence[Any], data: int) -> Mesh:
    """Devices as groups of `data` neighbours, which divides their number; one member is trained by one group."""
    if data == 1:
        return Mesh(np.array(devices), ("member",))
    return Mesh(np.array(devices).reshape(-1, data), ("member", DATA))


def shards(mesh: Mesh) -> int:
    """How many devices share a batch."""
    return mesh.shape.get(DATA, 1)


def share(mesh: Mesh) -> tuple[int, int]:
    """Which part of every batch this process gives to a window, and how many such parts there are."""
    own = [place[-1] for place, device in np.ndenumerate(mesh.devices) if device.process_index == jax.process_index()]
    if shards(mesh) == 1:
        return 0, 1
    size = len({*own})
    return min(own) // size, shards(mesh) // size


def specs(mesh: Mesh, several: Sequence[PartitionSpec]) -> tuple[PartitionSpec, ...]:
    """How trees lie on this mesh, where no devices may share a batch."""
    return tuple(SHARED if spec == SPLIT and shards(mesh) == 1 else spec for spec in several)


def put(mesh: Mesh, several: Sequence[PartitionSpec], trees: tuple[Any, ...]) -> Any:
    """Trees on their devices, each by its spec; what is there already is free."""
    places = tuple(NamedSharding(mesh, spec) for spec in specs(mesh, several))
    if places[0].is_fully_addressable:
        return jax.device_put(trees, places)
    return tuple(jax.tree.map(functools.partial(_put, place), tree) for place, tree in zip(places, trees, strict=True))


def described(mesh: Mesh, several: Sequence[PartitionSpec], trees: tuple[Any, ...]) -> tuple[Any, ...]:
    """Trees as shapes that lie where `put` would bring them."""

    def shapes(spec: PartitionSpec, tree: Any) -> Any:
        there = NamedSharding(mesh, spec)
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=there), tree)

    return tuple(map(shapes, specs(mesh, several), trees))


def fetch(tree: Any) -> Any:
    """A tree of arrays on the host; all processes ask for it together."""
    leaves = jax.tree.leaves(tree)
    if all(getattr(leaf, "is_fully_addressable", True) for leaf in leaves):
        return jax.device_get(tree)
    whole = NamedSharding(leaves[0].sharding.mesh, SHARED)
    return jax.device_get(_copied(whole)(tree))


@functools.cache
def _copied(place: NamedSharding) -> Any:
    return jax.jit(lambda tree: tree, out_shardings=place)


def _put(place: NamedSharding, array: Any) -> jax.Array:
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return jax.device_put(array, place)
    array = np.asarray(array)
    if place.spec == SPLIT:
        return jax.make_array_from_process_local_data(place, array)
    return jax.make_array_from_callback(array.shape, place, lambda part: array[part])
